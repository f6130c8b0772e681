package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Who asks, as the audit log names it.
const (
	actorLocal = "local" // somebody on this machine
	actorToken = "token" // somebody with the API token
)

// guard says whether a request may be answered at all, and who asks.
func (s *server) guard(r *http.Request, write bool) (actor string, err error) {
	authorized, err := s.authorized(r)
	if err != nil {
		return "", err
	}
	actor = actorToken
	if !authorized {
		actor = actorLocal
		if !localPeer(r) {
			return "", &problem{status: http.StatusUnauthorized, msg: "only callers on this machine are answered without a token",
				hint: "send Authorization: Bearer with the token of api.token_file, or forward the port with ssh -L"}
		}
		// A page elsewhere can make a name of its own point here (DNS
		// rebinding); then the browser thinks it asks that page's server.
		if !s.knownHost(r.Host) {
			return "", &problem{status: http.StatusMisdirectedRequest, msg: fmt.Sprintf("this is not %.80q", hostOnly(r.Host)),
				hint: "ask for localhost, or add the name to api.hosts"}
		}
	}
	if !write {
		return actor, nil
	}
	if err := s.cross.Check(r); err != nil {
		return "", &problem{status: http.StatusForbidden, msg: "another site's page asked for this change", hint: "use the page that the ruler serves"}
	}
	return actor, nil
}

// authorized tells whether the request has the API token; a wrong one is an error.
func (s *server) authorized(r *http.Request) (bool, error) {
	got := r.Header.Get("Authorization")
	if got == "" {
		return false, nil
	}
	bad := &problem{status: http.StatusUnauthorized, msg: "this token is not the API token", hint: "send the content of api.token_file, or no Authorization at all"}
	if s.cfg.TokenFile == "" {
		return false, bad
	}
	want, err := readToken(s.cfg.TokenFile)
	if err != nil {
		return false, &problem{status: http.StatusInternalServerError, msg: "the API token cannot be read", hint: "look at api.token_file and at the ruler's log", cause: err}
	}
	scheme, token, _ := strings.Cut(got, " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(want))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return false, bad
	}
	return true, nil
}

// minToken keeps an empty or half-written file from being a token.
const minToken = 16

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minToken {
		return "", errors.New("read token: " + path + " holds less than 16 characters")
	}
	return token, nil
}

// forwarded are headers that a proxy adds: then the peer is not who asks.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

func localPeer(r *http.Request) bool {
	for _, h := range forwarded {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func (s *server) knownHost(hostport string) bool {
	host := hostOnly(hostport)
	if host == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	return slices.ContainsFunc(s.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
