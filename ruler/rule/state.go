package rule

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// State fires while a field of a device has a bad value, and clears by itself.
// Exactly one of OK, Bad, Above and Below is set. A value that is not known is
// neither good nor bad: what was last known holds.
//
// Fields with omitempty came later: a rule that does not use them has the
// shape, and so the state, that it always had.
type State struct {
	Device string // type
	Field  string
	OK     []string // all other values are bad; without regard to case
	Bad    []string // all other values are good
	Above  *float64
	Below  *float64
	// Clear is the other limit of Above or Below: what fired is bad until the
	// value is past it.
	Clear *float64 `json:",omitempty"`
	// Keep is how long the value must be good before the problem is over.
	Keep time.Duration `json:",omitempty"`
	// Levels give some bad values another severity than the rule's.
	Levels []Level `json:",omitempty"`
}

// Level is a severity and the values, or the limit, that have it.
type Level struct {
	Severity string
	Values   []string
	Limit    *float64
}

func decodeState(d *decoder, n *yaml.Node, _ *Rule) Spec {
	s := &State{}
	var levels *yaml.Node
	d.mapping(n, "state",
		field{"device", func(n *yaml.Node) { s.Device = d.form(n, "device", typeForm, "a device type, such as virtual_drive") }},
		field{"field", func(n *yaml.Node) { s.Field = d.form(n, "field", fieldForm, "a device's field, such as state") }},
		field{"ok", func(n *yaml.Node) { s.OK = d.texts(n, "ok") }},
		field{"bad", func(n *yaml.Node) { s.Bad = d.texts(n, "bad") }},
		field{"above", func(n *yaml.Node) { s.Above = d.number(n, "above") }},
		field{"below", func(n *yaml.Node) { s.Below = d.number(n, "below") }},
		field{"clear", func(n *yaml.Node) { s.Clear = d.number(n, "clear") }},
		field{"keep", func(n *yaml.Node) { s.Keep = d.duration(n, "keep") }},
		field{"levels", func(n *yaml.Node) { levels = n }})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for _, must := range []string{"device", "field"} {
		if !hasKey(n, must) {
			d.fail(n.Line, "state has no "+must, "for example {device: virtual_drive, field: state, ok: [Optl]}", must)
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
		return s
	}
	switch {
	case s.Clear == nil:
	case s.Above == nil && s.Below == nil:
		d.fail(n.Line, "clear without above or below", "texts are bad or not; use keep for a delay", "clear")
	case s.Above != nil && *s.Clear > *s.Above, s.Below != nil && *s.Clear < *s.Below:
		d.fail(n.Line, "clear lies on the bad side of the limit", "for example {above: 90, clear: 80}: fires above 90, is over at 80", "clear")
	}
	if levels != nil {
		d.stateLevels(levels, s)
	}
	return s
}

// stateLevels reads "severity: values" or "severity: limit".
func (d *decoder) stateLevels(n *yaml.Node, s *State) {
	d.levels(n, func(severity string, n *yaml.Node) {
		l := Level{Severity: severity}
		if s.Above == nil && s.Below == nil {
			l.Values = d.texts(n, severity)
			for _, v := range l.Values {
				if !s.IsBad(v, 0, false) {
					d.fail(n.Line, fmt.Sprintf("levels: %.40q is no bad value", v), "name it in bad, or take it out of ok")
				}
			}
		} else if l.Limit = d.number(n, severity); l.Limit != nil && !s.IsBad("", *l.Limit, true) {
			d.fail(n.Line, fmt.Sprintf("levels: %s lies on the good side of the limit", n.Value), "for example {above: 70, levels: {critical: 85}}")
		}
		s.Levels = append(s.Levels, l)
	})
	slices.SortStableFunc(s.Levels, func(a, b Level) int { return rank(b.Severity) - rank(a.Severity) })
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

// StaysBad judges the value of what is bad by now: with Clear it is over later
// than it began.
func (s *State) StaysBad(text string, number float64, isNumber bool) bool {
	switch {
	case s.Clear == nil:
		return s.IsBad(text, number, isNumber)
	case s.Above != nil:
		return isNumber && number > *s.Clear
	default:
		return isNumber && number < *s.Clear
	}
}

// SeverityOf returns the severity of a bad value.
func (s *State) SeverityOf(text string, r *Rule) string {
	number, err := strconv.ParseFloat(text, 64)
	for i := range s.Levels {
		l := &s.Levels[i]
		switch {
		case l.Limit == nil && oneOf(l.Values, text),
			l.Limit != nil && err == nil && (s.Above != nil && number > *l.Limit || s.Below != nil && number < *l.Limit):
			return l.Severity
		}
	}
	return r.Severity
}

// shape implements shaper: severities shape no state.
func (s *State) shape() any {
	plain := *s
	plain.Levels = nil
	return &plain
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// Explain implements Spec.
func (s *State) Explain(r *Rule) string {
	out := fmt.Sprintf("Fires while the %s of a %s is ", s.Field, s.Device)
	limit := ""
	switch {
	case len(s.OK) > 0:
		out += "known and not " + orList(s.OK)
	case len(s.Bad) > 0:
		out += orList(s.Bad)
	case s.Above != nil:
		limit = "above "
		out += limit + number(*s.Above)
	default:
		limit = "below "
		out += limit + number(*s.Below)
	}
	if r.For > 0 {
		out += " for at least " + formatDuration(r.For)
	}
	for _, l := range s.Levels {
		if l.Limit != nil {
			out += "; " + limit + number(*l.Limit) + " is " + l.Severity
		} else {
			out += "; " + orList(l.Values) + " is " + l.Severity
		}
	}
	out += "; clears by itself"
	if s.Clear != nil {
		out += " at " + number(*s.Clear)
	}
	if s.Keep > 0 {
		out += " once it was well for " + formatDuration(s.Keep)
	}
	return out + ", or when the device is gone."
}

// has tells whether a list holds a text; used by Change too.
func has(list []string, s string) bool { return slices.Contains(list, s) }
