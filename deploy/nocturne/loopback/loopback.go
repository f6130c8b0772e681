// Package loopback keeps other origins out of HTTP listeners that are meant for this machine alone: a web page that
// a person here visits can send requests to 127.0.0.1 under a name of its own (DNS rebinding), which the Host header
// tells. Everything in it is pure and may be called concurrently.
package loopback

import (
	"net"
	"net/http"
	"strings"

	"nocturne/internal/trust"
)

// IsHost says whether a Host header, with or without a port, names this machine: localhost or a loopback address.
func IsHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return trust.Loopback(strings.Trim(host, "[]"))
}

// Only answers 421 to requests that do not ask for this machine, and hands the others on.
func Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsHost(r.Host) {
			http.Error(w, "only for this machine: ask for localhost or 127.0.0.1", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
