package ingest

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Stage counts the records that pass a stage: what came in, went out, was
// dropped, and is on its way. All of it moves under one lock, so that whoever
// looks always sees in = out + dropped + waiting.
type Stage struct {
	name string
	mu   sync.Mutex
	now  StageTotals

	in, out, dropped, waiting *prometheus.Desc
}

// StageTotals are a stage's numbers, in records.
type StageTotals struct {
	In      uint64            `json:"in"`
	Out     uint64            `json:"out"`
	Waiting int64             `json:"waiting"`
	Dropped map[string]uint64 `json:"dropped"`
}

// Balanced tells whether nothing was lost silently.
func (t StageTotals) Balanced() bool {
	sum := int64(t.Out) + t.Waiting
	for _, n := range t.Dropped {
		sum += int64(n)
	}
	return int64(t.In) == sum && t.Waiting >= 0
}

// NewStage makes a stage whose records can be dropped for these reasons only.
func NewStage(name, what string, reasons ...string) *Stage {
	s := &Stage{name: name, now: StageTotals{Dropped: map[string]uint64{}}}
	for _, r := range reasons {
		s.now.Dropped[r] = 0
	}
	desc := func(suffix, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("eventbridge_"+name+"_records_"+suffix, help+" "+what, labels, nil)
	}
	s.in = desc("in_total", "Records that came in:")
	s.out = desc("out_total", "Records that went out:")
	s.dropped = desc("dropped_total", "Records that were refused or handed back:", "reason")
	s.waiting = desc("waiting", "Records on their way:")
	return s
}

// Name returns the stage's name.
func (s *Stage) Name() string { return s.name }

// In counts n records that came in and wait.
func (s *Stage) In(n uint64) {
	s.mu.Lock()
	s.now.In += n
	s.now.Waiting += int64(n)
	s.mu.Unlock()
}

// Out counts n records that waited and went out.
func (s *Stage) Out(n uint64) {
	s.mu.Lock()
	s.now.Out += n
	s.now.Waiting -= int64(n)
	s.mu.Unlock()
}

// Drop counts n records that waited and were dropped.
func (s *Stage) Drop(reason string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.now.Dropped[reason]; !ok {
		panic("stage " + s.name + ": reason " + reason + " is not of the closed set")
	}
	s.now.Dropped[reason] += n
	s.now.Waiting -= int64(n)
}

// Totals returns the numbers as they stand.
func (s *Stage) Totals() StageTotals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.now
	t.Dropped = make(map[string]uint64, len(s.now.Dropped))
	for k, v := range s.now.Dropped {
		t.Dropped[k] = v
	}
	return t
}

// Describe implements prometheus.Collector.
func (s *Stage) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.in
	ch <- s.out
	ch <- s.dropped
	ch <- s.waiting
}

// Collect implements prometheus.Collector.
func (s *Stage) Collect(ch chan<- prometheus.Metric) {
	t := s.Totals()
	ch <- prometheus.MustNewConstMetric(s.in, prometheus.CounterValue, float64(t.In))
	ch <- prometheus.MustNewConstMetric(s.out, prometheus.CounterValue, float64(t.Out))
	ch <- prometheus.MustNewConstMetric(s.waiting, prometheus.GaugeValue, float64(t.Waiting))
	for reason, n := range t.Dropped {
		ch <- prometheus.MustNewConstMetric(s.dropped, prometheus.CounterValue, float64(n), reason)
	}
}
