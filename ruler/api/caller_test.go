package api

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/password"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// stored is an API over the fixed fleet in SQLite, with everything that writes.
func stored(t *testing.T, change func(*Config)) (*bench, *sqlite.Store) {
	t.Helper()
	s := openStore(t)
	b := newBench(t, func(c *Config) {
		c.Reader, c.Tokens, c.Users, c.Desk, c.Feed = s, s, s, s, s
		c.hashing = password.Params{Memory: 64, Time: 1, Threads: 1}
		if change != nil {
			change(c)
		}
	})
	if err := apitest.Fill(context.Background(), s, b.fleet); err != nil {
		t.Fatal(err)
	}
	return b, s
}

// token makes a token through the API and returns its secret.
func (b *bench) token(body string) (TokenInfo, string) {
	b.t.Helper()
	w := b.call("POST", Prefix+"/tokens", body, nil)
	var a TokenAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
		b.t.Fatalf("POST /tokens %s answered %d: %s", body, w.Code, w.Body)
	}
	return a.Token, a.Value
}

// with sends headers from elsewhere.
func with(kv ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr, r.Host = "10.0.0.9:5555", "ruler:9480"
		for i := 0; i < len(kv); i += 2 {
			r.Header.Add(kv[i], kv[i+1])
		}
	}
}

func TestRoles(t *testing.T) {
	b, _ := stored(t, nil)
	secrets := map[string]string{}
	for _, role := range []string{"viewer", "editor", "admin"} {
		_, secrets[role] = b.token(`{"name":"` + role + `","role":"` + role + `"}`)
	}
	for _, rt := range (&server{}).routes() {
		for i, role := range []string{"viewer", "editor", "admin"} {
			path := strings.NewReplacer("{id}", "x").Replace(rt.path)
			body := ""
			if rt.body != nil {
				body = "{]"
			}
			if rt.name == "stream" {
				continue // does not end
			}
			w := b.call(rt.method, Prefix+path, body, with("Authorization", "Bearer "+secrets[role]))
			if forbidden := w.Code == http.StatusForbidden; forbidden != (rt.role > allRoles[i]) {
				t.Errorf("%s %s takes %s, a %s is answered %d: %s", rt.method, rt.path, rt.role, role, w.Code, w.Body)
			}
		}
	}
}

var allRoles = []role{roleViewer, roleEditor, roleAdmin}

