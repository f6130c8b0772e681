package diff

import (
	"fmt"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// dev reads "TYPE PLACE SERIAL key=value …"; "-" = no serial.
func dev(t *testing.T, s string) record.Device {
	t.Helper()
	w := strings.Fields(s)
	if len(w) < 3 {
		t.Fatalf("device %q", s)
	}
	d := record.Device{Type: w[0], Place: w[1], Occupant: w[2]}
	if d.Occupant == "-" {
		d.Occupant = ""
	}
	d.Occupant = strings.ReplaceAll(d.Occupant, "_", " ")
	for _, f := range w[3:] {
		k, v, _ := strings.Cut(f, "=")
		d.Fields = append(d.Fields, record.Attr{Key: k, Value: record.String(v)})
	}
	return d
}

// snap makes a snapshot: sections as "type" or "type@scope", then devices.
func snap(t *testing.T, sections string, devices ...string) *record.Snapshot {
	t.Helper()
	s := &record.Snapshot{}
	for _, w := range strings.Fields(sections) {
		typ, scope, _ := strings.Cut(w, "@")
		s.Sections = append(s.Sections, record.Section{Type: typ, Scope: scope})
	}
	for _, d := range devices {
		s.Devices = append(s.Devices, dev(t, d))
	}
	return s
}

func (c Change) text() string {
	s := c.Kind.String() + " " + c.Device()
	if c.Field != "" {
		s += " " + c.Class.String() + " " + c.Field
	}
	if c.From != "" {
		s += " from " + c.From
	}
	if c.Occupant != "" {
		s += " [" + c.Occupant + "]"
	}
	if !c.Before.IsNull() || !c.After.IsNull() {
		s += fmt.Sprintf(" %s→%s", c.Before.Text(), c.After.Text())
	}
	return s
}

func texts(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.text())
	}
	return strings.Join(out, "\n")
}

