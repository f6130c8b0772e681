package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/password"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

const fixedPassword = "correct horse battery"

// fixedSecret is one of 32 bytes; c is A, E or I.
func fixedSecret(c byte) string { return strings.Repeat(string(c), 43) }

// people fills the store with users, links and a session; the cookie is bob's.
func (b *bench) people(s *sqlite.Store) *http.Cookie {
	b.t.Helper()
	check := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	ctx := b.t.Context()
	hash := func(text string) [32]byte {
		h, ok := secretHash(text)
		if !ok {
			b.t.Fatalf("%s is no secret", text)
		}
		return h
	}
	link := func(c byte, user string) store.LoginLink {
		return store.LoginLink{Hash: hash(fixedSecret(c)), User: user, Created: now, Expires: now.Add(time.Hour)}
	}
	phc, err := password.Hash(ctx, password.Params{Memory: 64, Time: 1, Threads: 1}, fixedPassword)
	check(err)
	for name, c := range map[string]byte{"ada": 'M', "bob": 'Q', "root": 'U', "cleo": 'A', "dora": 'E', "leaves": 'Y'} {
		u := store.User{ID: name, Name: name, Role: "viewer", CreatedBy: "root", Created: now}
		if name == "root" {
			u.Role = "admin"
		}
		check(s.AddUser(ctx, u, link(c, name), store.AuditEntry{}))
		if name == "ada" || name == "bob" || name == "root" {
			v, _ := newSession(name, now)
			check(s.SetPassword(ctx, name, phc, v, store.AuditEntry{}))
		}
	}
	check(s.AddSession(ctx, store.Session{Hash: hash(fixedSecret('I')), User: "bob", Created: now, Used: now, Expires: now.Add(time.Hour)}, store.AuditEntry{}))
	return &http.Cookie{Name: cookieSession, Value: fixedSecret('I')}
}

// browser keeps cookies, and says what one from elsewhere does.
type browser struct {
	b       *bench
	address string
	origin  string
	cookies map[string]*http.Cookie
}

func (v *browser) ask(method, path, body string) *httptest.ResponseRecorder {
	w := v.b.call(method, Prefix+path, body, func(r *http.Request) {
		r.RemoteAddr, r.Host = v.address+":5555", "ruler:9480"
		if v.origin != "" {
			r.Header.Set("Origin", v.origin)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		for _, c := range v.cookies {
			r.AddCookie(c)
		}
	})
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c
		}
	}
	return w
}

func (v *browser) want(t *testing.T, code int, method, path, body string) string {
	t.Helper()
	w := v.ask(method, path, body)
	if w.Code != code {
		t.Errorf("%s %s answered %d, want %d: %s", method, path, w.Code, code, w.Body)
	}
	return w.Body.String()
}

func (b *bench) browser(address string) *browser {
	return &browser{b: b, address: address, cookies: map[string]*http.Cookie{}}
}

func credentials(name, password string) string {
	return fmt.Sprintf(`{"name":%q,"password":%q}`, name, password)
}