func TestTokens(t *testing.T) {
	clock := now
	b, s := stored(t, func(c *Config) { c.Now, c.Version = func() time.Time { return clock }, "1.2.3" })
	info, secret := b.token(`{"name":"grafana-ci","role":"editor","ttl_seconds":3600}`)
	if info.CreatedBy != "local" || info.Kind != "token" || !info.ExpiresAt.Equal(now.Add(time.Hour)) || !strings.HasPrefix(secret, "nocturne_") {
		t.Fatalf("%+v", info)
	}
	me := func() (Me, int) {
		var m Me
		w := b.call("GET", Prefix+"/me", "", with("Authorization", "Bearer "+secret))
		_ = json.Unmarshal(w.Body.Bytes(), &m) // the zero value shows
		return m, w.Code
	}
	if m, _ := me(); m != (Me{Name: "grafana-ci", Via: "token " + info.ID, Role: "editor", Version: "1.2.3"}) {
		t.Errorf("me %+v", m)
	}
	if used := get[TokenList](b, "/tokens").Items[0].UsedAt; used == nil || !used.Equal(now) {
		t.Errorf("used %v", used)
	}
	for body, want := range map[string]int{
		`{"name":"grafana-ci","role":"viewer"}`: 409, `{"name":"a b","role":"viewer"}`: 400, `{"name":"local","role":"viewer"}`: 400, `{"name":"x","role":"root"}`: 400,
		`{"name":"x","role":"viewer","kind":"robot"}`: 400, `{"name":"x","role":"viewer","ttl_seconds":1}`: 400, `{"name":"x","role":"viewer","color":1}`: 400, `{"name":"x"}`: 400,
	} {
		if w := b.call("POST", Prefix+"/tokens", body, nil); w.Code != want {
			t.Errorf("%s answered %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
	clock = now.Add(time.Hour)
	if _, code := me(); code != 401 {
		t.Errorf("an expired token is answered %d", code)
	}
	clock = now
	if w := b.call("DELETE", Prefix+"/tokens/"+info.ID, "", nil); w.Code != 200 {
		t.Errorf("revoke answered %d: %s", w.Code, w.Body)
	}
	if w := b.call("DELETE", Prefix+"/tokens/"+info.ID, "", nil); w.Code != 409 {
		t.Errorf("revoked twice: %d", w.Code)
	}
	if w := b.call("DELETE", Prefix+"/tokens/none", "", nil); w.Code != 404 || !strings.Contains(w.Body.String(), "no such token") {
		t.Errorf("an unknown one: %d %s", w.Code, w.Body)
	}
	if _, code := me(); code != 401 {
		t.Errorf("a revoked token is answered %d", code)
	}
	var lines []string
	log, err := s.AuditLog(t.Context(), store.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range log {
		lines = append(lines, e.Actor+"/"+e.Via+" "+e.Action+" "+e.Subject)
		if strings.Contains(string(e.Detail), secret) {
			t.Error("the token is in the audit log")
		}
	}
	if want := []string{"local/loopback token.revoke " + info.ID, "local/loopback token.create " + info.ID}; !slices.Equal(lines, want) {
		t.Errorf("audit log %q, want %q", lines, want)
	}
	if strings.Contains(b.log.String(), secret) {
		t.Error("the token is in the log")
	}
}

// The token of the file goes on being admin, beside tokens of the store.
func TestTokenFileIsAdmin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.token")
	if err := os.WriteFile(path, []byte("0123456789abcdef0123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := stored(t, func(c *Config) { c.TokenFile = path })
	w := b.call("GET", Prefix+"/me", "", with("Authorization", "Bearer 0123456789abcdef0123"))
	if !strings.Contains(w.Body.String(), `"role":"admin"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPluginSpeaksForPeople(t *testing.T) {
	b, _ := stored(t, nil)
	plugin, secret := b.token(`{"name":"grafana","role":"editor","kind":"plugin"}`)
	_, person := b.token(`{"name":"script","role":"admin"}`)
	for _, tt := range []struct {
		name string
		edit func(*http.Request)
		code int
		want Me
	}{
		{"a person", with("Authorization", "Bearer "+secret, HeaderUser, "alice@example.org", HeaderRole, "editor"), 200, Me{"alice@example.org", "plugin " + plugin.ID, "editor", ""}},
		{"never above the plugin's own role", with("Authorization", "Bearer "+secret, HeaderUser, "root", HeaderRole, "admin"), 200, Me{"root", "plugin " + plugin.ID, "editor", ""}},
		{"no role is a viewer", with("Authorization", "Bearer "+secret, HeaderUser, "bob"), 200, Me{"bob", "plugin " + plugin.ID, "viewer", ""}},
		{"the plugin itself only looks", with("Authorization", "Bearer "+secret), 200, Me{"grafana", "plugin " + plugin.ID, "viewer", ""}},
		{"a role of nobody", with("Authorization", "Bearer "+secret, HeaderRole, "editor"), 403, Me{}},
		{"an unknown role", with("Authorization", "Bearer "+secret, HeaderUser, "bob", HeaderRole, "Admin"), 403, Me{}},
		{"two users", with("Authorization", "Bearer "+secret, HeaderUser, "bob", HeaderUser, "root", HeaderRole, "editor"), 403, Me{}},
		{"two roles", with("Authorization", "Bearer "+secret, HeaderUser, "bob", HeaderRole, "viewer", HeaderRole, "editor"), 403, Me{}},
		{"a name with control marks", with("Authorization", "Bearer "+secret, HeaderUser, "a\u202eb", HeaderRole, "viewer"), 403, Me{}},
		{"a long name", with("Authorization", "Bearer "+secret, HeaderUser, strings.Repeat("a", 129), HeaderRole, "viewer"), 403, Me{}},
		{"a person's token", with("Authorization", "Bearer "+person, HeaderUser, "root", HeaderRole, "admin"), 403, Me{}},
		{"somebody on this machine", func(r *http.Request) { r.Header.Set(HeaderUser, "root") }, 403, Me{}},
		{"somebody on this machine, empty", func(r *http.Request) { r.Header.Set(HeaderRole, "") }, 403, Me{}},
		{"nobody", with(HeaderUser, "root", HeaderRole, "admin"), 401, Me{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := b.call("GET", Prefix+"/me", "", tt.edit)
			var got Me
			if w.Code == 200 {
				if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
			}
			if w.Code != tt.code || got != tt.want {
				t.Errorf("answered %d %+v %s", w.Code, got, w.Body)
			}
		})
	}
	if got := b.denied(deniedIdentity); got != 9 {
		t.Errorf("%v identity headers refused, want 9", got)
	}
	if got := b.denied(deniedCapped); got != 1 {
		t.Errorf("%v roles capped, want 1", got)
	}
}

// denied reads the counter of callers that were refused.
func (b *bench) denied(reason string) float64 {
	b.t.Helper()
	families, err := b.cfg.Registerer.(prometheus.Gatherer).Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "ruler_api_denied_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	b.t.Fatalf("no counter %s", reason)
	return 0
}
