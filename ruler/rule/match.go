package rule

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
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
// holds the place, or the pattern that finds it in the text. Its JSON is part of
// a rule's shape.
type DeviceRef struct {
	Type, Attr string
	Text       *TextPattern `json:",omitempty"`
}

// explain says what names the device.
func (r *DeviceRef) explain() string {
	if r.Text != nil {
		return "the text (" + r.Text.String() + ")"
	}
	return r.Attr
}

// Conditions must all hold; of each list one value. Their JSON is part of a
// rule's shape: what is added is left out where it is not used.
type Conditions struct {
	Records  []string // record names; empty = Windows events and journal entries
	Channel  []string // without regard to case
	Provider []string // lower case; providers compare without case
	EventID  []int64
	Level    []string
	Attrs    []AttrCondition // sorted by key
	// EventIDs are ranges; an id is one of EventID or in one of them.
	EventIDs []expr.Range    `json:",omitempty"`
	More     []AttrMatcher   `json:",omitempty"` // what is not "is one of"
	If       *expr.Condition `json:",omitempty"` // free condition
}

// AttrCondition holds when the attribute's text is one of the values.
type AttrCondition struct {
	Key    string
	Values []string
}

// Levels of events, as exporters write them, the first ones from worst to least.
func Levels() []string { return expr.Levels() }

// orderedLevels is how many levels can be better or worse: audits are neither.
const orderedLevels = 5

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
			field{"attr", func(n *yaml.Node) { r.Attr = d.text(n, "attr") }},
			field{"text", func(n *yaml.Node) { r.Text = d.textPattern(n) }})
		if n.Kind == yaml.MappingNode && (!hasKey(n, "type") || hasKey(n, "attr") == hasKey(n, "text")) {
			d.fail(n.Line, "device needs type and either attr or text", `for example {type: disk, attr: event.data.param1}, or {type: disk, text: 'dev (\S+),'}`)
		}
	}}
}

func (d *decoder) conditions(c *Conditions) []field {
	return []field{
		{"record", func(n *yaml.Node) { c.Records = d.texts(n, "record") }},
		{"channel", func(n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				c.More = append(c.More, AttrMatcher{record.AttrChannel, *d.matcher(n, "channel", true, false)})
				return
			}
			c.Channel = d.texts(n, "channel")
		}},
		{"provider", func(n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				c.More = append(c.More, AttrMatcher{record.AttrProvider, *d.matcher(n, "provider", true, false)})
				return
			}
			for _, p := range d.texts(n, "provider") {
				c.Provider = append(c.Provider, strings.ToLower(p))
			}
		}},
		{"event_id", func(n *yaml.Node) { d.eventIDs(n, c) }},
		{"level", func(n *yaml.Node) { d.eventLevels(n, c) }},
		{"attrs", func(n *yaml.Node) { d.attrs(n, c) }},
		{"if", func(n *yaml.Node) { c.If = d.free(n) }},
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
		if slices.ContainsFunc(c.Attrs, func(a AttrCondition) bool { return a.Key == name }) || slices.ContainsFunc(c.More, func(a AttrMatcher) bool { return a.Key == name }) {
			d.fail(key.Line, fmt.Sprintf("attrs says %.40q twice", name), "write a list of values")
			continue
		}
		if known := attrField(name); known != "" {
			d.fail(key.Line, fmt.Sprintf("attrs says %q", name), fmt.Sprintf("use the field %q: it is indexed", known))
			continue
		}
		if value.Kind == yaml.MappingNode {
			c.More = append(c.More, AttrMatcher{name, *d.matcher(value, name, false, true)})
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
		d.fail(n.Line, what+" has no condition", "it would match every event; add provider and event_id, or level", "provider")
	case hasKey(n, "event_id") && !c.namesProvider():
		d.fail(n.Line, what+" has event_id without provider", "an event id means nothing alone: add \"provider: disk\"", "provider")
	case c.If != nil && c.If.Keys().EventID != nil && !c.namesProvider():
		d.fail(n.Line, what+" has event_id without provider", "an event id means nothing alone: add provider == \"disk\" &&", "if")
	}
}

// namesProvider tells whether the conditions say which providers are meant.
func (c *Conditions) namesProvider() bool {
	return len(c.Provider) > 0 || c.If != nil && c.If.Keys().Provider != nil ||
		slices.ContainsFunc(c.More, func(m AttrMatcher) bool { return m.Key == record.AttrProvider && m.Like != nil })
}

// Keys is what must be true of a record, at the least.
func (c *Conditions) Keys() expr.Keys {
	var k expr.Keys
	if c.If != nil {
		k = c.If.Keys()
	}
	if len(c.Provider) > 0 {
		k.Provider = c.Provider
	}
	if len(c.Channel) > 0 {
		k.Channel = nil
		for _, ch := range c.Channel {
			k.Channel = append(k.Channel, strings.ToLower(ch))
		}
	}
	if len(c.Level) > 0 {
		k.Level = c.Level
	}
	if len(c.EventID)+len(c.EventIDs) > 0 {
		k.EventID = slices.Clone(c.EventIDs)
		for _, id := range c.EventID {
			k.EventID = append(k.EventID, expr.Range{Low: id, High: id})
		}
	}
	return k
}

// Explain implements Spec.
func (m *Match) Explain(r *Rule) string {
	s := "Fires on " + m.Where.explain()
	if m.Device.Type != "" {
		s += fmt.Sprintf(", once per %s named by %s", m.Device.Type, m.Device.explain())
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
	if ids := c.ids(); len(ids) > 0 {
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
	for i := range c.More {
		name := c.More[i].Key
		if known := attrField(name); known != "" {
			name = known
		}
		parts = append(parts, "where "+name+" "+c.More[i].explain())
	}
	if c.If != nil {
		parts = append(parts, "if "+strings.Join(strings.Fields(c.If.String()), " "))
	}
	return strings.TrimSpace(what + " " + strings.Join(parts, " "))
}

func (c *Conditions) ids() []string {
	var out []string
	for _, v := range c.EventID {
		out = append(out, strconv.FormatInt(v, 10))
	}
	for _, r := range c.EventIDs {
		out = append(out, fmt.Sprintf("%d-%d", r.Low, r.High))
	}
	return out
}
