// Package metricrule evaluates Prometheus rule files with Prometheus' own rules
// engine: queries go to VictoriaMetrics over HTTP, what recording rules and
// alerts say is written back by remote-write v1, and firing alerts become
// notifications like those of every other rule.
//
// Parse reads files strictly and is pure, and so is the book, which turns what
// rules found into transitions of a notification table. Client speaks HTTP.
// Evaluator is the shell: one goroutine per group asks, one keeps the book and
// commits, under a partition row of its own whose epoch fences other rulers off.
//
// What it promises is less than other kinds of rules do: time is the wall
// clock, a sample that is late is not waited for, and a replay is none. While
// VictoriaMetrics cannot be asked nothing fires and nothing is resolved.
//
// To test: go test ./ruler/metricrule (some tests need bin/victoria-metrics).
package metricrule

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"nocturne/ruler/rule"
)

// File is one rule file, in Prometheus' format.
type File struct {
	Name   string
	Groups *rulefmt.RuleGroups
	lines  [][]int // of rules, by group
}

// Prefix begins the id of every metric rule: "metric-disk-fills-up".
const Prefix = "metric-"

// Limits of one file.
const (
	maxRules  = 2000
	maxLabels = 64 // of a rule
)

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// Parse reads a rule file: unknown fields, queries that are not PromQL and
// templates that cannot be read are errors. The error is a rule.Errors.
func Parse(name string, data []byte) (*File, error) {
	fail := func(line int, text, hint string) error {
		return rule.Errors{{File: name, Line: line, Text: text, Hint: hint}}
	}
	if len(data) > rule.MaxFile {
		return nil, fail(1, "the file is too large", fmt.Sprintf("at most %d bytes; split it", rule.MaxFile))
	}
	if strings.TrimSpace(string(data)) == "" {
		return nil, fail(1, "the file is empty", `write "groups:" and a list of groups`)
	}
	groups, errs := rulefmt.Parse(data, false, model.UTF8Validation, newParser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		return nil, explained(name, data, errs)
	}
	f := &File{Name: name, Groups: groups}
	var err error
	if f.lines, err = lines(data); err != nil {
		return nil, fail(1, err.Error(), "")
	}
	if bad := f.check(); len(bad) > 0 {
		return nil, bad
	}
	return f, nil
}

// check looks at what Prometheus does not mind.
func (f *File) check() rule.Errors {
	var errs rule.Errors
	n := 0
	for g := range f.Groups.Groups {
		group := &f.Groups.Groups[g]
		if group.Interval < 0 || group.QueryOffset != nil && *group.QueryOffset < 0 {
			errs = append(errs, &rule.Error{File: f.Name, Line: f.line(g, 0), Text: fmt.Sprintf("group %.80q: interval and query_offset must not be negative", group.Name)})
		}
		for r := range group.Rules {
			n++
			v := &group.Rules[r]
			if len(v.Labels)+len(group.Labels) > maxLabels {
				errs = append(errs, &rule.Error{File: f.Name, Line: f.line(g, r), Text: fmt.Sprintf("%d labels", len(v.Labels)+len(group.Labels)), Hint: fmt.Sprintf("at most %d", maxLabels)})
			}
			if v.Alert != "" && len(ruleID(v.Alert, "")) == len(Prefix) {
				errs = append(errs, &rule.Error{File: f.Name, Line: f.line(g, r), Text: fmt.Sprintf("alert %.80q has no letter or digit of ASCII", v.Alert), Hint: "its id is made of them"})
			}
		}
	}
	if n > maxRules {
		errs = append(errs, &rule.Error{File: f.Name, Line: 1, Text: fmt.Sprintf("%d rules", n), Hint: fmt.Sprintf("at most %d in a file; split it", maxRules)})
	}
	return errs
}

// line is where a rule stands.
func (f *File) line(group, rule int) int {
	if group < len(f.lines) && rule < len(f.lines[group]) {
		return f.lines[group][rule]
	}
	return 1
}

func lines(data []byte) ([][]int, error) {
	var doc struct {
		Groups []struct {
			Rules []yaml.Node `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	out := make([][]int, len(doc.Groups))
	for g := range doc.Groups {
		for r := range doc.Groups[g].Rules {
			out[g] = append(out[g], doc.Groups[g].Rules[r].Line)
		}
	}
	return out, nil
}

var (
	atLine    = regexp.MustCompile(`^(\d+):\d+: (?s:(.*))$`)
	atYAML    = regexp.MustCompile(`line (\d+): (.*)`)
	unknownFn = regexp.MustCompile(`unknown function with name "([^"]+)"`)
	ofRule    = regexp.MustCompile(`^group ("(?:[^"\\]|\\.)*"), rule (\d+), `)
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	noField   = regexp.MustCompile(`field (\S+) not found in type rulefmt\.(\w+)`)
)

