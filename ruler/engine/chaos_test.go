package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// nightRules are rules of every kind, tight in time, besides the default ones.
const nightRules = `rules:
  - {id: n-match, name: A, class: n-match, severity: warning, summary: "{{ .Reason }}", runbook: a#b, expires: 40s, match: {provider: [a, b], device: {type: nic, attr: event.data.n}, clear: {provider: c}}}
  - {id: n-state, name: A, class: n-state, severity: warning, summary: "{{ .Reason }}", runbook: a#b, for: 15s, state: {device: physical_drive, field: state, ok: [Onln]}}
  - {id: n-change, name: A, class: n-change, severity: info, summary: "{{ .Reason }}", runbook: a#b, expires: 30s, change: {device: physical_drive, kinds: [added, removed, replaced, moved, field]}}
  - {id: n-count, name: A, class: n-count, severity: warning, summary: "{{ .Reason }}", runbook: a#b, count: {event: {provider: a}, more_than: 2, within: 30s}}
  - {id: n-counter, name: A, class: n-count, severity: warning, summary: "{{ .Reason }}", runbook: a#b, count: {counter: {device: physical_drive, field: media_errors}, more_than: 2, within: 1m}}
  - {id: n-flap, name: A, class: n-flap, severity: warning, summary: "{{ .Reason }}", runbook: a#b, flap: {device: physical_drive, field: state, changes: 3, within: 50s}}
  - {id: n-absent, name: A, class: n-absent, severity: warning, summary: "{{ .Reason }}", runbook: a#b, absent: {category: raid, after: 30s, while: heartbeat}}
  - {id: n-clone, name: A, class: n-clone, severity: critical, summary: "{{ .Reason }}", runbook: a#b, clone: {quiet: 30s}}
  - {id: n-missed, name: A, class: n-seq, severity: critical, summary: "{{ .Reason }}", runbook: a#b, sequence: {per: controller, steps: [{state: {device: physical_drive, field: state, is: Failed}}, {not: {state: {device: physical_drive, field: state, is: Rbld}}, within: 15s}]}}
  - {id: n-restore, name: A, class: n-seq, severity: warning, summary: "{{ .Reason }}", runbook: a#b, expires: 2m, sequence: {per: device, steps: [{state: {device: physical_drive, field: state, is: Rbld}}, {state: {device: physical_drive, field: state, is_not: Rbld}, within: 1m}], until: {change: {device: physical_drive, kinds: [replaced]}}, resolve: [{state: {device: physical_drive, field: state, is: Failed}}, {state: {device: physical_drive, field: state, is: Onln}}]}}
  - {id: n-times, name: A, class: n-times, severity: warning, summary: "{{ .Reason }}", runbook: a#b, expires: 20s, sequence: {steps: [{any: [{event: {provider: a}}, {event: {provider: b}}], times: 3, within: 30s}]}}
  - {id: n-boot, name: A, class: n-boot, severity: warning, summary: "{{ .Reason }}", runbook: a#b, expires: 1m, sequence: {steps: [{boot: new}, {event: {provider: [a, b]}, within: 30s}], resolve: {event: {provider: c}}}}
`

func nightlyRules(t testing.TB) []*rule.Rule {
	extra, err := rule.Parse("night.yml", []byte(nightRules))
	if err != nil {
		t.Fatal(err)
	}
	return append(testRules(t), extra...)
}

// randomNight is a fleet to which everything happens, as the seed says. watch is
// called every second.
func randomNight(t testing.TB, seed uint64, watch ...func(*world)) *world {
	r := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(t)
	for i := range 8 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", fmt.Sprintf("r%d", i/4))
	}
	var held []func() // frames on their way, which others overtake
	rack := 30 + r.IntN(60)
	w.run(150*time.Second, func(second int) {
		for i, s := range w.sims[:8] {
			if i >= 4 && second >= rack && second < rack+50 {
				continue
			}
			switch n := r.IntN(60); {
			case n < 12 && !s.silent:
				s.noise(r, &held)
			case n < 17 && !s.silent:
				s.drives(r)
			case n == 17 && !s.silent:
				s.boot = w.now
				s.beat()
			case n == 18 && second > 20 && r.IntN(3) == 0:
				s.silent = !s.silent
			case n == 19 && !s.silent && r.IntN(4) == 0:
				s.bye()
			case n == 20 && s.silent:
				s.silent = false
				s.start()
			}
		}
		if len(held) > 0 && r.IntN(3) == 0 {
			at := r.IntN(len(held))
			held[at]()
			held = slices.Delete(held, at, at+1)
		}
		switch {
		case second == rack: // a rack loses power
			for _, s := range w.sims[4:8] {
				s.silent = true
			}
		case second == rack+50:
			for _, s := range w.sims[4:8] {
				s.silent = false
			}
		case second == 25 && r.IntN(2) == 0:
			d := w.sims[r.IntN(8)]
			c := &sim{w: w, id: d.id, name: d.name, site: d.site, rack: d.rack, machine: d.machine, board: "other", epoch: d.epoch}
			c.start()
			w.sims = append(w.sims, c)
		case r.IntN(200) == 0:
			w.down = true
		case w.down && r.IntN(8) == 0:
			w.down = false
			for _, s := range w.sims {
				s.flush()
			}
		}
		for _, f := range watch {
			f(w)
		}
	})
	w.down = false
	w.tick() // all partitions end at one moment
	return w
}

