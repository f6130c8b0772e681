package rule

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// Clone fires when two exporters live under one identity, as after copying a
// disk, and clears when only one of them was heard for a time.
type Clone struct {
	Quiet time.Duration
}

// DefaultQuiet is how long only one line must be heard.
const DefaultQuiet = 15 * time.Minute

func decodeClone(d *decoder, n *yaml.Node, _ *Rule) Spec {
	c := &Clone{Quiet: DefaultQuiet}
	d.mapping(n, "clone", field{"quiet", func(n *yaml.Node) { c.Quiet = d.duration(n, "quiet") }})
	return c
}

// Explain implements Spec.
func (c *Clone) Explain(*Rule) string {
	return "Fires when heartbeats of two exporter starts arrive in turns under one identity; clears when only one was heard for " + formatDuration(c.Quiet) + "."
}
