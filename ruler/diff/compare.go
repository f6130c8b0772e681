package diff

import (
	"cmp"
	"slices"
	"strings"

	"nocturne/internal/record"
)

// place is where a device sits: with the server, a device's key.
type place struct{ typ, place string }

// serial is a known occupant; serials of different types have nothing to do
// with each other.
type serial struct{ typ, number string }

// view is a snapshot prepared for comparing.
type view struct {
	devices  map[place]*record.Device
	raw      []record.Section
	sections map[string][]record.Section // by type
	seats    map[serial]place            // known serials: exactly one place each
	double   map[serial]bool             // reported at several places: not known
}

// newView indexes a snapshot. Of several devices at one place the last counts.
func newView(s *record.Snapshot) *view {
	v := &view{raw: s.Sections, devices: make(map[place]*record.Device, len(s.Devices)), sections: map[string][]record.Section{},
		seats: make(map[serial]place, len(s.Devices)), double: map[serial]bool{}}
	for _, sec := range s.Sections {
		v.sections[sec.Type] = append(v.sections[sec.Type], sec)
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		v.devices[place{d.Type, d.Place}] = d
	}
	for at, d := range v.devices {
		n := Known(d.Occupant)
		if n == "" {
			continue
		}
		k := serial{d.Type, n}
		if _, twice := v.seats[k]; twice {
			v.double[k] = true
		}
		v.seats[k] = at
	}
	for k := range v.double {
		delete(v.seats, k)
	}
	return v
}

// occupant returns the known serial at a place, or "".
func (v *view) occupant(at place) string {
	d := v.devices[at]
	if d == nil {
		return ""
	}
	n := Known(d.Occupant)
	if n == "" || v.double[serial{at.typ, n}] {
		return ""
	}
	return n
}

// observed tells whether the snapshot says what sits at a place: it lists a
// device there, or one of its sections covers it.
func (v *view) observed(at place) bool {
	if v.devices[at] != nil {
		return true
	}
	return slices.ContainsFunc(v.sections[at.typ], func(s record.Section) bool { return s.Covers(at.typ, at.place) })
}

// pair is two views, and who moved between them.
type pair struct {
	prev, cur *view
	moved     map[place]place // new place → old place
	left      map[place]bool  // old places of those
}

func newPair(prev, cur *record.Snapshot) *pair {
	p := &pair{prev: newView(prev), cur: newView(cur), moved: map[place]place{}, left: map[place]bool{}}
	for k, from := range p.prev.seats {
		to, ok := p.cur.seats[k]
		// Its old place must have been looked at: the same serial at two places,
		// one of them not observed now, may be two parts with one number.
		if ok && to != from && p.cur.observed(from) {
			p.moved[to], p.left[from] = from, true
		}
	}
	return p
}

// Diff returns what changed from prev to cur, sorted by type, place, kind and
// field. Before the first snapshot nothing is known, so nothing changed.
func Diff(prev, cur *record.Snapshot) []Change {
	if prev == nil || cur == nil {
		return nil
	}
	return newPair(prev, cur).changes()
}

// Compare returns what Diff and Merge return, at little more than the price of
// one of them.
func Compare(prev, cur *record.Snapshot) ([]Change, *record.Snapshot) {
	if prev == nil || cur == nil {
		return nil, Merge(prev, cur)
	}
	p := newPair(prev, cur)
	return p.changes(), p.merge()
}

