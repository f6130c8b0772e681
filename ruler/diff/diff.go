// Package diff compares two snapshots of one subject. Diff says what changed,
// Merge says what is known afterwards.
//
// What was not observed is never removed: a device type outside the sections
// of a snapshot is unknown in it. A serial number that is missing, a
// placeholder or reported twice is not known: it equals nothing and differs
// from nothing, and the last known occupant stays. A field that is not
// reported, or reported as "N/A", is not known either.
//
// Both functions are pure: they read no clock, keep nothing, change neither
// argument, and may run concurrently. Their results do not depend on the order
// of devices, fields and sections. To test: go test ./ruler/diff.
package diff

import (
	"nocturne/internal/record"
)

// Kind says what happened to a device.
type Kind uint8

// The kinds of changes.
const (
	Added    Kind = iota + 1 // a device at a place that was observed empty before
	Removed                  // nothing at the place any more
	Replaced                 // another known serial at the place
	Moved                    // a known serial left one place and appeared at another
	Field                    // a field of the same device has another value
)

var kindNames = [...]string{Added: "added", Removed: "removed", Replaced: "replaced", Moved: "moved", Field: "field"}

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{Added, Removed, Replaced, Moved, Field} }

// String returns the kind as it stands in rules and in the store.
func (k Kind) String() string {
	if k < Added || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Class says what a field's change means.
type Class uint8

// The classes of fields.
const (
	Config   Class = iota // what the server is made of and how it is set up
	Status                // how a part is: state, health
	Volatile              // temperature, counters, progress: varies without anybody changing anything
)

var classNames = [...]string{Config: "config", Status: "status", Volatile: "volatile"}

// String returns the class as it stands in the store.
func (c Class) String() string {
	if int(c) >= len(classNames) {
		return "unknown"
	}
	return classNames[c]
}

// Change is one difference.
type Change struct {
	Kind     Kind
	Class    Class  // Config unless a field says otherwise
	Type     string // device type
	Place    string // where the device is; for Removed, where it was
	From     string // Moved: the place it left
	Occupant string // known serial at Place now; for Removed, the last known one
	Field    string // Field: which
	// Before and After are the serials of Replaced and Moved (Before: who sat at
	// Place until now), the values of Field, null otherwise and where not known.
	Before, After record.Value
}

// Device names the device as verdicts and notifications do:
// "physical_drive c0/e252/s4".
func (c Change) Device() string { return DeviceName(c.Type, c.Place) }

// DeviceName names a device by type and place.
func DeviceName(typ, place string) string {
	if place == "" {
		return typ
	}
	return typ + " " + place
}
