package api

import (
	"slices"
	"testing"
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