// show writes a snapshot so that two can be compared.
func show(s *record.Snapshot) string {
	var b strings.Builder
	for _, sec := range s.Sections {
		b.WriteString("@" + sec.Type + " " + sec.Scope + "\n")
	}
	for _, d := range s.Devices {
		b.WriteString(d.Type + " " + d.Place + " " + d.Occupant)
		for _, f := range d.Fields {
			b.WriteString(" " + f.Key + "=" + f.Value.Text())
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	const pd = "physical_drive"
	s := func(sections string, devices ...string) *record.Snapshot { return snap(t, sections, devices...) }
	tests := []struct {
		name      string
		prev, cur *record.Snapshot
		want      string
	}{
		{"the first snapshot changes nothing", nil, s(pd, "physical_drive s4 Z1"), ""},
		{"the same again", s(pd, "physical_drive s4 Z1 state=Onln"), s(pd, "physical_drive s4 Z1 state=Onln"), ""},
		{"added", s(pd), s(pd, "physical_drive s4 Z1"), "added physical_drive s4 [Z1]"},
		{"removed", s(pd, "physical_drive s4 Z1"), s(pd), "removed physical_drive s4 [Z1]"},
		{"not observed is not removed", s(pd, "physical_drive s4 Z1"), s("controller", "controller c0 C1"), ""},
		{"observed for the first time is not added", s("controller"), s("controller physical_drive", "physical_drive s4 Z1"), ""},
		{"a drive below another controller is not observed", s(pd+"@c0 "+pd+"@c1", "physical_drive c0/s1 Z1", "physical_drive c1/s1 Z2"), s(pd+"@c1", "physical_drive c1/s1 Z2"), ""},
		{"a scope is a path, not a prefix", s(pd, "physical_drive c10/s1 Z1"), s(pd + "@c1"), ""},
		{"replaced", s(pd, "physical_drive s4 Z1 model=A"), s(pd, "physical_drive s4 Z2 model=B"), "replaced physical_drive s4 [Z2] Z1→Z2"},
		{"replaced, and how it is doing", s(pd, "physical_drive s4 Z1 state=Failed firmware=1"), s(pd, "physical_drive s4 Z2 state=Rbld firmware=2"),
			"replaced physical_drive s4 [Z2] Z1→Z2\nfield physical_drive s4 status state [Z2] Failed→Rbld"},
		{"a serial that is missing equals nothing and differs from nothing", s(pd, "physical_drive s4 Z1 state=Onln"), s(pd, "physical_drive s4 - state=Failed"),
			"field physical_drive s4 status state [Z1] Onln→Failed"},
		{"so does a placeholder", s(pd, "physical_drive s4 Z1"), s(pd, "physical_drive s4 To_be_filled_by_O.E.M."), ""},
		{"and zeros", s(pd, "physical_drive s4 00000000"), s(pd, "physical_drive s4 Z1"), ""},
		{"and a number that two parts share", s("memory", "memory A1 M1", "memory A2 M2"), s("memory", "memory A1 M7", "memory A2 M7"), ""},
		{"and one that two shared before", s("memory", "memory A1 M7", "memory A2 M7"), s("memory", "memory A1 M1", "memory A2 M2"), ""},
		{"serials of other types have nothing to do with it", s("memory cpu", "memory A1 X1", "cpu C1 Y1"), s("memory cpu", "memory A1 X1", "cpu C1 X1"), "replaced cpu C1 [X1] Y1→X1"},
		{"moved to an empty place", s(pd, "physical_drive s4 Z1"), s(pd, "physical_drive s5 Z1"), "moved physical_drive s5 from s4 [Z1] →Z1"},
		{"swapped", s(pd, "physical_drive s4 Z1", "physical_drive s5 Z2"), s(pd, "physical_drive s4 Z2", "physical_drive s5 Z1"),
			"moved physical_drive s4 from s5 [Z2] Z1→Z2\nmoved physical_drive s5 from s4 [Z1] Z2→Z1"},
		{"moved over another one", s(pd, "physical_drive s4 Z1", "physical_drive s5 Z2"), s(pd, "physical_drive s5 Z1"),
			"replaced physical_drive s5 [Z1] Z2→Z1\nmoved physical_drive s5 from s4 [Z1] Z2→Z1"},
		{"moved on, and another came", s(pd, "physical_drive s4 Z1"), s(pd, "physical_drive s4 Z3", "physical_drive s5 Z1"),
			"replaced physical_drive s4 [Z3] Z1→Z3\nmoved physical_drive s5 from s4 [Z1] →Z1"},
		{"moved, and who sits there now does not say", s(pd, "physical_drive s4 Z1"), s(pd, "physical_drive s4 -", "physical_drive s5 Z1"), "moved physical_drive s5 from s4 [Z1] →Z1"},
		{"moved parts keep their fields", s(pd, "physical_drive s4 Z1 firmware=1"), s(pd, "physical_drive s5 Z1 firmware=2"),
			"moved physical_drive s5 from s4 [Z1] →Z1\nfield physical_drive s5 config firmware [Z1] 1→2"},
		{"not moved: the old place was not looked at", s(pd, "physical_drive c0/s1 Z1"), s(pd+"@c1", "physical_drive c1/s1 Z1"), "added physical_drive c1/s1 [Z1]"},
		{"a field", s(pd, "physical_drive s4 Z1 firmware=1"), s(pd, "physical_drive s4 Z1 firmware=2"), "field physical_drive s4 config firmware [Z1] 1→2"},
		{"a field that is not told is not changed", s(pd, "physical_drive s4 Z1 firmware=1 model=A"), s(pd, "physical_drive s4 Z1 firmware=N/A"), ""},
		{"nor one that is told for the first time", s(pd, "physical_drive s4 Z1"), s(pd, "physical_drive s4 Z1 firmware=2"), ""},
		{"temperature and counters are volatile", s(pd, "physical_drive s4 Z1 temperature_celsius=30 media_errors=1 predictive_failures=0"),
			s(pd, "physical_drive s4 Z1 temperature_celsius=31 media_errors=2 predictive_failures=1"),
			"field physical_drive s4 volatile media_errors [Z1] 1→2\nfield physical_drive s4 volatile predictive_failures [Z1] 0→1\nfield physical_drive s4 volatile temperature_celsius [Z1] 30→31"},
		{"spaces around a serial do not count", s(pd, "physical_drive s4 Z1"), s(pd, "physical_drive s4 Z1_"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := texts(Diff(tt.prev, tt.cur)); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

func TestDiffNumbers(t *testing.T) {
	with := func(v record.Value) *record.Snapshot {
		return &record.Snapshot{Devices: []record.Device{{Type: "disk", Place: "0", Fields: []record.Attr{{Key: "cores", Value: v}}}}}
	}
	if got := Diff(with(record.Int(5)), with(record.Double(5))); len(got) != 0 {
		t.Errorf("5 and 5.0 differ: %s", texts(got))
	}
	if got := Diff(with(record.Int(5)), with(record.Double(5.5))); len(got) != 1 {
		t.Errorf("5 and 5.5: %d changes", len(got))
	}
}

func TestMerge(t *testing.T) {
	const pd = "physical_drive"
	s := func(sections string, devices ...string) *record.Snapshot { return snap(t, sections, devices...) }
	tests := []struct {
		name      string
		prev, cur *record.Snapshot
		want      string
	}{
		{"first", nil, s(pd, "physical_drive s5 Z2", "physical_drive s4 0000 b=1 a=2"), "@physical_drive \nphysical_drive s4  a=2 b=1\nphysical_drive s5 Z2\n"},
		{"nothing observed", s(pd, "physical_drive s4 Z1 a=1"), s(""), "@physical_drive \nphysical_drive s4 Z1 a=1\n"},
		{"removed", s(pd, "physical_drive s4 Z1"), s(pd), "@physical_drive \n"},
		{"the last known occupant stays, and what it said", s(pd, "physical_drive s4 Z1 model=A temperature_celsius=30"), s(pd, "physical_drive s4 - state=Failed model=N/A"),
			"@physical_drive \nphysical_drive s4 Z1 model=A state=Failed\n"},
		{"a replaced part brings its own fields", s(pd, "physical_drive s4 Z1 model=A"), s(pd, "physical_drive s4 Z2 state=Onln"), "@physical_drive \nphysical_drive s4 Z2 state=Onln\n"},
		{"a moved part keeps them", s(pd, "physical_drive s4 Z1 model=A"), s(pd, "physical_drive s5 Z1"), "@physical_drive \nphysical_drive s5 Z1 model=A\n"},
		{"whoever sits where it was is not it", s(pd, "physical_drive s4 Z1 model=A"), s(pd, "physical_drive s4 -", "physical_drive s5 Z1"),
			"@physical_drive \nphysical_drive s4 \nphysical_drive s5 Z1 model=A\n"},
		{"sections add up, and wider ones hold the others", s(pd + "@c0 memory@x"), s(pd + "@c1 memory"), "@memory \n@physical_drive c0\n@physical_drive c1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(Merge(tt.prev, tt.cur)); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// A server that names new places in every snapshot, without observing what it
// named before, must not fill the memory.
func TestMergeBounded(t *testing.T) {
	state := &record.Snapshot{}
	for round := range 5 {
		cur := &record.Snapshot{}
		for i := range record.MaxDevices / 2 {
			cur.Devices = append(cur.Devices, record.Device{Type: "x", Place: fmt.Sprintf("%d/%d", round, i)})
		}
		for i := range record.MaxSections {
			cur.Sections = append(cur.Sections, record.Section{Type: "y", Scope: fmt.Sprintf("%d/%d", round, i)})
		}
		state = Merge(state, cur)
	}
	if len(state.Devices) > record.MaxDevices || len(state.Sections) > record.MaxSections {
		t.Errorf("%d devices, %d sections", len(state.Devices), len(state.Sections))
	}
}

func TestStable(t *testing.T) {
	a := Stable(snap(t, "physical_drive", "physical_drive s5 Z2 state=Onln", "physical_drive s4 Z1 state=Onln temperature_celsius=30 media_errors=1"))
	b := Stable(snap(t, "physical_drive", "physical_drive s4 Z1 media_errors=9 state=Onln temperature_celsius=44", "physical_drive s5 Z2 state=Onln"))
	if show(a) != show(b) {
		t.Errorf("a temperature makes another configuration:\n%s\n%s", show(a), show(b))
	}
	if c := Stable(snap(t, "physical_drive", "physical_drive s4 Z1 state=Failed", "physical_drive s5 Z2 state=Onln")); show(a) == show(c) {
		t.Error("a state does not")
	}
	if Stable(nil) != nil {
		t.Error("nil")
	}
}

// The history of updates is a window that moves: what left it looks removed in
// no month, what came is an addition, also in a month that has just begun.
func TestHistoryThatMoves(t *testing.T) {
	prev := snap(t, "update_installed@2026-12 update_installed@2026-11", "update_installed 2026-09/KB1 -", "update_installed 2026-10/KB2 -", "update_installed 2026-11/KB3 - state=failed")
	cur := snap(t, "update_installed@2027-01 update_installed@2026-12 update_installed@2026-11", "update_installed 2026-10/KB2 -", "update_installed 2026-11/KB3 - state=succeeded", "update_installed 2026-12/KB4 -")
	want := "field update_installed 2026-11/KB3 status state failed→succeeded\nadded update_installed 2026-12/KB4"
	if got := texts(Diff(prev, cur)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSignificant(t *testing.T) {
	got := Significant([]Change{{Kind: Field, Class: Volatile}, {Kind: Added}, {Kind: Field, Class: Status}})
	if len(got) != 2 || got[0].Kind != Added || got[1].Class != Status {
		t.Errorf("%+v", got)
	}
}

func TestKnown(t *testing.T) {
	for _, s := range []string{"", " ", "-", "N/A", "Not Specified", "To Be Filled By O.E.M.", "to be filled", "0000", "00000000", "FFFFFFFF", "0", "x", "....", "None",
		"Default string", "\x00\x00", "0000-0000-0000", strings.Repeat("9", 300)} {
		if k := Known(s); k != "" {
			t.Errorf("Known(%q) = %q", s, k)
		}
	}
	for in, want := range map[string]string{" WD-1 ": "WD-1", "ZVT1ZB58": "ZVT1ZB58", "1234": "1234", "A": "A", "111": "111", "0001": "0001"} {
		if k := Known(in); k != want {
			t.Errorf("Known(%q) = %q, want %q", in, k, want)
		}
	}
}

// Fields of the inventory whose change nobody made.
func TestClassesOfTheInventory(t *testing.T) {
	for field, want := range map[string]Class{
		"reboot_required": Status, "downloaded": Status, "speed_mbps": Status,
		"pending_count": Volatile, "pending_definitions_count": Volatile, "last_search": Volatile, "last_success_seconds": Volatile, "last_error": Volatile, "attempt_count": Volatile, "devices_count": Volatile,
		"automatic": Config, "update_server": Config, "version": Config, "signer": Config, "scsi_address": Config, "virtual": Config,
	} {
		if got := ClassOf("os", field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, k := range Kinds() {
		if k.String() == "unknown" {
			t.Errorf("kind %d has no name", k)
		}
	}
	if Kind(0).String() != "unknown" || Kind(99).String() != "unknown" || Class(99).String() != "unknown" {
		t.Error("a kind that is none has a name")
	}
	if DeviceName("bios", "") != "bios" || (Change{Type: "memory", Place: "A1"}).Device() != "memory A1" {
		t.Error("device names")
	}
}

// The table is data: what a line says holds, a device's own line before the
// general one.
func TestClassTable(t *testing.T) {
	for name, want := range map[[2]string]Class{
		{"nic", "speed_mbps"}: Status, {"memory", "speed_mbps"}: Config, {"pci", "current_link_width"}: Status, {"nic", "current_link_width"}: Volatile,
		{"controller", "roc_temperature_celsius"}: Volatile, {"physical_drive", "media_errors"}: Volatile, {"bios", "version"}: Config, {"x", "nobody_foresaw"}: Config,
	} {
		if got := ClassOf(name[0], name[1]); got != want {
			t.Errorf("%v is %s, want %s", name, got, want)
		}
	}
	for _, bad := range []string{"a b", "a b config more", "a b odd", "a * config", "a x*y config"} {
		if _, err := parseClasses(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
