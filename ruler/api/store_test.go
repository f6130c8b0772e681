package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

func openStore(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(tb.TempDir(), "ruler.db"), Partitions: 16, Hash: "fnv32a-1024"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// The API answers the same from SQLite as from memory.
func TestAnswersFromSQLite(t *testing.T) {
	memory := newBench(t, nil)
	s := openStore(t)
	if err := apitest.Fill(context.Background(), s, memory.fleet); err != nil {
		t.Fatal(err)
	}
	var err error
	if memory.fleet.PipelineState, err = s.Pipeline(t.Context()); err != nil { // Fill writes one partition, without times
		t.Fatal(err)
	}
	real := newBench(t, func(c *Config) { c.Reader = s })
	for _, target := range []string{
		"/overview", "/servers", "/servers?sort=-name&limit=5&offset=2", "/servers?search=vault", "/servers?site=south&state=up,silent", "/servers?severity=critical", "/servers?clones=true",
		"/servers?simulated=false&sort=last_seen", "/servers?offset=500", "/servers?search=%25", "/servers?search=_", "/servers?search=5e17",
		"/servers/" + apitest.ID(5).String(), "/servers/" + apitest.ID(16).String(), "/servers/" + apitest.ID(40).String(), "/servers/" + apitest.ID(99).String(),
		"/servers/" + apitest.ID(5).String() + "/history", "/servers/" + apitest.ID(5).String() + "/history?limit=2&category=raid",
		"/servers/" + apitest.ID(5).String() + "?at=2026-11-21T02:00:00Z", "/servers/" + apitest.ID(5).String() + "?at=2026-11-21T02:59:00Z", "/servers/" + apitest.ID(5).String() + "?at=2020-01-01T00:00:00Z",
		"/servers/" + apitest.ID(5).String() + "/diff?from=2026-11-20T12:00:00Z", "/servers/" + apitest.ID(99).String() + "/diff?from=2026-11-20T12:00:00Z",
		"/serials?search=za105&limit=5", "/serials?device_type=memory&server=" + apitest.ID(5).String(), "/serials/ZA10504K", "/serials/none", "/changes?serial=ZA10404X", "/changes?field=state",
		"/servers?status=critical,silent,planned", "/servers?status=ok&limit=3", "/servers?status=decommissioned", "/servers?os_type=linux", "/servers?model=ProLiant+DL380+Gen10&sort=-model&limit=5", "/servers?updates_pending=true",
		"/servers?updates_pending=false", "/servers?reboot_required=true", "/servers?support_ends_before=2028-07-01T00:00:00Z", "/servers?sort=support_end&limit=3", "/servers?sort=-support_end&limit=3", "/servers?sort=updates&limit=2", "/servers?exporter_version=0.2.0&limit=1",
		"/register", "/register?missing=true", "/register?search=hpe&limit=1", "/register?warranty_ends_before=2027-03-01T00:00:00Z", "/register/export",
		"/servers?support=active,ended", "/servers?support=unknown", "/server-facets", "/systems", "/updates", "/devices?limit=7", "/devices?status=critical,warning", "/devices?device_type=physical_drive&status=ok&limit=5&offset=20", "/devices?search=za105", "/devices?category=software&limit=3",
		"/devices?device_type=program&limit=2", "/device-facets", "/device-facets?device_type=physical_drive&status=critical", "/devices?server=" + apitest.ID(5).String() + "&firmware=TN05", "/devices?state=Failed", "/devices?site=south&model=CVPM02",
		"/changes", "/changes?kind=replaced", "/changes?planned=true", "/changes?planned=false&limit=3", "/changes?before_id=4&limit=2", "/changes?place=c0/e252/s4",
		"/notifications", "/notifications?state=firing", "/notifications?muted=false&severity=critical", "/notifications?search=SLOT", "/notifications?site=south&class=" + store.ClassSilent,
		"/notifications/a1b2c3d4e5f60718", "/notifications/none", "/silent", "/silent?planned=true", "/discovery",
	} {
		a, b := memory.call("GET", Prefix+target, "", nil), real.call("GET", Prefix+target, "", nil)
		if a.Code != b.Code {
			t.Errorf("%s: memory answers %d, SQLite %d: %.200s", target, a.Code, b.Code, b.Body)
			continue
		}
		if want, got := pretty(t, a.Body.Bytes()), pretty(t, b.Body.Bytes()); want != got {
			t.Errorf("%s: SQLite answers differently at %s", target, firstDifference(want, got))
		}
	}
}

func pretty(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func firstDifference(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	cut := func(s string) string { return clip(s[max(0, n-120):], 300) }
	return fmt.Sprintf("\n memory: %s\n SQLite: %s", cut(a), cut(b))
}

func TestChangesAreInTheAuditLog(t *testing.T) {
	s := openStore(t)
	b := newBench(t, func(c *Config) { c.Reader = s })
	if err := apitest.Fill(context.Background(), s, b.fleet); err != nil {
		t.Fatal(err)
	}
	b.call("POST", Prefix+"/join-tokens", `{"site":"north"}`, nil)
	b.call("POST", Prefix+"/join-tokens", `{"site":"south"}`, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	b.call("POST", Prefix+"/demo/incident", `{"kind":"drive","server_id":"`+apitest.ID(5).String()+`"}`, nil)
	var got []string
	for _, e := range get[AuditList](b, "/audit").Items {
		got = append(got, e.Actor+" "+e.Action+" "+e.Subject)
		for _, f := range e.Detail {
			if strings.Contains(f.Value, "secret-part") {
				t.Errorf("a secret is in the audit log: %+v", f)
			}
		}
	}
	if want := []string{"local demo.incident " + apitest.ID(5).String(), "local join_token.create 0011aabb"}; !slices.Equal(got, want) {
		t.Errorf("audit log %q, want %q", got, want)
	}
}
