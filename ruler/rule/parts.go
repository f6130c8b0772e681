package rule

import (
	"fmt"
	"slices"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
)

// EventConditions are conditions about events that a rule has, and what they
// are for.
type EventConditions struct {
	For    string // "fires on", "clears on"
	Where  *Conditions
	Device DeviceRef // of what the event speaks; zero = of the server
}

// AboutEvents is a Spec that looks at events, and at which.
type AboutEvents interface {
	Spec
	Events() []EventConditions
}

// Events implements AboutEvents.
func (m *Match) Events() []EventConditions {
	out := []EventConditions{{"fires on", &m.Where, m.Device}}
	if m.Clear != nil {
		out = append(out, EventConditions{"clears on", m.Clear, m.Device})
	}
	return out
}

// Events implements AboutEvents.
func (c *Count) Events() []EventConditions {
	if c.Event == nil {
		return nil
	}
	return []EventConditions{{"counts", &c.Event.Where, c.Event.Device}}
}

// Events implements AboutEvents.
func (s *Sequence) Events() []EventConditions {
	var out []EventConditions
	for _, o := range s.occurrences() {
		if o.Event != nil {
			out = append(out, EventConditions{"a step or an end", &o.Event.Where, o.Event.Device})
		}
	}
	return out
}

// Part is one of several conditions that must all hold.
type Part struct {
	Text  string
	Attr  string // the attribute it is about; "" = the record's name, or several
	Where Conditions
}

// Parts takes conditions apart. Each part says of the record's name only what
// it is about.
func (c *Conditions) Parts(name string) []Part {
	var out []Part
	add := func(attr string, one Conditions) {
		text := one.brief()
		one.Records = []string{name}
		out = append(out, Part{text, attr, one})
	}
	if len(c.Records) > 0 {
		out = append(out, Part{Text: "record is " + orList(c.Records), Where: Conditions{Records: c.Records}})
	} else {
		out = append(out, Part{Text: "record is a Windows event or a journal entry"})
	}
	if len(c.Provider) > 0 {
		add(record.AttrProvider, Conditions{Provider: c.Provider})
	}
	if len(c.EventID)+len(c.EventIDs) > 0 {
		add(record.AttrEventID, Conditions{EventID: c.EventID, EventIDs: c.EventIDs})
	}
	if len(c.Channel) > 0 {
		add(record.AttrChannel, Conditions{Channel: c.Channel})
	}
	if len(c.Level) > 0 {
		add(record.AttrLevel, Conditions{Level: c.Level})
	}
	for i := range c.Attrs {
		add(c.Attrs[i].Key, Conditions{Attrs: c.Attrs[i : i+1]})
	}
	for i := range c.More {
		add(c.More[i].Key, Conditions{More: c.More[i : i+1]})
	}
	if c.If == nil {
		return out
	}
	for _, text := range c.If.Parts() {
		one, mistake := expr.Compile(text)
		if mistake != nil { // one that only together is short enough, or the like
			one, text = c.If, c.If.String()
		}
		out = append(out, Part{Text: text, Where: Conditions{Records: []string{name}, If: one}})
		if mistake != nil {
			break
		}
	}
	return out
}

// brief writes one condition: "provider is disk".
func (c *Conditions) brief() string {
	switch {
	case len(c.Provider) > 0:
		return "provider is " + orList(c.Provider)
	case len(c.EventID)+len(c.EventIDs) > 0:
		return "event_id is " + orList(c.ids())
	case len(c.Channel) > 0:
		return "channel is " + orList(c.Channel)
	case len(c.Level) > 0:
		return "level is " + orList(c.Level)
	case len(c.Attrs) > 0:
		return fmt.Sprintf("%s is %s", c.Attrs[0].Key, orList(c.Attrs[0].Values))
	case len(c.More) > 0:
		name := c.More[0].Key
		if known := attrField(name); known != "" {
			name = known
		}
		return name + " " + c.More[0].explain()
	default:
		return ""
	}
}

// SelectorKeys returns the labels that rules may name, in their order.
func SelectorKeys() []string { return slices.Clone(selectorKeys) }

// Describe writes what a selector wants of a label.
func (s Selector) Describe(key string) string {
	m := s[key]
	return key + " " + m.explain()
}
