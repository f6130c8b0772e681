// Package config is the eventbridge's configuration file: one YAML document,
// decoded strictly, every key with a default, so that the file may be empty.
//
// Everything is pure. To test: go test ./eventbridge/config.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/ingest/amqp"
	"nocturne/eventbridge/registry"
	"nocturne/internal/strict"
	"nocturne/internal/trust"
)

// Config is the whole file.
type Config struct {
	// Data is the folder that holds everything: stream, CA, admin token.
	Data string `yaml:"data"`
	// BridgeID names this bridge in the stream; empty = made at the first start.
	BridgeID string `yaml:"bridge_id"`
	LogLevel string `yaml:"log_level"` // debug info warn error

	Ingest   Ingest          `yaml:"ingest"`
	AMQP     amqp.Config     `yaml:"amqp"`
	Admin    Admin           `yaml:"admin"`
	Stream   Stream          `yaml:"stream"`
	Registry registry.Config `yaml:"registry"`

	VictoriaMetrics Store `yaml:"victoriametrics"`
	VictoriaLogs    Store `yaml:"victorialogs"`
}

// Ingest is where servers send to.
type Ingest struct {
	// Address takes plain HTTP and must be on loopback.
	Address string `yaml:"address"`
	// Listen takes HTTPS from the network; empty = none.
	Listen string `yaml:"listen"`
	// Names are further names and addresses for the certificate.
	Names []string `yaml:"names"`
	// ClientCA is a PEM file: on Listen, only who shows a certificate of these
	// CAs is heard, beside his credential. Empty = nobody is asked for one.
	ClientCA string        `yaml:"client_ca"`
	Limits   ingest.Config `yaml:"limits"`
}

// Admin is where administrators and their tools ask.
type Admin struct {
	Address string `yaml:"address"` // must be on loopback
}

// Stream is the JetStream server.
type Stream struct {
	// URL of an external server; empty = the embedded one.
	URL       string `yaml:"url"`
	TokenFile string `yaml:"token_file"` // with URL: holds the bridge's token
	// Address of the embedded server; must be on loopback.
	Address  string        `yaml:"address"`
	MaxAge   time.Duration `yaml:"max_age"`
	MaxBytes int64         `yaml:"max_bytes"` // of all partitions together
}

// Store is a database that the bridge writes to.
type Store struct {
	URL string `yaml:"url"` // empty = do not write to it
	// Keep is how long the database keeps rows, 0 = the default of its sink. It
	// would drop an older event silently, so that gets the time of its arrival.
	Keep time.Duration `yaml:"keep"`
}

// Default returns the defaults.
func Default() Config {
	data := "/var/lib/nocturne/eventbridge"
	if runtime.GOOS == "windows" {
		data = filepath.Join(os.Getenv("ProgramData"), "Nocturne", "eventbridge")
	}
	return Config{
		Data: data, LogLevel: "info",
		Ingest:          Ingest{Address: "127.0.0.1:9470", Limits: ingest.DefaultConfig()},
		AMQP:            amqp.DefaultConfig(),
		Admin:           Admin{Address: "127.0.0.1:9472"},
		Stream:          Stream{Address: "127.0.0.1:9473", MaxAge: 7 * 24 * time.Hour, MaxBytes: 64 << 30},
		Registry:        registry.DefaultConfig(),
		VictoriaMetrics: Store{URL: "http://127.0.0.1:8428"},
		VictoriaLogs:    Store{URL: "http://127.0.0.1:9428"},
	}
}

// Load reads a file; "" is an empty one.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, c.Validate()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read config: %w", err)
	}
	if err := c.Decode(b); err != nil {
		return c, fmt.Errorf("config %s: %w", path, err)
	}
	return c, nil
}

// Decode lays a YAML document over c and validates the whole.
func (c *Config) Decode(b []byte) error {
	if err := strict.Decode(b, c); err != nil {
		return err
	}
	return c.Validate()
}

var bridgeID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Validate says what to write instead of what is wrong; all of it at once.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Data != "", "data is empty: name a folder")
	check(c.BridgeID == "" || bridgeID.MatchString(c.BridgeID), "bridge_id %q: want at most 32 of a-z, 0-9 and -", c.BridgeID)
	_, err := c.Level()
	check(err == nil, "log_level %q: want debug, info, warn or error", c.LogLevel)
	for _, l := range [...]struct{ key, address string }{
		{"ingest.address", c.Ingest.Address}, {"admin.address", c.Admin.Address}, {"stream.address", c.Stream.Address},
	} {
		check(loopback(l.address), "%s %q: want a loopback address such as 127.0.0.1:9470; for the network use ingest.listen", l.key, l.address)
	}
	if c.Ingest.Listen != "" {
		_, _, err := net.SplitHostPort(c.Ingest.Listen)
		check(err == nil, "ingest.listen %q: want ADDRESS:PORT, such as 0.0.0.0:9471", c.Ingest.Listen)
	}
	check(c.Ingest.ClientCA == "" || c.Ingest.Listen != "", "ingest.client_ca: only servers on the network show certificates, write ingest.listen")
	if c.Stream.URL != "" {
		u, err := url.Parse(c.Stream.URL)
		check(err == nil && u.Host != "" && (u.Scheme == "nats" || u.Scheme == "tls"), "stream.url %q: want nats://HOST:PORT or tls://HOST:PORT", c.Stream.URL)
		check(c.Stream.TokenFile != "", "stream.token_file is empty: name the file that holds the bridge's token for stream.url")
	}
	check(c.Stream.MaxAge >= time.Hour, "stream.max_age %s: want at least 1h", c.Stream.MaxAge)
	check(c.Stream.MaxBytes >= 256<<20, "stream.max_bytes %d: want at least %d", c.Stream.MaxBytes, 256<<20)
	for _, s := range [...]struct{ key, url string }{{"victoriametrics.url", c.VictoriaMetrics.URL}, {"victorialogs.url", c.VictoriaLogs.URL}} {
		u, err := url.Parse(s.url)
		check(s.url == "" || err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), "%s %q: want http://HOST:PORT, or \"\" to write nothing", s.key, s.url)
	}
	check(c.VictoriaMetrics.Keep == 0, "victoriametrics.keep: samples keep their own time, remove it")
	check(c.VictoriaLogs.Keep == 0 || c.VictoriaLogs.Keep > 24*time.Hour, "victorialogs.keep %s: want more than 24h", c.VictoriaLogs.Keep)
	errs = append(errs, c.Registry.Validate(), c.Ingest.Limits.Validate(), c.AMQP.Validate())
	return errors.Join(errs...)
}

// Level returns the log level.
func (c *Config) Level() (slog.Level, error) {
	switch c.LogLevel {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", c.LogLevel)
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && trust.Loopback(host)
}
