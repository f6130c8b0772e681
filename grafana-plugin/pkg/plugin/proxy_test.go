package plugin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nocturne/fleet/pkg/ruler"
)

func TestResources(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	for _, tt := range []struct {
		why          string
		method, path string // path as Grafana states it; url is "" or what else it states
		url          string
		who          backend.PluginContext
		body         string
		status       int
		arrives      string // "METHOD URI user/role"; "" = nothing
	}{
		{"reads", "GET", "api/v1/servers", "api/v1/servers?search=sql&limit=5", as("alice", "Viewer"), "", 200, "GET /api/v1/servers?search=sql&limit=5 alice/viewer"},
		{"acts", "POST", "api/v1/notifications/x/acknowledge", "", as("bob@example.org", "Editor"), `{"revision":0}`, 200, "POST /api/v1/notifications/x/acknowledge bob@example.org/editor"},
		{"administers", "PUT", "api/v1/rules/x", "", as("root", "Admin"), `{}`, 200, "PUT /api/v1/rules/x root/admin"},
		{"deletes", "DELETE", "/api/v1/tokens/1", "", as("root", "Admin"), "", 200, "DELETE /api/v1/tokens/1 root/admin"},
		{"a slash in a name, encoded twice by the page", "GET", "api/v1/serials/A/B", "api/v1/serials/A%2FB", as("a", "Viewer"), "", 200, "GET /api/v1/serials/A%2FB a/viewer"},
		{"a question mark in a name", "GET", "api/v1/serials/A?B", "api/v1/serials/A%3FB?x=1", as("a", "Viewer"), "", 200, "GET /api/v1/serials/A%3FB?x=1 a/viewer"},
		{"a name in another script", "GET", "api/v1/serials/Ä", "", as("ä", "Viewer"), "", 200, "GET /api/v1/serials/%C3%84 ä/viewer"},
		{"anonymous: the plugin itself, which only looks", "GET", "api/v1/servers", "", as("", "Editor"), "", 200, "GET /api/v1/servers /"},

		{"no role", "GET", "api/v1/servers", "", as("alice", ""), "", 403, ""},
		{"the role None", "GET", "api/v1/servers", "", as("alice", "None"), "", 403, ""},
		{"a role that Grafana does not have", "GET", "api/v1/servers", "", as("alice", "admin"), "", 403, ""},
		{"nobody", "GET", "api/v1/servers", "", backend.PluginContext{}, "", 403, ""},
		{"a login that is two headers", "GET", "api/v1/servers", "", as("alice\r\nX-Nocturne-Role: admin", "Viewer"), "", 403, ""},
		{"a login that turns the line round", "GET", "api/v1/servers", "", as("alice\u202e", "Viewer"), "", 403, ""},
		{"a login with spaces around it", "GET", "api/v1/servers", "", as(" alice", "Viewer"), "", 403, ""},
		{"a login that is too long", "GET", "api/v1/servers", "", as(strings.Repeat("a", 129), "Viewer"), "", 403, ""},

		{"another method", "PATCH", "api/v1/servers", "", as("a", "Admin"), "", 405, ""},
		{"a method without an answer", "HEAD", "api/v1/servers", "", as("a", "Admin"), "", 405, ""},
		{"the stream", "GET", "api/v1/stream", "", as("a", "Admin"), "", 400, ""},
		{"outside of the API", "GET", "metrics", "", as("a", "Admin"), "", 404, ""},
		{"outside of this version", "GET", "api/v2/servers", "", as("a", "Admin"), "", 404, ""},
		{"the root", "GET", "", "", as("a", "Admin"), "", 400, ""},
		{"dots", "GET", "api/v1/../../metrics", "", as("a", "Admin"), "", 400, ""},
		{"dots, encoded", "GET", "api/v1/../../metrics", "api/v1/%2e%2e/%2e%2e/metrics", as("a", "Admin"), "", 400, ""},
		{"dots in a name", "GET", "api/v1/serials/../x", "api/v1/serials/..%2Fx", as("a", "Admin"), "", 400, ""},
		{"dots, encoded twice", "GET", "api/v1/%2e%2e/metrics", "api/v1/%252e%252e/metrics", as("a", "Admin"), "", 400, ""},
		{"one dot", "GET", "api/v1/./servers", "", as("a", "Admin"), "", 400, ""},
		{"backslashes", "GET", `api/v1/..\..\metrics`, "", as("a", "Admin"), "", 400, ""},
		{"empty parts", "GET", "api/v1//servers", "", as("a", "Admin"), "", 400, ""},
		{"another host", "GET", "//evil.example/api/v1/servers", "", as("a", "Admin"), "", 404, ""},
		{"another host, in path and URL", "GET", "//evil.example/api/v1/servers", "//evil.example/api/v1/servers", as("a", "Admin"), "", 400, ""},
		{"another host in the URL only", "GET", "api/v1/me", "//evil.example/api/v1/me", as("a", "Viewer"), "", 200, "GET /api/v1/me a/viewer"},
		{"a whole address", "GET", "http://evil.example/api/v1/servers", "http://evil.example/api/v1/servers", as("a", "Admin"), "", 400, ""},
		{"a whole address behind the prefix", "GET", "api/v1/http://evil.example", "", as("a", "Admin"), "", 400, ""},
		{"a line's end", "GET", "api/v1/servers\r\nX: y", "", as("a", "Admin"), "", 400, ""},
		{"a NUL", "GET", "api/v1/servers\x00", "", as("a", "Admin"), "", 400, ""},
		{"an URL that is none", "GET", "api/v1/me", "%zz", as("a", "Viewer"), "", 200, "GET /api/v1/me a/viewer"},
		{"a body that is too large", "POST", "api/v1/labels", "", as("a", "Admin"), strings.Repeat("x", maxRequest+1), 413, ""},
	} {
		t.Run(tt.why, func(t *testing.T) {
			url := tt.url
			if url == "" {
				url = strings.TrimPrefix(tt.path, "/")
			}
			status, header, body, _ := call(t, a, &backend.CallResourceRequest{PluginContext: tt.who, Method: tt.method, Path: tt.path, URL: url, Body: []byte(tt.body),
				Headers: map[string][]string{"Content-Type": {"application/json"}}})
			if status != tt.status {
				t.Errorf("answered %d, want %d: %s", status, tt.status, body)
			}
			var p struct{ Error, Hint string }
			if err := json.Unmarshal([]byte(body), &p); err != nil || status >= 400 && (p.Error == "" || p.Hint == "") {
				t.Errorf("%d without error and hint: %s", status, body)
			}
			if header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("X-Stand-In") != "" {
				t.Errorf("headers %v", header)
			}
			var got []string
			for _, r := range s.taken() {
				got = append(got, fmt.Sprintf("%s %s %s/%s", r.method, r.uri, r.header.Get(ruler.HeaderUser), r.header.Get(ruler.HeaderRole)))
				if r.header.Get("Authorization") != "Bearer "+secret || r.body != tt.body {
					t.Errorf("arrived with %v, %q", r.header, r.body)
				}
			}
			if want := slices.DeleteFunc([]string{tt.arrives}, func(s string) bool { return s == "" }); !slices.Equal(got, want) {
				t.Errorf("arrived %q, want %q", got, want)
			}
		})
	}
	if n := testutil.ToFloat64(a.metrics.refused.WithLabelValues(refusedIdentity)); n != 8 {
		t.Errorf("refused for who asks: %v", n)
	}
}

