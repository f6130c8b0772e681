package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"nocturne/ruler/api/apitest"
)

// Whatever is asked, the answer is JSON, of a code in the closed set, and never
// the ruler's own fault.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/servers", "search=a&limit=5", "")
	f.Add("GET", "/servers/5e170000000000000000000000000005/history", "before_id=9", "")
	f.Add("GET", "/changes", "since=2026-11-21T07:00:00Z&kind=field", "")
	f.Add("POST", "/join-tokens", "", `{"site":"a","uses":3}`)
	f.Add("POST", "/demo/incident", "", `{"kind":"drive","server_id":"5e170000000000000000000000000005"}`)
	f.Add("POST", "/notifications/a1b2c3d4e5f60718/silence", "", `{"revision":-1,"duration_seconds":60}`)
	f.Add("POST", "/deeds", "", `{"deed":"assign","assignee":"bob","notifications":[{"id":"a1b2c3d4e5f60718","revision":3}]}`)
	f.Add("POST", "/silences", "", `{"matchers":[{"name":"site","op":"=~","value":"n.*"}],"duration_seconds":60,"reason":"x"}`)
	f.Add("POST", "/tokens", "", `{"name":"x","role":"viewer","ttl_seconds":60}`)
	f.Add("POST", "/login", "", `{"name":"ada","password":"x"}`)
	f.Add("POST", "/logout", "", `{}`)
	f.Add("POST", "/login/link", "", `{"token":"`+fixedSecret('A')+`"}`)
	f.Add("POST", "/login/welcome", "", `{"token":"`+fixedSecret('A')+`","name":"ada","password":"correct horse"}`)
	f.Add("POST", "/password", "", `{"current":"x","password":"y"}`)
	f.Add("POST", "/users", "", `{"name":"zoe","role":"viewer"}`)
	f.Add("PUT", "/users/ada/role", "", `{"role":"viewer"}`)
	f.Add("DELETE", "/join-tokens/5f2c91aa07", "", "")
	f.Add("GET", "/charts/disks", "server=5e170000000000000000000000000005&since=2026-11-20T07:00:00Z", "")
	f.Add("GET", "/rules/noise", "since=30d", "")
	s := openStore(f)
	b := newBench(f, func(c *Config) { c.Reader, c.Tokens, c.Users, c.Desk = s, s, s, s })
	if err := apitest.Fill(context.Background(), s, b.fleet); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		u := url.URL{Path: Prefix + path, RawQuery: query}
		target, err := url.ParseRequestURI(u.String())
		if err != nil || !slices.Contains([]string{"GET", "POST", "PUT", "DELETE"}, method) {
			return
		}
		b.t = t
		w := b.call(method, "/", body, func(r *http.Request) {
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery = target.Path, target.RawPath, target.RawQuery
		})
		switch {
		case w.Code == http.StatusMovedPermanently || w.Code == http.StatusTemporaryRedirect: // the mux cleans paths
		case !slices.Contains(codes, w.Code) || w.Code == http.StatusInternalServerError:
			t.Errorf("answered %d: %.200s", w.Code, w.Body)
		case !json.Valid(w.Body.Bytes()):
			t.Errorf("answered no JSON: %.200s", w.Body)
		}
	})
}
