package stream

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"nocturne/internal/disk"
)

// Role says what a connection may do.
type Role string

// The roles. A ruler reads the partitions and nothing else.
const (
	RoleBridge Role = "bridge" // appends, creates streams, keeps the registry and the sinks' positions
	RoleRuler  Role = "ruler"  // reads the partitions
)

// Roles returns every role.
func Roles() []Role { return []Role{RoleBridge, RoleRuler} }

// ServerConfig configures an embedded JetStream server.
type ServerConfig struct {
	Dir  string // streams and tokens; created with mode 0700
	Host string // default 127.0.0.1
	Port int    // 0 = a free one
}

// TokenFile returns the file that holds the role's token, 0600.
func TokenFile(dir string, role Role) string { return filepath.Join(dir, string(role)+".token") }

// Server is an embedded NATS server with JetStream. Every append is on disk
// before it is acknowledged.
type Server struct {
	ns *server.Server
}

// readyWithin bounds the start of a server: it checks every block of its streams.
const readyWithin = 2 * time.Minute

// NewServer starts a server. It listens on Host only and lets in who shows a
// role's token, which it makes at the first start.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	if cfg.Port == 0 {
		cfg.Port = server.RANDOM_PORT
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create stream folder: %w", err)
	}
	users := make([]*server.User, 0, len(Roles()))
	for _, role := range Roles() {
		token, err := ensureToken(TokenFile(cfg.Dir, role))
		if err != nil {
			return nil, err
		}
		users = append(users, &server.User{Username: string(role), Password: token, Permissions: permissions(role)})
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "nocturne",
		Host:       cfg.Host,
		Port:       cfg.Port,
		Users:      users,
		JetStream:  true,
		StoreDir:   cfg.Dir,
		// The stream's promise: an acknowledged append survives a power cut.
		// Affordable because an entry gathers many frames.
		SyncAlways: true,
		// Streams have their own caps; the server's is no second one.
		JetStreamMaxStore: 1 << 50,
		NoSigs:            true,
		NoLog:             true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure stream server: %w", err)
	}
	go ns.Start()
	if !ns.ReadyForConnections(readyWithin) {
		ns.Shutdown()
		return nil, fmt.Errorf("start stream server on %s port %d in %s: not ready after %s; is the port taken, or another nocturne running on this folder?", cfg.Host, cfg.Port, cfg.Dir, readyWithin)
	}
	if !ns.JetStreamEnabled() {
		ns.Shutdown()
		return nil, fmt.Errorf("start stream server: JetStream could not open %s", cfg.Dir)
	}
	return &Server{ns: ns}, nil
}

// permissions bound what a role may publish and subscribe.
func permissions(role Role) *server.Permissions {
	if role == RoleBridge {
		return nil // everything
	}
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.CREATE.*.*", "$JS.API.CONSUMER.CREATE.*.*.>",
			"$JS.API.CONSUMER.DELETE.*.*", "$JS.API.CONSUMER.MSG.NEXT.*.*",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
}

// ensureToken reads a token file, making it at the first start.
func ensureToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) >= 32 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read token: %w", err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	token := base64.RawURLEncoding.EncodeToString(raw)
	if err := disk.Replace(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write token: %w", err)
	}
	return token, nil
}

// URL returns where the server listens, "nats://127.0.0.1:4222".
func (s *Server) URL() string { return s.ns.ClientURL() }

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}
