package plugin

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/nocturne/fleet/pkg/ruler"
)

func healthOf(t *testing.T, a *App, role string) (*backend.CheckHealthResult, Health) {
	t.Helper()
	r, err := a.CheckHealth(t.Context(), &backend.CheckHealthRequest{PluginContext: as("alice", role)})
	if err != nil {
		t.Fatal(err)
	}
	var h Health
	if err := json.Unmarshal(r.JSONDetails, &h); err != nil {
		t.Fatal(err)
	}
	if h.OK != (r.Status == backend.HealthStatusOk) || !strings.HasPrefix(r.Message, h.Message) {
		t.Errorf("%+v, details %+v", r, h)
	}
	return r, h
}

func TestHealthySettings(t *testing.T) {
	s := newStandIn(t)
	a := appFor(t, map[string]any{"rulerUrl": s.URL, "consoleUrl": "https://n.example.org", "metricsUid": "vm-1", "rulerURL": "x", "tlsSkipVerify": true}, secret)
	r, h := healthOf(t, a, "Admin")
	if h.Version != "1.2.3" || h.Servers != 650 || h.Role != "editor" || len(h.Warnings) != 2 {
		t.Errorf("%+v", h)
	}
	for _, want := range []string{"ruler 1.2.3, 650 servers", "Nobody gets more than the role editor", "These settings mean nothing: rulerURL, tlsSkipVerify"} {
		if !strings.Contains(r.Message, want) {
			t.Errorf("%q does not say %q", r.Message, want)
		}
	}
	if _, h := healthOf(t, a, "Viewer"); !h.OK || h.Role != "" {
		t.Errorf("%+v", h)
	}
}

func TestUnhealthySettings(t *testing.T) {
	s := newStandIn(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(s.serve))
	defer secure.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	port := secure.Listener.Addr().(*net.TCPAddr).Port
	says := func(path string, code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				answer(w, code, body)
				return
			}
			answer(w, 200, `{"name":"grafana","via":"plugin 1f","role":"viewer","version":"1.2.3"}`)
		}
	}
	usual := s.answer
	for _, tt := range []struct {
		why      string
		settings map[string]any
		token    string
		answer   http.HandlerFunc
		want     string // "" = healthy
	}{
		{"nothing", map[string]any{}, "", nil, "the app does not know where the ruler is: write the address"},
		{"no token", map[string]any{"rulerUrl": s.URL}, " ", nil, "the app has no token for the ruler: make one with ruler tokens add"},
		{"a token that is two lines", map[string]any{"rulerUrl": s.URL}, "a\nb", nil, "the token holds characters that no token has: copy"},
		{"no scheme", map[string]any{"rulerUrl": "ruler:9480"}, secret, nil, `rulerUrl: "ruler:9480" begins with neither http:// nor https://: write one like`},
		{"another scheme", map[string]any{"rulerUrl": "file:///etc/passwd"}, secret, nil, `begins with neither http:// nor https://`},
		{"a password", map[string]any{"rulerUrl": "http://u:hunter2@ruler"}, secret, nil, "the address holds a name or a password"},
		{"a password in what cannot be read", map[string]any{"rulerUrl": "http://u:hunter2@ru ler"}, secret, nil, "the address holds a name or a password"},
		{"a query", map[string]any{"rulerUrl": "http://ruler?x=1"}, secret, nil, "has something behind the path"},
		{"no host", map[string]any{"rulerUrl": "http://"}, secret, nil, "names no host"},
		{"the API's path", map[string]any{"rulerUrl": "http://ruler:9480/api/v1/"}, secret, nil, "ends with /api/v1, which is added"},
		{"dots", map[string]any{"rulerUrl": "http://ruler:9480/a/../b"}, secret, nil, "has a path that is not clean"},
		{"a console that is a script", map[string]any{"rulerUrl": s.URL, "consoleUrl": "javascript:alert(1)"}, secret, nil, "consoleUrl: "},
		{"no uid", map[string]any{"rulerUrl": s.URL, "metricsUid": "../x"}, secret, nil, `metricsUid: "../x" is no uid of a data source`},
		{"no certificate", map[string]any{"rulerUrl": s.URL, "caCert": "x"}, secret, nil, "caCert holds no certificate"},
		{"not text", map[string]any{"rulerUrl": 7}, secret, nil, "the setting rulerUrl cannot be read"},
		{"another spelling", map[string]any{"rulerurl": s.URL}, secret, nil, "the app does not know where the ruler is"},
		{"nobody listens", map[string]any{"rulerUrl": "http://127.0.0.1:1"}, secret, nil, "the ruler cannot be reached: connection refused: is it running"},
		{"no such host", map[string]any{"rulerUrl": "http://ruler.invalid:1"}, secret, nil, "there is no host ruler.invalid"},
		{"plain where TLS is", map[string]any{"rulerUrl": fmt.Sprintf("http://127.0.0.1:%d", port)}, secret, nil, "this is not the ruler's API"},
		{"TLS where plain is", map[string]any{"rulerUrl": strings.Replace(s.URL, "http:", "https:", 1)}, secret, nil, "TLS: the other side does not speak it: write http://"},
		{"an authority that nobody knows", map[string]any{"rulerUrl": secure.URL}, secret, nil, "TLS: nobody known has signed the ruler's certificate: write the certificate of the authority"},
		{"a switch that is none", map[string]any{"rulerUrl": secure.URL, "tlsSkipVerify": true}, secret, nil, "TLS: nobody known has signed"},
		{"another name", map[string]any{"rulerUrl": fmt.Sprintf("https://localhost:%d", port), "caCert": ca}, secret, nil, "TLS: x509: certificate is valid for"},
		{"an authority that is known", map[string]any{"rulerUrl": secure.URL, "caCert": ca}, secret, nil, ""},
		{"an unknown token", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 401, `{"error":"this token is revoked","hint":"x"}`), "the ruler does not take the token: this token is revoked: make a new one"},
		{"refused", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 403, `{"error":"no","hint":"do"}`), "the ruler answers 403: no: do"},
		{"a ruler without /me", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 404, `{"error":"no such path in the API","hint":"x"}`), "this ruler is too old for the app: update the ruler"},
		{"a ruler that says no version", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 200, `{"name":"g","via":"plugin 1","role":"viewer"}`), "this ruler is too old"},
		{"a token of a person", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 200, `{"name":"g","via":"token 1","role":"admin","version":"1"}`), "the token is not of kind plugin"},
		{"other JSON", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 200, `{"status":"ok"}`), "this is not the ruler's API"},
		{"no JSON", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/me", 200, `pong`), "this is not the ruler's API"},
		{"a redirect", map[string]any{"rulerUrl": s.URL}, secret, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://x.example/", http.StatusMovedPermanently)
		}, `this is not the ruler's API: it answers 301, see "https://x.example/": redirects are not followed`},
		{"an overview that fails", map[string]any{"rulerUrl": s.URL}, secret, says("/api/v1/overview", 500, `{"error":"the ruler could not answer","hint":"its log says why"}`), "the ruler answers 500: the ruler could not answer: its log"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			s.says(usual)
			if tt.answer != nil {
				s.says(tt.answer)
			}
			r, h := healthOf(t, appFor(t, tt.settings, tt.token), "Admin")
			if h.OK != (tt.want == "") || !strings.Contains(r.Message, tt.want) {
				t.Errorf("%q does not say %q", r.Message, tt.want)
			}
			if !h.OK && h.Hint == "" {
				t.Error("no hint")
			}
			if strings.Contains(r.Message, "hunter2") || strings.Contains(r.Message, secret) {
				t.Errorf("a secret shows: %s", r.Message)
			}
		})
	}
}

