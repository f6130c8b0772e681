package ruler

import "net/http"

// The headers by which the ruler is told for whom the plugin asks.
const (
	HeaderUser = "X-Nocturne-User"
	HeaderRole = "X-Nocturne-Role"
)

// Caller is for whom the plugin asks; the zero value is the plugin itself,
// which may only look.
type Caller struct {
	User string
	Role string // viewer, editor or admin
}

// MaxUser is the ruler's limit.
const MaxUser = 128

// name says for whom in a request's headers.
func (c Caller) name(h http.Header) {
	if c.User == "" {
		return
	}
	h.Set(HeaderUser, c.User)
	h.Set(HeaderRole, c.Role)
}
