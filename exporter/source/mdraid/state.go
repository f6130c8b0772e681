package mdraid

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"nocturne/internal/record"
)

// add takes in what mdadm says. The kernel's marks stay: they are newer.
func (a *Array) add(d Detail) {
	a.UUID, a.Label, a.DetailState = d.UUID, d.Name, d.State
	a.Level = cmp.Or(a.Level, d.Level)
	a.Metadata = cmp.Or(a.Metadata, d.Metadata)
	if a.Wanted == 0 {
		a.Wanted = d.Wanted
	}
	for _, dm := range d.Members {
		i := slices.IndexFunc(a.Members, func(m Member) bool { return m.Device == dm.Device })
		if i < 0 {
			continue
		}
		a.Members[i].Detail, a.Members[i].Slot = dm.Detail, dm.Slot
	}
}

// States of arrays. mdadm's own "clean" and "active" alternate with every
// write, so they are one here.
const (
	StateClean    = "clean"
	StateDegraded = "degraded"
	StateFailed   = "failed"
	StateInactive = "inactive"
	// StateContainer is of what holds the metadata of Intel's and DDF's arrays.
	// The kernel calls it inactive for its whole life.
	StateContainer = "container"
)

// State says how the array is: the kernel's counts, and mdadm's word where the
// array can no longer be used.
func (a *Array) State() string {
	words := strings.FieldsFunc(strings.ToLower(a.DetailState), func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case slices.Contains(words, "failed") || slices.Contains(words, "broken"):
		return StateFailed
	case !a.Active && a.container():
		return StateContainer
	case !a.Active:
		return StateInactive
	case a.Wanted > a.Working && a.Map != "":
		return StateDegraded
	}
	return StateClean
}

// container tells "external:imsm" from "external:/md127/0", which is an array
// inside one.
func (a *Array) container() bool {
	kind, external := strings.CutPrefix(a.Metadata, "external:")
	return external && kind != "" && kind[0] != '/' && kind[0] != '-' || a.Level == "container"
}

func (a *Array) faulty() (n int64) {
	for i := range a.Members {
		if a.Members[i].Faulty {
			n++
		}
	}
	return n
}

// State says what the member does: faulty, journal, spare, rebuilding, or
// in_sync.
func (m *Member) State() string {
	switch {
	case m.Faulty:
		return "faulty"
	case m.Journal:
		return "journal"
	case strings.Contains(m.Detail, "rebuilding"):
		return "rebuilding"
	case m.Spare:
		return "spare"
	}
	return "in_sync"
}

// snapshot states the arrays. all tells that every line could be read: an
// array that is not there then is gone.
func snapshot(arrays []Array, all bool) *record.Snapshot {
	s := &record.Snapshot{}
	observed := func(typ, scope string) { s.Sections = append(s.Sections, record.Section{Type: typ, Scope: scope}) }
	if all {
		observed(record.DeviceMDArray, "")
		observed(record.DeviceMDMember, "")
	}
	for i := range arrays {
		a := &arrays[i]
		if !all {
			observed(record.DeviceMDArray, a.Name)
			observed(record.DeviceMDMember, a.Name)
		}
		s.Devices = append(s.Devices, a.device())
		for j := range a.Members {
			m := &a.Members[j]
			d := record.Device{Type: record.DeviceMDMember, Place: a.Name + "/" + m.Device}
			d.Fields = append(d.Fields, text(record.FieldState, m.State()), record.Attr{Key: "slot", Value: record.Int(int64(m.Slot))})
			if m.WriteMostly {
				d.Fields = append(d.Fields, record.Attr{Key: "write_mostly", Value: record.Bool(true)})
			}
			s.Devices = append(s.Devices, d)
		}
	}
	s.Sections = s.Sections[:min(len(s.Sections), record.MaxSections)]
	s.Devices = s.Devices[:min(len(s.Devices), record.MaxDevices)]
	slices.SortStableFunc(s.Devices, func(x, y record.Device) int {
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Place, y.Place))
	})
	return s
}

func (a *Array) device() record.Device {
	d := record.Device{Type: record.DeviceMDArray, Place: a.Name, Occupant: a.UUID}
	put := func(f record.Attr) {
		if !f.Value.IsNull() {
			d.Fields = append(d.Fields, f)
		}
	}
	put(text(record.FieldState, a.State()))
	put(text("level", a.Level))
	put(text("metadata", a.Metadata))
	put(text("mode", a.Mode))
	put(text("label", a.Label))
	if a.Bytes > 0 {
		put(record.Attr{Key: record.FieldSize, Value: record.Int(a.Bytes)})
	}
	if a.Map != "" {
		put(record.Attr{Key: "members_wanted", Value: record.Int(int64(a.Wanted))})
		put(record.Attr{Key: "members_working", Value: record.Int(int64(a.Working))})
	}
	put(record.Attr{Key: "members_faulty", Value: record.Int(a.faulty())})
	put(record.Attr{Key: "bitmap", Value: record.Bool(a.Bitmap)})
	operation := cmp.Or(a.Operation, "none")
	if a.Waiting != "" {
		operation += " " + a.Waiting
	}
	put(text("operation", operation))
	if a.Operation != "" && a.Waiting == "" {
		put(record.Attr{Key: "progress_percent", Value: record.Double(a.Percent)})
		put(record.Attr{Key: "time_left_seconds", Value: record.Int(a.SecondsLeft)})
	}
	return d
}

func text(key, v string) record.Attr {
	if v == "" {
		return record.Attr{Key: key}
	}
	return record.Attr{Key: key, Value: record.String(v)}
}

// settled is a snapshot without what moves while an operation goes on.
func settled(s *record.Snapshot) []string {
	var out []string
	for _, sec := range s.Sections {
		out = append(out, sec.Type+" "+sec.Scope)
	}
	for _, d := range s.Devices {
		line := d.Type + " " + d.Place + " " + d.Occupant
		for _, f := range d.Fields {
			if f.Key != "progress_percent" && f.Key != "time_left_seconds" {
				line += " " + f.Key + "=" + f.Value.Text()
			}
		}
		out = append(out, line)
	}
	return out
}

func summary(arrays []Array) string {
	var bad []string
	for i := range arrays {
		if s := arrays[i].State(); s != StateClean && s != StateContainer {
			bad = append(bad, arrays[i].Name+" "+s)
		}
	}
	text := fmt.Sprintf("software RAID: %d arrays", len(arrays))
	if len(bad) > 0 {
		text += ": " + strings.Join(bad[:min(len(bad), 8)], ", ")
	}
	return text
}
