package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/ruler/diff"
)

// Change fires when a snapshot differs from the one before, and expires.
//
// Fields with omitempty came later: a rule that does not use them has the
// shape, and so the state, that it always had.
type Change struct {
	Devices []string // types
	Kinds   []string // of diff.Kinds
	Fields  []string // kind field: which count; empty = all of the configuration
	Ignore  []string // kind field: which do not
	Also    []string `json:",omitempty"` // kind field: which count besides the configuration
	// Levels give kinds of changes ("removed") and fields ("field.firmware")
	// another severity than the rule's.
	Levels map[string]string `json:",omitempty"`
	// Across makes it a rule about parts that move between servers, and only
	// those: within what time one that left a server appears at another. 0 = about
	// what changes within a server.
	Across time.Duration `json:",omitempty"`
	// Windows are when changes were planned; they are told by nobody.
	Windows []*Window `json:",omitempty"`
}

const (
	fieldPrefix = "field."
)

func decodeChange(d *decoder, n *yaml.Node, r *Rule) Spec {
	var kinds []string
	for _, k := range diff.Kinds() {
		kinds = append(kinds, k.String())
	}
	c := &Change{}
	d.mapping(n, "change",
		field{"device", func(n *yaml.Node) {
			for _, t := range d.texts(n, "device") {
				if !typeForm.MatchString(t) {
					d.fail(n.Line, fmt.Sprintf("device %.40q", t), "write a device type, such as memory")
				}
				c.Devices = append(c.Devices, t)
			}
		}},
		field{"kinds", func(n *yaml.Node) { c.Kinds = d.words(n, "kinds", kinds) }},
		field{"fields", func(n *yaml.Node) { c.Fields = d.texts(n, "fields") }},
		field{"ignore", func(n *yaml.Node) { c.Ignore = d.texts(n, "ignore") }},
		field{"also", func(n *yaml.Node) { c.Also = d.texts(n, "also") }},
		field{"levels", func(n *yaml.Node) { c.Levels = d.changeLevels(n, kinds) }},
		field{"across", func(n *yaml.Node) { c.Across = d.across(n) }})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for _, must := range []string{"device", "kinds"} {
		if !hasKey(n, must) {
			d.fail(n.Line, "change has no "+must, "for example {device: physical_drive, kinds: [replaced, moved]}", must)
		}
	}
	field := hasKey(n, "fields") || hasKey(n, "ignore") || hasKey(n, "also")
	switch {
	case hasKey(n, "fields") && (hasKey(n, "ignore") || hasKey(n, "also")):
		d.fail(n.Line, "change says fields and ignore or also", "fields names all that count; leave the others out")
	case field && hasKey(n, "kinds") && !has(c.Kinds, diff.Field.String()):
		d.fail(n.Line, "change names fields, but not the kind field", "add \"field\" to kinds")
	}
	if c.Across > 0 && !slices.Equal(c.Kinds, []string{diff.Moved.String()}) {
		d.fail(n.Line, "change says across, and other kinds than moved", "write \"kinds: [moved]\"; what changes within a server takes a rule of its own")
	}
	d.checkVolatile(n.Line, c)
	return c
}

// DefaultAcross is how long a part may be on its way between servers, and
// maxAcross the longest that a rule may say.
const (
	DefaultAcross = 30 * 24 * time.Hour
	maxAcross     = 90 * 24 * time.Hour
)

// across reads true, false, or a time.
func (d *decoder) across(n *yaml.Node) time.Duration {
	switch n.Value {
	case "true":
		return DefaultAcross
	case "false":
		return 0
	}
	before := len(d.errs)
	v := d.duration(n, "across")
	if len(d.errs) == before && (v < time.Minute || v > maxAcross) {
		d.fail(n.Line, fmt.Sprintf("across %.40q", n.Value), "write true for 30 days, or from 1m to 90d")
	}
	return v
}