func (p *pair) changes() []Change {
	var out []Change
	for at, d := range p.cur.devices {
		if from, ok := p.moved[at]; ok {
			out = append(out, p.move(at, from)...)
			continue
		}
		old := p.prev.devices[at]
		if old == nil {
			if p.prev.observed(at) {
				out = append(out, Change{Kind: Added, Type: at.typ, Place: at.place, Occupant: p.cur.occupant(at)})
			}
			continue
		}
		before, after := p.prev.occupant(at), p.cur.occupant(at)
		if before != "" && after != "" && before != after {
			out = append(out, p.replaced(at, before, after)...)
			continue
		}
		if after == "" && p.left[at] {
			// Who sat here is elsewhere now, so this is a part without a number.
			out = appendFields(out, at, "", old, d, true)
			continue
		}
		out = appendFields(out, at, cmp.Or(after, before), old, d, false)
	}
	for at := range p.prev.devices {
		if p.cur.devices[at] == nil && !p.left[at] && p.cur.observed(at) {
			out = append(out, Change{Kind: Removed, Type: at.typ, Place: at.place, Occupant: p.prev.occupant(at)})
		}
	}
	slices.SortFunc(out, compareChanges)
	return out
}

// move returns the changes at a place to which a known serial moved. Who sat
// there before and did not move on is replaced by it.
func (p *pair) move(at, from place) []Change {
	number := p.cur.occupant(at)
	before := p.prev.occupant(at)
	out := []Change{{Kind: Moved, Type: at.typ, Place: at.place, From: from.place, Occupant: number,
		Before: known(before), After: record.String(number)}}
	if before != "" && !p.left[at] {
		out = append(out, Change{Kind: Replaced, Type: at.typ, Place: at.place, Occupant: number, Before: known(before), After: record.String(number)})
	}
	// It is the same part, so its own fields are compared with what they were at
	// the old place.
	return appendFields(out, at, number, p.prev.devices[from], p.cur.devices[at], false)
}

func (p *pair) replaced(at place, before, after string) []Change {
	out := []Change{{Kind: Replaced, Type: at.typ, Place: at.place, Occupant: after, Before: record.String(before), After: record.String(after)}}
	// Another part has another model and other counters; that is what replaced
	// means. How the place is doing is still worth a line.
	return appendFields(out, at, after, p.prev.devices[at], p.cur.devices[at], true)
}

func known(number string) record.Value {
	if number == "" {
		return record.Value{}
	}
	return record.String(number)
}

func appendFields(out []Change, at place, occupant string, old, cur *record.Device, statusOnly bool) []Change {
	for i := range cur.Fields {
		f := &cur.Fields[i]
		before := old.Field(f.Key)
		if !KnownValue(before) || !KnownValue(f.Value) || before.Equal(f.Value) || sameNumber(before, f.Value) {
			continue
		}
		class := ClassOf(at.typ, f.Key)
		if statusOnly && class != Status {
			continue
		}
		out = append(out, Change{Kind: Field, Class: class, Type: at.typ, Place: at.place, Occupant: occupant, Field: f.Key, Before: before, After: f.Value})
	}
	return out
}

// sameNumber takes 5 and 5.0 for the same: tools change their mind.
func sameNumber(a, b record.Value) bool {
	x, okX := a.Float()
	y, okY := b.Float()
	return okX && okY && x == y
}

func compareChanges(a, b Change) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Field, b.Field))
}

// Merge returns what is known after cur: the state to keep and to compare the
// next snapshot with. Devices, sections and fields are sorted.
func Merge(prev, cur *record.Snapshot) *record.Snapshot {
	if cur == nil {
		cur = &record.Snapshot{}
	}
	if prev == nil {
		prev = &record.Snapshot{}
	}
	return newPair(prev, cur).merge()
}

func (p *pair) merge() *record.Snapshot {
	out := &record.Snapshot{Sections: unionSections(p.prev.raw, p.cur.raw), Devices: make([]record.Device, 0, len(p.cur.devices))}
	for at, d := range p.cur.devices {
		out.Devices = append(out.Devices, p.merged(at, d))
	}
	slices.SortFunc(out.Devices, compareDevices)
	var unseen []record.Device
	for at, d := range p.prev.devices {
		if p.cur.observed(at) {
			continue // listed above, or gone
		}
		unseen = append(unseen, clone(d))
	}
	// What is not observed is kept, but a server that names new places in every
	// snapshot must not fill the memory.
	slices.SortFunc(unseen, compareDevices)
	out.Devices = append(out.Devices, unseen[:min(len(unseen), max(0, record.MaxDevices-len(out.Devices)))]...)
	slices.SortFunc(out.Devices, compareDevices)
	return out
}

