package rule

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/record"
)

// Absent fires when a server has not sent a category for a time, and clears
// when it comes again. While says of which servers it is.
type Absent struct {
	Category record.Category
	After    time.Duration
	// Goodbye is how much longer a server may stay away that said it would.
	Goodbye Goodbye
	While   While
}

// While says of which servers an absence is judged. The set is closed.
type While string

// The servers that an absent rule can be about.
const (
	WhileHeard     While = ""          // that sent the category before
	WhileHeartbeat While = "heartbeat" // the same, and their heartbeats arrive: a silent server is another rule's problem
	WhileShutdown  While = "shutdown"  // that said they shut down; After counts from there
	WhileExpected  While = "expected"  // that the register knows and nobody ever heard; After counts from there
)

// Goodbye is how long a server may stay away, by what it said.
type Goodbye struct {
	Stop     time.Duration // the exporter stops, or is replaced by another version
	Restart  time.Duration // the machine restarts, for updates or not, or does not say what comes after its end
	Shutdown time.Duration // the machine is switched off; 0 = until it is back
}

// DefaultGoodbye is what holds when a rule does not say it.
func DefaultGoodbye() Goodbye { return Goodbye{Stop: 10 * time.Minute, Restart: time.Hour} }

// untilBack is how a file says that a server may stay away for ever.
const untilBack = "back"

func decodeAbsent(d *decoder, n *yaml.Node, _ *Rule) Spec {
	var categories []string
	for _, c := range record.Categories() {
		categories = append(categories, c.String())
	}
	a := &Absent{Goodbye: DefaultGoodbye()}
	d.mapping(n, "absent",
		field{"category", func(n *yaml.Node) {
			if w := d.word(n, "category", categories); w != "" {
				a.Category, _ = record.ParseCategory(w) // it is one of them
			}
		}},
		field{"after", func(n *yaml.Node) { a.After = d.duration(n, "after") }},
		field{"goodbye", func(n *yaml.Node) { a.Goodbye = d.goodbye(n) }},
		field{"while", func(n *yaml.Node) {
			a.While = While(d.word(n, "while", []string{string(WhileHeartbeat), string(WhileShutdown), string(WhileExpected)}))
		}})
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for _, must := range []string{"category", "after"} {
		if !hasKey(n, must) {
			d.fail(n.Line, "absent has no "+must, "for example {category: heartbeat, after: 5m}", must)
		}
	}
	switch a.While {
	case WhileHeartbeat:
		if a.Category == record.Heartbeat {
			d.fail(n.Line, "heartbeats cannot be missing while they arrive", "leave \"while\" out", "while")
		}
	case WhileShutdown, WhileExpected:
		if a.Category != record.Heartbeat {
			d.fail(n.Line, fmt.Sprintf("\"while: %s\" is about whole servers", a.While), "write \"category: heartbeat\"", "category")
		}
		if hasKey(n, "goodbye") {
			d.fail(n.Line, fmt.Sprintf("\"while: %s\" knows no goodbye", a.While), "leave \"goodbye\" out: \"after\" is the time", "goodbye")
		}
		a.Goodbye = Goodbye{}
	}
	return a
}

// goodbye reads one time for all, or one for each thing that a server can say.
func (d *decoder) goodbye(n *yaml.Node) Goodbye {
	if n.Kind != yaml.MappingNode {
		v := d.duration(n, "goodbye")
		return Goodbye{v, v, v}
	}
	g := DefaultGoodbye()
	d.mapping(n, "goodbye",
		field{"stop", func(n *yaml.Node) { g.Stop = d.duration(n, "stop") }},
		field{"restart", func(n *yaml.Node) { g.Restart = d.duration(n, "restart") }},
		field{"shutdown", func(n *yaml.Node) {
			if n.Value == untilBack {
				g.Shutdown = 0
				return
			}
			g.Shutdown = d.duration(n, "shutdown")
		}})
	return g
}

// shape is what state depends on. How long a goodbye lasts is none of it: state
// says what a server said and when. The constant stands for what older versions
// had there, so that an upgrade keeps their state.
func (a *Absent) shape() any {
	s := struct {
		Category       record.Category
		After, Goodbye time.Duration
		WhileHeartbeat bool
		While          While `json:",omitempty"`
	}{Category: a.Category, After: a.After, Goodbye: 30 * time.Minute, WhileHeartbeat: a.While == WhileHeartbeat}
	if a.While != WhileHeartbeat {
		s.While = a.While
	}
	return s
}

// Explain implements Spec.
func (a *Absent) Explain(*Rule) string {
	after := formatDuration(a.After)
	switch a.While {
	case WhileShutdown:
		return fmt.Sprintf("Fires when a server that said it shuts down is not back after %s; clears with its next heartbeat.", after)
	case WhileExpected:
		return fmt.Sprintf("Fires when a server that the register knows was never heard, %s after it was entered there; clears with its first record.", after)
	}
	s := fmt.Sprintf("Fires when a server that sent %s records before has sent none for %s", a.Category, after)
	if a.While == WhileHeartbeat {
		s += " although its heartbeats arrive"
	}
	return s + "; " + a.Goodbye.explain() + "; clears with the next one."
}

func (g Goodbye) explain() string {
	if g.Stop == g.Restart && g.Stop == g.Shutdown {
		return fmt.Sprintf("after a goodbye it has %s to come back", formatDuration(g.Stop))
	}
	off := "for as long as it likes"
	if g.Shutdown > 0 {
		off = "for " + formatDuration(g.Shutdown)
	}
	return fmt.Sprintf("after a goodbye it may be stopped for %s, restart for %s, or be shut down %s", formatDuration(g.Stop), formatDuration(g.Restart), off)
}