// The story of an installation that others can reach, from the first start.
func TestFromTheFirstLinkToTheLastLogout(t *testing.T) {
	clock := now
	b, s := stored(t, func(c *Config) { c.Login, c.Now = LoginRequired, func() time.Time { return clock } })
	ada := b.browser("10.0.0.1")
	ada.want(t, 401, "GET", "/servers", "")
	if got := ada.want(t, 200, "GET", "/login", ""); !strings.Contains(got, `"required":true,"first":true`) {
		t.Errorf("state %s", got)
	}
	l, path := NewLink("", clock)
	if err := s.AddLink(t.Context(), l, store.AuditEntry{At: clock, Actor: "ruler", Action: "user.link"}); err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimPrefix(path, "/welcome#")
	if got := ada.want(t, 200, "POST", "/login/link", `{"token":"`+secret+`"}`); !strings.Contains(got, `"kind":"first","name":"","role":"admin"`) {
		t.Errorf("link %s", got)
	}
	welcome := func(name, password string) string {
		return fmt.Sprintf(`{"token":%q,"name":%q,"password":%q}`, secret, name, password)
	}
	ada.want(t, 400, "POST", "/login/welcome", welcome("ada", "short"))
	ada.want(t, 400, "POST", "/login/welcome", welcome("a b", fixedPassword))
	ada.want(t, 400, "POST", "/login/welcome", welcome("local", fixedPassword))
	ada.want(t, 200, "POST", "/login/welcome", welcome("ada", fixedPassword))
	ada.want(t, 404, "POST", "/login/welcome", welcome("eve", fixedPassword))
	ada.want(t, 404, "POST", "/login/link", `{"token":"x"}`)
	if got := ada.want(t, 200, "GET", "/me", ""); !strings.Contains(got, `"name":"ada","via":"session","role":"admin"`) {
		t.Errorf("me %s", got)
	}

	var invited UserLink
	if err := json.Unmarshal([]byte(ada.want(t, 200, "POST", "/users", `{"name":"bob","role":"viewer"}`)), &invited); err != nil {
		t.Fatal(err)
	}
	if invited.User.State != "invited" || !invited.ExpiresAt.Equal(now.Add(linkLife)) {
		t.Errorf("invited %+v", invited)
	}
	ada.want(t, 409, "POST", "/users", `{"name":"BOB","role":"viewer"}`)
	bob := b.browser("10.0.0.2")
	bob.want(t, 401, "POST", "/login", credentials("bob", ""))
	secret = strings.TrimPrefix(invited.Path, "/welcome#")
	bob.want(t, 200, "POST", "/login/welcome", welcome("ignored", "bobs long password"))
	bob.want(t, 403, "GET", "/users", "")
	phone := b.browser("10.0.0.3")
	phone.want(t, 401, "POST", "/login", credentials("bob", fixedPassword))
	phone.want(t, 200, "POST", "/login", credentials("Bob", "bobs long password"))
	bob.want(t, 400, "POST", "/password", `{"current":"wrong","password":"another long one"}`)
	bob.want(t, 200, "POST", "/password", `{"current":"bobs long password","password":"another long one"}`)
	bob.want(t, 200, "GET", "/me", "")
	phone.want(t, 401, "GET", "/me", "") // his other sessions end

	ada.want(t, 409, "DELETE", "/users/"+ada.id(t, "ada"), "")
	ada.want(t, 409, "PUT", "/users/"+ada.id(t, "ada")+"/role", `{"role":"viewer"}`)
	ada.want(t, 409, "PUT", "/users/"+ada.id(t, "bob")+"/role", `{"role":"viewer"}`)
	ada.want(t, 200, "PUT", "/users/"+ada.id(t, "bob")+"/role", `{"role":"editor"}`)
	bob.want(t, 401, "GET", "/me", "")
	bob.want(t, 200, "POST", "/login", credentials("bob", "another long one"))
	clock = clock.Add(sessionIdle)
	if got := bob.want(t, 401, "GET", "/me", ""); !strings.Contains(got, "your login has ended") {
		t.Errorf("idle: %s", got)
	}
	ada.want(t, 200, "POST", "/login", credentials("ada", fixedPassword))
	bob.want(t, 200, "POST", "/login", credentials("bob", "another long one"))
	ada.want(t, 200, "DELETE", "/users/"+ada.id(t, "bob"), "")
	bob.want(t, 401, "GET", "/me", "")
	for range int(sessionLife / (11 * time.Hour)) {
		ada.want(t, 200, "GET", "/me", "")
		clock = clock.Add(11 * time.Hour)
	}
	clock = clock.Add(11 * time.Hour)
	ada.want(t, 401, "GET", "/me", "") // however much it is used
	ada.want(t, 200, "POST", "/login", credentials("ada", fixedPassword))
	ada.want(t, 200, "POST", "/logout", "{}")
	if _, ok := ada.cookies[cookieSession]; ok {
		t.Error("the cookie stays")
	}
	ada.want(t, 401, "GET", "/me", "")
	ada.want(t, 200, "POST", "/logout", "{}")
	b.checkLoginAudit(s)
}

