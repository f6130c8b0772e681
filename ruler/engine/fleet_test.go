package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/probe"
	"nocturne/ruler/store"
)

// TestFleetStories: each step is "seconds kind server site rack", or
// "seconds tick"; printed is what comes of it. State is saved and loaded before
// every step.
func TestFleetStories(t *testing.T) {
	sizes := []store.GroupSize{{Site: "fra", Rack: "r1", Servers: 5}, {Site: "fra", Rack: "r2", Servers: 5}, {Site: "fra", Rack: "r3", Servers: 10}, {Site: "muc", Servers: 4}, {Site: "muc", Servers: 50, Simulated: true},
		{Site: "ber", Rack: "r1", Subnet: "192.0.2.0/24", Servers: 2}, {Site: "ber", Rack: "r2", Subnet: "192.0.2.0/24", Servers: 2}, {Site: "ber", Rack: "r3", Subnet: "192.0.3.0/24", Servers: 20},
		{Rack: "", Subnet: "192.0.4.0/24", Servers: 4}, {Rack: "", Servers: 3}}
	for _, c := range []struct{ name, in, want string }{
		{"one server alone is told at once", `
			0 overdue a fra r1
			9 silent a fra r1
			20 back a fra r1`, `
			9 alone a`},
		{"a rack: the first deadline folds, the neighbours are overdue", `
			0 overdue a fra r1
			1 overdue b fra r1
			2 overdue c fra r1
			9 silent a fra r1
			10 silent b fra r1
			11 silent c fra r1
			30 back a fra r1
			31 back b fra r1
			32 back c fra r1`, `
			9 firing rack r1 at fra
			9 folded a
			10 folded b
			11 folded c
			32 resolved rack r1 at fra: all of them are back`},
		{"two of five are two", `
			0 overdue a fra r1
			1 overdue b fra r1
			9 silent a fra r1
			10 silent b fra r1`, `
			9 alone a
			10 alone b`},
		{"three of ten are three", `
			0 overdue a fra r3
			1 overdue b fra r3
			2 overdue c fra r3
			9 silent a fra r3`, `
			9 alone a`},
		{"a site, over its racks", `
			0 overdue a fra r1
			0 overdue b fra r1
			0 overdue c fra r2
			0 overdue d fra r2
			0 overdue e fra r3
			0 overdue f fra r3
			0 overdue g fra r3
			0 overdue h fra r3
			0 overdue i fra r3
			0 overdue j fra r3
			9 silent a fra r1
			10 silent e fra r3`, `
			9 firing site fra
			9 folded a
			10 folded e`},
		{"a site without racks", `
			0 overdue a muc -
			0 overdue b muc -
			9 silent c muc -`, `
			9 firing site muc
			9 folded c`},
		{"overdue ones that come back in time do not count", `
			0 overdue a fra r1
			1 overdue b fra r1
			2 overdue c fra r1
			3 back b fra r1
			9 silent a fra r1`, `
			9 alone a`},
		{"stragglers are told by name", `
			0 overdue a fra r1
			1 overdue b fra r1
			2 overdue c fra r1
			9 silent a fra r1
			10 silent b fra r1
			11 silent c fra r1
			30 back a fra r1
			31 back b fra r1
			200 tick
			400 tick`, `
			9 firing rack r1 at fra
			9 folded a
			10 folded b
			11 folded c
			400 alone c
			400 resolved rack r1 at fra: most are back, 1 stay silent and are told by name`},
		{"decommissioned while silent", `
			0 overdue a fra r1
			1 overdue b fra r1
			9 silent c fra r1
			20 gone c fra r1`, `
			9 firing rack r1 at fra
			9 folded c
			20 resolved rack r1 at fra: all of them are back`},
		{"a subnet over two racks", `
			0 overdue a ber r1 192.0.2.1
			1 overdue b ber r1 192.0.2.2
			2 overdue c ber r2 192.0.2.3
			3 overdue d ber r3 192.0.3.4
			9 silent a ber r1 192.0.2.1
			10 silent c ber r2 192.0.2.3
			11 silent d ber r3 192.0.3.4
			20 back a ber r1 192.0.2.1
			21 back c ber r2 192.0.2.3`, `
			9 firing subnet 192.0.2.0/24 at ber
			9 folded a
			10 folded c
			11 alone d
			21 resolved subnet 192.0.2.0/24 at ber: all of them are back`},
		{"without labels the subnet says more than no site", `
			0 overdue a - - 192.0.4.1
			1 overdue b - - 192.0.4.2
			2 overdue c - - 192.0.4.3
			3 overdue d - - 192.0.4.4
			9 silent a - - 192.0.4.1`, `
			9 firing subnet 192.0.4.0/24
			9 folded a`},
		{"servers that never came: one is told, a list is one", `
			0 missing a fra r1
			50 missing b fra r1
			119 tick
			120 tick
			200 missing c muc r1
			201 missing d muc r1
			202 missing e muc r1
			203 missing f muc r1
			204 found d muc r1
			330 tick
			340 missing g muc r1
			470 tick
			500 found c muc r1
			501 found e muc r1
			502 found f muc r1
			503 found g muc r1`, `
			120 alone a
			120 alone b
			204 alone d
			330 firing site muc
			330 folded c
			330 folded e
			330 folded f
			470 folded g
			503 resolved site muc: all of them came, or are not expected any more`},
		{"what was told stays told", `
			0 overdue a fra r1
			9 silent a fra r1
			20 overdue b fra r1
			21 overdue c fra r1
			22 overdue d fra r1
			30 silent b fra r1`, `
			9 alone a
			30 firing rack r1 at fra
			30 folded b`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fleetStory(t, c.in, sizes); got != unindent(c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, unindent(c.want))
			}
		})
	}
}