func TestTestingSettings(t *testing.T) {
	s, other := newStandIn(t), newStandIn(t)
	a := s.app(t)
	try := func(role, body string) (int, string) {
		status, _, text, _ := call(t, a, &backend.CallResourceRequest{PluginContext: as("alice", role), Method: "POST", Path: "test", Body: []byte(body)})
		return status, text
	}
	settings := func(url string) string { return `{"jsonData":{"rulerUrl":"` + url + `"},"token":"` }
	for _, role := range []string{"Viewer", "Editor", ""} {
		if code, text := try(role, settings(other.URL)+`new"}`); code != 403 || len(other.taken()) != 0 {
			t.Errorf("%s: %d %s", role, code, text)
		}
	}
	if code, text := try("Admin", settings(other.URL)+`new"}`); code != 200 || !strings.Contains(text, `"ok":true`) || !strings.Contains(text, `"servers":650`) {
		t.Errorf("%d %s", code, text)
	}
	for _, r := range other.taken() {
		if r.header.Get("Authorization") != "Bearer new" {
			t.Errorf("asked with %v", r.header)
		}
	}
	if code, text := try("Admin", settings(s.URL+"/")+`"}`); code != 200 || len(s.taken()) == 0 {
		t.Errorf("the saved token with the saved address: %d %s", code, text)
	}
	if code, text := try("Admin", settings(other.URL)+`"}`); code != 400 || len(other.taken()) != 0 {
		t.Errorf("the saved token with another address: %d %s", code, text)
	}
	if code, text := try("Admin", settings("ftp://x")+`new"}`); code != 200 || !strings.Contains(text, `"ok":false`) || !strings.Contains(text, "rulerUrl") {
		t.Errorf("%d %s", code, text)
	}
	for _, body := range []string{"", "x", `{"jsonData":[]`, strings.Repeat(" ", 2*ruler.MaxSettings) + "{}"} {
		if code, text := try("Admin", body); code != 400 {
			t.Errorf("%.20q: %d %s", body, code, text)
		}
	}
	if status, _, _, _ := call(t, a, &backend.CallResourceRequest{PluginContext: as("alice", "Admin"), Method: "GET", Path: "test"}); status != 404 {
		t.Errorf("GET answered %d", status)
	}
}
