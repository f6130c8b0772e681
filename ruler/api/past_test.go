package api

import (
	"net/http"
	"slices"
	"testing"

	"nocturne/ruler/api/apitest"
)

func TestServerAsOfAnyTime(t *testing.T) {
	b := newBench(t, nil)
	five := "/servers/" + apitest.ID(5).String()
	drive := func(at string) Device {
		t.Helper()
		d := get[ServerDetail](b, five+"?at="+at)
		if d.AsOf == nil || d.KnownSince == nil {
			t.Errorf("%s: as of %v, known since %v", at, d.AsOf, d.KnownSince)
		}
		i := slices.IndexFunc(d.Devices, func(v Device) bool { return v.Place == "c0/e252/s4" })
		if i < 0 {
			t.Fatalf("%s: no drive among %d devices", at, len(d.Devices))
		}
		return d.Devices[i]
	}
	if v := drive("2026-11-21T02:00:00Z"); v.State != "Onln" || v.Status != StatusOK || v.Serial != "ZA10504K" {
		t.Errorf("before it failed: %+v", v)
	}
	if v := drive("2026-11-21T02:59:00Z"); v.State != "Failed" || v.Status != StatusCritical {
		t.Errorf("after it failed: %+v", v)
	}
	if w := b.call("GET", Prefix+five+"?at=2020-01-01T00:00:00Z", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("before it was known: %d %s", w.Code, w.Body)
	}
	d := get[ServerDiff](b, five+"/diff?from=2026-11-21T02:00:00Z")
	var got []string
	for _, c := range d.Categories {
		for _, v := range c.Changes {
			got = append(got, c.Category+" "+v.Text+" "+v.Serial)
		}
	}
	if want := []string{"raid physical drive c0/e252/s4: state Onln → Failed ZA10504K", "raid virtual drive c0/v0: state Optl → Dgrd "}; !slices.Equal(got, want) {
		t.Errorf("differs\n%q\nwant\n%q", got, want)
	}
	if d.Same || !get[ServerDiff](b, five+"/diff?from=2026-11-21T02:00:00Z&to=2026-11-21T02:01:00Z").Same {
		t.Error("same")
	}
	for _, bad := range []string{"", "?from=x", "?from=2026-11-21T02:00:00Z&to=2026-11-20T02:00:00Z"} {
		if w := b.call("GET", Prefix+five+"/diff"+bad, "", nil); w.Code != http.StatusBadRequest {
			t.Errorf("diff%s answered %d", bad, w.Code)
		}
	}
}

func TestLifeOfASerial(t *testing.T) {
	b := newBench(t, nil)
	v := get[Serial](b, "/serials/ZA10504K")
	if !v.Present || v.Several || len(v.Stays) != 1 || v.Stays[0].Server != "sim-north-05" || v.Text != "physical drive, seen at one place, now c0/e252/s4 of sim-north-05." {
		t.Errorf("%+v", v)
	}
	if len(v.Notifications) != 1 || v.Notifications[0].ID != "a1b2c3d4e5f60718" {
		t.Errorf("its problems: %+v", v.Notifications)
	}
	if l := get[ChangeList](b, "/changes?serial=ZA10404X"); len(l.Items) != 1 || l.Items[0].Kind != "replaced" {
		t.Errorf("changes of a drive that left: %+v", l.Items)
	}
	if l := get[SerialList](b, "/serials?search=za105&device_type=physical_drive"); l.Total != 12 {
		t.Errorf("%d drives", l.Total)
	}
	if w := b.call("GET", Prefix+"/serials/a%2Fb", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("a serial with a slash: %d", w.Code)
	}
}
