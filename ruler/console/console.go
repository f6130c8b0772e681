// Package console serves the page: what grafana-plugin/ builds into
// static/built, embedded, with nothing from another host. It knows nothing by
// itself: the page asks package api. A program that was compiled without that
// step says so instead (see Built).
//
// The content security policy lets the browser run our files only. The one
// inline style it takes is the empty one: the components make empty <style>
// elements and fill them by rules, which no markup can do. No sink takes text
// for markup (trusted types); the policy "nocturne" is for the addresses of our
// own scripts. The handler is safe for concurrent use. To test:
// go test ./ruler/console, and the browser tests in grafana-plugin/e2e.
package console

import (
	"bytes"
	"compress/gzip"
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

//go:embed all:static
var static embed.FS

// emptyStyle is the hash of a style element without content.
const emptyStyle = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

// policy: no script, style or request but our own, no frame around us, and no
// sink that takes text for markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' " + emptyStyle + "; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types nocturne"

// types are the kinds of files there are. Never guessed from content.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8", // licences
}

// pages are the paths that the page itself shows, as grafana-plugin/src/routes.ts
// names them.
var pages = regexp.MustCompile(`^/(|tonight|notifications(/[0-9A-Za-z-]{1,64})?|servers(/[0-9A-Za-z-]{1,64})?|register|silent|changes|planned(/[0-9A-Za-z-]{1,90})?|events(/[0-9A-Za-z-]{1,128})?|devices(/serial)?|rules(/[0-9A-Za-z%_.-]{1,90}(/edit)?)?|delivered|pipeline|add|settings|login|welcome|account)$`)

// forever is said of files whose name changes with their content.
const forever = "public, max-age=31536000, immutable"

var hashed = regexp.MustCompile(`^/built/[^/]+\.[0-9a-f]{12}\.[a-z]+$`)

type file struct {
	content, packed []byte // packed is gzip; nil = not worth it
	typ, etag       string
	cache           string
}

type handler struct {
	files map[string]file
	page  file
}

// Built tells whether the page is in this program.
func Built() bool {
	_, err := fs.Stat(static, "static/built/index.html")
	return err == nil
}

// New returns the handler of the page and its files.
func New() (http.Handler, error) {
	h := handler{files: map[string]file{}}
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
		url := strings.TrimPrefix(name, "static")
		h.files[url], err = newFile(url, typ, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read embedded page: %w", err)
	}
	var ok bool
	if h.page, ok = h.files["/built/index.html"]; !ok {
		h.page = h.files["/unbuilt.html"]
	}
	for url := range h.files {
		if strings.HasSuffix(url, ".html") {
			delete(h.files, url)
		}
	}
	return h, nil
}

func newFile(url, typ string, content []byte) (file, error) {
	sum := sha256.Sum256(content)
	// Asked again each time, answered with 304: a new program shows its new page.
	f := file{content: content, typ: typ, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, cache: "no-cache"}
	if hashed.MatchString(url) {
		f.cache = forever
	}
	if len(content) < 2048 {
		return f, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := z.Write(content); err != nil {
		return f, err
	}
	if err := z.Close(); err != nil {
		return f, err
	}
	f.packed = b.Bytes()
	return f, nil
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
	f, ok := h.files[r.URL.Path]
	if !ok {
		if !pages.MatchString(r.URL.EscapedPath()) {
			http.Error(w, "there is nothing here; the page is at /", http.StatusNotFound)
			return
		}
		f = h.page
	}
	header.Set("Cache-Control", f.cache)
	header.Set("ETag", f.etag)
	header.Set("Vary", "Accept-Encoding")
	header.Set("Content-Type", f.typ)
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	content := f.content
	if f.packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		content = f.packed
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodGet {
		_, _ = bytes.NewReader(content).WriteTo(w) // the browser hung up: nobody is left to tell
	}
}