// noise sends an event, sometimes twice, and sometimes later than what follows.
func (s *sim) noise(r *rand.Rand, held *[]func()) {
	provider := []string{"a", "a", "b", "c", "disk"}[r.IntN(5)]
	e := record.Record{Time: s.clock().Add(-time.Duration(r.IntN(8)) * time.Second), Observed: s.clock(), Name: record.NameWindowsEvent, Body: "something", Attrs: []record.Attr{
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(provider)}, {Key: record.AttrEventID, Value: record.Int(7)},
		{Key: "event.data.n", Value: record.String([]string{"1", "2"}[r.IntN(2)])}}}
	h := record.Header{Producer: record.ExporterProducer(s.id), Subject: s.id, Category: record.EventLog, Epoch: s.epoch, First: s.seq[record.EventLog] + 1, Sent: s.clock().UnixNano()}
	frame, err := record.EncodeData(h, []record.Record{e})
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.seq[record.EventLog]++
	switch r.IntN(8) {
	case 0:
		*held = append(*held, func() { s.deliver(frame) })
	case 1:
		s.deliver(frame)
		s.deliver(frame)
	default:
		s.deliver(frame)
	}
}

// drives sends a snapshot of drives in some state.
func (s *sim) drives(r *rand.Rand) {
	snap := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}, {Type: record.DeviceVirtualDrive}}}
	for i := range 3 {
		if r.IntN(12) == 0 {
			continue
		}
		snap.Devices = append(snap.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: fmt.Sprintf("c0/e1/s%d", i), Occupant: []string{"", "A", "A", "B"}[r.IntN(4)] + fmt.Sprint(i), Fields: []record.Attr{
			{Key: record.FieldState, Value: record.String([]string{"Onln", "Onln", "Failed", "Rbld"}[r.IntN(4)])}, {Key: "media_errors", Value: record.Int(int64(r.IntN(3) + int(s.seq[record.RAID])))}}})
	}
	snap.Devices = append(snap.Devices, record.Device{Type: record.DeviceVirtualDrive, Place: "c0/v0", Fields: []record.Attr{{Key: record.FieldState, Value: record.String([]string{"Optl", "Dgrd"}[r.IntN(2)])}}})
	s.send(record.RAID, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameSnapshot, Snapshot: snap})
}

// chaos is how many crashes TestChaosCommits makes, and where its seeds begin:
// some hundred, always the same, in CI, ten thousand of this day in `make
// chaos`; NOCTURNE_CHAOS_POINTS asks for another number.
func chaos(t testing.TB) (points int, seed uint64) {
	today := uint64(time.Now().UnixNano()) >> 8 << 8
	if n := os.Getenv("NOCTURNE_CHAOS_POINTS"); n != "" {
		points, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("NOCTURNE_CHAOS_POINTS: %v", err)
		}
		return points, today
	}
	switch {
	case os.Getenv("NOCTURNE_CHAOS") != "":
		return 10_000, today
	default:
		return rounds(300, 15), 0
	}
}

// TestChaosCommits crashes at random commits, before and after they are in, and
// a run without a crash is the model: whatever happens, the store holds the
// same in the end. All kinds of rules take part, and the fleet operator.
func TestChaosCommits(t *testing.T) {
	rules := nightlyRules(t)
	kinds := map[string]string{}
	for _, r := range rules {
		kinds[r.ID] = r.Kind
	}
	spoke := map[string]int{}
	points, seed := chaos(t)
	crashes, runs := 0, 0
	for ; crashes < points; seed++ {
		w := randomNight(t, seed)
		model := openStore(t)
		newDriver(t, w.log, model, rules...).must()
		want := dump(t, model)
		for id, kind := range kinds {
			if strings.Contains(want, `"`+id+`"`) {
				spoke[kind]++
			}
		}
		spoke["fold"] += strings.Count(want, `"RackSilent"`) + strings.Count(want, `"SiteSilent"`)
		for again := range 3 {
			n := crashTest(t, w, want, rules, seed, uint64(again))
			crashes, runs = crashes+n, runs+1
		}
	}
	t.Logf("%d crashes in %d runs; rules that spoke by kind, and folds: %v", crashes, runs, spoke)
	if testing.Short() {
		return // too few nights for everything to happen
	}
	for _, kind := range []string{"match", "state", "change", "count", "flap", "absent", "clone", "sequence", "fold"} {
		if spoke[kind] == 0 {
			t.Errorf("nothing of kind %s happened", kind)
		}
	}
}

// What all kinds of rules say live, second by second, is what a replay says.
func TestRandomNightLive(t *testing.T) {
	rules := nightlyRules(t)
	for seed := range uint64(rounds(2, 1)) {
		live, replay := openStore(t), openStore(t)
		var d *driver
		w := randomNight(t, seed, func(w *world) {
			if d == nil {
				d = newDriver(t, w.log, live, rules...)
			}
			d.must()
		})
		d.must()
		newDriver(t, w.log, replay, rules...).must()
		if want, got := dump(t, replay), dump(t, live); got != want {
			t.Fatalf("seed %d: replay differs:\n%s", seed, difference(want, got))
		}
	}
}

// crashTest plays a log with crashes until it is through, and returns how many
// there were.
func crashTest(t *testing.T, w *world, want string, rules []*rule.Rule, seed, again uint64) int {
	r := rand.New(rand.NewPCG(seed, 3+again))
	inner := openStore(t)
	s := &crashing{Store: inner, fail: func() (bool, bool) { return r.IntN(4) == 0, r.IntN(4) == 0 }}
	d := newDriver(t, w.log, s, rules...)
	d.fold = r.IntN(6)
	d.untilCalm(r, 40, 3, 2)
	if got := dump(t, inner); got != want {
		t.Fatalf("seed %d, run %d, %d crashes:\n%s", seed, again, s.crashes, difference(want, got))
	}
	return s.crashes
}
