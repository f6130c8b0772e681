// Package console serves the page: plain HTML, CSS and JavaScript modules,
// embedded, without a build step and without anything from another host. It
// shows what package api answers and knows nothing by itself.
//
// The content security policy lets the browser run our files only, and makes
// it refuse to take any text for markup (trusted types): data reaches the page
// as text nodes alone. The handler is safe for concurrent use. To test:
// go test ./ruler/console, and the browser test in grafana-plugin/e2e.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed static
var static embed.FS

// policy: no script, style or request but our own, no frame around us, and no
// sink that takes text for markup.
const policy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are the kinds of files there are. Never guessed from content.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// linked are the paths under which others link to a view.
var linked = regexp.MustCompile(`^/(servers|notifications)(/[0-9A-Za-z-]{1,64})?$`)

type file struct {
	content []byte
	typ     string
	etag    string
}

type handler map[string]file

// New returns the handler of the page and its files.
func New() (http.Handler, error) {
	h := handler{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		typ, ok := types[path.Ext(name)]
		if !ok {
			return fmt.Errorf("no type for this kind of file: %s", name)
		}
		sum := sha256.Sum256(content)
		url := strings.TrimPrefix(name, "static")
		if url == "/index.html" {
			url = "/"
		}
		h[url] = file{content: content, typ: typ, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read embedded page: %w", err)
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	if linked.MatchString(r.URL.EscapedPath()) {
		// Messages link to /notifications/<id>; the page's views are behind a #.
		http.Redirect(w, r, "/#"+r.URL.EscapedPath(), http.StatusFound)
		return
	}
	f, ok := h[r.URL.Path]
	if !ok {
		http.Error(w, "there is nothing here; the page is at /", http.StatusNotFound)
		return
	}
	// Asked again each time, answered with 304: a new program shows its new page.
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.etag)
	header.Set("Content-Type", f.typ)
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(f.content)))
	if r.Method == http.MethodGet {
		_, _ = bytes.NewReader(f.content).WriteTo(w) // the browser hung up: nobody is left to tell
	}
}
