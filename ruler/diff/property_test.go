package diff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"nocturne/internal/record"
)

// world makes random snapshots of a small machine, so that the odd cases are
// frequent: few places, few serials, many of them unknown.
type world struct{ *rand.Rand }

var places = []string{"c0/s1", "c0/s2", "c0/s3", "c1/s1", "c1/s2"}

func (w world) snapshot() *record.Snapshot {
	s := &record.Snapshot{}
	for _, scope := range []string{"", "c0", "c1"} {
		if w.IntN(3) > 0 {
			s.Sections = append(s.Sections, record.Section{Type: "drive", Scope: scope})
		}
	}
	for _, p := range places {
		if w.IntN(3) == 0 {
			continue
		}
		covered := slices.ContainsFunc(s.Sections, func(sec record.Section) bool { return sec.Covers("drive", p) })
		if !covered {
			continue // an exporter lists what it observed
		}
		d := record.Device{Type: "drive", Place: p, Occupant: []string{"", "N/A", "A", "B", "C", "D"}[w.IntN(6)]}
		for _, f := range []string{"state", "model", "temperature_celsius"} {
			if w.IntN(3) > 0 {
				d.Fields = append(d.Fields, record.Attr{Key: f, Value: record.String([]string{"", "N/A", "1", "2"}[w.IntN(4)])})
			}
		}
		s.Devices = append(s.Devices, d)
	}
	return s
}

func (w world) shuffled(s *record.Snapshot) *record.Snapshot {
	c := &record.Snapshot{Sections: slices.Clone(s.Sections), Devices: slices.Clone(s.Devices)}
	w.Shuffle(len(c.Sections), func(i, j int) { c.Sections[i], c.Sections[j] = c.Sections[j], c.Sections[i] })
	w.Shuffle(len(c.Devices), func(i, j int) { c.Devices[i], c.Devices[j] = c.Devices[j], c.Devices[i] })
	for i := range c.Devices {
		f := slices.Clone(c.Devices[i].Fields)
		w.Shuffle(len(f), func(a, b int) { f[a], f[b] = f[b], f[a] })
		c.Devices[i].Fields = f
	}
	return c
}

func observed(s *record.Snapshot, place string) bool {
	return newView(s).observed(seat(place))
}

func seat(p string) place { return place{"drive", p} }

func TestProperties(t *testing.T) {
	for seed := range uint64(3000) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		prev, cur := Merge(w.snapshot(), w.snapshot()), w.snapshot()
		before := show(prev) + show(cur)
		changes := Diff(prev, cur)
		next := Merge(prev, cur)
		if bothChanges, both := Compare(prev, cur); texts(bothChanges) != texts(changes) || show(both) != show(next) {
			t.Fatalf("seed %d: Compare says something else than Diff and Merge", seed)
		}
		fail := func(format string, args ...any) {
			t.Fatalf("seed %d: %s\nprev:\n%scur:\n%schanges:\n%s\nmerged:\n%s", seed, fmt.Sprintf(format, args...), show(prev), show(cur), texts(changes), show(next))
		}
		if show(prev)+show(cur) != before {
			fail("an argument was changed")
		}
		// The order in which things are listed means nothing.
		if got := texts(Diff(w.shuffled(prev), w.shuffled(cur))); got != texts(changes) {
			fail("another order gives\n%s", got)
		}
		if got := show(Merge(w.shuffled(prev), w.shuffled(cur))); got != show(next) {
			fail("another order gives\n%s", got)
		}
		// The same again changes nothing, and adds nothing.
		if again := Diff(next, cur); len(Significant(again)) != 0 {
			fail("the same snapshot again changes\n%s", texts(again))
		}
		if got := show(Merge(next, cur)); got != show(next) {
			fail("the same snapshot again gives\n%s", got)
		}
		checkChanges(fail, prev, cur, next, changes)
	}
}

func checkChanges(fail func(string, ...any), prev, cur, next *record.Snapshot, changes []Change) {
	here := map[string]int{}
	for _, c := range changes {
		if c.Kind != Field {
			here[c.Place]++
		}
		if !observed(cur, c.Place) {
			fail("%s: the place was not observed", c.text())
		}
		cameHere := slices.ContainsFunc(changes, func(m Change) bool { return m.Kind == Moved && m.Place == c.Place })
		if !observed(prev, c.Place) && !cameHere {
			fail("%s: the place was not observed before", c.text())
		}
		for _, v := range []record.Value{c.Before, c.After} {
			if c.Kind != Field && !v.IsNull() && Known(v.Text()) == "" {
				fail("%s: a serial that is not known", c.text())
			}
		}
	}
	for p, n := range here {
		if n > 2 { // a part moved here over another one
			fail("%d changes of the device at %s", n, p)
		}
	}
	nextView, curView := newView(next), newView(cur)
	for _, p := range places {
		at := seat(p)
		was, is := newView(prev).devices[at], nextView.devices[at]
		switch {
		case !curView.observed(at) && was != nil && is == nil:
			fail("%s was not observed and is gone", p)
		case curView.observed(at) && (curView.devices[at] == nil) != (is == nil):
			fail("%s is not as observed", p)
		}
		// A known serial that is reported is what is kept.
		if n := curView.occupant(at); n != "" && (is == nil || is.Occupant != n) {
			fail("%s reports %s, and something else is kept", p, n)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	s := &record.Snapshot{Sections: []record.Section{{Type: "physical_drive"}}}
	for i := range 24 {
		d := record.Device{Type: "physical_drive", Place: fmt.Sprintf("c0/e252/s%d", i), Occupant: fmt.Sprintf("ZA%06d", i)}
		for j := range 16 {
			d.Fields = append(d.Fields, record.Attr{Key: fmt.Sprintf("field_%d", j), Value: record.Int(int64(j))})
		}
		s.Devices = append(s.Devices, d)
	}
	prev := Merge(nil, s)
	b.Run("diff", func(b *testing.B) {
		for b.Loop() {
			Diff(prev, s)
		}
	})
	b.Run("compare", func(b *testing.B) {
		for b.Loop() {
			Compare(prev, s)
		}
	})
	b.Run("stable", func(b *testing.B) {
		for b.Loop() {
			Stable(s)
		}
	})
	b.Run("merge", func(b *testing.B) {
		for b.Loop() {
			Merge(prev, s)
		}
	})
}
