// Package rule reads rule files: it parses, validates and explains them.
//
// A file is YAML, strictly decoded: an unknown key, a missing field or a value
// out of range is an error with file, line and a hint that says what to write
// instead. A rule has an immutable id; its Shape is a hash of what shapes its
// state, so text and severity can be edited without losing any.
//
// The kinds of rules stand in one table in kinds.go, one file per kind. A new
// kind is a file here, one in ruler/operator, and a line in both tables.
//
// Rules are read-only once parsed and may be shared between goroutines.
// To test: go test ./ruler/rule; testdata holds one invalid file per mistake.
package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Severities of rules, from worst to least.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
)

// Severities returns every severity, the worst first.
func Severities() []string { return []string{Critical, Warning, Info} }

// Worse tells whether severity a is worse than b. An unknown one is least.
func Worse(a, b string) bool { return rank(a) > rank(b) }

func rank(s string) int {
	switch s {
	case Critical:
		return 3
	case Warning:
		return 2
	case Info:
		return 1
	default:
		return 0
	}
}

// Rule says which records, changes or silences matter, and how much.
type Rule struct {
	ID          string // immutable
	Name        string // alertname
	Class       string // problem class: with server and device the key of a notification
	Severity    string
	For         time.Duration // how long a state must last
	Expires     time.Duration // 0 = never by time
	Summary     *Template
	Description *Template // nil = none
	Runbook     string    // "raid#drive-failed": file and anchor below alerts/runbooks
	Servers     Selector
	// Retell makes the rule worth another message when it joins an open problem
	// of the same severity: an array that goes offline after it degraded.
	Retell bool

	// Kind names the kind, Spec is its part: *Match, *State, *Change, *Count,
	// *Flap, *Sequence, *Absent, *Clone or *Risk.
	Kind string
	Spec Spec

	Shape   string // hash of what shapes the state
	Version string // hash of the whole rule
	File    string
	Line    int
}

// Spec is the part of a rule that its kind defines.
type Spec interface {
	// Explain says in one sentence when the rule fires and how it clears.
	Explain(r *Rule) string
}

// Selector says for which servers a rule holds: every key must agree, without
// regard to case. Labels come from the registry, never from an agent.
type Selector map[string]Matcher

// Labels that a Selector may name.
var selectorKeys = []string{"name", "site", "rack", "role", "owner", "os", "simulated"}

// Match tells whether all keys agree. label returns a label's value.
func (s Selector) Match(label func(key string) string) bool {
	for key, want := range s {
		if !want.Holds(label(key), true) {
			return false
		}
	}
	return true
}

func oneOf(list []string, s string) bool {
	for _, w := range list {
		if strings.EqualFold(w, s) {
			return true
		}
	}
	return false
}

// seal computes Shape and Version. It must be called after every edit.
func (r *Rule) seal() {
	shape := struct {
		Kind, Class  string
		For, Expires time.Duration
		Servers      Selector
		Spec         any
	}{r.Kind, r.Class, r.For, r.Expires, r.Servers, r.Spec}
	whole := []any{shape, r.ID, r.Name, r.Severity, r.Summary.String(), r.Description.String(), r.Runbook, r.Retell}
	if s, ok := r.Spec.(shaper); ok {
		shape.Spec = s.shape()
	}
	r.Shape, r.Version = digest(shape), digest(whole)
}

// shaper is a Spec with parts that state does not depend on.
type shaper interface{ shape() any }

// digest hashes a value by its JSON: map keys are sorted there.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("rule: %v", err)) // specs are plain data
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// Explain says in a few lines of English what the rule does.
func Explain(r *Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s, problem class %s, severity %s)\n", r.Name, r.ID, r.Class, r.Severity)
	b.WriteString(r.Spec.Explain(r))
	if len(r.Servers) > 0 {
		b.WriteString("\nOnly for servers with ")
		n := 0
		for _, key := range selectorKeys {
			if want, ok := r.Servers[key]; ok {
				if n > 0 {
					b.WriteString(" and ")
				}
				b.WriteString(key + " " + strings.TrimPrefix(want.explain(), "is "))
				n++
			}
		}
		b.WriteByte('.')
	}
	return b.String()
}

func orList(list []string) string { return strings.Join(list, " or ") }
