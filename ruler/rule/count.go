package rule

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Count fires while something happened more than MoreThan times within the
// time before now: events of a kind, or the growth of a counter that snapshots
// carry. It clears by itself. Exactly one of Event and Counter is set.
type Count struct {
	Event   *CountedEvent
	Counter *DeviceField

	MoreThan int64
	Within   time.Duration
}

// CountedEvent says which events count, and of which device they speak.
type CountedEvent struct {
	Where  Conditions
	Device DeviceRef
}

// DeviceField names a field of all devices of a type.
type DeviceField struct{ Device, Field string }

// Flap fires when a field of a device changed Changes times or more within the
// time before now, and clears once it changed half as often: between the two
// nothing is told, so that flapping is one problem.
type Flap struct {
	DeviceField
	Changes int64
	Within  time.Duration
}

// Bounds of sliding windows.
const (
	MinWindow = 10 * time.Second
	MaxWindow = 90 * 24 * time.Hour
	maxCount  = 1_000_000
)

func decodeCount(d *decoder, n *yaml.Node, _ *Rule) Spec {
	c := &Count{}
	d.mapping(n, "count",
		field{"event", func(n *yaml.Node) {
			c.Event = &CountedEvent{}
			d.mapping(n, "event", append(d.conditions(&c.Event.Where), d.deviceRef(&c.Event.Device))...)
			d.checkConditions(n, "event", &c.Event.Where)
		}},
		field{"counter", func(n *yaml.Node) {
			c.Counter = &DeviceField{}
			d.mapping(n, "counter", d.deviceField(c.Counter)...)
			d.need(n, "counter", "for example {device: physical_drive, field: media_errors}", "device", "field")
		}},
		field{"more_than", func(n *yaml.Node) { c.MoreThan = d.whole(n, "more_than", 1) }},
		d.window(&c.Within))
	if n.Kind != yaml.MappingNode {
		return nil
	}
	d.need(n, "count", "for example {counter: {device: physical_drive, field: media_errors}, more_than: 5, within: 30d}", "more_than", "within")
	if hasKey(n, "event") == hasKey(n, "counter") {
		d.fail(n.Line, "count needs either event or counter", "event counts events, counter the growth of a number that snapshots carry")
	}
	return c
}

func decodeFlap(d *decoder, n *yaml.Node, _ *Rule) Spec {
	f := &Flap{}
	d.mapping(n, "flap", append(d.deviceField(&f.DeviceField),
		field{"changes", func(n *yaml.Node) { f.Changes = d.whole(n, "changes", 2) }},
		d.window(&f.Within))...)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	d.need(n, "flap", "for example {device: nic, field: state, changes: 6, within: 10m}", "device", "field", "changes", "within")
	return f
}

func (d *decoder) deviceField(f *DeviceField) []field {
	return []field{
		{"device", func(n *yaml.Node) { f.Device = d.form(n, "device", typeForm, "a device type, such as physical_drive") }},
		{"field", func(n *yaml.Node) { f.Field = d.form(n, "field", fieldForm, "a device's field, such as media_errors") }},
	}
}

func (d *decoder) window(to *time.Duration) field {
	return field{"within", func(n *yaml.Node) {
		if *to = d.duration(n, "within"); *to != 0 && (*to < MinWindow || *to > MaxWindow) {
			d.fail(n.Line, "within is "+formatDuration(*to), fmt.Sprintf("write %s to %s", formatDuration(MinWindow), formatDuration(MaxWindow)))
		}
	}}
}

func (d *decoder) whole(n *yaml.Node, what string, low int64) int64 {
	if v := d.ints(n, what, low, maxCount); len(v) == 1 {
		return v[0]
	}
	return 0
}

// need fails for every key that a mapping must have and has not.
func (d *decoder) need(n *yaml.Node, what, example string, keys ...string) {
	for _, must := range keys {
		if n.Kind == yaml.MappingNode && !hasKey(n, must) {
			d.fail(n.Line, what+" has no "+must, example, must)
		}
	}
}

// Explain implements Spec.
func (c *Count) Explain(*Rule) string {
	what := ""
	if c.Event != nil {
		what = fmt.Sprintf("more than %d of %s came", c.MoreThan, c.Event.Where.explain())
		if c.Event.Device.Type != "" {
			what += fmt.Sprintf(" for one %s named by %s", c.Event.Device.Type, c.Event.Device.explain())
		}
	} else {
		what = fmt.Sprintf("the %s of a %s grew by more than %d", c.Counter.Field, c.Counter.Device, c.MoreThan)
	}
	return fmt.Sprintf("Fires while %s within %s; clears by itself.", what, formatDuration(c.Within))
}

// Explain implements Spec.
func (f *Flap) Explain(*Rule) string {
	return fmt.Sprintf("Fires when the %s of a %s changed %d times within %s; clears once it changed %d times or less.",
		f.Field, f.Device, f.Changes, formatDuration(f.Within), f.Changes/2)
}
