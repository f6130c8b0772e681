package register

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func TestRead(t *testing.T) {
	got, problems := Read("\uFEFFName;Site;warranty_until;note\r\ndb7;fra;2028-03-31;\"a; b\"\r\n\r\ndb8; ;;'=1+1\r\n")
	entries := got.Entries
	if len(problems) != 0 || len(entries) != 2 || !slices.Equal(got.Told, []string{"name", "site", "warranty_until", "note"}) || !slices.Equal(got.Lines, []int{2, 4}) {
		t.Fatalf("%+v %+v", got, problems)
	}
	if e := entries[0]; e.Name != "db7" || e.Site != "fra" || e.Note != "a; b" || e.Warranty.Format(time.DateOnly) != "2028-03-31" {
		t.Errorf("%+v", e)
	}
	if copied, problems := Read("name\tsite\tnote\ndb7\tfra\ta, b; c\n"); len(problems) > 0 || len(copied.Entries) != 1 || copied.Entries[0].Site != "fra" || copied.Entries[0].Note != "a, b; c" {
		t.Errorf("copied from a spreadsheet: %+v, %v", copied, problems)
	}
	if e := entries[1]; e.Site != "" || e.Note != "=1+1" || !e.Warranty.IsZero() {
		t.Errorf("%+v", e)
	}
}

func TestMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		table, problems := Read(text)
		var got []string
		for _, p := range problems {
			if p.Hint == "" {
				t.Errorf("%q: no hint for %q", text, p.Error)
			}
			got = append(got, p.Column+"@"+string('0'+rune(p.Line))+" "+p.Error)
		}
		if s := strings.Join(got, "; "); s != want || len(table.Entries) != 0 {
			t.Errorf("%q: %q, want %q; %d entries", text, s, want, len(table.Entries))
		}
	}
	f("", "@0 the table has no headings")
	f("site\nfra", "@0 the table has no names")
	f("name,colour\n", `@0 column "colour" is not known`)
	f("name,name\n", "@0 column name is there twice")
	f("name,site\ndb7\ndb8,fra,x\n", "@2 1 cells, want 2; @3 3 cells, want 2")
	f("name,warranty_until\ndb7,31.3.2028\n,2028-01-01\n", `warranty_until@2 "31.3.2028" is no date; name@3 "" is no name of a server`)
	f("name\ndb7\nDB7\n", `name@3 "DB7" is already in line 2`)
	f("name,note\ndb7,a\tb\u202e\n", "note@2 holds a control character")
	f("name,site\ndb7,"+strings.Repeat("x", 129)+"\n", "site@2 longer than 128 bytes")
	f("name,note\ndb7,\"a\n", "@2 extraneous or missing \" in quoted-field")
	f("name\n\xff\n", "@0 the table is not UTF-8")
	f(strings.Repeat("x", MaxBytes+1), "@0 the table is larger than 4194304 bytes")
}

func TestWriteIsRead(t *testing.T) {
	day := time.Date(2028, 3, 31, 0, 0, 0, 0, time.UTC)
	in := []store.RegisterEntry{{Name: "db7", Serial: "CZ1", Site: "fra", Rack: "r1", Role: "db", Owner: "=cmd|' /C calc'!A0", Warranty: day, Contract: "+49", Note: `a "b", c`, Version: store.AnyVersion}, {Name: "-x", Version: store.AnyVersion}}
	b, err := Write(in)
	if err != nil || !strings.Contains(string(b), "'=cmd") {
		t.Fatalf("%v\n%s", err, b)
	}
	out, problems := Read(string(b))
	if !slices.Equal(in, out.Entries) {
		t.Errorf("%+v\n%+v\n%+v", in, out, problems)
	}
	known := in[0]
	known.Version = 7
	if m := Merge(known, store.RegisterEntry{Name: "DB7", Site: "muc", Version: store.AnyVersion}, []string{"name", "site", "rack"}); m.Site != "muc" || m.Rack != "" || m.Serial != "CZ1" || m.Name != "DB7" || m.Version != store.AnyVersion {
		t.Errorf("%+v", m)
	}
}

type fakeStore struct {
	drift []store.RegisterEntry
	audit []store.AuditEntry
}