func compareDevices(a, b record.Device) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Place, b.Place))
}

// merged is a reported device with what it did not report now.
func (p *pair) merged(at place, d *record.Device) record.Device {
	out := clone(d)
	out.Occupant = p.cur.occupant(at)
	origin := p.prev.devices[at]
	if from, ok := p.moved[at]; ok {
		origin = p.prev.devices[from]
	} else if before := p.prev.occupant(at); origin != nil {
		switch {
		case out.Occupant == "" && !p.left[at] && !p.seated(at.typ, before):
			out.Occupant = before // the last known occupant stays
		case out.Occupant != "" && before != "" && out.Occupant != before, out.Occupant == "" && p.left[at]:
			origin = nil // another part: nothing of the old one holds
		}
	}
	if origin != nil {
		out.Fields = carry(at.typ, out.Fields, origin.Fields)
	}
	sortFields(out.Fields)
	return out
}

// seated tells whether a serial is reported at some place now.
func (p *pair) seated(typ, number string) bool {
	if number == "" {
		return false
	}
	k := serial{typ, number}
	_, ok := p.cur.seats[k]
	return ok
}

// carry adds what was known of fields that say nothing now. Volatile ones are
// worth nothing when they are old.
func carry(typ string, now, before []record.Attr) []record.Attr {
	for i := range before {
		f := &before[i]
		var at int
		if i < len(now) && now[i].Key == f.Key {
			at = i // both are sorted, and mostly the same fields
		} else {
			at = slices.IndexFunc(now, func(a record.Attr) bool { return a.Key == f.Key })
		}
		if at >= 0 && KnownValue(now[at].Value) || !KnownValue(f.Value) || ClassOf(typ, f.Key) == Volatile {
			continue
		}
		switch {
		case at >= 0:
			now[at] = *f
		case len(now) < record.MaxAttrs:
			now = append(now, *f)
		}
	}
	return now
}

func clone(d *record.Device) record.Device {
	out := *d
	out.Fields = slices.Clone(d.Fields)
	sortFields(out.Fields)
	return out
}

func sortFields(f []record.Attr) {
	byKey := func(a, b record.Attr) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(f, byKey) {
		slices.SortStableFunc(f, byKey)
	}
}

// unionSections lists the sections of both, without those that a wider one
// covers, and no more than a snapshot may have.
func unionSections(a, b []record.Section) []record.Section {
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(a, b record.Section) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Scope, b.Scope))
	})
	var out []record.Section
	for _, s := range all { // a wider scope sorts before the scopes in it
		if len(out) < record.MaxSections && !slices.ContainsFunc(out, func(w record.Section) bool { return w.Covers(s.Type, s.Scope) }) {
			out = append(out, s)
		}
	}
	return out
}

// Stable returns a copy without volatile fields, sorted: two snapshots of the
// same configuration and status have equal ones. It is what a content hash
// should be made of.
func Stable(s *record.Snapshot) *record.Snapshot {
	if s == nil {
		return nil
	}
	out := Merge(nil, s)
	classes := map[[2]string]Class{} // devices of a type have the same fields
	for i := range out.Devices {
		d := &out.Devices[i]
		d.Fields = slices.DeleteFunc(d.Fields, func(f record.Attr) bool {
			k := [2]string{d.Type, f.Key}
			c, ok := classes[k]
			if !ok {
				c = ClassOf(d.Type, f.Key)
				classes[k] = c
			}
			return c == Volatile || !KnownValue(f.Value)
		})
	}
	return out
}

// Significant returns the changes that are not volatile.
func Significant(changes []Change) []Change {
	var out []Change
	for i := range changes {
		if changes[i].Class != Volatile {
			out = append(out, changes[i])
		}
	}
	return out
}