// id finds a user's.
func (v *browser) id(t *testing.T, name string) string {
	t.Helper()
	var list UserList
	if err := json.Unmarshal([]byte(v.want(t, 200, "GET", "/users", "")), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Items, func(u UserInfo) bool { return u.Name == name })
	if i < 0 {
		t.Fatalf("no user %s", name)
	}
	return list.Items[i].ID
}

// checkLoginAudit looks at the whole story: every change, who and by which door, no secret.
func (b *bench) checkLoginAudit(s *sqlite.Store) {
	log, err := s.AuditLog(b.t.Context(), store.AuditQuery{})
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for _, e := range slices.Backward(log) {
		lines = append(lines, e.Actor+"/"+e.Via+" "+e.Action+" "+e.Subject)
		if strings.Contains(string(e.Detail), "argon2") || strings.Contains(string(e.Detail), "long") {
			b.t.Errorf("a secret is in the audit log: %s", e.Detail)
		}
	}
	want := []string{
		"ruler/ user.link ", "ada/link user.create ada", "ada/session user.create bob", "bob/link user.password bob", "bob/session login bob", "bob/session user.password bob", "ada/session user.role bob",
		"bob/session login bob", "ada/session login ada", "bob/session login bob", "ada/session user.remove bob", "ada/session login ada", "ada/session logout ada",
	}
	if !slices.Equal(lines, want) {
		b.t.Errorf("audit log\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for _, secret := range []string{fixedPassword, "bobs long password", "another long one"} {
		if strings.Contains(b.log.String(), secret) {
			b.t.Errorf("%s is in the log", secret)
		}
	}
}

func TestCookies(t *testing.T) {
	b, s := stored(t, func(c *Config) { c.Login = LoginRequired })
	b.people(s)
	for origin, secure := range map[string]bool{"http://ruler:9480": false, "https://ruler:9480": true} {
		v := b.browser("10.0.0.1")
		v.origin = origin
		w := v.ask("POST", "/login", credentials("ada", fixedPassword))
		if w.Code != 200 || len(w.Result().Cookies()) != 2 {
			t.Fatalf("%d %s %v", w.Code, w.Body, w.Result().Cookies())
		}
		for _, c := range w.Result().Cookies() {
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != secure || c.MaxAge <= 0 || c.Domain != "" || strings.HasPrefix(c.Name, "__Host-") && (c.Path != "/" || !secure) {
				t.Errorf("%s: %+v", origin, c)
			}
		}
		v.want(t, 200, "GET", "/me", "")
	}
	// Another browser cannot make one up.
	for _, value := range []string{"", "x", fixedSecret('A'), fixedSecret('I') + "=", strings.Repeat("A", 5000)} {
		v := b.browser("10.0.0.1")
		v.cookies[cookieSession] = &http.Cookie{Name: cookieSession, Value: value}
		v.want(t, 401, "GET", "/me", "")
	}
}

// A cookie comes by itself, so what checks where a change comes from holds for it too.
func TestOtherSitesUseNoSession(t *testing.T) {
	b, s := stored(t, func(c *Config) { c.Login = LoginRequired })
	b.people(s)
	v := b.browser("10.0.0.1")
	v.want(t, 200, "POST", "/login", credentials("root", fixedPassword))
	session := v.cookies[cookieSession]
	ask := func(method, path, body string, kv ...string) int {
		return b.call(method, Prefix+path, body, func(r *http.Request) {
			with(kv...)(r)
			if r.Header.Get("X-Type") != "" {
				r.Header.Set("Content-Type", r.Header.Get("X-Type"))
			}
			r.AddCookie(session)
		}).Code
	}
	const user = `{"name":"eve","role":"admin"}`
	for _, path := range []string{"/users", "/login", "/logout", "/login/link", "/login/welcome", "/password", "/tokens", "/join-tokens"} {
		if code := ask("POST", path, "{}", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); code != 403 {
			t.Errorf("POST %s of another site is answered %d", path, code)
		}
		if code := ask("POST", path, "{}", "Sec-Fetch-Site", "same-site", "Origin", "http://ruler:8080"); code != 403 {
			t.Errorf("POST %s of another port is answered %d", path, code)
		}
		if code := ask("POST", path, "{}", "Origin", "https://evil.example"); code != 403 {
			t.Errorf("POST %s of an old browser is answered %d", path, code)
		}
		if code := ask("POST", path, "{}", "X-Type", "text/plain"); code != 415 {
			t.Errorf("POST %s of a form is answered %d", path, code)
		}
	}
	if code := ask("DELETE", "/users/ada", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); code != 403 {
		t.Errorf("DELETE of another site is answered %d", code)
	}
	if code := ask("POST", "/users", user, HeaderUser, "root"); code != 403 {
		t.Errorf("a plugin's header is answered %d", code)
	}
	if code := ask("POST", "/users", user, "Sec-Fetch-Site", "same-origin", "Origin", "http://ruler:9480"); code != 200 {
		t.Errorf("our own page is answered %d", code)
	}
}

// Who is asked for a login, and who is not.
func TestWhoNeedsALogin(t *testing.T) {
	local := func(r *http.Request) {}
	proxied := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.9") }
	for _, tt := range []struct {
		name    string
		config  func(*Config)
		edit    func(*http.Request)
		code    int
		require string
	}{
		{"on this machine", func(*Config) {}, local, 200, "false"},
		{"on this machine, which others reach", func(c *Config) { c.Exposed = true }, local, 401, "true"},
		{"on this machine, which has a name", func(c *Config) { c.Hosts = []string{"nocturne.example.org"} }, local, 401, "true"},
		{"on this machine, which others reach, open by decision", func(c *Config) { c.Exposed, c.Login = true, LoginOpen }, local, 200, "false"},
		{"on this machine, closed by decision: also behind a proxy that adds no header", func(c *Config) { c.Login = LoginRequired }, local, 401, "true"},
		{"behind a proxy that says so", func(*Config) {}, proxied, 401, "true"},
		{"from elsewhere", func(*Config) {}, with(), 401, "true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.config)
			if w := b.call("GET", Prefix+"/servers", "", tt.edit); w.Code != tt.code {
				t.Errorf("answered %d: %s", w.Code, w.Body)
			}
			if w := b.call("GET", Prefix+"/login", "", tt.edit); w.Code != 200 || !strings.Contains(w.Body.String(), `"required":`+tt.require) {
				t.Errorf("state %d: %s", w.Code, w.Body)
			}
		})
	}
}