// changeLevels reads "severity: kinds and fields".
func (d *decoder) changeLevels(n *yaml.Node, kinds []string) map[string]string {
	out := map[string]string{}
	d.levels(n, func(severity string, n *yaml.Node) {
		for _, what := range d.texts(n, severity) {
			if name, ok := strings.CutPrefix(what, fieldPrefix); !has(kinds, what) && (!ok || name == "") {
				d.fail(n.Line, fmt.Sprintf("levels: %.40q is not known", what), "known are "+strings.Join(kinds, ", ")+", and field.NAME")
				continue
			}
			if out[what] != "" {
				d.fail(n.Line, fmt.Sprintf("levels: %.40q has two severities", what), "keep one of them")
			}
			out[what] = severity
		}
	})
	return out
}

// levels reads a mapping from severities.
func (d *decoder) levels(n *yaml.Node, read func(severity string, n *yaml.Node)) {
	var fields []field
	for _, s := range Severities() {
		fields = append(fields, field{s, func(n *yaml.Node) { read(s, n) }})
	}
	d.mapping(n, "levels", fields...)
}

// checkVolatile refuses fields that no snapshot keeps: such a rule never fires.
func (d *decoder) checkVolatile(line int, c *Change) {
	for _, f := range slices.Concat(c.Fields, c.Also) {
		volatile := len(c.Devices) > 0 && !strings.Contains(f, "*")
		for _, device := range c.Devices {
			volatile = volatile && diff.ClassOf(device, f) == diff.Volatile
		}
		if volatile {
			d.fail(line, fmt.Sprintf("field %.40q varies by itself and is not compared", f), "use kind count for what grows, kind state for a limit")
		}
	}
}

// Counts tells whether a difference between two snapshots of a server is one
// that this rule is about.
func (c *Change) Counts(ch *diff.Change) bool {
	if c.Across > 0 || !has(c.Devices, ch.Type) || !has(c.Kinds, ch.Kind.String()) {
		return false
	}
	switch {
	case ch.Kind != diff.Field:
		return true
	case len(c.Fields) > 0:
		return hasField(c.Fields, ch.Field)
	default:
		return (ch.Class == diff.Config || hasField(c.Also, ch.Field)) && !hasField(c.Ignore, ch.Field)
	}
}

// SeverityOf returns a change's own severity, or the rule's.
func (c *Change) SeverityOf(ch *diff.Change, r *Rule) string {
	if len(c.Levels) == 0 {
		return r.Severity
	}
	if s := c.Levels[fieldPrefix+ch.Field]; s != "" && ch.Kind == diff.Field {
		return s
	}
	if s := c.Levels[ch.Kind.String()]; s != "" {
		return s
	}
	return r.Severity
}

// hasField tells whether a list of names and patterns holds a field.
func hasField(list []string, name string) bool {
	for _, w := range list {
		text := strings.Trim(w, "*")
		begins, ends := strings.HasPrefix(w, "*"), strings.HasSuffix(w, "*")
		switch {
		case !begins && !ends && w == name,
			begins && !ends && strings.HasSuffix(name, text),
			!begins && ends && strings.HasPrefix(name, text),
			begins && ends && strings.Contains(name, text):
			return true
		}
	}
	return false
}

// shape implements shaper: severities and plans shape no state.
func (c *Change) shape() any {
	plain := *c
	plain.Levels, plain.Windows = nil, nil
	return &plain
}

// Explain implements Spec.
func (c *Change) Explain(r *Rule) string {
	out := fmt.Sprintf("Fires when a %s is %s", orList(c.Devices), orList(c.Kinds))
	switch {
	case c.Across > 0:
		out = fmt.Sprintf("Fires when a %s with a known serial number appears that left another server within %s, before or after", orList(c.Devices), formatDuration(c.Across))
	case len(c.Fields) > 0:
		out += ", of the fields only " + orList(c.Fields)
	case len(c.Ignore) > 0:
		out += ", of the fields not " + orList(c.Ignore)
	}
	if len(c.Also) > 0 {
		out += ", of the fields also " + orList(c.Also)
	}
	for _, s := range Severities() {
		var what []string
		for k, v := range c.Levels {
			if v == s {
				what = append(what, k)
			}
		}
		if slices.Sort(what); len(what) > 0 {
			out += "; " + orList(what) + " is " + s
		}
	}
	for _, w := range c.Windows {
		out += "; planned, and not told: " + w.String()
	}
	return out + "; is shown for " + formatDuration(r.Expires) + "."
}
