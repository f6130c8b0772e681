package metricrule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"nocturne/ruler/rule"
)

// What a rule says of its notifications. Labels and annotations are templates.
const (
	LabelSeverity         = "severity"    // critical, warning, info; anything else counts as warning
	LabelClass            = "class"       // problem class; else the annotation, else made of the alert's name
	AnnotationDevice      = "device"      // "volume C:"; else made of the labels volume, mountpoint, device
	AnnotationClass       = LabelClass    //
	AnnotationSummary     = "summary"     // else the alert's name
	AnnotationDescription = "description" //
	AnnotationRunbook     = "runbook"     // "disk#fills-up"; runbook_url is taken too
)

// Pack is all metric rules of one generation.
type Pack struct {
	files  []*File
	alerts map[place]*Alert
	rules  map[string]*rule.Rule // by id
	off    []*Alert              // that the configuration disables
	gone   map[string]string     // by id: why others are not carried out
}

// place is where a rule stands.
type place struct {
	file, group string
	index       int
}

// Alert is one alerting rule.
type Alert struct {
	Rule  *rule.Rule
	Expr  string
	Text  string        // YAML
	Keep  time.Duration // keep_firing_for
	Shown []string      // names of the rule's own labels: they go to Alertmanager
}

// Spec is the part of a rule.Rule of kind "metric".
type Spec struct {
	Expr          string
	KeepFiringFor time.Duration `json:",omitempty"`
}

// Kind names the kind.
const Kind = "metric"

// Explain implements rule.Spec.
func (s *Spec) Explain(r *rule.Rule) string {
	out := "Fires while VictoriaMetrics answers the query " + s.Expr
	if r.For > 0 {
		out += " for " + model.Duration(r.For).String()
	}
	out += ", for each series of the answer."
	if s.KeepFiringFor > 0 {
		out += " It ends when that has been over for " + model.Duration(s.KeepFiringFor).String() + "."
	}
	return out
}

// NewPack puts files together and carries overrides out; ov may be nil.
func NewPack(files []*File, ov rule.Overrides) (*Pack, error) {
	p := &Pack{alerts: map[place]*Alert{}, rules: map[string]*rule.Rule{}}
	names := map[string]bool{}
	several := severities(files)
	left := map[string]bool{}
	for id := range ov {
		left[id] = true
	}
	for _, f := range files {
		if names[f.Name] {
			return nil, fmt.Errorf("metric rules: the file %s is named twice", f.Name)
		}
		names[f.Name] = true
		kept := &File{Name: f.Name, Groups: &rulefmt.RuleGroups{}}
		for g := range f.Groups.Groups {
			group := f.Groups.Groups[g]
			group.Rules = nil
			for r := range f.Groups.Groups[g].Rules {
				v := f.Groups.Groups[g].Rules[r]
				if v.Alert != "" {
					id := idOf(&v, &group, several)
					delete(left, id)
					o := ov[id]
					if err := override(&v, o); err != nil {
						return nil, fmt.Errorf("rules.overrides: %s: %w", id, err)
					}
					a := alert(f, id, &v, &group, f.line(g, r))
					if o.Enabled != nil && !*o.Enabled {
						p.off = append(p.off, a)
						continue
					}
					p.put(place{f.Name, group.Name, len(group.Rules)}, a)
				}
				group.Rules = append(group.Rules, v)
			}
			if len(group.Rules) > 0 {
				kept.Groups.Groups = append(kept.Groups.Groups, group)
			}
		}
		p.files = append(p.files, kept)
	}
	for id := range left {
		return nil, fmt.Errorf("rules.overrides: there is no rule %.64q", id)
	}
	return p, nil
}

// Files are the rules as they are evaluated.
func (p *Pack) Files() []*File { return p.files }

// Without is the pack without some of its alerting rules: by id, why they are not
// carried out, which those are told whose problems it ends. The pack stays as it is.
func (p *Pack) Without(gone map[string]string) *Pack {
	out := &Pack{alerts: map[place]*Alert{}, rules: map[string]*rule.Rule{}, off: p.off, gone: gone}
	for _, f := range p.files {
		kept := &File{Name: f.Name, Groups: &rulefmt.RuleGroups{}}
		for _, group := range f.Groups.Groups {
			all := group.Rules
			group.Rules = nil
			for i := range all {
				if a := p.alerts[place{f.Name, group.Name, i}]; a != nil {
					if gone[a.Rule.ID] != "" {
						continue
					}
					out.put(place{f.Name, group.Name, len(group.Rules)}, a)
				}
				group.Rules = append(group.Rules, all[i])
			}
			if len(group.Rules) > 0 {
				kept.Groups.Groups = append(kept.Groups.Groups, group)
			}
		}
		out.files = append(out.files, kept)
	}
	return out
}

// Disabled lists the alerting rules that the configuration disables.
func (p *Pack) Disabled() []*Alert { return p.off }

// Rules lists the alerting rules, each id once, in order of their ids.
func (p *Pack) Rules() []*rule.Rule {
	var out []*rule.Rule
	for _, r := range p.rules {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *rule.Rule) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Alerts lists every alerting rule, those of one id too.
func (p *Pack) Alerts() []*Alert {
	var out []*Alert
	for _, a := range p.alerts {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *Alert) int {
		return strings.Compare(fmt.Sprintf("%s %s %09d", a.Rule.ID, a.Rule.File, a.Rule.Line), fmt.Sprintf("%s %s %09d", b.Rule.ID, b.Rule.File, b.Rule.Line))
	})
	return out
}

