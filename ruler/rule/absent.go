package rule

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/record"
)

// Absent fires when a server has not sent a category for a time, and clears
// when it comes again. A server of which nothing was ever seen is not judged.
type Absent struct {
	Category record.Category
	After    time.Duration
	// Goodbye is how much longer a server may stay away that said it would: past
	// it, it is silent after all.
	Goodbye time.Duration
	// WhileHeartbeat judges only while heartbeats arrive: a silent server is
	// another rule's problem.
	WhileHeartbeat bool
}

// DefaultGoodbye is how long a reboot may take.
const DefaultGoodbye = 30 * time.Minute

func decodeAbsent(d *decoder, n *yaml.Node, _ *Rule) Spec {
	var categories []string
	for _, c := range record.Categories() {
		categories = append(categories, c.String())
	}
	a := &Absent{Goodbye: DefaultGoodbye}
	d.mapping(n, "absent",
		field{"category", func(n *yaml.Node) {
			if w := d.word(n, "category", categories); w != "" {
				a.Category, _ = record.ParseCategory(w) // it is one of them
			}
		}},
		field{"after", func(n *yaml.Node) { a.After = d.duration(n, "after") }},
		field{"goodbye", func(n *yaml.Node) { a.Goodbye = d.duration(n, "goodbye") }},
		field{"while", func(n *yaml.Node) {
			a.WhileHeartbeat = d.word(n, "while", []string{record.Heartbeat.String()}) != ""
		}})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for _, must := range []string{"category", "after"} {
		if !hasKey(n, must) {
			d.fail(n.Line, "absent has no "+must, "for example {category: heartbeat, after: 5m}")
		}
	}
	if a.Category == record.Heartbeat && a.WhileHeartbeat {
		d.fail(n.Line, "heartbeats cannot be missing while they arrive", "leave \"while\" out")
	}
	return a
}

// Explain implements Spec.
func (a *Absent) Explain(*Rule) string {
	s := fmt.Sprintf("Fires when a server that sent %s records before has sent none for %s", a.Category, formatDuration(a.After))
	if a.WhileHeartbeat {
		s += " although its heartbeats arrive"
	}
	return s + fmt.Sprintf("; after a goodbye it has %s to come back; clears with the next one.", formatDuration(a.Goodbye))
}
