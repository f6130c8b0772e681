package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// guard says whether a request may be answered at all, and who asks.
func (s *server) guard(r *http.Request, need role) (caller, error) {
	c, err := s.identify(r)
	if err != nil {
		return caller{}, err
	}
	if c.role < need {
		s.metrics.denied(deniedRole)
		return caller{}, &problem{status: http.StatusForbidden, msg: "this takes the role " + need.String() + ", " + inline(c.name) + " is " + c.role.String(),
			hint: "ask an admin, or use a token with that role"}
	}
	if !need.writes() {
		return c, nil
	}
	if err := s.cross.Check(r); err != nil {
		s.metrics.denied(deniedOrigin)
		return caller{}, &problem{status: http.StatusForbidden, msg: "another site's page asked for this change", hint: "use the page that the ruler serves"}
	}
	return c, nil
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
