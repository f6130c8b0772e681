package registry

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// call asks the admin handler and returns status and decoded body.
func call(t *testing.T, h http.Handler, method, path, body string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	var v map[string]any
	if w.Body.Len() > 0 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w.Code, v
}

func TestAdmin(t *testing.T) {
	r, _, _, _ := start(t, Config{})
	h := r.AdminHandler()
	code, v := call(t, h, "POST", "/admin/v1/tokens", `{"site":"hq","uses":2,"ttl_s":600}`)
	text, _ := v["token"].(string)
	id, _ := v["id"].(string)
	if code != 200 || !strings.HasPrefix(text, tokenPrefix+id+".") || v["expires"] == nil {
		t.Fatalf("create token: %d %v", code, v)
	}
	old := enrol(t, r, text, "db7", machine)
	neu := enrol(t, r, text, "db8", machine)
	for _, path := range []string{"/admin/v1/tokens", "/admin/v1/servers", "/admin/v1/servers/" + old.ServerID.String()} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != 200 || strings.Contains(w.Body.String(), "hash") || strings.Contains(w.Body.String(), text) {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
	}
	one, two := "/admin/v1/servers/"+old.ServerID.String(), "/admin/v1/servers/"+neu.ServerID.String()
	for _, c := range []struct {
		method, path, body string
		code               int
		field, want        string
	}{
		{"POST", "/admin/v1/tokens", `{"uses":-3}`, 400, "error", "uses -3: want 1 to 100000"},
		{"POST", "/admin/v1/tokens", `{"sight":"hq"}`, 400, "error", `body: json: unknown field "sight"`},
		{"POST", "/admin/v1/tokens", `{`, 400, "error", "body: unexpected EOF"},
		{"POST", one + "/labels", `{"site":"dc2","rack":"r9","by":"kim"}`, 200, "state", "active"},
		{"POST", two + "/succession", `{"decision":"perhaps"}`, 400, "error", `decision "perhaps": want approve or reject`},
		{"POST", two + "/succession", `{"decision":"approve"}`, 200, "server_id", old.ServerID.String()},
		{"POST", two + "/revoke", ``, 409, "", ""},
		{"POST", one + "/revoke", ``, 200, "state", "revoked"},
		{"POST", one + "/decommission", `{"by":"kim"}`, 200, "state", "decommissioned"},
		{"POST", "/admin/v1/servers/xyz/revoke", ``, 400, "", ""},
		{"POST", "/admin/v1/servers/" + newID().String() + "/revoke", ``, 404, "", ""},
		{"GET", "/admin/v1/servers/" + newID().String(), ``, 404, "", ""},
		{"DELETE", "/admin/v1/tokens/" + id, ``, 200, "id", id},
		{"DELETE", "/admin/v1/tokens/000000000000", ``, 404, "", ""},
	} {
		code, v := call(t, h, c.method, c.path, c.body)
		if code != c.code || (c.field != "" && v[c.field] != c.want) {
			t.Errorf("%s %s %s: %d %v, want %d %s", c.method, c.path, c.body, code, v, c.code, c.want)
		}
		if code >= 400 && (v["error"] == "" || v["hint"] == nil) {
			t.Errorf("%s %s: no error and hint: %v", c.method, c.path, v)
		}
	}
}

func FuzzCredential(f *testing.F) {
	text, _ := newCredential(newID())
	f.Add(text)
	f.Add(tokenPrefix + "0123456789ab." + newSecret())
	f.Add("noc1..")
	f.Fuzz(func(t *testing.T, s string) {
		if id, _, ok := parseCredential(s); ok && (id.IsZero() || !strings.HasPrefix(s, credentialPrefix)) {
			t.Errorf("%q is taken for a credential of %s", s, id)
		}
		if id, _, ok := parseToken(s); ok && len(id) != tokenIDChars {
			t.Errorf("%q is taken for token %q", s, id)
		}
	})
}
