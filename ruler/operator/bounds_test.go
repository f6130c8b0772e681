package operator

import (
	"fmt"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
)

// telling is one server whose snapshots are played one after the other.
type telling struct {
	set   *Set
	now   time.Time
	site  string
	known *record.Snapshot
	n     int
}

func (s *telling) facts() ServerFacts { return ServerFacts{ID: serverID(1), Site: s.site} }

// snapshot plays a snapshot and the half minute after it.
func (s *telling) snapshot(snap *record.Snapshot) []Verdict {
	s.n++
	in := Input{Record: &record.Record{Name: record.NameSnapshot, Snapshot: snap}, Header: &record.Header{Subject: serverID(1), Category: record.RAID}, RecordID: fmt.Sprint(s.n), Event: s.now}
	in.Changes, in.Current = diff.Compare(s.known, snap)
	ctx := Context{Now: s.now, Server: s.facts(), Previous: s.known}
	s.known = in.Current
	return append(s.set.Step(ctx, in), s.pass(30)...)
}

func (s *telling) pass(seconds int) (out []Verdict) {
	for range seconds {
		s.now = s.now.Add(time.Second)
		out = append(out, s.set.Tick(s.now)...)
	}
	return out
}

// drives makes a snapshot of one controller's drives.
func drives(controller, n int, state string, errors int64) *record.Snapshot {
	s := &record.Snapshot{}
	for i := range n {
		s.Devices = append(s.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: fmt.Sprintf("c%d/s%d", controller, i),
			Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}, {Key: "media_errors", Value: record.Int(errors)}}})
	}
	return s
}

// A server that names new devices in every snapshot, and never says that it
// looked where the others were, fills no memory and takes no time from others.
func TestDevicesWithoutEnd(t *testing.T) {
	all := rules(t, `rules:
  - {id: a, name: A, `+tail+`, state: {device: physical_drive, field: state, bad: [Failed]}}
  - {id: b, name: B, `+tail+`, count: {counter: {device: physical_drive, field: media_errors}, more_than: 5, within: 30d}}
  - {id: c, name: C, `+tail+`, expires: 90d, change: {device: physical_drive, kinds: [field], fields: [state]}}
  - {id: d, name: D, `+tail+`, flap: {device: physical_drive, field: state, changes: 2, within: 30d}}
  - {id: e, name: E, `+tail+`, sequence: {per: device, steps: [{state: {device: physical_drive, field: state, is: Onln}}, {state: {device: physical_drive, field: state, is: Failed}, within: 2d}, {not: {state: {device: physical_drive, field: state, is: Onln}}, within: 2d}]}}
`)
	s := &telling{set: newSet(t, all), now: epoch0}
	n := maxTracked * 3 / 2
	for c := range 3 {
		s.snapshot(drives(c, n, "Onln", 3))
		s.snapshot(drives(c, n, "Failed", 5))
	}
	byRule := map[string]int{}
	for _, v := range s.set.Save(false) {
		if byRule[v.RuleID]++; byRule[v.RuleID] > maxTracked+2 {
			t.Fatalf("rule %s keeps more than %d states of one server", v.RuleID, maxTracked)
		}
	}
	for _, r := range all {
		if byRule[r.ID] == 0 {
			t.Errorf("rule %s keeps nothing", r.ID)
		}
	}
}

// When the register moves a server out of a rule's reach, what the rule holds
// open is over: nothing else would ever end it.
func TestRelabelledServerLeavesTheRule(t *testing.T) {
	for _, kind := range []string{
		`state: {device: physical_drive, field: state, bad: [Failed]}`,
		`sequence: {per: device, steps: [{state: {device: physical_drive, field: state, is: Onln}}, {state: {device: physical_drive, field: state, is: Failed}, within: 2d}], resolve: {state: {device: physical_drive, field: state, is: Onln}}}`,
		`count: {counter: {device: physical_drive, field: media_errors}, more_than: 5, within: 90d}`,
	} {
		s := &telling{set: newSet(t, rules(t, `rules: [{id: a, name: A, `+tail+`, servers: {site: bern}, `+kind+`}]`)), now: epoch0, site: "bern"}
		s.snapshot(drives(0, 1, "Onln", 0))
		if v := s.snapshot(drives(0, 1, "Failed", 9)); len(v) != 1 || v[0].Kind != Firing {
			t.Fatalf("%s: %v", kind, v)
		}
		register := func() []Verdict {
			in := Input{Record: &record.Record{Name: record.NameLabels}, Header: &record.Header{Subject: serverID(1), Category: record.Agent, Producer: "bridge/b1/registry"}}
			return s.set.Step(Context{Now: s.now, Server: s.facts()}, in)
		}
		if v := register(); len(v) != 0 {
			t.Errorf("%s: nothing changed: %v", kind, v)
		}
		s.site = "zug"
		if v := register(); len(v) != 1 || v[0].Kind != Resolved || v[0].Reason != notAbout || v[0].Device != "physical_drive c0/s0" {
			t.Errorf("%s: %v", kind, v)
		}
		if v := s.snapshot(drives(0, 1, "Onln", 9)); len(v) != 0 {
			t.Errorf("%s, afterwards: %v", kind, v)
		}
		s.site = "bern"
		if v := register(); len(v) != 0 {
			t.Errorf("%s, back: %v", kind, v)
		}
	}
}