// severities tells which alert names stand with more than one severity.
func severities(files []*File) map[string]bool {
	first, several := map[string]string{}, map[string]bool{}
	for _, f := range files {
		for g := range f.Groups.Groups {
			group := &f.Groups.Groups[g]
			for r := range group.Rules {
				v := &group.Rules[r]
				s := severityOf(label(v, group, LabelSeverity))
				if was, ok := first[v.Alert]; ok && was != s {
					several[v.Alert] = true
				}
				first[v.Alert] = s
			}
		}
	}
	return several
}

func idOf(v *rulefmt.Rule, g *rulefmt.RuleGroup, several map[string]bool) string {
	suffix := ""
	if several[v.Alert] {
		suffix = severityOf(label(v, g, LabelSeverity))
	}
	return ruleID(v.Alert, suffix)
}

func label(v *rulefmt.Rule, g *rulefmt.RuleGroup, name string) string {
	if s, ok := v.Labels[name]; ok {
		return s
	}
	return g.Labels[name]
}

// severityOf takes what files for other installations say as well as it can.
func severityOf(s string) string {
	s = strings.ToLower(s)
	if slices.Contains(rule.Severities(), s) {
		return s
	}
	return rule.Warning
}

// classOf makes a problem class of an alert's name where the rule names none.
func classOf(alert, named string) string {
	if named = rule.Clean(named, maxID); named != "" {
		return named
	}
	return strings.TrimPrefix(ruleID(alert, ""), Prefix)
}

func override(v *rulefmt.Rule, o rule.Override) error {
	if o.Expires != nil || o.After != nil || o.Goodbye != nil || o.Quiet != nil || o.OK != nil {
		return fmt.Errorf("a rule of kind %s takes enabled, severity and for", Kind)
	}
	if o.Severity != nil {
		if !slices.Contains(rule.Severities(), *o.Severity) {
			return fmt.Errorf("severity %.40q is not known: known are %s", *o.Severity, strings.Join(rule.Severities(), ", "))
		}
		own := map[string]string{}
		for k, s := range v.Labels {
			own[k] = s
		}
		own[LabelSeverity] = *o.Severity
		v.Labels = own
	}
	if o.For != nil {
		d, err := rule.ParseDuration(*o.For)
		if err != nil {
			return fmt.Errorf("for: %w", err)
		}
		v.For = model.Duration(d)
	}
	return nil
}

func (p *Pack) put(at place, a *Alert) {
	p.alerts[at] = a
	if p.rules[a.Rule.ID] == nil {
		p.rules[a.Rule.ID] = a.Rule
	}
}

func alert(f *File, id string, v *rulefmt.Rule, g *rulefmt.RuleGroup, line int) *Alert {
	class := v.Annotations[AnnotationClass]
	if s := label(v, g, LabelClass); s != "" {
		class = s
	}
	spec := &Spec{Expr: v.Expr, KeepFiringFor: time.Duration(v.KeepFiringFor)}
	r := &rule.Rule{ID: id, Name: v.Alert, Class: classOf(v.Alert, class), Severity: severityOf(label(v, g, LabelSeverity)), For: time.Duration(v.For),
		Runbook: runbook(v.Annotations), Kind: Kind, Spec: spec, File: f.Name, Line: line}
	// What it found is asked anew at each evaluation, so only another class makes it another rule.
	r.Shape = digest([]any{Kind, r.Class})
	r.Version = digest([]any{r.Shape, id, v.Alert, v.Expr, v.For, v.KeepFiringFor, v.Labels, g.Labels, v.Annotations})
	a := &Alert{Rule: r, Expr: v.Expr, Text: textOf(v), Keep: spec.KeepFiringFor}
	for _, m := range []map[string]string{g.Labels, v.Labels} {
		for name := range m {
			if name != LabelSeverity && name != LabelClass && !slices.Contains(a.Shown, name) {
				a.Shown = append(a.Shown, name)
			}
		}
	}
	slices.Sort(a.Shown)
	return a
}

// digest hashes a value by its JSON: map keys are sorted there.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("metricrule: %v", err)) // plain data
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func textOf(v *rulefmt.Rule) string {
	b, err := yaml.Marshal(v)
	if err != nil {
		return "" // it was read from YAML
	}
	return string(b)
}

func runbook(annotations map[string]string) string {
	if s := annotations[AnnotationRunbook]; s != "" {
		return s
	}
	return annotations["runbook_url"]
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, rule.MaxFile+1))
}

// deviceOf names the device that an alert is about.
func deviceOf(ls, annotations labels.Labels) string {
	if s := rule.Clean(annotations.Get(AnnotationDevice), maxDevice); s != "" {
		return s
	}
	for _, name := range []string{"volume", "mountpoint"} {
		if s := rule.Clean(ls.Get(name), maxDevice); s != "" {
			return "volume " + s
		}
	}
	return rule.Clean(ls.Get("device"), maxDevice)
}

const maxDevice = 200

// loader gives Prometheus the files that are parsed already.
type loader struct {
	files  map[string]*File
	parser parser.Parser
}

func (l loader) Load(name string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	if f := l.files[name]; f != nil {
		return f.Groups, nil
	}
	return nil, []error{fmt.Errorf("no such rule file: %s", name)}
}

func (l loader) Parse(query string) (parser.Expr, error) { return l.parser.ParseExpr(query) }
