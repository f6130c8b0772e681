package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
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
	for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
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
	if w := call(h, "HEAD", "/assets/app.js"); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("HEAD answered %d with %d bytes as %s", w.Code, w.Body.Len(), w.Header().Get("Content-Type"))
	}
	f := func(method, target string, code int) {
		t.Helper()
		w := call(h, method, target)
		if w.Code != code || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s answered %d, want %d", method, target, w.Code, code)
		}
	}
	if w := call(h, "GET", "/notifications/a1b2c3d4e5f60718"); w.Code != http.StatusFound || w.Header().Get("Location") != "/#/notifications/a1b2c3d4e5f60718" {
		t.Errorf("a link from a message: %d to %s", w.Code, w.Header().Get("Location"))
	}
	f("GET", "/servers", 302)
	f("GET", "/servers/..%2f..%2fevil", 404)
	f("GET", "//evil.example/servers", 404)
	f("GET", "/index.html", 404)
	f("GET", "/assets/", 404)
	f("GET", "/assets/../console.go", 404)
	f("GET", "/static/index.html", 404)
	f("POST", "/", 405)
}

// The files hold to what the policy and the promises say: nothing that takes
// text for markup or code, no style in markup, nothing from another host, and
// every file that a file asks for is there.
func TestFilesKeepThePromises(t *testing.T) {
	h := newHandler(t)
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\bstyle=|<script>|\bon[a-z]+="|javascript:|localStorage`)
	elsewhere := regexp.MustCompile(`(https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
	asked := regexp.MustCompile(`(?:from '\./|(?:src|href)="/assets/)([^'"]+)`)
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(b), `xmlns="http://www.w3.org/2000/svg"`, "")
		for _, re := range []*regexp.Regexp{forbidden, elsewhere} {
			if m := re.FindString(text); m != "" {
				t.Errorf("%s holds %q", name, m)
			}
		}
		for _, m := range asked.FindAllStringSubmatch(text, -1) {
			if w := call(h, "GET", path.Join("/assets", m[1])); w.Code != 200 {
				t.Errorf("%s asks for %s, which is not there", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
