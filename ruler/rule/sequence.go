package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/ruler/diff"
)

// Sequence fires when its steps happened one after the other, whatever else
// happened between them; the last step may be that something did not happen.
// For each key there is at most one match under way, and what completed one
// takes no part in the next.
type Sequence struct {
	Per       string // what a match is about: one of SequenceKeys
	Tolerance time.Duration
	Steps     []Step
	Until     *Trigger  // ends a match that is under way
	Resolve   []Trigger // one after the other; of a sequence that ends with Not at least one
}

// Step is one step of a sequence.
type Step struct {
	Trigger
	// Not: the step is done when the trigger did not happen within Within. Only
	// the last step.
	Not   bool
	Times int64
	// Within counts from the step before; of a first step, from the first of
	// Times to the last.
	Within time.Duration
}

// Trigger happens when any of its occurrences does.
type Trigger struct{ Any []Occurrence }

// Occurrence is exactly one of: an event, a field of a device that takes one of
// some values, a difference between two snapshots, or a server that booted.
type Occurrence struct {
	Event  *CountedEvent
	State  *Became
	Change *Change
	Boot   bool
}

// Became happens when a field of a device takes one of the values of Is, or a
// known one that is none of IsNot, and had none such before. Exactly one of the
// lists is set. Values are compared without regard to case.
type Became struct {
	DeviceField
	Is    []string
	IsNot []string
}

// SequenceKeys are what a match may be about: the whole server, one device, or
// a controller with all of its parts.
func SequenceKeys() []string { return []string{PerServer, PerDevice, PerController} }

// The keys of sequences.
const (
	PerServer     = "server"
	PerDevice     = "device"
	PerController = "controller"
)

// DefaultTolerance is by how much records may come out of order; a sequence is
// judged that much later.
const DefaultTolerance = 5 * time.Second

// Bounds of sequences.
const (
	MaxSteps     = 8 // and resolving steps
	MaxTimes     = 1000
	maxAny       = 16
	maxTolerance = 5 * time.Minute
)

// Holds tells whether a value is one that the occurrence waits for.
func (b *Became) Holds(text string) bool {
	if len(b.Is) > 0 {
		return oneOf(b.Is, text)
	}
	return !oneOf(b.IsNot, text)
}

func decodeSequence(d *decoder, n *yaml.Node, _ *Rule) Spec {
	s := &Sequence{Per: PerServer, Tolerance: DefaultTolerance}
	d.mapping(n, "sequence",
		field{"per", func(n *yaml.Node) { s.Per = d.word(n, "per", SequenceKeys()) }},
		field{"tolerance", func(n *yaml.Node) {
			if s.Tolerance = d.duration(n, "tolerance"); s.Tolerance > maxTolerance {
				d.fail(n.Line, "tolerance is "+formatDuration(s.Tolerance), "write 1s to "+formatDuration(maxTolerance)+": a sequence is judged that much later")
			}
		}},
		field{"steps", func(n *yaml.Node) { s.Steps = d.steps(n) }},
		field{"until", func(n *yaml.Node) {
			s.Until = &Trigger{}
			d.trigger(n, "until", s.Until)
		}},
		field{"resolve", func(n *yaml.Node) { s.Resolve = d.resolve(n) }})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	d.need(n, "sequence", `for example {steps: [{event: {provider: a, event_id: 1}}, {event: {provider: b, event_id: 2}, within: 10m}]}`, "steps")
	if last := len(s.Steps) - 1; last >= 0 && s.Steps[last].Not && !hasKey(n, "resolve") {
		s.Resolve = []Trigger{s.Steps[last].Trigger} // what was missed has come
	}
	d.checkKeys(n, s)
	return s
}

// list calls read for each element of a list of at most limit.
func (d *decoder) list(n *yaml.Node, what string, limit int, read func(n *yaml.Node)) {
	if is := nodeKind(n); n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > limit {
		if n.Kind == yaml.SequenceNode {
			is += fmt.Sprintf(" of %d", len(n.Content))
		}
		d.fail(n.Line, what+" is "+is, fmt.Sprintf("write a list of 1 to %d", limit))
		return
	}
	for _, c := range n.Content {
		if d.plain(c) {
			read(c)
		}
	}
}

func (d *decoder) resolve(n *yaml.Node) (out []Trigger) {
	one := func(n *yaml.Node) {
		var t Trigger
		d.trigger(n, "resolve", &t)
		out = append(out, t)
	}
	if n.Kind == yaml.MappingNode {
		one(n)
	} else {
		d.list(n, "resolve", MaxSteps, one)
	}
	return out
}

