package registry

import (
	"fmt"
	"time"
)

// Succession says what happens when a server enrols whose machine id and
// SMBIOS UUID a known server already has.
type Succession string

// The ways to treat a succession.
const (
	// Propose issues a new id, flags both and waits for a person.
	Propose Succession = "propose"
	// Automatic gives the new installation the old id, unless the old one
	// still speaks: then it proposes.
	Automatic Succession = "automatic"
)

// Config is the registry's part of the configuration file.
type Config struct {
	Succession Succession `yaml:"succession"`
	// LiveFor is how long after its last word a server counts as alive: an
	// automatic succession never takes an id from a live server.
	LiveFor time.Duration `yaml:"live_for"`
	// RestateEvery is how often every server is stated to the stream again, so
	// that a ruler with an empty store learns the fleet from a stream that
	// keeps a week.
	RestateEvery time.Duration `yaml:"restate_every"`
	// EnrolFailuresPerMinute bounds failed attempts to enrol, per address.
	EnrolFailuresPerMinute int `yaml:"enrol_failures_per_minute"`
	// Patterns give labels by the name, where neither the join token nor a
	// person gave any.
	Patterns []Pattern `yaml:"patterns"`
	// Copy is the file that holds the copy of the bucket; "" = none. Set by
	// the program, not by the file.
	Copy string `yaml:"-"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Succession: Propose, LiveFor: 10 * time.Minute, RestateEvery: 24 * time.Hour, EnrolFailuresPerMinute: 10}
}

// Validate says what to write instead of what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Succession != Propose && c.Succession != Automatic:
		return fmt.Errorf("registry.succession %q: want propose or automatic", c.Succession)
	case c.LiveFor < time.Minute || c.LiveFor > 24*time.Hour:
		return fmt.Errorf("registry.live_for %s: want 1m to 24h", c.LiveFor)
	case c.RestateEvery < time.Hour || c.RestateEvery > 7*24*time.Hour:
		return fmt.Errorf("registry.restate_every %s: want 1h to 168h", c.RestateEvery)
	case c.EnrolFailuresPerMinute < 1 || c.EnrolFailuresPerMinute > 10000:
		return fmt.Errorf("registry.enrol_failures_per_minute %d: want 1 to 10000", c.EnrolFailuresPerMinute)
	}
	return checkPatterns(c.Patterns)
}
