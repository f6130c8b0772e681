package api

import (
	"fmt"
	"testing"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/store"
)

// Every change says in the audit log by which door it came, and what was there
// before where something was.
func TestAuditSaysDoorAndBefore(t *testing.T) {
	b, s := stored(t, nil)
	five := apitest.ID(5).String()
	version := get[ServerDetail](b, "/servers/"+five).Server.LabelsVersion
	for _, c := range [][3]string{
		{"PUT", "/register/entries/new7", `{"version":0,"site":"bern"}`}, {"PUT", "/register/entries/new7", `{"version":1,"site":"zug"}`},
		{"POST", "/register/import", `{"csv":"name,site\nnew7,chur\nnew8,bern\n"}`}, {"DELETE", "/register/entries/new8", ""},
		{"POST", "/labels", fmt.Sprintf(`{"changes":[{"server_id":%q,"labels_version":%q,"site":"moon","owner":""}]}`, five, version)},
	} {
		if w := b.call(c[0], Prefix+c[1], c[2], nil); w.Code != 200 {
			t.Fatalf("%v: %d %s", c, w.Code, w.Body)
		}
	}
	list, err := s.AuditLog(t.Context(), store.AuditQuery{Actor: "local", Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`server.labels {"owner":"demo → ","site":"north → moon"}`,
		`register.delete {"site":{"after":"","before":"bern"}}`,
		`register.import {"added":1,"changed":1,"entry new7":{"site":{"after":"chur","before":"zug"}},"entry new8":{"site":{"after":"bern","before":""}},"unchanged":0}`,
		`register.put {"site":{"after":"zug","before":"bern"}}`,
		`register.put {"site":{"after":"bern","before":""}}`,
	} {
		if got := list[i].Action + " " + string(list[i].Detail); got != want || list[i].Via != "loopback" {
			t.Errorf("via %q: %s, want %s", list[i].Via, got, want)
		}
	}
}