// An attacker at one address waits, and keeps neither the owner out nor a browser
// in which he was logged in.
func TestGuessingIsSlow(t *testing.T) {
	clock := now
	b, s := stored(t, func(c *Config) { c.Login, c.Now = LoginRequired, func() time.Time { return clock } })
	b.people(s)
	home := b.browser("10.0.0.1")
	home.want(t, 200, "POST", "/login", credentials("ada", fixedPassword))
	home.want(t, 200, "POST", "/logout", "{}")
	evil := b.browser("10.0.0.66")
	refused := 0
	for range 100 {
		if w := evil.ask("POST", "/login", credentials("ada", "wrong password")); w.Code == 429 {
			refused++
			if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "try again in") {
				t.Fatalf("%v %s", w.Header(), w.Body)
			}
		}
	}
	if refused != 95 {
		t.Errorf("%d of 100 refused, want 95", refused)
	}
	evil.want(t, 429, "POST", "/login", credentials("ada", fixedPassword)) // also by chance
	b.browser("10.0.0.7").want(t, 200, "POST", "/login", credentials("ada", fixedPassword))
	for i := range 40 { // a botnet
		b.browser(fmt.Sprintf("10.1.0.%d", i)).ask("POST", "/login", credentials("ada", "wrong password"))
	}
	b.browser("10.0.0.8").want(t, 429, "POST", "/login", credentials("ada", fixedPassword))
	home.want(t, 200, "POST", "/login", credentials("ada", fixedPassword))
	clock = clock.Add(10 * time.Second) // and soon, where they pause
	b.browser("10.0.0.8").want(t, 200, "POST", "/login", credentials("ada", fixedPassword))
	clock = clock.Add(time.Hour)
	for i := range 30 { // many names from one address
		if w := evil.ask("POST", "/login", credentials(fmt.Sprintf("user%d", i), "wrong password")); (w.Code == 429) != (i >= 20) {
			t.Errorf("name %d is answered %d", i, w.Code)
		}
	}
	for i := range 6 {
		home.cookies[cookieDevice] = &http.Cookie{Name: cookieDevice, Value: "made.up"}
		if w := home.ask("POST", "/login", credentials("ada", "wrong password")); (w.Code == 429) != (i >= 5) {
			t.Errorf("a made-up mark, try %d, is answered %d", i, w.Code)
		}
	}
}

