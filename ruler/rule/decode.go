package rule

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/strict"
)

// Error is one mistake in a rule file.
type Error struct {
	File string
	Line int
	Path string // the field that it is about: keys from the rule's own down, joined by dots; "" = none
	Text string
	Hint string // what to write instead
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// Errors are all mistakes of a file, in order of their lines.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As each mistake.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

const (
	maxErrors = 20
	maxText   = 4 << 10 // bytes of one scalar
	maxList   = 1000
)

// decoder reads YAML nodes strictly and collects mistakes.
type decoder struct {
	file string
	path []string // keys down to what is being read
	errs Errors
}

// fail notes a mistake of what is being read, or of one of its keys.
func (d *decoder) fail(line int, text, hint string, key ...string) {
	if len(d.errs) < maxErrors {
		path := strings.Join(append(slices.Clip(d.path), key...), ".")
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Path: path, Text: text, Hint: hint})
	}
}

// below reads what stands at a key.
func (d *decoder) below(key string, read func()) {
	d.path = append(d.path, key)
	read()
	d.path = d.path[:len(d.path)-1]
}

// field is one key that a mapping may have.
type field struct {
	key  string
	read func(*yaml.Node)
}

// mapping reads a mapping whose keys are all known.
func (d *decoder) mapping(n *yaml.Node, what string, fields ...field) {
	if !d.plain(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, what+" is "+nodeKind(n), "write it as \"key: value\" lines")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !d.plain(key) {
			continue
		}
		if seen[key.Value] {
			d.fail(key.Line, fmt.Sprintf("%s says %.40q twice", what, key.Value), "keep one of them", key.Value)
			continue
		}
		seen[key.Value] = true
		f := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		if f < 0 {
			d.unknown(key, what, fields)
			continue
		}
		d.below(key.Value, func() {
			if d.plain(n.Content[i+1]) {
				fields[f].read(n.Content[i+1])
			}
		})
	}
}

func (d *decoder) unknown(key *yaml.Node, what string, fields []field) {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].key
	}
	hint := "known are " + strings.Join(names, ", ")
	if near := nearest(key.Value, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	d.fail(key.Line, fmt.Sprintf("%s has no field %.40q", what, key.Value), hint, key.Value)
}

// plain refuses what makes YAML hard to read: anchors, aliases, own tags.
func (d *decoder) plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(n.Line, "anchors and aliases are not supported", "write the value out")
		return false
	case n.Tag == "!!merge":
		d.fail(n.Line, "merge keys are not supported", "write the fields out")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n.Line, fmt.Sprintf("tag %.40q is not supported", n.Tag), "leave it out")
		return false
	}
	return true
}

func nodeKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "empty"
		}
		return fmt.Sprintf("the value %.40q", n.Value)
	default:
		return "something else"
	}
}

// text reads a scalar that is not empty.
func (d *decoder) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
		d.fail(n.Line, what+" is "+nodeKind(n), "write a text")
		return ""
	}
	if len(n.Value) > maxText {
		d.fail(n.Line, fmt.Sprintf("%s has %d bytes", what, len(n.Value)), fmt.Sprintf("at most %d", maxText))
		return ""
	}
	return n.Value
}

// texts reads one text or a list of texts.
func (d *decoder) texts(n *yaml.Node, what string) []string {
	if n.Kind != yaml.SequenceNode {
		if s := d.text(n, what); s != "" {
			return []string{s}
		}
		return nil
	}
	if len(n.Content) == 0 || len(n.Content) > maxList {
		d.fail(n.Line, fmt.Sprintf("%s is a list of %d", what, len(n.Content)), fmt.Sprintf("1 to %d values", maxList))
		return nil
	}
	var out []string
	for _, c := range n.Content {
		if !d.plain(c) {
			continue
		}
		if s := d.text(c, what); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// words reads texts of a closed set.
func (d *decoder) words(n *yaml.Node, what string, known []string) []string {
	var out []string
	for _, w := range d.texts(n, what) {
		if !slices.Contains(known, w) {
			hint := "known are " + strings.Join(known, ", ")
			if near := nearest(w, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			d.fail(n.Line, fmt.Sprintf("%s %.40q is not known", what, w), hint)
			continue
		}
		out = append(out, w)
	}
	return out
}

func (d *decoder) word(n *yaml.Node, what string, known []string) string {
	if n.Kind == yaml.SequenceNode {
		d.fail(n.Line, what+" is a list", "write one value")
		return ""
	}
	if w := d.words(n, what, known); len(w) == 1 {
		return w[0]
	}
	return ""
}

// ints reads one whole number or a list of them.
func (d *decoder) ints(n *yaml.Node, what string, low, high int64) []int64 {
	var out []int64
	for _, s := range d.texts(n, what) {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < low || v > high {
			d.fail(n.Line, fmt.Sprintf("%s %.40q", what, s), fmt.Sprintf("write a whole number from %d to %d", low, high))
			continue
		}
		out = append(out, v)
	}
	return out
}

func (d *decoder) number(n *yaml.Node, what string) *float64 {
	s := d.text(n, what)
	if s == "" {
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		d.fail(n.Line, fmt.Sprintf("%s %.40q", what, s), "write a number")
		return nil
	}
	return &v
}

// MaxDuration is the longest time a rule may name.
const MaxDuration = 366 * 24 * time.Hour

func (d *decoder) duration(n *yaml.Node, what string) time.Duration {
	s := d.text(n, what)
	if s == "" {
		return 0
	}
	v, err := ParseDuration(s)
	if err != nil {
		d.fail(n.Line, what+": "+err.Error(), "write for example 30s, 5m, 2h or 7d")
		return 0
	}
	return v
}

// ParseDuration reads "90s", "5m", "1h30m", "7d"; whole seconds, above zero,
// at most MaxDuration.
func ParseDuration(s string) (time.Duration, error) {
	rest, days := s, time.Duration(0)
	if head, tail, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(head, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%.40q is not a time span", s)
		}
		days, rest = time.Duration(n)*24*time.Hour, tail
	}
	var v time.Duration
	if rest != "" {
		var err error
		if v, err = time.ParseDuration(rest); err != nil || v < 0 || v > MaxDuration {
			return 0, fmt.Errorf("%.40q is not a time span", s)
		}
	}
	v += days
	if v < time.Second || v > MaxDuration || v%time.Second != 0 {
		return 0, fmt.Errorf("%.40q is not between 1s and 366d in whole seconds", s)
	}
	return v, nil
}

// formatDuration writes what ParseDuration reads.
func formatDuration(v time.Duration) string {
	day := 24 * time.Hour
	switch {
	case v == 0:
		return "0s"
	case v%day == 0:
		return strconv.Itoa(int(v/day)) + "d"
	default:
		s := v.String()
		if strings.HasSuffix(s, "m0s") {
			s = s[:len(s)-2]
		}
		if strings.HasSuffix(s, "h0m") {
			s = s[:len(s)-2]
		}
		return s
	}
}

// nearest returns the known word that is at most two edits away, or "".
func nearest(s string, known []string) string {
	best, at := "", 3
	if len(s) > 40 {
		return best
	}
	for _, k := range known {
		if n := strict.Distance(strings.ToLower(s), k); n < at && n < len(k) {
			best, at = k, n
		}
	}
	return best
}