func unindent(s string) string {
	var out []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

func fleetStory(t *testing.T, in string, sizes []store.GroupSize) string {
	f := newFleet()
	var out []string
	open := map[string]bool{}
	for row := range strings.Lines(unindent(in)) {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if f, err = loadFleet(b, nil); err != nil {
			t.Fatal(err)
		}
		w := strings.Fields(row)
		var sec int
		if _, err := fmt.Sscan(w[0], &sec); err != nil {
			t.Fatal(err)
		}
		at := t0.Add(time.Duration(sec) * time.Second)
		var o outcome
		if w[1] == "tick" {
			f.tick(at, &o)
		} else {
			x := store.Fact{Kind: store.FactKind(w[1]), At: at, Server: record.ID{w[2][0]}, Site: strings.Trim(w[3], "-"), Rack: strings.Trim(w[4], "-"), Notification: w[2]}
			if len(w) > 5 {
				x.Address = w[5]
			}
			if err := f.apply(x, func(time.Time) (map[group]int, error) { return groupSizes(sizes), nil }, &o); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range o.notes {
			if n.State == "firing" && open[n.ID] {
				continue // told anew with another number
			}
			open[n.ID] = true
			line := fmt.Sprintf("%s %s %s", w[0], n.State, n.Device)
			if n.State == "resolved" {
				line += ": " + n.Reason
			}
			defer func() {
				if n.Labels["notification_id"] != n.ID || n.Labels["alertname"] == "" || n.Annotations["summary"] == "" {
					t.Errorf("labels %v annotations %v", n.Labels, n.Annotations)
				}
			}()
			if n.State == "firing" {
				out = append(out, line)
				continue
			}
			out = append(out, folds(w[0], &o)...)
			o.folds = nil
			out = append(out, line)
		}
		out = append(out, folds(w[0], &o)...)
	}
	return strings.Join(out, "\n")
}

func folds(at string, o *outcome) []string {
	var out []string
	for _, d := range o.folds {
		if d.Into == "" {
			out = append(out, at+" alone "+d.Notification)
		} else {
			out = append(out, at+" folded "+d.Notification)
		}
	}
	return out
}

// A silence that stands for itself waits for what its machine answers, also over
// a crash; what is over, or folded meanwhile, does not.
func TestSilenceWaitsForAnAnswer(t *testing.T) {
	f := newFleet()
	f.asks = true
	sizes := func(time.Time) (map[group]int, error) {
		return groupSizes([]store.GroupSize{{Site: "fra", Rack: "r1", Servers: 6}}), nil
	}
	fact := func(kind store.FactKind, name string) *outcome {
		t.Helper()
		var o outcome
		x := store.Fact{Kind: kind, At: t0, Server: record.ID{name[0]}, Site: "fra", Rack: "r1", Address: "192.0.2." + fmt.Sprint(name[0]), Notification: name}
		if err := f.apply(x, sizes, &o); err != nil {
			t.Fatal(err)
		}
		return &o
	}
	if o := fact(store.FactSilent, "a"); len(o.folds) != 0 || len(o.asks) != 1 || o.asks[0].address != "192.0.2.97" {
		t.Fatalf("%+v", o)
	}
	// A crash: the answer is lost, the question is not.
	b, err := f.save(true)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = loadFleet(b, nil); err != nil {
		t.Fatal(err)
	}
	f.asks = true
	var o outcome
	f.again(&o)
	if len(o.asks) != 1 || o.asks[0].notification != "a" {
		t.Fatalf("after a crash: %+v", o)
	}
	a := o.asks[0]
	f.answer(a, probe.Answer{State: probe.Unreachable, Detail: "why"}, t0, &o)
	if len(o.folds) != 1 || o.folds[0] != (store.Fold{Notification: "a", Probe: "unreachable (why)", At: t0}) {
		t.Fatalf("%+v", o.folds)
	}
	f.answer(a, probe.Answer{State: probe.Answers}, t0, &o)
	if len(o.folds) != 1 {
		t.Fatalf("answered twice: %+v", o.folds)
	}
	// It comes back before the answer.
	fact(store.FactSilent, "b")
	if o := fact(store.FactBack, "b"); len(o.folds) != 1 || o.folds[0] != (store.Fold{Notification: "b", At: t0}) {
		t.Fatalf("%+v", o.folds)
	}
	// A third and fourth of six: both become a rack's, one waited already.
	fact(store.FactSilent, "c")
	got := fact(store.FactSilent, "d")
	if len(got.folds) != 2 || got.folds[0].Into == "" || got.folds[1].Into == "" || len(got.asks) != 3 || len(f.asking) != 0 {
		t.Fatalf("%+v", got)
	}
	id := got.notes[0].ID
	if !f.holds(id) {
		t.Error("the rack is told before its machines were asked")
	}
	var end outcome
	for i, a := range got.asks {
		f.answer(a, probe.Answer{State: []probe.State{probe.Answers, probe.Unreachable, probe.NotProbed}[i]}, t0, &end)
	}
	if f.holds(id) || len(end.folds) != 1 || end.folds[0] != (store.Fold{Notification: id, Probe: "1 of 2 machines that were asked answer", At: t0}) {
		t.Errorf("%+v", end.folds)
	}
}

// The sums that are kept beside the members are right after any facts, and
// deltas over a base are the same as everything.
func TestFleetSums(t *testing.T) {
	for seed := range uint64(rounds(10, 2)) {
		dice := rand.New(rand.NewPCG(seed, 1))
		f := newFleet()
		f.asks = seed%2 == 0
		base, err := f.save(true)
		if err != nil {
			t.Fatal(err)
		}
		var deltas [][]byte
		var asked []ask
		sizes := func(time.Time) (map[group]int, error) { return map[group]int{{site: "s0"}: 8, {site: "s1"}: 9}, nil }
		kinds := []store.FactKind{store.FactOverdue, store.FactSilent, store.FactSilent, store.FactBack, store.FactGone, store.FactMissing, store.FactFound}
		for i := range 400 {
			var o outcome
			at := t0.Add(time.Duration(i) * 7 * time.Second)
			n := byte(dice.IntN(12))
			x := store.Fact{Kind: kinds[dice.IntN(len(kinds))], At: at, Server: record.ID{n}, Site: fmt.Sprint("s", n%2), Rack: fmt.Sprint("r", n%3), Address: fmt.Sprintf("192.0.%d.%d", n%4, n), Notification: fmt.Sprint("n", i)}
			if err := f.apply(x, sizes, &o); err != nil {
				t.Fatal(err)
			}
			if asked = append(asked, o.asks...); len(asked) > 3 {
				f.answer(asked[0], probe.Not("x"), at, &o)
				asked = asked[1:]
			}
			f.tick(at, &o)
			d, err := f.save(false)
			if err != nil {
				t.Fatal(err)
			}
			if deltas = append(deltas, d); i%20 > 0 {
				continue
			}
			again, err := loadFleet(base, deltas)
			if err != nil {
				t.Fatal(err)
			}
			f.dirty = newDirtyFleet()
			again.asks = f.asks
			if !reflect.DeepEqual(again, f) {
				t.Fatalf("seed %d, step %d %+v:\nloaded %+v\nis     %+v", seed, i, x, again, f)
			}
		}
	}
}

// How often time passes, and how far at once, changes nothing: what was due is
// said as of when it was due.
func TestFleetTimePassesAlike(t *testing.T) {
	sizes := func(time.Time) (map[group]int, error) { return map[group]int{{site: "s0"}: 8, {site: "s1"}: 9}, nil }
	ended, missed := 0, 0
	for seed := range uint64(40) {
		play := func(often int) string {
			facts, ticks := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			kinds := []store.FactKind{store.FactOverdue, store.FactSilent, store.FactSilent, store.FactBack, store.FactGone, store.FactMissing, store.FactFound}
			f, now := newFleet(), t0
			var o outcome
			for i := range 300 {
				at := now.Add(time.Duration(facts.IntN(100)) * time.Second)
				if facts.IntN(20) == 0 {
					at = at.Add(10 * time.Minute)
				}
				for range often {
					if now = now.Add(time.Duration(ticks.IntN(int(time.Minute)))); now.Before(at) {
						f.tick(now, &o)
					}
				}
				f.tick(at, &o)
				n := byte(facts.IntN(12))
				x := store.Fact{Kind: kinds[facts.IntN(len(kinds))], At: at, Server: record.ID{n}, Site: fmt.Sprint("s", n%2), Notification: fmt.Sprint("n", i)}
				if err := f.apply(x, sizes, &o); err != nil {
					t.Fatal(err)
				}
				now = at
			}
			var lines []string
			line := func(v any) {
				b, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, string(b))
			}
			line(f)
			for _, v := range o.folds {
				line(v)
			}
			for _, v := range o.notes {
				line(v)
			}
			slices.Sort(lines)
			return strings.Join(lines, "\n")
		}
		want := play(0)
		ended, missed = ended+strings.Count(want, "stay silent and are told by name"), missed+strings.Count(want, "did not come")
		for often := range 3 {
			if got := play(often); got != want {
				t.Fatalf("seed %d: %s", seed, difference(want, got))
			}
		}
	}
	if ended == 0 || missed == 0 {
		t.Errorf("%d folds ended by time, %d were of servers that never came", ended, missed)
	}
}

func TestBridgeProblemIsToldOnce(t *testing.T) {
	f := newFleet()
	var o outcome
	for i := range 5 {
		f.bridges(frozenProbe, t0.Add(time.Duration(i)*time.Minute), &o)
	}
	if len(o.notes) != 1 || o.notes[0].State != "firing" || o.notes[0].Version != 1 {
		t.Fatalf("notes %+v", o.notes)
	}
	f.bridges("", t0.Add(time.Hour), &o)
	f.bridges("", t0.Add(2*time.Hour), &o)
	if len(o.notes) != 1 || o.notes[0].State != "resolved" || !o.notes[0].Resolved.Equal(t0.Add(time.Hour)) {
		t.Fatalf("notes %+v", o.notes)
	}
}

func TestFactsOfAPartitionKeepTheirOrder(t *testing.T) {
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	facts := []store.Fact{{Seq: 1, Partition: 1, At: at(7200)}, {Seq: 2, Partition: 1, At: at(1)}, {Seq: 3, Partition: 2, At: at(5)}, {Seq: 4, Partition: 0, At: at(2)}}
	sortFacts(facts)
	var got []uint64
	for _, f := range facts {
		got = append(got, f.Seq)
	}
	if !slices.Equal(got, []uint64{4, 3, 1, 2}) {
		t.Errorf("order %v", got)
	}
}

// How many servers a rack has is asked as of the silence, not as of the moment in
// which a ruler that was away gets to it.
func TestReplayCountsServersAsTheyWere(t *testing.T) {
	live := openStore(t)
	w := newWorld(t)
	for i := range 4 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", "r1")
		w.add(101+i, fmt.Sprintf("far%02d", i+1), "zug", "r9")
	}
	d := newDriver(t, w.log, live)
	w.run(155*time.Second, func(second int) {
		switch second {
		case 60:
			for _, s := range w.sims {
				s.silent = s.site == "fra"
			}
		case 150:
			for i := range 20 {
				w.add(10+i, fmt.Sprintf("new%02d", i+1), "fra", "r1")
			}
		}
		if second%15 == 0 {
			d.must()
		}
	})
	d.must()
	if got := strings.Join(told(t, live), "\n"); !strings.Contains(got, "rack r1 at fra") && !strings.Contains(got, "site fra") {
		t.Fatalf("nothing told of the group:\n%s", got)
	}
	if want, got := dump(t, live), reference(t, w); got != want {
		t.Fatalf("replay differs:\n%s", difference(want, got))
	}
}

