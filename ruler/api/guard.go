package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// guard says whether a request may be answered at all, and who asks; of a
// public route nobody is asked for.
func (s *server) guard(r *http.Request, rt route) (caller, error) {
	var c caller
	var err error
	if rt.public {
		err = s.checkHost(r)
	} else {
		c, err = s.identify(r)
	}
	if err != nil {
		return caller{}, err
	}
	if c.role < rt.role {
		s.metrics.denied(deniedRole)
		return caller{}, &problem{status: http.StatusForbidden, msg: "this takes the role " + rt.role.String() + ", " + inline(c.name) + " is " + c.role.String(),
			hint: "ask an admin, or use a token with that role"}
	}
	if err := s.cross.Check(r); err != nil { // of what is no GET
		s.metrics.denied(deniedOrigin)
		return caller{}, &problem{status: http.StatusForbidden, msg: "another site's page asked for this change", hint: "use the page that the ruler serves"}
	}
	// Not another site's, and yet of another name: a proxy here put its own into Host.
	if origin := r.Header.Get("Origin"); c.via == viaLoopback && r.Method != http.MethodGet && r.Method != http.MethodHead && origin != "" && !s.knownOrigin(origin) {
		s.metrics.denied(deniedHost)
		return caller{}, &problem{status: http.StatusMisdirectedRequest, msg: "this is not " + inline(clip(origin, maxName)) + ": a proxy on the ruler's machine makes its callers look local",
			hint: "set api.login: required in the ruler's file, or add the name to api.hosts"}
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

// localPeer tells whether somebody on this machine asks, as far as can be told: a
// proxy here that adds no header looks like him. nginx as it comes is such a one,
// but it speaks HTTP/1.0, as no browser does.
func localPeer(r *http.Request) bool {
	for _, h := range forwarded {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && r.ProtoAtLeast(1, 1)
}

// opens tells whether the page opens for this caller without a login.
func (s *server) opens(r *http.Request) bool { return !s.required && localPeer(r) }

// checkHost refuses names that are not ours. A page elsewhere can make a name of
// its own point here (DNS rebinding); then the browser thinks it asks that page's
// server.
func (s *server) checkHost(r *http.Request) error {
	if !localPeer(r) {
		return nil
	}
	if s.knownHost(r.Host) {
		return nil
	}
	s.metrics.denied(deniedHost)
	return &problem{status: http.StatusMisdirectedRequest, msg: "this is not " + inline(hostOnly(r.Host)), hint: "ask for localhost, or add the name to api.hosts"}
}

func (s *server) knownOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && s.knownHost(u.Host)
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