// explained sorts Prometheus' messages by line and says what to write instead.
func explained(file string, data []byte, errs []error) rule.Errors {
	var out rule.Errors
	seen := map[string]bool{}
	for _, err := range errs {
		var list *yaml.TypeError
		texts := []string{err.Error()}
		if errors.As(err, &list) {
			texts = list.Errors
		}
		for _, text := range texts {
			e := &rule.Error{File: file, Line: 1, Text: strings.TrimPrefix(text, "yaml: ")}
			for range 2 { // a rule's place, and that of the field in it
				if m := atLine.FindStringSubmatch(e.Text); m != nil {
					e.Line, _ = strconv.Atoi(m[1]) // digits
					e.Text = m[2]
				}
			}
			if m := atYAML.FindStringSubmatch(e.Text); m != nil {
				e.Line, _ = strconv.Atoi(m[1]) // digits
				e.Text = m[2]
			}
			if m := noField.FindStringSubmatch(e.Text); m != nil {
				e.Text = fmt.Sprintf("there is no field %.80q here", m[1])
			}
			if e.Line <= 1 {
				e.Line = where(data, e.Text)
			}
			e.Hint = hint(text)
			if key := fmt.Sprint(e.Line, e.Text); !seen[key] {
				seen[key] = true
				out = append(out, e)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *rule.Error) int { return a.Line - b.Line })
	return out
}

// where finds the line of a mistake whose message does not say it: that of the
// rule, or the first one with what the message quotes.
func where(data []byte, text string) int {
	if m := ofRule.FindStringSubmatch(text); m != nil {
		var doc struct {
			Groups []struct {
				Name string `yaml:"name"`
			} `yaml:"groups"`
		}
		at, err := lines(data)
		n, _ := strconv.Atoi(m[2]) // digits
		if err == nil && yaml.Unmarshal(data, &doc) == nil {
			for g := range doc.Groups {
				if strconv.Quote(doc.Groups[g].Name) == m[1] && n >= 1 && n <= len(at[g]) {
					return at[g][n-1]
				}
			}
		}
	}
	for _, m := range quoted.FindAllString(text, -1) {
		what, err := strconv.Unquote(m)
		if err != nil || what == "" {
			continue
		}
		line := 0
		for l := range strings.SplitSeq(string(data), "\n") {
			if line++; strings.Contains(l, what) && len(what) > 2 {
				return line
			}
		}
	}
	return 1
}

func hint(text string) string {
	if m := noField.FindStringSubmatch(text); m != nil {
		switch m[2] {
		case "RuleGroups", "ruleGroups":
			return "a file has groups"
		case "RuleGroup", "RuleGroupNode":
			return "a group has name, interval, query_offset, limit, labels, rules"
		default:
			return "a rule has record or alert, expr, for, keep_firing_for, labels, annotations"
		}
	}
	switch {
	case unknownFn.MatchString(text):
		return "rules are PromQL; functions that only MetricsQL has (lag, tlast_over_time, …) have to be written with those of PromQL"
	case strings.Contains(text, "could not parse expression"):
		return "try the query in VictoriaMetrics' /vmui/ first"
	case strings.Contains(text, "not a valid duration"), strings.Contains(text, "in duration \""):
		return "write 30s, 5m, 1h30m or 7d"
	case strings.Contains(text, "is repeated in the same file"):
		return "give each group a name of its own"
	case strings.Contains(text, "label \"") || strings.Contains(text, "annotation \""):
		return "templates are Prometheus': {{ $labels.server }}, {{ $value | humanizePercentage }}"
	}
	return ""
}

// ParseFS reads all *.yml files of a folder, in the order of their names.
func ParseFS(fsys fs.FS, dir, shown string) ([]*File, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.yml"))
	if err != nil {
		return nil, fmt.Errorf("read metric rules: %w", err)
	}
	var out []*File
	var errs rule.Errors
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read metric rules: %w", err)
		}
		f, err := Parse(path.Join(shown, name), data)
		var bad rule.Errors
		if errors.As(err, &bad) {
			errs = append(errs, bad...)
			continue
		}
		out = append(out, f)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// ParseFiles reads the files that patterns name: "/etc/nocturne/metrics/*.yml".
// A pattern without a * must name a file.
func ParseFiles(patterns []string) ([]*File, error) {
	var out []*File
	var errs rule.Errors
	seen := map[string]bool{}
	for _, p := range patterns {
		names, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("metric rules %q: %w", p, err)
		}
		if len(names) == 0 && !strings.ContainsAny(p, "*?[") {
			return nil, fmt.Errorf("metric rules %q: there is no such file", p)
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			data, err := readBounded(name)
			if err != nil {
				return nil, fmt.Errorf("read metric rules: %w", err)
			}
			f, err := Parse(name, data)
			var bad rule.Errors
			if errors.As(err, &bad) {
				errs = append(errs, bad...)
				continue
			}
			out = append(out, f)
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// ruleID makes an id of an alert's name: "DiskFillsUp" is
// "metric-disk-fills-up". suffix is the severity where one name has several.
func ruleID(alert, suffix string) string {
	var b strings.Builder
	b.WriteString(Prefix)
	dash, lower := false, false
	for _, r := range alert {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			dash, lower = b.Len() > len(Prefix), false
			continue
		}
		if dash || lower && unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		dash, lower = false, unicode.IsLower(r) || unicode.IsDigit(r)
		b.WriteRune(unicode.ToLower(r))
		if b.Len() >= maxID {
			break
		}
	}
	if suffix != "" {
		b.WriteString("-" + suffix)
	}
	return b.String()
}

const maxID = 56