// What the browser sends never reaches the ruler beside the two headers that say what the body is.
func TestHeadersOfTheBrowser(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	s.says(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Retry-After", "5")
		answer(w, 429, `{"error":"another rule is being tried","hint":"wait until it is done"}`)
	})
	status, header, body, _ := call(t, a, &backend.CallResourceRequest{PluginContext: as("alice", "Viewer"), Method: "POST", Path: "api/v1/x", Headers: map[string][]string{
		"content-type": {"application/json"}, "Accept": {"application/json"}, "Cookie": {"grafana_session=1"}, "Authorization": {"Bearer browser"}, "X-Grafana-Id": {"ey.ey.ey"},
		"X-Nocturne-User": {"root"}, "x-nocturne-role": {"admin"}, "X-NOCTURNE-ROLE": {"admin"}, "X-Forwarded-For": {"10.0.0.1"}, "X-Id-Token": {"x"}, "Origin": {"http://evil.example"},
		"Host": {"evil.example"}, "Connection": {"X-Nocturne-User"}, "Transfer-Encoding": {"chunked"}, "Accept-Encoding": {"br"}, "Range": {"bytes=0-1"}, "Last-Event-Id": {"1"},
	}})
	if status != 429 || !strings.Contains(body, "another rule") {
		t.Errorf("%d %s", status, body)
	}
	var names []string
	for name := range header {
		names = append(names, name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"Cache-Control", "Content-Type", "Date", "Retry-After", "X-Content-Type-Options"}) {
		t.Errorf("passed back %q", names)
	}
	arrived := s.taken()
	if len(arrived) != 1 {
		t.Fatalf("%d arrived", len(arrived))
	}
	h := arrived[0].header
	names = nil
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Nocturne-Role", "X-Nocturne-User"}; !slices.Equal(names, want) {
		t.Errorf("arrived with %q, want %q", names, want)
	}
	if h.Get("Authorization") != "Bearer "+secret || h.Get(ruler.HeaderUser) != "alice" || h.Get(ruler.HeaderRole) != "viewer" || len(h.Values(ruler.HeaderRole)) != 1 || h.Get("Accept-Encoding") == "br" {
		t.Errorf("arrived with %v", h)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	html := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			fmt.Fprint(w, "<script>alert(1)</script>")
		}
	}
	for _, tt := range []struct {
		why    string
		answer http.HandlerFunc
		status int
		error  string
	}{
		{"the ruler's own refusal passes", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 403, `{"error":"this takes the role admin","hint":"ask"}`)
		}, 403, "this takes the role admin"},
		{"its 401 is not Grafana's", func(w http.ResponseWriter, _ *http.Request) { answer(w, 401, `{"error":"this token is not known"}`) }, 502, "the ruler does not take the app's token"},
		{"a page", html(200), 502, "what answers at the ruler's address is not the ruler"},
		{"a proxy's error", html(503), 502, "what answers at the ruler's address is not the ruler"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusTemporaryRedirect)
		}, 502, "what answers at the ruler's address is not the ruler"},
		{"no type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			fmt.Fprint(w, "{}")
		}, 502, "what answers at the ruler's address is not the ruler"},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range ruler.MaxAnswer>>20 + 1 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}, 502, "the ruler's answer is too large"},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			answer(w, 200, "{")
		}, 502, "the ruler cannot be reached"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			s.says(tt.answer)
			status, _, body, _ := call(t, a, &backend.CallResourceRequest{PluginContext: as("alice", "Viewer"), Method: "GET", Path: "api/v1/servers"})
			var p struct{ Error, Hint string }
			if err := json.Unmarshal([]byte(body), &p); err != nil || status != tt.status || p.Error != tt.error || p.Hint == "" {
				t.Errorf("%d %.300s", status, body)
			}
		})
	}
	s.Close()
	if status, _, body, _ := call(t, a, &backend.CallResourceRequest{PluginContext: as("alice", "Viewer"), Method: "GET", Path: "api/v1/servers"}); status != 502 || strings.Contains(body, "127.0.0.1") {
		t.Errorf("%d %s", status, body)
	}
}

