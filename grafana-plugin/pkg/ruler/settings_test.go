package ruler

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestTokenInTheClear(t *testing.T) {
	for url, want := range map[string]int{"http://ruler.example.org:9480": 1, "https://ruler.example.org": 0, "http://localhost:9480": 0, "http://127.0.0.1:9480": 0, "http://[::1]:9480": 0, "http://10.0.0.1": 1} {
		base, err := address(url)
		if err != nil {
			t.Fatal(err)
		}
		if w := (Settings{base: base}).Warnings(); len(w) != want {
			t.Errorf("%s: %q", url, w)
		}
	}
}

// Whatever Grafana hands over, a request goes to the ruler's API or is none.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/api/v1/servers", "/api/v1/../x", "/api/v1/%2e%2e", "//evil/api/v1/x", "/api/v1/a%2Fb", "/api/v1/\\", "a:b", "/api/v1/%252e%252e/x", "/api/v1/a%3Fb"} {
		f.Add(s, "limit=1")
	}
	s, p := ReadSettings([]byte(`{"rulerUrl":"http://ruler:9480/sub"}`), map[string]string{"token": "nocturne_0123"})
	if p != nil {
		f.Fatal(p)
	}
	c, p := New(s)
	if p != nil {
		f.Fatal(p)
	}
	f.Fuzz(func(t *testing.T, encoded, query string) {
		path, err := url.PathUnescape(encoded)
		if err != nil || !CleanPath(path) || !strings.HasPrefix(encoded, "/api/v1/") {
			return
		}
		req, err := c.Request(t.Context(), "GET", encoded, query, Caller{}, nil)
		if err != nil {
			return
		}
		asked, err := url.ParseRequestURI(req.URL.RequestURI())
		if err != nil || req.URL.Host != "ruler:9480" || !strings.HasPrefix(asked.Path, "/sub/api/v1/") || slices.Contains(strings.Split(asked.Path, "/"), "..") {
			t.Errorf("%q, %q: %s, %v", encoded, query, req.URL, err)
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"rulerUrl":"https://ruler:9480/x","metricsUid":"a"}`), "nocturne_0123")
	f.Add([]byte(`{"rulerUrl":"http://a@b"}`), "")
	f.Fuzz(func(t *testing.T, j []byte, token string) {
		s, p := ReadSettings(j, map[string]string{"token": token})
		if p != nil && (p.Msg == "" || p.Hint == "") {
			t.Error("no words")
		}
		if p == nil && (s.base.Host == "" || s.base.User != nil || s.base.RawQuery != "" || s.Token == "") {
			t.Errorf("%+v", s)
		}
	})
}
