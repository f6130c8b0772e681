package api

import (
	"slices"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
)

func TestPlannedWork(t *testing.T) {
	b := newBench(t, nil)
	one := post[WindowChange](b, "/windows", `{"servers":{"site":["north"],"rack":["r1","r2"]},"duration_seconds":3600,"reason":"new boards","comment":"ticket 4711"}`, 200)
	if w := one.Window; w.State != "active" || w.Version != 1 || w.Source != "store" || w.Until == nil || !slices.Equal(w.Servers["rack"], []string{"r1", "r2"}) || w.Reason != "new boards" || w.Comment != "ticket 4711" || w.Condition == "" {
		t.Errorf("planned %+v", w)
	}
	list := get[WindowList](b, "/windows")
	if list.Total != 2 || list.Items[0].ID != one.Window.ID || list.Items[1].ID != "bern-patching" || list.Items[1].Weekly.To != "02:00" {
		t.Errorf("listed %+v", list)
	}
	at := "/windows/" + one.Window.ID
	if w := b.call("PUT", Prefix+at, `{"version":1,"servers":{"name":["db7"]},"starts_at":"2026-11-25T20:00:00Z","ends_at":"2026-11-26T04:00:00Z","reason":"later"}`, nil); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := b.call("PUT", Prefix+at, `{"version":1,"all_servers":true,"duration_seconds":60,"reason":"x"}`, nil); w.Code != 409 {
		t.Errorf("an edit of an old version: %d %s", w.Code, w.Body)
	}
	if w := b.call("DELETE", Prefix+at+"?version=2&comment=done", "", nil); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := b.call("DELETE", Prefix+at+"?version=3", "", nil); w.Code != 409 {
		t.Errorf("ended twice: %d %s", w.Code, w.Body)
	}
	d := get[WindowDetail](b, at)
	if d.Window.State != "ended" || len(d.Versions) != 3 || d.Versions[0].Action != "end" || d.Versions[0].Comment != "done" {
		t.Errorf("ended %+v", d)
	}
	if get[WindowList](b, "/windows").Total != 1 || get[WindowList](b, "/windows?standing=false").Total != 2 {
		t.Error("what is ended stands, or is gone")
	}
	for _, bad := range []string{
		`{"duration_seconds":60,"reason":"x"}`, `{"servers":{"site":["a"]},"all_servers":true,"duration_seconds":60,"reason":"x"}`,
		`{"servers":{"sight":["a"]},"duration_seconds":60,"reason":"x"}`, `{"all_servers":true,"reason":"x"}`, `{"all_servers":true,"duration_seconds":60}`,
		`{"all_servers":true,"starts_at":"2026-12-01T00:00:00Z","ends_at":"2027-02-01T00:00:00Z","reason":"x"}`,
		`{"all_servers":true,"weekly":{"days":["noday"],"from":"22:00","to":"02:00","zone":""},"reason":"x"}`,
		`{"all_servers":true,"weekly":{"days":["mon"],"from":"22:00","to":"02:00","zone":"Nowhere"},"reason":"x"}`,
		`{"all_servers":true,"weekly":{"days":["mon"],"from":"22:00","to":"02:00","zone":""},"duration_seconds":60,"reason":"x"}`,
		`{"id":"No Id","all_servers":true,"duration_seconds":60,"reason":"x"}`,
	} {
		if w := b.call("POST", Prefix+"/windows", bad, nil); w.Code != 400 {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
	hostile := post[WindowChange](b, "/windows", `{"id":"x","servers":{"name":["a\n- id: b","'\"{}[]: #"]},"duration_seconds":60,"reason":"y\n  - id: b"}`, 200)
	if len(hostile.Window.Servers["name"]) != 2 || get[WindowList](b, "/windows").Total != 2 {
		t.Errorf("text became structure: %+v", hostile.Window)
	}
}

// A preview says what a plan would be, and keeps nothing.
func TestWindowPreview(t *testing.T) {
	b := newBench(t, nil)
	p := post[WindowPreview](b, "/windows/preview", `{"servers":{"site":["NORTH"]},"weekly":{"days":["tue","sat"],"from":"22:00","to":"02:00","zone":"Europe/Zurich"}}`, 200)
	if p.Window.Concerns == 0 || len(p.Examples) != min(5, p.Window.Concerns) || len(p.Times) != 3 || p.Times[0].To.Sub(*p.Times[0].From) != 4*time.Hour || !p.Times[0].From.Equal(*p.Window.NextAt) {
		t.Errorf("%+v", p)
	}
	if n := get[ServerList](b, "/servers?site=north").Total; n != p.Window.Concerns {
		t.Errorf("%d servers of the site, %d in the preview", n, p.Window.Concerns)
	}
	if p := post[WindowPreview](b, "/windows/preview", `{"servers":{"name":["nobody"]},"duration_seconds":3600,"reason":"x"}`, 200); p.Window.State != "active" || p.Window.Concerns != 0 || len(p.Times) != 1 {
		t.Errorf("%+v", p)
	}
	if w := b.call("POST", Prefix+"/windows/preview", `{"all_servers":true,"weekly":{"days":["mon"],"from":"22","to":"02:00","zone":""}}`, nil); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if get[WindowList](b, "/windows?standing=false").Total != 1 {
		t.Error("a preview was kept")
	}
}

// What is over is listed apart, and a server knows what is planned on it.
func TestWindowsListed(t *testing.T) {
	b := newBench(t, nil)
	name := get[ServerDetail](b, "/servers/"+apitest.ID(5).String()).Server.Name
	post[WindowChange](b, "/windows", `{"id":"one","servers":{"name":["`+name+`"]},"duration_seconds":3600,"reason":"new boards"}`, 200)
	about := func(n int) (ids []string) {
		for _, w := range get[WindowList](b, "/windows?server="+apitest.ID(n).String()).Items {
			ids = append(ids, w.ID)
		}
		return ids
	}
	if !slices.Contains(about(5), "one") || slices.Contains(about(7), "one") {
		t.Errorf("about 5: %q, about 7: %q", about(5), about(7))
	}
	if w := get[WindowDetail](b, "/windows/one").Window; w.Concerns != 1 {
		t.Errorf("%+v", w)
	}
	if get[WindowList](b, "/windows?over=true").Total != 0 {
		t.Error("nothing is over yet")
	}
	if w := b.call("DELETE", Prefix+"/windows/one?version=1", "", nil); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if l := get[WindowList](b, "/windows?over=true"); l.Total != 1 || l.Items[0].ID != "one" || l.Items[0].NextAt != nil {
		t.Errorf("%+v", l)
	}
}
