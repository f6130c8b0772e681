package rule

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/record"
)

// Match fires on an event, and clears by another event or by time. With only
// levels, channels or providers it is a severity filter.
type Match struct {
	Where Conditions
	// Device says which device of the server the event speaks of: one problem
	// per device. Zero = the server.
	Device DeviceRef
	Clear  *Conditions
}

// DeviceRef finds a device's name in a record: type, and the attribute that
// holds the place.
type DeviceRef struct{ Type, Attr string }

// Conditions must all hold; of each list one value.
type Conditions struct {
	Records  []string // record names; empty = Windows events and journal entries
	Channel  []string // without regard to case
	Provider []string // lower case; providers compare without case
	EventID  []int64
	Level    []string
	Attrs    []AttrCondition // sorted by key
}

// AttrCondition holds when the attribute's text is one of the values.
type AttrCondition struct {
	Key    string
	Values []string
}

// Levels of events, as exporters write them.
func Levels() []string {
	return []string{"critical", "error", "warning", "info", "verbose", "audit_success", "audit_failure"}
}

var (
	typeForm  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	fieldForm = regexp.MustCompile(`^[a-z][a-z0-9_.]*$`)
)

func decodeMatch(d *decoder, n *yaml.Node, _ *Rule) Spec {
	m := &Match{}
	fields := d.conditions(&m.Where)
	fields = append(fields,
		d.deviceRef(&m.Device),
		field{"clear", func(n *yaml.Node) {
			m.Clear = &Conditions{}
			d.mapping(n, "clear", d.conditions(m.Clear)...)
			d.checkConditions(n, "clear", m.Clear)
		}})
	d.mapping(n, "match", fields...)
	d.checkConditions(n, "match", &m.Where)
	return m
}

func (d *decoder) deviceRef(r *DeviceRef) field {
	return field{"device", func(n *yaml.Node) {
		d.mapping(n, "device",
			field{"type", func(n *yaml.Node) { r.Type = d.form(n, "type", typeForm, "a device type, such as disk") }},
			field{"attr", func(n *yaml.Node) { r.Attr = d.text(n, "attr") }})
		if n.Kind == yaml.MappingNode && (!hasKey(n, "type") || !hasKey(n, "attr")) {
			d.fail(n.Line, "device needs type and attr", "for example {type: disk, attr: event.data.param1}")
		}
	}}
}

func (d *decoder) conditions(c *Conditions) []field {
	return []field{
		{"record", func(n *yaml.Node) { c.Records = d.texts(n, "record") }},
		{"channel", func(n *yaml.Node) { c.Channel = d.texts(n, "channel") }},
		{"provider", func(n *yaml.Node) {
			for _, p := range d.texts(n, "provider") {
				c.Provider = append(c.Provider, strings.ToLower(p))
			}
		}},
		{"event_id", func(n *yaml.Node) { c.EventID = d.ints(n, "event_id", 0, 1<<32-1) }},
		{"level", func(n *yaml.Node) { c.Level = d.words(n, "level", Levels()) }},
		{"attrs", func(n *yaml.Node) { d.attrs(n, c) }},
	}
}

func (d *decoder) attrs(n *yaml.Node, c *Conditions) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		d.fail(n.Line, "attrs is "+nodeKind(n), `write "attribute: value" lines`)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !d.plain(key) || !d.plain(value) {
			continue
		}
		name := d.text(key, "an attribute's name")
		if slices.ContainsFunc(c.Attrs, func(a AttrCondition) bool { return a.Key == name }) {
			d.fail(key.Line, fmt.Sprintf("attrs says %.40q twice", name), "write a list of values")
			continue
		}
		if known := attrField(name); known != "" {
			d.fail(key.Line, fmt.Sprintf("attrs says %q", name), fmt.Sprintf("use the field %q: it is indexed", known))
			continue
		}
		if v := d.texts(value, name); len(v) > 0 {
			c.Attrs = append(c.Attrs, AttrCondition{Key: name, Values: v})
		}
	}
	slices.SortFunc(c.Attrs, func(a, b AttrCondition) int { return strings.Compare(a.Key, b.Key) })
}

func attrField(attr string) string {
	switch attr {
	case record.AttrChannel:
		return "channel"
	case record.AttrProvider:
		return "provider"
	case record.AttrEventID:
		return "event_id"
	case record.AttrLevel:
		return "level"
	default:
		return ""
	}
}

func (d *decoder) checkConditions(n *yaml.Node, what string, c *Conditions) {
	if n.Kind != yaml.MappingNode {
		return
	}
	switch {
	case len(n.Content) == 0:
		d.fail(n.Line, what+" has no condition", "it would match every event; add provider and event_id, or level")
	case hasKey(n, "event_id") && !hasKey(n, "provider"):
		d.fail(n.Line, what+" has event_id without provider", "an event id means nothing alone: add \"provider: disk\"")
	}
}

// Explain implements Spec.
func (m *Match) Explain(r *Rule) string {
	s := "Fires on " + m.Where.explain()
	if m.Device.Type != "" {
		s += fmt.Sprintf(", once per %s named by %s", m.Device.Type, m.Device.Attr)
	}
	if m.Clear != nil {
		s += "; clears on " + m.Clear.explain()
		if r.Expires > 0 {
			s += ", at the latest " + formatDuration(r.Expires) + " after the last one"
		}
	} else {
		s += "; clears " + formatDuration(r.Expires) + " after the last one"
	}
	return s + "."
}

func (c *Conditions) explain() string {
	what := "an event"
	if len(c.Records) > 0 {
		what = "a record named " + orList(c.Records)
	}
	var parts []string
	if len(c.Provider) > 0 {
		parts = append(parts, "from provider "+orList(c.Provider))
	}
	if len(c.EventID) > 0 {
		ids := make([]string, len(c.EventID))
		for i, v := range c.EventID {
			ids[i] = strconv.FormatInt(v, 10)
		}
		parts = append(parts, "with id "+orList(ids))
	}
	if len(c.Channel) > 0 {
		parts = append(parts, "in channel "+orList(c.Channel))
	}
	if len(c.Level) > 0 {
		parts = append(parts, "of level "+orList(c.Level))
	}
	for _, a := range c.Attrs {
		parts = append(parts, "where "+a.Key+" is "+orList(a.Values))
	}
	return strings.TrimSpace(what + " " + strings.Join(parts, " "))
}
