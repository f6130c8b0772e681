package check

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// RosterName is the name of the roster source, and begins those of the checks.
const RosterName = "check"

// Roster is the source that looks, once at every start, whether a check was
// taken out of the configuration, and says that it is gone: with the devices
// that it stated, and so with the notifications about it. It also tells of
// check files that are not taken.
type Roster struct {
	names     []string
	refused   error // of check files
	positions source.Positions
}

// NewRoster returns the roster of these checks. refused is about check files
// that are not taken, and is told as a failure of the source; nil = none. While
// there are any, no check is said to be gone: it may be theirs.
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
	snap, body, position, err := r.snapshot()
	if err != nil {
		return err
	}
	var recs []record.Record
	if snap != nil {
		recs = append(recs, record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Body: body, Snapshot: snap})
	}
	if r.refused != nil {
		recs = append(recs, source.Failed(RosterName, r.refused, now))
	}
	if len(recs) == 0 && position == nil {
		return nil
	}
	return emit(ctx, recs, position)
}

// snapshot states that nothing is in the places of checks that are gone; nil
// where none is. The position is nil where there never was a check.
func (r *Roster) snapshot() (snap *record.Snapshot, body string, position []byte, err error) {
	var before []string
	b, err := r.positions.Position(RosterName)
	if err != nil {
		return nil, "", nil, err
	}
	if len(b) > 0 && json.Unmarshal(b, &before) != nil {
		before = nil // of another version
	}
	if len(before) == 0 && len(r.names) == 0 {
		return nil, "", nil, nil
	}
	gone := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(r.names, name) })
	known := append([]string{}, r.names...) // [] and not null
	if r.refused != nil {
		known, gone = append(known, gone...), nil
		slices.Sort(known)
	}
	if len(gone) > 0 {
		snap, body = &record.Snapshot{}, "no longer configured: check "+strings.Join(gone, ", ")
	}
	for _, name := range gone {
		var was seen
		b, err := r.positions.Position(SourceName(name))
		if err != nil {
			return nil, "", nil, err
		}
		if len(b) > 0 && json.Unmarshal(b, &was) != nil {
			was = seen{} // of another version
		}
		for _, typ := range append([]string{record.DeviceCheck}, was.Types...) {
			if len(snap.Sections) < record.MaxSections {
				snap.Sections = append(snap.Sections, record.Section{Type: typ, Scope: name})
			}
		}
	}
	position, err = json.Marshal(known)
	return snap, body, position, err
}
