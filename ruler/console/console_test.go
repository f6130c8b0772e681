package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func newHandler(t *testing.T) http.Handler {
	t.Helper()
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func call(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServesThePage(t *testing.T) {
	h := newHandler(t)
	w := call(h, "GET", "/")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "<title>Nocturne</title>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("answered %d %q", w.Code, w.Header())
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy lacks %q: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("policy %s", csp)
	}
	again := call(h, "GET", "/", "If-None-Match", w.Header().Get("ETag"))
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("asked again: %d with %d bytes, want 304", again.Code, again.Body.Len())
	}
	f := func(method, target string, code int) {
		t.Helper()
		w := call(h, method, target)
		if w.Code != code || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s answered %d, want %d", method, target, w.Code, code)
		}
	}
	f("GET", "/tonight", 200)
	f("GET", "/notifications/a1b2c3d4e5f60718", 200) // a link from a message
	f("GET", "/servers", 200)
	f("HEAD", "/moon.svg", 200)
	f("GET", "/servers/..%2f..%2fevil", 404)
	f("GET", "//evil.example/servers", 404)
	f("GET", "/nothing", 404)
	f("GET", "/index.html", 404)
	f("GET", "/built/index.html", 404)
	f("GET", "/built/", 404)
	f("GET", "/built/../console.go", 404)
	f("GET", "/static/moon.svg", 404)
	f("POST", "/", 405)
}

// Every path of the page is served here, and no other.
func TestPagesAreThoseOfThePage(t *testing.T) {
	b, err := os.ReadFile("../../grafana-plugin/src/routes.ts")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "export const paths = {")
	_, more, ok3 := strings.Cut(table, "export const consolePaths = {")
	table, _, ok2 := strings.Cut(table, "}")
	more, _, _ = strings.Cut(more, "}")
	table, ok = table+more, ok && ok3
	found := regexp.MustCompile(`: '(/[^']+)'`).FindAllStringSubmatch(table, -1)
	if !ok || !ok2 || len(found) < 8 {
		t.Fatalf("no paths in routes.ts: %q", table)
	}
	for _, f := range found {
		if path := strings.ReplaceAll(f[1], ":id", "5e17"); !pages.MatchString(path) {
			t.Errorf("%s is a page, and would answer 404", path)
		}
	}
}

// The built files keep what the policy promises.
func TestBuiltPage(t *testing.T) {
	if !Built() {
		t.Skip("the page is not built: run make build")
	}
	h := newHandler(t)
	html := call(h, "GET", "/").Body.String()
	scripts := regexp.MustCompile(`<script defer src="([^"]+)">`).FindAllStringSubmatch(html, -1)
	if len(scripts) == 0 || strings.Contains(html, "<style") || regexp.MustCompile(`<script>|\son[a-z]+=|https?://`).MatchString(html) {
		t.Fatalf("index.html: %s", html)
	}
	for _, s := range scripts {
		plain := call(h, "GET", s[1])
		packed := call(h, "GET", s[1], "Accept-Encoding", "br, gzip")
		if plain.Code != 200 || packed.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Cache-Control") != forever {
			t.Fatalf("%s: %d %v", s[1], plain.Code, packed.Header())
		}
		t.Logf("%s: %d bytes, %d packed", s[1], plain.Body.Len(), packed.Body.Len())
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil || string(b) != plain.Body.String() {
			t.Errorf("%s: what is packed differs, %v", s[1], err)
		}
	}
	if w := call(h, "GET", "/built/build/img/icons/unicons/bell.svg"); w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("an icon: %d", w.Code)
	}
}