// A server that is in the register and never comes is told after its time, and is
// nobody's concern when it is taken out.
func TestExpectedServerThatNeverComes(t *testing.T) {
	w := newWorld(t)
	never := w.add(1, "db1", "fra", "r1")
	never.silent = true
	w.add(2, "db2", "fra", "r1")
	rules := parsed(t, "rules:\n  - {id: never, name: Never, class: never-heard, severity: warning, summary: n, runbook: a#b, absent: {category: heartbeat, after: 40s, while: expected}}\n")
	s := openStore(t)
	d := newDriver(t, w.log, s, rules...)
	state := func() string {
		t.Helper()
		d.must()
		p, err := s.Notifications(ctx, store.NotificationQuery{Class: "never-heard"})
		if err != nil || len(p.Notifications) > 1 {
			t.Fatalf("%d notifications, %v", len(p.Notifications), err)
		}
		if len(p.Notifications) == 0 {
			return ""
		}
		n := p.Notifications[0]
		if n.Server != never.id {
			t.Errorf("about %s", n.Name)
		}
		return string(n.State) + " " + n.Reason
	}
	w.run(35 * time.Second)
	if got := state(); got != "" {
		t.Errorf("before its time: %s", got)
	}
	w.run(15 * time.Second)
	if got := state(); !strings.HasPrefix(got, "firing in the register for 40s, and nothing was ever heard of it") {
		t.Errorf("after its time: %s", got)
	}
	never.registryRecord(record.NameDecommissioned)
	w.run(5 * time.Second)
	if got := state(); !strings.HasPrefix(got, "resolved") || !strings.Contains(got, "decommissioned") {
		t.Errorf("taken out: %s", got)
	}
}
