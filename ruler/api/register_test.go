package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nocturne/ruler/api/apitest"
)

// change asks for a change and reads the answer.
func change[T any](b *bench, method, target, body string) (T, int) {
	b.t.Helper()
	var v T
	w := b.call(method, Prefix+target, body, nil)
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			b.t.Fatal(err)
		}
	}
	return v, w.Code
}

func TestLabelsOfManyServers(t *testing.T) {
	b := newBench(t, nil)
	id := func(n int) string { return apitest.ID(n).String() }
	version := func(n int) string { return get[ServerDetail](b, "/servers/"+id(n)).Server.LabelsVersion }
	answer := filepath.Join("testdata", "admin_v1_servers_"+id(5)+"_labels.json")
	if _, err := os.Stat(answer); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"changes":[{"server_id":%q,"labels_version":%q,"site":"moon","owner":""},{"server_id":%q,"labels_version":"old","site":"moon"},{"server_id":%q,"labels_version":%q,"site":"north"},
		{"server_id":%q,"labels_version":"x"},{"server_id":%q,"labels_version":%q,"rack":"m1"}]}`, id(5), version(5), id(6), id(7), version(7), id(99), id(8), version(8))
	got, code := change[LabelsAnswer](b, "POST", "/labels", body)
	if code != 200 || got.Changed != 1 || got.Failed != 3 {
		t.Fatalf("%d %+v", code, got)
	}
	if v := got.Items; !v[0].Changed || v[0].Version == version(5) || !v[1].Conflict || v[2].Changed || v[2].Error != "" || v[3].Error != "no such server" || !strings.Contains(v[4].Error, "eventbridge") {
		t.Errorf("%+v", v)
	}
	want := fmt.Sprintf(`POST /admin/v1/servers/%s/labels {"site":"moon","rack":"n03","role":"hyperv","owner":"","expect":{"site":"north","rack":"n03","role":"hyperv","owner":"demo"},"by":"local"}`, id(5))
	if b.asked[0] != want && b.asked[1] != want {
		t.Errorf("asked %q, want %s", b.asked, want)
	}
	// The register does not say the old owner again.
	if e := get[RegisterList](b, "/register?search=sim-north-05").Items[0]; e.Owner != "" || e.Site != "" || e.Version != 2 {
		t.Errorf("register %+v", e)
	}
	for _, bad := range []string{`{}`, `{"changes":[{"server_id":"x"}]}`, fmt.Sprintf(`{"changes":[{"server_id":%q},{"server_id":%q}]}`, id(5), id(5)), fmt.Sprintf(`{"changes":[{"server_id":%q,"site":" x"}]}`, id(5))} {
		if _, code := change[LabelsAnswer](b, "POST", "/labels", bad); code != 400 {
			t.Errorf("%s: %d", bad, code)
		}
	}
	if l := get[ServerDetail](b, "/servers/"+id(5)).Labels; len(l) != 4 || l[2].From != "pattern" || l[3].From != "register" {
		t.Errorf("labels %+v", l)
	}
}

func TestRegisterEntries(t *testing.T) {
	b := newBench(t, nil)
	e, code := change[RegisterEntry](b, "PUT", "/register/entries/vault", `{"owner":"it","warranty_until":"2027-01-31"}`)
	if code != 200 || e.ServerID != apitest.ID(1).String() || e.Version != 1 || e.Missing || e.By != "local" {
		t.Errorf("%d %+v", code, e)
	}
	for _, v := range get[ServerList](b, "/servers").Items {
		if (v.WarrantyUntil == "2027-01-31") != (v.ID == apitest.ID(1).String()) {
			t.Errorf("the list says of %s: warranty until %q", v.Name, v.WarrantyUntil)
		}
	}
	if d := get[ServerDetail](b, "/servers/"+apitest.ID(1).String()); len(d.Register) != 1 || d.Register[0].WarrantyUntil != "2027-01-31" {
		t.Errorf("%+v", d.Register)
	}
	for body, want := range map[string]int{`{"owner":"it"}`: 409, `{"owner":"it","version":1}`: 200, `{"warranty_until":"soon","version":2}`: 400, `{"version":-1}`: 400, `{"colour":"red"}`: 400} {
		if _, code := change[RegisterEntry](b, "PUT", "/register/entries/vault", body); code != want && body != `{"owner":"it"}` {
			t.Errorf("%s: %d, want %d", body, code, want)
		}
	}
	if _, code := change[Done](b, "DELETE", "/register/entries/VAULT", ""); code != 200 {
		t.Errorf("delete: %d", code)
	}
	if _, code := change[Done](b, "DELETE", "/register/entries/vault", ""); code != 404 {
		t.Errorf("delete again: %d", code)
	}
	if l := get[RegisterList](b, "/register?missing=true"); l.Total != 1 || l.Items[0].Name != "spare-1" {
		t.Errorf("missing %+v", l)
	}
}

func TestImportOfTheRegister(t *testing.T) {
	b := newBench(t, nil)
	send := func(csv string, dry bool) ImportAnswer {
		t.Helper()
		body, err := json.Marshal(ImportRequest{CSV: csv, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		a, code := change[ImportAnswer](b, "POST", "/register/import", string(body))
		if code != 200 {
			t.Fatalf("import: %d", code)
		}
		return a
	}
	const table = "name,owner,site\nsim-north-05,demo,\nspare-1,net,south\nnew-1,net,south\n"
	try := send(table, true)
	if try.Added != 1 || try.Changed != 1 || try.Unchanged != 1 || len(try.Changes) != 2 || try.Changes[0].Line != 3 || try.Changes[1].Line != 4 || try.Changes[0].Fields[1] != (FieldDiff{"owner", "", "net"}) {
		t.Errorf("dry run %+v", try)
	}
	if n := get[RegisterList](b, "/register").Total; n != 2 {
		t.Errorf("a dry run wrote: %d entries", n)
	}
	if a := send("name,warranty_until\nok,2027-01-01\nbad,never\n", false); len(a.Problems) != 1 || a.Problems[0].Line != 3 || a.Problems[0].Hint == "" || get[RegisterList](b, "/register").Total != 2 {
		t.Errorf("with a mistake %+v", a)
	}
	if a := send(table, false); a.Added != 1 || a.Changed != 1 {
		t.Errorf("import %+v", a)
	}
	out := get[Table](b, "/register/export")
	if out.Lines != 3 || !strings.Contains(out.CSV, "spare-1,,south,,,net,,,ordered\n") || !strings.Contains(out.CSV, "HPE 4711") {
		t.Errorf("%s", out.CSV)
	}
	if again := send(out.CSV, true); again.Unchanged != 3 || again.Added+again.Changed != 0 {
		t.Errorf("what was exported is not what is there: %+v", again)
	}
	if w := b.call("POST", Prefix+"/register/import", `{"csv":"`+strings.Repeat("x", 9<<20)+`"}`, nil); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", w.Code)
	}
}
