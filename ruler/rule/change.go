package rule

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"nocturne/ruler/diff"
)

// Change fires when a snapshot differs from the one before, and expires.
type Change struct {
	Devices []string // types
	Kinds   []string // of diff.Kinds
	Fields  []string // kind field: which count; empty = all of the configuration
	Ignore  []string // kind field: which do not
}

func decodeChange(d *decoder, n *yaml.Node, _ *Rule) Spec {
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
		field{"ignore", func(n *yaml.Node) { c.Ignore = d.texts(n, "ignore") }})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for _, must := range []string{"device", "kinds"} {
		if !hasKey(n, must) {
			d.fail(n.Line, "change has no "+must, "for example {device: physical_drive, kinds: [replaced, moved]}")
		}
	}
	field := hasKey(n, "fields") || hasKey(n, "ignore")
	switch {
	case hasKey(n, "fields") && hasKey(n, "ignore"):
		d.fail(n.Line, "change says fields and ignore", "fields names all that count; leave ignore out")
	case field && hasKey(n, "kinds") && !has(c.Kinds, diff.Field.String()):
		d.fail(n.Line, "change names fields, but not the kind field", "add \"field\" to kinds")
	}
	return c
}

// Counts tells whether a difference is one that this rule is about.
func (c *Change) Counts(ch *diff.Change) bool {
	if !has(c.Devices, ch.Type) || !has(c.Kinds, ch.Kind.String()) {
		return false
	}
	switch {
	case ch.Kind != diff.Field:
		return true
	case len(c.Fields) > 0:
		return has(c.Fields, ch.Field)
	default:
		return ch.Class == diff.Config && !has(c.Ignore, ch.Field)
	}
}

// Explain implements Spec.
func (c *Change) Explain(r *Rule) string {
	out := fmt.Sprintf("Fires when a %s is %s", orList(c.Devices), orList(c.Kinds))
	switch {
	case len(c.Fields) > 0:
		out += ", of the fields only " + orList(c.Fields)
	case len(c.Ignore) > 0:
		out += ", of the fields not " + orList(c.Ignore)
	}
	return out + "; is shown for " + formatDuration(r.Expires) + "."
}
