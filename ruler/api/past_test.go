package api

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/diff"
	"nocturne/ruler/engine"
	"nocturne/ruler/store"
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

// What a server is said to have been at a time is what it was: a random life,
// asked at random moments, against what was there when it was written down.
func TestAsOfIsWhatWasThere(t *testing.T) {
	for seed := range uint64(1) {
		dice := rand.New(rand.NewPCG(seed, 11))
		s := openStore(t)
		b := newBench(t, func(c *Config) { c.Reader = s })
		id := apitest.ID(5)
		claim, err := s.Claim(t.Context(), 3, "test")
		if err != nil {
			t.Fatal(err)
		}
		type moment struct {
			at          time.Time
			site, os    string
			drive, bios string
		}
		var life []moment
		is := moment{at: now.Add(-1000 * time.Hour)}
		pos := claim.Position
		for i := range 60 {
			is.at = is.at.Add(time.Duration(1+dice.IntN(10*3600)) * time.Second)
			next := store.Position{Incarnation: "i", Entry: uint64(i + 1)}
			c := store.PartitionCommit{Partition: 3, Epoch: claim.Epoch, From: pos, To: next, StreamTime: is.at}
			pos = next
			w := store.ServerWrite{ID: id}
			snapshot := func(cat record.Category, typ, state string) {
				hash, bytes := engine.Pack(diff.Stable(&record.Snapshot{Sections: []record.Section{{Type: typ}}, Devices: []record.Device{{Type: typ, Place: "p", Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}}}}))
				c.Snapshots = append(c.Snapshots, store.SnapshotWrite{Server: id, Category: cat, At: is.at, Hash: hash, Bytes: bytes})
				c.History = append(c.History, store.HistoryEntry{Server: id, Category: cat, At: is.at, Hash: hash})
			}
			pick := func() string { return []string{"a", "b", "c", "d"}[dice.IntN(4)] }
			if i == 0 || dice.IntN(4) == 0 {
				is.site = pick()
				w.Labels = &store.ServerLabels{Name: "db7", Site: is.site}
			}
			if dice.IntN(4) == 0 {
				is.os = pick()
				w.Facts = &store.ServerFacts{OSName: is.os}
			}
			if dice.IntN(2) == 0 {
				is.drive = pick()
				snapshot(record.RAID, record.DevicePhysicalDrive, is.drive)
			}
			if dice.IntN(4) == 0 {
				is.bios = pick()
				snapshot(record.Hardware, record.DeviceBIOS, is.bios)
			}
			c.Servers = []store.ServerWrite{w}
			if err := s.Commit(t.Context(), []store.PartitionCommit{c}); err != nil {
				t.Fatal(err)
			}
			life = append(life, is)
		}
		for range 60 {
			i := dice.IntN(len(life))
			at := life[i].at
			if i+1 < len(life) {
				at = at.Add(time.Duration(dice.Int64N(int64(life[i+1].at.Sub(at))/int64(time.Second))) * time.Second)
			}
			zone := time.FixedZone("", (dice.IntN(27)-13)*3600+1800)
			d := get[ServerDetail](b, "/servers/"+id.String()+"?at="+url.QueryEscape(at.In(zone).Format(time.RFC3339)))
			got := moment{at: life[i].at, site: d.Server.Site, os: d.Server.OSName}
			for _, v := range d.Devices {
				if v.Category == "raid" {
					got.drive = v.State
				} else {
					got.bios = v.State
				}
			}
			if got != life[i] {
				t.Fatalf("seed %d, %s: %+v, it was %+v", seed, at, got, life[i])
			}
		}
	}
}
