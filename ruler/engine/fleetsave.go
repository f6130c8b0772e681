package engine

import (
	"encoding/json"
	"fmt"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
)

// The fleet operator's state is a base, which is all of it, and deltas, which
// are what changed: a hundred thousand servers that fall silent together would
// else be written anew with every one of its commits. Older versions wrote bases
// alone; a base without Missing is one of theirs.

// dirtyFleet names what changed since the last save.
type dirtyFleet struct {
	members, missing map[record.ID]struct{}
	folds            map[string]struct{}
}

func newDirtyFleet() dirtyFleet {
	return dirtyFleet{map[record.ID]struct{}{}, map[record.ID]struct{}{}, map[string]struct{}{}}
}

// fleetDelta holds what changed; null = it is gone.
type fleetDelta struct {
	Members map[record.ID]*member  `json:",omitempty"`
	Missing map[record.ID]*missing `json:",omitempty"`
	Folds   map[string]*fold       `json:",omitempty"`
	Alerts  map[string]*notify.Notification
	Seq     uint64
	Judged  int64 `json:",omitempty"`
}

// save returns all of the state, or what changed of it, and counts it as saved.
func (f *fleet) save(whole bool) ([]byte, error) {
	var v any = f
	if !whole {
		d := fleetDelta{Members: pick(f.Members, f.dirty.members), Missing: pick(f.Missing, f.dirty.missing), Folds: pick(f.Folds, f.dirty.folds), Alerts: f.Alerts, Seq: f.Seq, Judged: f.Judged}
		v = d
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("fleet operator: working state: %w", err)
	}
	f.dirty = newDirtyFleet()
	return b, nil
}

func pick[K comparable, V any](all map[K]*V, keys map[K]struct{}) map[K]*V {
	out := make(map[K]*V, len(keys))
	for k := range keys {
		out[k] = all[k]
	}
	return out
}

// load reads a base and deltas, oldest first.
func loadFleet(base []byte, deltas [][]byte) (*fleet, error) {
	f := newFleet()
	if base != nil {
		if err := json.Unmarshal(base, f); err != nil {
			return nil, fmt.Errorf("fleet operator: working state: %w", err)
		}
	}
	for i, b := range deltas {
		var d fleetDelta
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, fmt.Errorf("fleet operator: working state, delta %d: %w", i, err)
		}
		lay(f.Members, d.Members)
		lay(f.Missing, d.Missing)
		lay(f.Folds, d.Folds)
		f.Alerts, f.Seq, f.Judged = d.Alerts, d.Seq, max(f.Judged, d.Judged)
	}
	if f.Alerts == nil {
		f.Alerts = map[string]*notify.Notification{}
	}
	f.index()
	return f, nil
}

func lay[K comparable, V any](over, delta map[K]*V) {
	for k, v := range delta {
		if v == nil {
			delete(over, k)
		} else {
			over[k] = v
		}
	}
}
