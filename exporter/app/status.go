package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Status is how a running exporter does, for people at night. It lies in the
// data folder, readable by those who may read the credential, so that it is
// there without a listener, whatever guards /metrics, and after the end.
type Status struct {
	Written  time.Time  `json:"written"`
	Started  time.Time  `json:"started"`
	Stopped  *time.Time `json:"stopped,omitempty"` // nil = it ran when this was written
	PID      int        `json:"pid"`
	Version  string     `json:"version"`
	ServerID string     `json:"server_id"`
	Server   string     `json:"server"`
	Epoch    string     `json:"epoch"`

	SpoolBytes uint64          `json:"spool_bytes"`
	SpoolLimit uint64          `json:"spool_limit_bytes"`
	Outputs    []OutputStatus  `json:"outputs"`
	Sources    []SourceStatus  `json:"sources"`
	Problems   []ProblemStatus `json:"problems"` // the last warnings, newest last
}

// OutputStatus is how one output does.
type OutputStatus struct {
	Name       string     `json:"name"`
	Up         bool       `json:"up"`
	Waiting    uint64     `json:"records_waiting"`
	LastAnswer *time.Time `json:"last_answer,omitempty"`
	Dropped    uint64     `json:"records_dropped"`
	Refused    uint64     `json:"frames_refused"`
}

// States of a source.
const (
	SourceOK          = "ok"
	SourceFails       = "fails"
	SourceWaits       = "waits" // it has neither worked nor failed yet
	SourceUnsupported = "not supported here"
)

// SourceStatus is how one source does.
type SourceStatus struct {
	Name        string     `json:"name"`
	State       string     `json:"state"`
	LastSuccess *time.Time `json:"last_success,omitempty"`
	Records     uint64     `json:"records"`
	Failures    uint64     `json:"failures"` // failed rounds and restarts
}

// statusName is the file's name, statusGap how often it is written, and
// statusOld the age at which a running exporter must be stuck.
const (
	statusName = "status.json"
	statusGap  = 15 * time.Second
	statusOld  = 4 * statusGap
)

// Well tells whether nothing needs a person; otherwise it says what does.
func (s *Status) Well(now time.Time) (bool, []string) {
	var bad []string
	if s.Stopped == nil && now.Sub(s.Written) > statusOld {
		bad = append(bad, fmt.Sprintf("it has said nothing of itself for %s: it hangs, or its disk does; restart it", now.Sub(s.Written).Round(time.Second)))
	}
	for _, o := range s.Outputs {
		if !o.Up {
			bad = append(bad, fmt.Sprintf("output %s has no good answer, %d records wait", o.Name, o.Waiting))
		}
	}
	for _, c := range s.Sources {
		if c.State == SourceFails {
			bad = append(bad, "source "+c.Name+" fails")
		}
	}
	if s.SpoolLimit > 0 && s.SpoolBytes > s.SpoolLimit/10*9 {
		bad = append(bad, "the spool is nearly full: the oldest records will be dropped, and said to be")
	}
	return len(bad) == 0, bad
}

// ReadStatus reads what the exporter of a data folder said last.
func ReadStatus(dir string) (*Status, error) {
	b, err := os.ReadFile(filepath.Join(dir, statusName))
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	s := &Status{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// Runs tells whether an exporter uses a data folder now.
func Runs(dir string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, "lock")); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if errors.Is(err, errRunning) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, unlock()
}

// status gathers it from the exporter's own metrics.
func (a *App) status(now time.Time) Status {
	s := Status{
		Written: now.UTC().Truncate(time.Millisecond), Started: a.started.UTC().Truncate(time.Second), PID: os.Getpid(), Version: a.o.Version,
		ServerID: a.identity.id.String(), Server: a.identity.name, Epoch: a.spool.Epoch().String(), Problems: a.problems.list(),
	}
	families, err := a.registry.Gather()
	if err != nil {
		a.log.Debug("metrics for the status are not complete", "err", err)
	}
	v := valuesOf(families)
	s.SpoolBytes, s.SpoolLimit = uint64(v.sum("exporter_spool_size_bytes", "")), uint64(v.sum("exporter_spool_limit_bytes", ""))
	for _, d := range a.outputNames() {
		s.Outputs = append(s.Outputs, OutputStatus{
			Name: d, Up: v.sum("exporter_output_up", d) == 1, Waiting: uint64(v.sum("exporter_spool_records_waiting", d)),
			LastAnswer: v.when("exporter_output_last_answer_timestamp_seconds", d),
			Dropped:    uint64(v.sum("exporter_spool_records_dropped_total", d)), Refused: uint64(v.sum("exporter_output_refused_frames_total", d)),
		})
	}
	for _, src := range a.sources {
		s.Sources = append(s.Sources, v.source(src.Name()))
	}
	return s
}

func (a *App) outputNames() []string {
	var names []string
	for _, o := range a.o.Config.Outputs {
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		names = []string{defaultOutput}
	}
	return names
}

// values are metrics by name and by the value of their label output or source.
type values map[string]float64

func valuesOf(families []*dto.MetricFamily) values {
	v := values{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "output" || l.GetName() == "source" {
					label = l.GetValue()
				}
			}
			v[f.GetName()+"\x00"+label] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return v
}

func (v values) sum(name, label string) float64 { return v[name+"\x00"+label] }

// when is a metric that is a time; nil = never.
func (v values) when(name, label string) *time.Time {
	f := v.sum(name, label)
	if f <= 0 {
		return nil
	}
	t := time.UnixMilli(int64(f * 1000)).UTC()
	return &t
}

func (v values) source(name string) SourceStatus {
	get := func(metric string) float64 { return v.sum("exporter_source_"+metric, name) }
	s := SourceStatus{Name: name, LastSuccess: v.when("exporter_source_last_success_timestamp_seconds", name),
		Records: uint64(get("records_total")), Failures: uint64(get("failures_total") + get("restarts_total"))}
	switch {
	case get("supported") == 0:
		s.State = SourceUnsupported
	case get("success") == 1:
		s.State = SourceOK
	case s.Failures > 0:
		s.State = SourceFails
	default:
		s.State = SourceWaits
	}
	return s
}

// tell writes the status until ctx ends.
func (a *App) tell(ctx context.Context) error {
	tick := time.NewTicker(statusGap)
	defer tick.Stop()
	for soon := time.After(2 * time.Second); ; {
		a.write(a.status(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-soon: // the first rounds are done
		case <-tick.C:
		}
	}
}

// write replaces the file. It is not synced: after a crash it is of no use.
func (a *App) write(s Status) {
	path := filepath.Join(a.o.Config.Data, statusName)
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(path+".new", append(b, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		a.log.Debug("status not written", "err", err)
	}
}

// farewell writes the last status.
func (a *App) farewell(now time.Time) {
	s := a.status(now)
	s.Stopped = &s.Written
	a.write(s)
}

// sourceNames lists sources for a message.
func sourceNames(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}