func (d *decoder) steps(n *yaml.Node) []Step {
	var out []Step
	var lines []*yaml.Node
	d.list(n, "steps", MaxSteps, func(n *yaml.Node) {
		out, lines = append(out, d.step(n)), append(lines, n)
	})
	for i := range out {
		s, n := &out[i], lines[i]
		switch {
		case n.Kind != yaml.MappingNode:
		case s.Not && i == 0:
			d.fail(n.Line, "the first step says not", "begin with what happens; what is missing from the beginning is a rule of kind absent")
		case s.Not && i < len(out)-1:
			d.fail(n.Line, "not is in the middle", "only the last step can be that something does not happen; say \"until\" for what ends a match")
		case s.Not && hasKey(n, "times"):
			d.fail(n.Line, "a step says not and times", "leave times out")
		case i > 0 && !hasKey(n, "within"):
			d.fail(n.Line, "a step has no within", "say how long after the step before: \"within: 10m\"")
		case i == 0 && s.Times > 1 && !hasKey(n, "within"):
			d.fail(n.Line, "the first step has times without within", "say in which time: \"within: 10m\"")
		case i == 0 && s.Times == 1 && hasKey(n, "within"):
			d.fail(n.Line, "the first step has within without times", "there is no step before it; leave it out")
		}
	}
	if len(out) == 1 && lines[0].Kind == yaml.MappingNode && out[0].Times == 1 {
		d.fail(n.Line, "a sequence of one step", "add a step, or \"times\"; one event alone is a rule of kind match")
	}
	return out
}

func (d *decoder) step(n *yaml.Node) Step {
	s := Step{Times: 1}
	fields := append(d.occurrence(&s.Trigger),
		field{"not", func(n *yaml.Node) {
			s.Not = true
			d.trigger(n, "not", &s.Trigger)
		}},
		field{"times", func(n *yaml.Node) {
			if v := d.ints(n, "times", 2, MaxTimes); len(v) == 1 {
				s.Times = v[0]
			}
		}},
		field{"within", func(n *yaml.Node) {
			if s.Within = d.duration(n, "within"); s.Within > MaxWindow {
				d.fail(n.Line, "within is "+formatDuration(s.Within), "write at most "+formatDuration(MaxWindow))
			}
		}})
	d.mapping(n, "a step", fields...)
	d.exactlyOne(n, "a step", "event", "state", "change", "boot", "any", "not")
	return s
}

func (d *decoder) trigger(n *yaml.Node, what string, t *Trigger) {
	d.mapping(n, what, d.occurrence(t)...)
	d.exactlyOne(n, what, "event", "state", "change", "boot", "any")
}

func (d *decoder) exactlyOne(n *yaml.Node, what string, keys ...string) {
	if n.Kind != yaml.MappingNode {
		return
	}
	var said []string
	for _, k := range keys {
		if hasKey(n, k) {
			said = append(said, k)
		}
	}
	switch {
	case len(said) == 0:
		d.fail(n.Line, what+" has no condition", "say one of "+strings.Join(keys, ", "))
	case len(said) > 1:
		d.fail(n.Line, fmt.Sprintf("%s says %s", what, strings.Join(said, " and ")), "say exactly one; for one of several write \"any:\" and a list")
	}
}

// occurrence reads one of the conditions, or several below "any".
func (d *decoder) occurrence(t *Trigger) []field {
	fields := d.single(t)
	return append(fields, field{"any", func(n *yaml.Node) {
		d.list(n, "any", maxAny, func(n *yaml.Node) {
			d.mapping(n, "any", d.single(t)...)
			d.exactlyOne(n, "any", "event", "state", "change", "boot")
		})
	}})
}

func (d *decoder) single(t *Trigger) []field {
	add := func(o Occurrence) { t.Any = append(t.Any, o) }
	return []field{
		{"event", func(n *yaml.Node) {
			e := &CountedEvent{}
			d.mapping(n, "event", append(d.conditions(&e.Where), d.deviceRef(&e.Device))...)
			d.checkConditions(n, "event", &e.Where)
			add(Occurrence{Event: e})
		}},
		{"state", func(n *yaml.Node) { add(Occurrence{State: d.became(n)}) }},
		{"change", func(n *yaml.Node) {
			if c, ok := decodeChange(d, n, nil).(*Change); ok {
				add(Occurrence{Change: c})
			}
		}},
		{"boot", func(n *yaml.Node) {
			if d.word(n, "boot", []string{"new"}) != "" {
				add(Occurrence{Boot: true})
			}
		}},
	}
}