// Lines come one by one, and hanging up ends the request at the ruler.
func TestLines(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	next, ended := make(chan struct{}), make(chan struct{})
	s.says(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for i := range 2 {
			fmt.Fprintf(w, "{\"n\":%d}\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
		<-r.Context().Done()
		close(ended)
	})
	var lines []string
	err := a.CallResource(t.Context(), &backend.CallResourceRequest{PluginContext: as("alice", "Editor"), Method: "POST", Path: "api/v1/rules/backtest", Body: []byte("{}")},
		backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error {
			if lines = append(lines, string(r.Body)); len(lines) < 2 {
				next <- struct{}{}
				return nil
			}
			close(next)
			s.CloseClientConnections()
			return nil
		}))
	<-ended
	if err != nil || lines[0] != "{\"n\":0}\n" || lines[1] != "{\"n\":1}\n" {
		t.Errorf("%v %q", err, lines)
	}
}

func TestNotConfigured(t *testing.T) {
	for _, a := range []*App{appFor(t, map[string]any{}, ""), appFor(t, map[string]any{"rulerUrl": "http://127.0.0.1:1"}, ""), appFor(t, map[string]any{"rulerUrl": 7}, "x")} {
		status, _, body, _ := call(t, a, &backend.CallResourceRequest{PluginContext: as("alice", "Viewer"), Method: "GET", Path: "api/v1/servers"})
		if status != http.StatusPreconditionFailed || !strings.Contains(body, "settings page") {
			t.Errorf("%d %s", status, body)
		}
	}
}

// A ruler behind a proxy's path, and a name that has to stay encoded.
func TestBehindAPath(t *testing.T) {
	var uri string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		answer(w, 200, "{}")
	}))
	defer srv.Close()
	a := appFor(t, map[string]any{"rulerUrl": srv.URL + "/nocturne/"}, secret)
	call(t, a, &backend.CallResourceRequest{PluginContext: as("a", "Viewer"), Method: "GET", Path: "api/v1/serials/a/b c", URL: "api/v1/serials/a%2Fb%20c?limit=1"})
	if want := "/nocturne/api/v1/serials/a%2Fb%20c?limit=1"; uri != want {
		t.Errorf("asked for %s, want %s", uri, want)
	}
}