func TestThrottleIsBounded(t *testing.T) {
	th := throttle{buckets: map[[32]byte]bucket{}}
	for i := range maxBuckets + 100 {
		th.take(now.Add(time.Duration(i)), attempt{"name", fmt.Sprint(i), rateName})
	}
	if n := len(th.buckets); n > maxBuckets {
		t.Errorf("%d buckets", n)
	}
}

func TestAddressOf(t *testing.T) {
	for _, tt := range []struct{ remote, forwarded, want string }{
		{"10.0.0.9:1", "", "10.0.0.9"},
		{"10.0.0.9:1", "1.2.3.4", "10.0.0.9"}, // anybody can say so
		{"127.0.0.1:1", "6.6.6.6, 1.2.3.4", "1.2.3.4"},
		{"127.0.0.1:1", "nonsense", "127.0.0.1"},
		{"[2001:db8:1:2:3:4:5:6]:1", "", "2001:db8:1:2::/64"},
		{"[::1]:1", "2001:db8::7", "2001:db8::/64"},
		{"[::ffff:10.0.0.9]:1", "", "10.0.0.9"},
		{"pipe", "", "pipe"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got := addressOf(r); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.remote, tt.forwarded, got, tt.want)
		}
	}
}

// Whatever stands in cookies, nobody is logged in by it, and nothing breaks.
func FuzzCookies(f *testing.F) {
	f.Add("nocturne_session=" + fixedSecret('A') + "; nocturne_device=a.b")
	f.Add("__Host-nocturne_session=; nocturne_session=x")
	f.Add("nocturne_device=.")
	s := openStore(f)
	b := newBench(f, func(c *Config) {
		c.Reader, c.Users, c.Login, c.hashing = s, s, LoginRequired, password.Params{Memory: 64, Time: 1, Threads: 1}
	})
	f.Fuzz(func(t *testing.T, cookies string) {
		b.t = t
		edit := func(r *http.Request) { r.Header["Cookie"] = []string{cookies} }
		if w := b.call("GET", Prefix+"/me", "", edit); w.Code != 401 {
			t.Errorf("answered %d: %s", w.Code, w.Body)
		}
		if w := b.call("POST", Prefix+"/login", credentials("ada", "x"), edit); w.Code != 401 && w.Code != 429 {
			t.Errorf("login answered %d: %s", w.Code, w.Body)
		}
	})
}