func (f *fakeStore) Register(context.Context, store.RegisterQuery) (store.RegisterPage, error) {
	return store.RegisterPage{Entries: f.drift, Total: len(f.drift)}, nil
}

func (f *fakeStore) Audit(_ context.Context, e store.AuditEntry) error {
	f.audit = append(f.audit, e)
	return nil
}

func TestSync(t *testing.T) {
	var asked []string
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Header.Get("Authorization")+" "+r.URL.Path+" "+string(b))
		if len(asked) == 2 {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "others"})
		}
	}))
	defer bridge.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fakeStore{drift: []store.RegisterEntry{
		{Name: "db7", Site: "fra", Server: store.Server{ID: record.ID{1}, Rack: "r1", Owner: "ops"}}, {Name: "db8", Owner: "net", Server: store.Server{ID: record.ID{2}}}}}
	s := Syncer{Store: f, Bridge: Bridge{URL: bridge.URL, TokenFile: token, Client: bridge.Client()}, Log: slog.New(slog.DiscardHandler)}
	n, err := s.Sync(t.Context())
	if n != 1 || err != nil || len(f.audit) != 1 || string(f.audit[0].Detail) != `{"site":" → fra"}` {
		t.Errorf("%d, %v, %+v", n, err, f.audit)
	}
	if want := `Bearer secret /admin/v1/servers/01000000000000000000000000000000/labels {"site":"fra","rack":"r1","role":"","owner":"ops","expect":{"site":"","rack":"r1","role":"","owner":"ops"},"by":"register"}`; asked[0] != want {
		t.Errorf("asked %s", asked[0])
	}
}

// registerOf answers as a store does.
type registerOf []store.RegisterEntry

func (r registerOf) Register(_ context.Context, q store.RegisterQuery) (store.RegisterPage, error) {
	var p store.RegisterPage
	for _, e := range r {
		if q.Names != nil && !slices.ContainsFunc(q.Names, func(n string) bool { return strings.EqualFold(n, e.Name) }) || q.Missing != nil && *q.Missing != e.Server.LastSeen.IsZero() {
			continue
		}
		p.Entries = append(p.Entries, e)
	}
	return p, nil
}

func (registerOf) Audit(context.Context, store.AuditEntry) error { return nil }

// Entries that mean no server are expected at the bridge, and no longer when they
// are taken out or when the server came under another name.
func TestExpect(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(b)))
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"servers":[{"server_id":"0a000000000000000000000000000000","server":"gone","state":"active"},{"server_id":"0b000000000000000000000000000000","server":"Stays"},{"server_id":"0c000000000000000000000000000000","server":"renamed"}]}`)
		}
	}))
	defer bridge.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	heard := store.Server{ID: record.ID{9}, LastSeen: time.Unix(1e9, 0)}
	s := Syncer{Bridge: Bridge{URL: bridge.URL, TokenFile: token, Client: bridge.Client()}, Log: slog.New(slog.DiscardHandler), Store: registerOf{
		{Name: "new", Site: "fra", Created: time.Unix(77, 0)}, {Name: "stays"}, {Name: "renamed", Serial: "S1", Server: heard}, {Name: "alive", Server: heard}, {Name: "enrolled", Server: store.Server{ID: record.ID{8}}}}}
	if err := s.Expect(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"GET /admin/v1/expected", `POST /admin/v1/servers/0a000000000000000000000000000000/decommission {"by":"register"}`, `POST /admin/v1/servers/0c000000000000000000000000000000/decommission {"by":"register"}`,
		`POST /admin/v1/expected {"site":"fra","rack":"","role":"","owner":"","name":"new","since":77,"by":"register"}`}
	if !slices.Equal(asked, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzRead(f *testing.F) {
	f.Add("name,site\ndb7,fra\n")
	f.Add("name;note\n\"a\";'=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, problems := Read(text)
		if len(problems) > 0 && len(table.Entries) > 0 {
			t.Fatal("entries beside problems")
		}
		b, err := Write(table.Entries)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := Read(string(b))
		if len(problems) > 0 || !slices.Equal(table.Entries, again.Entries) {
			t.Fatalf("%+v\n%+v\n%+v", table, again, problems)
		}
	})
}
