package check

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// RosterName is the name of the roster source, and begins those of the checks.
const RosterName = "check"

// Roster is the source that says which checks there are, once at every start:
// a check that was taken out of the configuration is gone then, with the
// devices that it stated and the notifications about it. It is needed as long
// as there are checks, and after the last one until that is told.
type Roster struct {
	names     []string
	refused   error // of check files
	positions source.Positions
}

// NewRoster returns the roster of these checks. refused is about check files
// that are not taken, and is told as a failure of the source; nil = none.
func NewRoster(specs []Spec, refused error, positions source.Positions) *Roster {
	r := &Roster{refused: refused, positions: positions}
	for i := range specs {
		r.names = append(r.names, specs[i].Name)
	}
	slices.Sort(r.names)
	return r
}

// Name implements source.Source.
func (*Roster) Name() string { return RosterName }

// Category implements source.Source.
func (*Roster) Category() record.Category { return record.Check }

// Run implements source.Source.
func (r *Roster) Run(ctx context.Context, emit source.Emit) error {
	now := time.Now()
	snap, position, err := r.snapshot()
	if err != nil {
		return err
	}
	var recs []record.Record
	if snap != nil {
		recs = append(recs, record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Body: "checks that are configured", Snapshot: snap})
	}
	if r.refused != nil {
		recs = append(recs, source.Failed(RosterName, r.refused, now))
	}
	if len(recs) == 0 {
		return nil
	}
	return emit(ctx, recs, position)
}

// snapshot states every check without a state, which is not known yet and so
// stays what it was, and nothing in the places of checks that are gone. It is
// nil where there never was a check.
func (r *Roster) snapshot() (*record.Snapshot, []byte, error) {
	var before []string
	b, err := r.positions.Position(RosterName)
	if err != nil {
		return nil, nil, err
	}
	if len(b) > 0 && json.Unmarshal(b, &before) != nil {
		before = nil // of another version
	}
	if len(before) == 0 && len(r.names) == 0 {
		return nil, nil, nil
	}
	snap := &record.Snapshot{Sections: []record.Section{{Type: record.DeviceCheck}}}
	for _, name := range r.names {
		snap.Devices = append(snap.Devices, record.Device{Type: record.DeviceCheck, Place: name})
	}
	for _, name := range before {
		if slices.Contains(r.names, name) {
			continue
		}
		b, err := r.positions.Position(SourceName(name))
		if err != nil {
			return nil, nil, err
		}
		var was seen
		if len(b) > 0 && json.Unmarshal(b, &was) != nil {
			continue
		}
		for _, typ := range was.Types {
			if len(snap.Sections) < record.MaxSections {
				snap.Sections = append(snap.Sections, record.Section{Type: typ, Scope: name})
			}
		}
	}
	names := r.names
	if names == nil {
		names = []string{}
	}
	position, err := json.Marshal(names)
	return snap, position, err
}
