package rule

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// State fires while a field of a device has a bad value, and clears by itself.
// Exactly one of OK, Bad, Above and Below is set. A value that is not known is
// neither good nor bad: what was last known holds.
type State struct {
	Device string // type
	Field  string
	OK     []string // all other values are bad; without regard to case
	Bad    []string // all other values are good
	Above  *float64
	Below  *float64
}

func decodeState(d *decoder, n *yaml.Node, _ *Rule) Spec {
	s := &State{}
	d.mapping(n, "state",
		field{"device", func(n *yaml.Node) { s.Device = d.form(n, "device", typeForm, "a device type, such as virtual_drive") }},
		field{"field", func(n *yaml.Node) { s.Field = d.form(n, "field", fieldForm, "a device's field, such as state") }},
		field{"ok", func(n *yaml.Node) { s.OK = d.texts(n, "ok") }},
		field{"bad", func(n *yaml.Node) { s.Bad = d.texts(n, "bad") }},
		field{"above", func(n *yaml.Node) { s.Above = d.number(n, "above") }},
		field{"below", func(n *yaml.Node) { s.Below = d.number(n, "below") }})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for _, must := range []string{"device", "field"} {
		if !hasKey(n, must) {
			d.fail(n.Line, "state has no "+must, "for example {device: virtual_drive, field: state, ok: [Optl]}")
		}
	}
	count := 0
	for _, key := range []string{"ok", "bad", "above", "below"} {
		if hasKey(n, key) {
			count++
		}
	}
	if count != 1 {
		d.fail(n.Line, fmt.Sprintf("state says %d of ok, bad, above, below", count), "say exactly one")
	}
	return s
}

// IsBad judges a value's text, and its number when it is one.
func (s *State) IsBad(text string, number float64, isNumber bool) bool {
	switch {
	case len(s.OK) > 0:
		return !oneOf(s.OK, text)
	case len(s.Bad) > 0:
		return oneOf(s.Bad, text)
	case s.Above != nil:
		return isNumber && number > *s.Above
	case s.Below != nil:
		return isNumber && number < *s.Below
	}
	return false
}

// Explain implements Spec.
func (s *State) Explain(r *Rule) string {
	out := fmt.Sprintf("Fires while the %s of a %s is ", s.Field, s.Device)
	switch {
	case len(s.OK) > 0:
		out += "known and not " + orList(s.OK)
	case len(s.Bad) > 0:
		out += orList(s.Bad)
	case s.Above != nil:
		out += "above " + strconv.FormatFloat(*s.Above, 'g', -1, 64)
	default:
		out += "below " + strconv.FormatFloat(*s.Below, 'g', -1, 64)
	}
	if r.For > 0 {
		out += " for at least " + formatDuration(r.For)
	}
	return out + "; clears by itself, or when the device is gone."
}

// has tells whether a list holds a text; used by Change too.
func has(list []string, s string) bool { return slices.Contains(list, s) }
