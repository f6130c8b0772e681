package rule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Overrides change rules of a pack without editing its files: the ruler's
// config holds them below "overrides:", keyed by rule id.
//
//	overrides:
//	  server-silent: {after: 30s, goodbye: 5m}
//	  disk-bad-block: {severity: critical, expires: 12h}
//	  raid-drive-replaced: {enabled: false}
type Overrides map[string]Override

// Override is one rule's. Nil fields leave the rule as it is. Times are
// durations as in rule files.
type Override struct {
	Enabled  *bool            `yaml:"enabled,omitempty"`
	Severity *string          `yaml:"severity,omitempty"`
	For      *string          `yaml:"for,omitempty"`
	Expires  *string          `yaml:"expires,omitempty"`
	After    *string          `yaml:"after,omitempty"`   // absent
	Goodbye  *GoodbyeOverride `yaml:"goodbye,omitempty"` // absent
	Quiet    *string          `yaml:"quiet,omitempty"`   // clone
	OK       []string         `yaml:"ok,omitempty"`      // state
}

// GoodbyeOverride is one time for every goodbye, or one for each kind that is to
// be another one.
type GoodbyeOverride struct {
	All      string `yaml:"-"`
	Stop     string `yaml:"stop,omitempty"`
	Restart  string `yaml:"restart,omitempty"`
	Shutdown string `yaml:"shutdown,omitempty"` // a time, or "back"
}

// UnmarshalYAML takes both forms.
func (g *GoodbyeOverride) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return n.Decode(&g.All)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !slices.Contains([]string{"stop", "restart", "shutdown"}, key) {
			return fmt.Errorf("line %d: goodbye has no field %.40q: known are stop, restart, shutdown", n.Content[i].Line, key)
		}
	}
	type plain GoodbyeOverride
	return n.Decode((*plain)(g))
}

// MarshalYAML writes what UnmarshalYAML reads.
func (g GoodbyeOverride) MarshalYAML() (any, error) {
	if g.All != "" {
		return g.All, nil
	}
	type plain GoodbyeOverride
	return plain(g), nil
}

func (g *GoodbyeOverride) apply(a *Absent) error {
	if a.While == WhileShutdown || a.While == WhileExpected {
		return fmt.Errorf("a rule with \"while: %s\" knows none: change its \"after\"", a.While)
	}
	if *g == (GoodbyeOverride{}) {
		return errors.New("it says nothing: write a time such as 30m, or stop, restart and shutdown")
	}
	for _, f := range []struct {
		to   *time.Duration
		name string
		s    string
	}{{&a.Goodbye.Stop, "stop", g.Stop}, {&a.Goodbye.Restart, "restart", g.Restart}, {&a.Goodbye.Shutdown, "shutdown", g.Shutdown}} {
		switch {
		case g.All != "":
			if err := setDuration(f.to, g.All); err != nil {
				return err
			}
		case f.s == untilBack && f.name == "shutdown":
			*f.to = 0
		case f.s != "":
			if err := setDuration(f.to, f.s); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	return nil
}

// UnmarshalYAML refuses fields that an override does not have, whatever the
// decoder around it allows.
func (ov *Override) UnmarshalYAML(n *yaml.Node) error {
	known := []string{"enabled", "severity", "for", "expires", "after", "goodbye", "quiet", "ok"}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !slices.Contains(known, key) {
			return fmt.Errorf("line %d: an override has no field %.40q: known are %s", n.Content[i].Line, key, strings.Join(known, ", "))
		}
	}
	type plain Override
	return n.Decode((*plain)(ov))
}

// Apply returns the rules with the overrides carried out, without the disabled
// ones. The rules given are not changed.
func (o Overrides) Apply(rules []*Rule) ([]*Rule, error) {
	left := maps.Clone(o)
	var out []*Rule
	for _, r := range rules {
		ov, ok := o[r.ID]
		delete(left, r.ID)
		if !ok {
			out = append(out, r)
			continue
		}
		if ov.Enabled != nil && !*ov.Enabled {
			continue
		}
		c, err := ov.apply(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, err)
		}
		out = append(out, c)
	}
	for _, id := range slices.Sorted(maps.Keys(left)) {
		return nil, fmt.Errorf("there is no rule %.64q in the rule files: take an id from there; a rule that was made over the API is changed and switched off there", id)
	}
	return out, nil
}

func (ov Override) apply(r *Rule) (*Rule, error) {
	c := *r
	if ov.Severity != nil {
		if !slices.Contains(Severities(), *ov.Severity) {
			return nil, fmt.Errorf("severity %.40q is not known: known are %s", *ov.Severity, strings.Join(Severities(), ", "))
		}
		c.Severity = *ov.Severity
	}
	k, _ := kindOf(r.Kind)
	no := func(field string) error { return fmt.Errorf("a rule of kind %s has no %q", r.Kind, field) }
	if ov.For != nil {
		if !k.mayFor {
			return nil, no("for")
		}
		if err := setDuration(&c.For, *ov.For); err != nil {
			return nil, fmt.Errorf("for: %w", err)
		}
	}
	if ov.Expires != nil {
		if !k.mayExpire {
			return nil, no("expires")
		}
		if err := setDuration(&c.Expires, *ov.Expires); err != nil {
			return nil, fmt.Errorf("expires: %w", err)
		}
	}
	spec, err := ov.spec(r.Spec, no)
	if err != nil {
		return nil, err
	}
	c.Spec = spec
	c.seal()
	return &c, nil
}

// spec carries out what belongs to the kind, on a copy.
func (ov Override) spec(s Spec, no func(string) error) (Spec, error) {
	absent, isAbsent := s.(*Absent)
	clone, isClone := s.(*Clone)
	state, isState := s.(*State)
	switch {
	case !isAbsent && ov.After != nil:
		return nil, no("after")
	case !isAbsent && ov.Goodbye != nil:
		return nil, no("goodbye")
	case !isClone && ov.Quiet != nil:
		return nil, no("quiet")
	case ov.OK != nil && (!isState || len(state.OK) == 0):
		return nil, no("ok")
	}
	switch {
	case isAbsent:
		a := *absent
		if ov.After != nil {
			if err := setDuration(&a.After, *ov.After); err != nil {
				return nil, fmt.Errorf("after: %w", err)
			}
		}
		if ov.Goodbye != nil {
			if err := ov.Goodbye.apply(&a); err != nil {
				return nil, fmt.Errorf("goodbye: %w", err)
			}
		}
		return &a, nil
	case isClone && ov.Quiet != nil:
		c := *clone
		if err := setDuration(&c.Quiet, *ov.Quiet); err != nil {
			return nil, fmt.Errorf("quiet: %w", err)
		}
		return &c, nil
	case isState && ov.OK != nil:
		st := *state
		st.OK = ov.OK
		return &st, nil
	}
	return s, nil
}

func setDuration(to *time.Duration, s string) error {
	v, err := ParseDuration(s)
	if err != nil {
		return err
	}
	*to = v
	return nil
}
