package loopback

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnly(t *testing.T) {
	h := Only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"localhost": 204, "LOCALHOST:9481": 204, "127.0.0.1:9481": 204, "127.9.9.9": 204, "[::1]:9481": 204, "[::1]": 204, "[::ffff:127.0.0.1]:1": 204,
		"": 421, "evil.example": 421, "evil.example:9481": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "192.0.2.1:9481": 421, "0.0.0.0": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}