func (d *decoder) became(n *yaml.Node) *Became {
	b := &Became{}
	d.mapping(n, "state", append(d.deviceField(&b.DeviceField),
		field{"is", func(n *yaml.Node) { b.Is = d.texts(n, "is") }},
		field{"is_not", func(n *yaml.Node) { b.IsNot = d.texts(n, "is_not") }})...)
	d.need(n, "state", "for example {device: physical_drive, field: state, is: Failed}", "device", "field")
	if n.Kind == yaml.MappingNode && hasKey(n, "is") == hasKey(n, "is_not") {
		d.fail(n.Line, "state needs either is or is_not", "is lists the values that count, is_not all that do not")
	}
	if b.Field != "" && diff.ClassOf(b.Device, b.Field) == diff.Volatile {
		d.fail(n.Line, fmt.Sprintf("state names the field %q", b.Field), "it changes all the time: use a rule of kind state or count")
	}
	return b
}

// checkKeys refuses conditions that do not say what the match is about.
func (d *decoder) checkKeys(n *yaml.Node, s *Sequence) {
	if s.Per != PerDevice && s.Per != PerController {
		return
	}
	types := map[string]bool{}
	for _, o := range s.occurrences() {
		switch {
		case o.Boot, o.Event != nil && o.Event.Device.Type == "":
			d.fail(n.Line, fmt.Sprintf("per: %s, but a condition names no device", s.Per), "add \"device: {type: …, attr: …}\" to its event, or leave per out")
			return
		case o.Event != nil:
			types[o.Event.Device.Type] = true
		case o.State != nil:
			types[o.State.Device] = true
		case o.Change != nil:
			for _, t := range o.Change.Devices {
				types[t] = true
			}
		}
	}
	if s.Per == PerDevice && len(types) > 1 {
		var names []string
		for t := range types {
			names = append(names, t)
		}
		slices.Sort(names)
		d.fail(n.Line, "per: device, but the conditions are about "+strings.Join(names, " and "), "one device has one type; say \"per: controller\" for the parts of one")
	}
}

func (s *Sequence) occurrences() []Occurrence {
	var out []Occurrence
	for i := range s.Steps {
		out = append(out, s.Steps[i].Any...)
	}
	if s.Until != nil {
		out = append(out, s.Until.Any...)
	}
	for i := range s.Resolve {
		out = append(out, s.Resolve[i].Any...)
	}
	return out
}

// String says what has to happen: "the state of a physical_drive becomes Rbld".
func (t Trigger) String() string {
	var out []string
	for _, o := range t.Any {
		switch {
		case o.Event != nil && o.Event.Device.Type != "":
			out = append(out, fmt.Sprintf("%s about a %s comes", o.Event.Where.explain(), o.Event.Device.Type))
		case o.Event != nil:
			out = append(out, o.Event.Where.explain()+" comes")
		case o.State != nil && len(o.State.Is) > 0:
			out = append(out, fmt.Sprintf("the %s of a %s becomes %s", o.State.Field, o.State.Device, orList(o.State.Is)))
		case o.State != nil:
			out = append(out, fmt.Sprintf("the %s of a %s becomes another than %s", o.State.Field, o.State.Device, orList(o.State.IsNot)))
		case o.Change != nil:
			out = append(out, fmt.Sprintf("a %s is %s", orList(o.Change.Devices), orList(o.Change.Kinds)))
		default:
			out = append(out, "the server boots")
		}
	}
	return strings.Join(out, ", or ")
}

// Explain implements Spec.
func (s *Sequence) Explain(r *Rule) string {
	var b strings.Builder
	b.WriteString("Fires when ")
	for i := range s.Steps {
		st := &s.Steps[i]
		if i > 0 {
			b.WriteString(", then ")
		}
		within := ""
		if st.Within > 0 {
			within = " within " + formatDuration(st.Within)
		}
		switch {
		case st.Not:
			fmt.Fprintf(&b, "not%s: %s", within, st.Trigger)
		case st.Times > 1:
			fmt.Fprintf(&b, "%d times%s: %s", st.Times, within, st.Trigger)
		case within != "":
			fmt.Fprintf(&b, "%s: %s", within[1:], st.Trigger)
		default:
			b.WriteString(st.String())
		}
	}
	if s.Per != PerServer {
		b.WriteString(", of one " + s.Per)
	}
	if s.Until != nil {
		b.WriteString("; what has begun is dropped when " + s.Until.String())
	}
	b.WriteString("; clears ")
	for i := range s.Resolve {
		if i > 0 {
			b.WriteString(" and then ")
		}
		b.WriteString("when " + s.Resolve[i].String())
	}
	switch {
	case r.Expires > 0 && len(s.Resolve) > 0:
		b.WriteString(", at the latest " + formatDuration(r.Expires) + " after it fired or went on")
	case r.Expires > 0:
		b.WriteString(formatDuration(r.Expires) + " after it fired or went on")
	}
	if s.Per != PerServer {
		b.WriteString(", or when the device is gone that it began with")
	}
	return b.String() + "."
}
