// Package ruletest carries out unit tests of metric rules in the format of
// `promtool test rules`, with Prometheus' own test engine: virtual hours run in
// milliseconds. `promtool` and `vmalert-tool unittest` take the same files.
//
// To test: go test ./ruler/metricrule/ruletest.
package ruletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

// file is a file of unit tests.
type file struct {
	RuleFiles []string       `yaml:"rule_files"`
	Interval  model.Duration `yaml:"evaluation_interval"`
	Tests     []test         `yaml:"tests"`
}

type test struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval"`
	Input    []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []struct {
		At    model.Duration `yaml:"eval_time"`
		Alert string         `yaml:"alertname"`
		Want  []alert        `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
	Queries []struct {
		At   model.Duration `yaml:"eval_time"`
		Expr string         `yaml:"expr"`
		Want []struct {
			Labels string  `yaml:"labels"`
			Value  float64 `yaml:"value"`
		} `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

type alert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// Seen says what the tests of a file showed of an alert.
type Seen struct {
	Fired   bool // some test wants it to fire
	Quiet   bool // some test, in which it never fires, wants it not to
	Cleared bool // some test wants it to fire, and later not to
}

// Run carries out all tests of a file. It returns what was tested of each
// alert, and every difference.
func Run(path string) (map[string]Seen, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f file
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Interval == 0 {
		f.Interval = model.Duration(time.Minute)
	}
	for i, name := range f.RuleFiles {
		f.RuleFiles[i] = filepath.Join(filepath.Dir(path), name)
	}
	seen := map[string]Seen{}
	var errs []error
	for i := range f.Tests {
		t := &f.Tests[i]
		if t.Interval == 0 {
			t.Interval = f.Interval
		}
		if err := t.run(&f); err != nil {
			errs = append(errs, fmt.Errorf("%s: test %q: %w", path, t.Name, err))
		}
		t.note(seen)
	}
	return seen, errors.Join(errs...)
}

func (t *test) note(seen map[string]Seen) {
	fired, quiet := map[string]time.Duration{}, map[string]bool{}
	for _, a := range t.Alerts {
		if len(a.Want) > 0 {
			if at, ok := fired[a.Alert]; !ok || time.Duration(a.At) < at {
				fired[a.Alert] = time.Duration(a.At)
			}
		}
	}
	for _, a := range t.Alerts {
		s := seen[a.Alert]
		at, ok := fired[a.Alert]
		s.Fired = s.Fired || ok
		s.Cleared = s.Cleared || ok && len(a.Want) == 0 && time.Duration(a.At) > at
		quiet[a.Alert] = !ok
		s.Quiet = s.Quiet || !ok
		seen[a.Alert] = s
	}
}

func (t *test) run(f *file) (err error) {
	load := fmt.Sprintf("load %s\n", t.Interval)
	for _, s := range t.Input {
		load += fmt.Sprintf("  %s %s\n", s.Series, s.Values)
	}
	suite, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, suite.Close()) }()
	suite.SubqueryInterval = time.Duration(f.Interval)
	query := rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage())
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: query, Appendable: suite.Storage(), Context: context.Background(), Logger: slog.New(slog.DiscardHandler),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	groups, errs := m.LoadGroups(time.Duration(f.Interval), labels.EmptyLabels(), "", nil, false, f.RuleFiles...)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, g := range groups {
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				a.SetRestored(true)
			}
		}
	}
	return t.play(f, suite, groups, query)
}

// play lets time pass and compares at the times that tests name.
func (t *test) play(f *file, suite *promqltest.LazyLoader, groups map[string]*rules.Group, query rules.QueryFunc) error {
	var errs []error
	end := time.Duration(0)
	for _, a := range t.Alerts {
		end = max(end, time.Duration(a.At))
	}
	for _, q := range t.Queries {
		end = max(end, time.Duration(q.At))
	}
	start, step := time.Unix(0, 0).UTC(), time.Duration(f.Interval)
	for since := time.Duration(0); since <= end; since += step {
		at := start.Add(since)
		suite.WithSamplesTill(at, func(err error) {
			if err != nil {
				errs = append(errs, err)
				return
			}
			for _, name := range slices.Sorted(maps.Keys(groups)) {
				groups[name].Eval(suite.Context(), at)
				for _, r := range groups[name].Rules() {
					if r.LastError() != nil {
						errs = append(errs, fmt.Errorf("rule %s at %s: %w", r.Name(), since, r.LastError()))
					}
				}
			}
			for _, a := range t.Alerts {
				if due := time.Duration(a.At); since <= due && due < since+step {
					errs = append(errs, compare(a.Alert, a.At, firing(groups, a.Alert), a.Want))
				}
			}
			for _, q := range t.Queries {
				if due := time.Duration(q.At); since <= due && due < since+step {
					errs = append(errs, t.compareQuery(suite.Context(), query, q.Expr, start.Add(due), q.Want))
				}
			}
		})
		if len(errs) > 20 {
			break
		}
	}
	return errors.Join(errs...)
}

func firing(groups map[string]*rules.Group, name string) []alert {
	var out []alert
	for _, g := range groups {
		for _, r := range g.AlertingRules() {
			if r.Name() != name {
				continue
			}
			for _, a := range r.ActiveAlerts() {
				if a.State == rules.StateFiring {
					out = append(out, alert{a.Labels.Map(), a.Annotations.Map()})
				}
			}
		}
	}
	return out
}

func compare(name string, at model.Duration, got, want []alert) error {
	for i := range want {
		want[i].Labels = maps.Clone(want[i].Labels)
		if want[i].Labels == nil {
			want[i].Labels = map[string]string{}
		}
		want[i].Labels[labels.AlertName] = name
		if want[i].Annotations == nil {
			want[i].Annotations = map[string]string{}
		}
	}
	g, w := text(got), text(want)
	if g == w {
		return nil
	}
	return fmt.Errorf("alert %s at %s\n got:\n%s\n want:\n%s", name, at, g, w)
}

// text writes alerts as a test file would, sorted.
func text(list []alert) string {
	var out []string
	for _, a := range list {
		b, err := yaml.Marshal(a)
		if err != nil {
			return err.Error()
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

func (t *test) compareQuery(ctx context.Context, query rules.QueryFunc, expr string, at time.Time, want []struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}) error {
	v, err := query(ctx, expr, at)
	if err != nil {
		return err
	}
	var got, wanted []string
	for _, s := range v {
		got = append(got, fmt.Sprintf("%s %g", s.Metric, s.F))
	}
	for _, w := range want {
		wanted = append(wanted, fmt.Sprintf("%s %g", w.Labels, w.Value))
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		return fmt.Errorf("query %s\n got  %v\n want %v", expr, got, wanted)
	}
	return nil
}
