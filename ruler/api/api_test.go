package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/backtest"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

var now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// bench is an API over the fixed fleet with neighbours that answer.
type bench struct {
	t       testing.TB
	handler http.Handler
	fleet   *apitest.Fleet
	cfg     Config
	log     bytes.Buffer
	mu      sync.Mutex
	asked   []string // what the neighbours were asked
}

// newBench builds one; change may be nil.
func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, fleet: apitest.Demo(now)}
	neighbours := httptest.NewServer(http.HandlerFunc(b.neighbour))
	t.Cleanup(neighbours.Close)
	tokenFile := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(tokenFile, []byte("the-bridge-admin-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cfg = DefaultConfig()
	b.cfg.Reader = b.fleet
	b.cfg.Registerer = prometheus.NewPedanticRegistry()
	b.cfg.Now = func() time.Time { return now }
	b.cfg.Bridge = BridgeConfig{URL: neighbours.URL, TokenFile: tokenFile}
	b.cfg.Demo = DemoConfig{ReceiverURL: neighbours.URL, SimulatorURL: neighbours.URL}
	book, err := apitest.Book(&b.fleet.Rules, b.cfg.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := book.Create(t.Context(), rulebook.Editor{Actor: "ada", Comment: "the new cards"}, apitest.StoredRule); err != nil {
		t.Fatal(err)
	}
	if _, _, err := book.Plan(t.Context(), rulebook.Editor{Actor: "ada", Comment: "until spring"}, apitest.Window); err != nil {
		t.Fatal(err)
	}
	b.fleet.Counts = []store.RuleVerdicts{{ID: "disk-bad-block", Effect: "opened", N: 3, Last: now.Add(-time.Hour)}}
	b.cfg.Rules = book
	b.cfg.Past = backtest.Config{Stream: streamtest.New(now), State: b.fleet}
	b.cfg.Events = fakeLogs(t)
	b.cfg.Charts = fakeMetrics(t)
	if change != nil {
		change(&b.cfg)
	}
	h, err := New(b.cfg, slog.New(slog.NewTextHandler(&b.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.handler = h
	return b
}

func (b *bench) neighbour(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	b.asked = append(b.asked, r.Method+" "+r.URL.Path+" "+string(body))
	b.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/admin/") && r.Header.Get("Authorization") != "Bearer the-bridge-admin-token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer, err := os.ReadFile(filepath.Join("testdata", strings.Trim(strings.ReplaceAll(r.URL.Path, "/", "_"), "_")+".json"))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(answer)
}

// call asks as a program on this machine does; edit may be nil.
func (b *bench) call(method, target, body string, edit func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:9480"+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5555"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// get asks and reads the answer into T.
func get[T any](b *bench, target string) T {
	b.t.Helper()
	var v T
	w := b.call("GET", Prefix+target, "", nil)
	if w.Code != http.StatusOK {
		b.t.Fatalf("GET %s answered %d: %s", target, w.Code, w.Body)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		b.t.Fatalf("GET %s: %v", target, err)
	}
	return v
}

func TestStrictInput(t *testing.T) {
	b := newBench(t, nil)
	tests := []struct {
		target, body string
		code         int
		error, hint  string
	}{
		{target: "/servers?limit=0", code: 400, error: "limit", hint: "from 1 to 1000"},
		{target: "/servers?limit=1001", code: 400, error: "limit", hint: "from 1 to 1000"},
		{target: "/servers?limit=ten", code: 400, error: "limit", hint: "from 1 to 1000"},
		{target: "/servers?offset=-1", code: 400, error: "offset", hint: "from 0"},
		{target: "/servers?colour=red", code: 400, error: `unknown parameter "colour"`, hint: "known here: search, site"},
		{target: "/overview?x=1", code: 400, error: "unknown parameter", hint: "takes no parameters"},
		{target: "/servers?site=a&site=b", code: 400, error: "twice", hint: "once"},
		{target: "/servers?sort=colour", code: 400, error: "sort", hint: "one of worst"},
		{target: "/servers?state=up,away", code: 400, error: "state", hint: "any of waiting"},
		{target: "/servers?simulated=1", code: 400, error: "simulated", hint: "true or false"},
		{target: "/servers?search=" + strings.Repeat("a", 257), code: 400, error: "search", hint: "256 bytes"},
		{target: "/servers?a=%zz", code: 400, error: "query"},
		{target: "/servers/vault", code: 400, error: "id", hint: "32 hexadecimal digits"},
		{target: "/servers/" + apitest.ID(999).String(), code: 404, error: "no such server"},
		{target: "/servers/" + apitest.ID(999).String() + "/history", code: 404, error: "no such server"},
		{target: "/notifications/0000000000000000", code: 404, error: "no such notification"},
		{target: "/notifications?state=open", code: 400, error: "state", hint: "firing, resolved"},
		{target: "/changes?since=yesterday", code: 400, error: "since", hint: "2026-"},
		{target: "/changes?category=colour", code: 400, error: "category", hint: "heartbeat"},
		{target: "/nothing", code: 404, error: "no such path", hint: "openapi.json"},
		{target: "/deeds", code: 405, error: "method", hint: "use POST"},
		{target: "/join-tokens", body: `{"uses":1}{}`, code: 400, error: "behind the body"},
		{target: "/join-tokens", body: `{"color":"red"}`, code: 400, error: `unknown field "color"`},
		{target: "/join-tokens", body: `{"uses":-1}`, code: 400, error: "uses", hint: "1 to 1000"},
		{target: "/join-tokens", body: `{"ttl_seconds":1}`, code: 400, error: "ttl_seconds"},
		{target: "/join-tokens", body: `{"site":"a\u202eb"}`, code: 400, error: "site"},
		{target: "/join-tokens", body: `{"site":"` + strings.Repeat("x", 70_000) + `"}`, code: 413, error: "too large"},
		{target: "/demo/incident", body: `{"kind":"fire","server_id":"` + apitest.ID(5).String() + `"}`, code: 400, error: "kind", hint: "drive, failure"},
		{target: "/demo/incident", body: `{"kind":"drive","server_id":"x"}`, code: 400, error: "server_id"},
		{target: "/demo/incident", body: `{"kind":"drive","server_id":"` + apitest.ID(1).String() + `"}`, code: 403, error: "this server is real", hint: "simulated"},
		{target: "/demo/incident", body: `{"kind":"drive","server_id":"` + apitest.ID(999).String() + `"}`, code: 404, error: "no such server"},
	}
	for _, tt := range tests {
		t.Run(tt.target+tt.error, func(t *testing.T) {
			method := "GET"
			if tt.body != "" {
				method = "POST"
			}
			w := b.call(method, Prefix+tt.target, tt.body, nil)
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("the error is no JSON: %v: %.200s", err, w.Body)
			}
			if w.Code != tt.code || !strings.Contains(p.Error, tt.error) || !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("answered %d %+v, want %d, %q, hint %q", w.Code, p, tt.code, tt.error, tt.hint)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "api.token")
	if err := os.WriteFile(tokenFile, []byte("0123456789abcdef0123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *Config) {
		c.TokenFile, c.Hosts, c.Login = tokenFile, []string{"nocturne.example.org"}, LoginOpen
	})
	header := func(kv ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(kv); i += 2 {
				r.Header.Set(kv[i], kv[i+1])
			}
		}
	}
	const token = "Bearer 0123456789abcdef0123"
	tests := []struct {
		name string
		edit func(*http.Request)
		read int
		post int
	}{
		{"a program on this machine", nil, 200, 200},
		{"our own page", header("Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:9480"), 200, 200},
		{"another site's page", header("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 200, 403},
		{"another port's page", header("Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:8000"), 200, 403},
		{"an old browser on another site", header("Origin", "https://evil.example"), 200, 403},
		{"a rebound name", func(r *http.Request) { r.Host = "evil.example:9480" }, 421, 421},
		{"a name we know", func(r *http.Request) { r.Host = "Nocturne.example.org:9480" }, 200, 200},
		{"localhost", func(r *http.Request) { r.Host = "localhost:9480" }, 200, 200},
		{"IPv6 loopback", func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:9480", "[::1]:5555" }, 200, 200},
		{"mapped loopback", func(r *http.Request) { r.RemoteAddr = "[::ffff:127.0.0.1]:5555" }, 200, 200},
		{"from the network", func(r *http.Request) { r.RemoteAddr = "10.0.0.9:5555" }, 401, 401},
		{"through a proxy", header("X-Forwarded-For", "10.0.0.9"), 401, 401},
		{"through a proxy that adds no header, nginx as it comes", func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 1, 0 }, 401, 401},
		{"through a proxy that adds no header", header("Sec-Fetch-Site", "same-origin", "Origin", "https://console.example"), 200, 421},
		{"a wrong token", header("Authorization", "Bearer nope"), 401, 401},
		{"basic auth", header("Authorization", "Basic 0123456789abcdef0123"), 401, 401},
		{"from the network with the token", func(r *http.Request) {
			r.RemoteAddr, r.Host = "10.0.0.9:5555", "ruler:9480"
			r.Header.Set("Authorization", token)
		}, 200, 200},
		{"the token does not excuse another site", header("Authorization", token, "Sec-Fetch-Site", "cross-site"), 200, 403},
		{"a form of another type", header("Content-Type", "text/plain"), 200, 415},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if w := b.call("GET", Prefix+"/servers", "", tt.edit); w.Code != tt.read {
				t.Errorf("GET answered %d, want %d: %s", w.Code, tt.read, w.Body)
			}
			before := len(b.asked)
			if w := b.call("POST", Prefix+"/join-tokens", "{}", tt.edit); w.Code != tt.post {
				t.Errorf("POST answered %d, want %d: %s", w.Code, tt.post, w.Body)
			}
			if tt.post != 200 && len(b.asked) != before {
				t.Errorf("a refused call reached the bridge: %q", b.asked[before:])
			}
		})
	}
	t.Run("without a token file any token is wrong", func(t *testing.T) {
		w := newBench(t, nil).call("GET", Prefix+"/servers", "", header("Authorization", "Bearer "))
		if w.Code != http.StatusUnauthorized {
			t.Errorf("answered %d, want 401", w.Code)
		}
	})
	t.Run("an empty token file lets nobody in", func(t *testing.T) {
		if err := os.WriteFile(tokenFile, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if w := b.call("GET", Prefix+"/servers", "", header("Authorization", "Bearer ")); w.Code != http.StatusInternalServerError {
			t.Errorf("answered %d, want 500", w.Code)
		}
	})
}

func TestHeadersAndHostileText(t *testing.T) {
	b := newBench(t, nil)
	for _, target := range []string{"/servers", "/servers/" + apitest.ID(40).String(), "/notifications/f607182930415263", "/changes", "/nothing", "/servers?x=%3Cscript%3E"} {
		w := b.call("GET", Prefix+target, "", nil)
		for name, want := range map[string]string{
			"Content-Type": "application/json; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", target, name, got, want)
			}
		}
		if strings.ContainsAny(w.Body.String(), "<>\x00\x1b") {
			t.Errorf("%s: markup or control characters stand bare in the answer", target)
		}
		if n := w.Body.Len(); n > 300_000 {
			t.Errorf("%s: %d bytes, long texts were not cut", target, n)
		}
	}
}

func TestFailingStoreTellsNothing(t *testing.T) {
	b := newBench(t, nil)
	b.fleet.Err = errors.New("open /secret/path: disk on fire")
	for _, target := range []string{"/overview", "/servers", "/servers/" + apitest.ID(5).String(), "/changes", "/notifications", "/silent", "/pipeline", "/discovery"} {
		w := b.call("GET", Prefix+target, "", nil)
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s answered %d %s", target, w.Code, w.Body)
		}
	}
	if !strings.Contains(b.log.String(), "disk on fire") {
		t.Error("the log does not say why")
	}
}

func TestMetrics(t *testing.T) {
	b := newBench(t, nil)
	reg, ok := b.cfg.Registerer.(*prometheus.Registry)
	if !ok {
		t.Fatal("not a registry")
	}
	b.call("GET", Prefix+"/servers", "", nil)
	b.call("GET", Prefix+"/servers?x=1", "", nil)
	b.call("GET", Prefix+"/nothing", "", nil)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "ruler_api_requests_total" {
				got[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	for key, want := range map[string]float64{"servers 200": 1, "servers 400": 1, "other 404": 1, "pipeline 200": 0, "join_tokens 502": 0} {
		if n, ok := got[key]; !ok || n != want {
			t.Errorf("%s = %v (there: %v), want %v", key, n, ok, want)
		}
	}
	lint, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(lint) > 0 {
		t.Errorf("promlint: %v %v", lint, err)
	}
}

func TestConfigMistakes(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f("write one like http://127.0.0.1:9472", func(c *Config) { c.Bridge.URL = "127.0.0.1:9472" })
	f("admin.token", func(c *Config) { c.Bridge.URL = "http://127.0.0.1:9472" })
	f("without port", func(c *Config) { c.Hosts = []string{"a:1"} })
	f("from 1 to 65535", func(c *Config) { c.ExporterPort = 70000 })
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(c, slog.Default()); err == nil {
		t.Error("New without a Reader should fail")
	}
}

func ExampleProblem() {
	b, _ := encode(Problem{Error: "unknown parameter \"<x>\"", Hint: "known here: limit"})
	fmt.Print(string(b))
	// Output: {"error":"unknown parameter \"\u003cx\u003e\"","hint":"known here: limit","code":""}
}
