package check

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

// parsePrometheus reads the text exposition format.
func parsePrometheus(out []byte) ([]*dto.MetricFamily, error) {
	if !bytes.HasSuffix(out, []byte("\n")) {
		out = append(bytes.Clone(out), '\n')
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := p.TextToMetricFamilies(bytes.NewReader(bytes.TrimPrefix(out, []byte("\ufeff"))))
	if err != nil {
		return nil, err
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		families = append(families, byName[name])
	}
	return families, nil
}

// Reasons why a series of a check is not taken; a closed set.
const (
	refusedName  = "name"      // a name of the exporter's own, or a label that is taken
	refusedClash = "clash"     // another check has the name with another type
	refusedTwice = "duplicate" // the same series again
	refusedMany  = "limit"     // more than max_series
	refusedLong  = "too_long"  // a label or a help text
)

var refusedReasons = []string{refusedName, refusedClash, refusedTwice, refusedMany, refusedLong}

// ownPrefixes are of metrics that this program or the bridge makes: a plugin
// that used them could say that the exporter is well.
var ownPrefixes = []string{"exporter_", "nocturne_", "node_", "windows_", "go_", "process_", "promhttp_"}

const (
	maxLabels    = 32
	maxLabel     = 256
	maxHelp      = 1024
	labelOfCheck = "check"
)

// Series are the samples of all checks of format prometheus as they were after
// each one's last run, with the label check added. It is a collector; its
// methods may be called concurrently.
type Series struct {
	max     int
	refused *prometheus.CounterVec
	kept    *prometheus.GaugeVec
	files   prometheus.Gauge

	mu     sync.Mutex
	claims map[string]*claim // by family
	checks map[string][]taken
}

// claim says what the first check that used a name made of it: the registry
// refuses a name with two types or two help texts.
type claim struct {
	typ    dto.MetricType
	help   string
	checks map[string]bool
}

type taken struct {
	family string
	metric *dto.Metric
}

// NewSeries returns an empty set; it is registered by the caller.
func NewSeries(maxSeries int) *Series {
	s := &Series{max: maxSeries, claims: map[string]*claim{}, checks: map[string][]taken{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "exporter_check_series_refused_total", Help: "Series of checks that were not taken, by reason."}, []string{"reason"}),
		kept:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "exporter_check_series", Help: "Series of each check's last run that are served and pushed."}, []string{"source"}),
		files:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_check_files_refused", Help: "Files of the check folder that are not taken because something is wrong with them."}),
	}
	for _, r := range refusedReasons {
		s.refused.WithLabelValues(r)
	}
	return s
}

// Describe implements prometheus.Collector: what plugins say is not known
// beforehand.
func (s *Series) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *Series) Collect(ch chan<- prometheus.Metric) {
	s.refused.Collect(ch)
	s.kept.Collect(ch)
	s.files.Collect(ch)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.checks {
		for _, t := range list {
			c := s.claims[t.family]
			ch <- sample{desc: prometheus.NewDesc(t.family, c.help, nil, nil), metric: t.metric}
		}
	}
}

// sample is a prometheus.Metric that was read, not measured.
type sample struct {
	desc   *prometheus.Desc
	metric *dto.Metric
}

func (s sample) Desc() *prometheus.Desc { return s.desc }

func (s sample) Write(m *dto.Metric) error {
	proto.Merge(m, s.metric)
	return nil
}

// FilesRefused says how many check files are not taken.
func (s *Series) FilesRefused(n int) { s.files.Set(float64(n)) }

// forget drops what a check said: its last run said nothing.
func (s *Series) forget(check string) { _ = s.take(check, nil) }

// take replaces what a check said and returns how many series of each reason
// were refused.
func (s *Series) take(check string, families []*dto.MetricFamily) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(check)
	refused := map[string]int{}
	var list []taken
	left := s.max
	for _, f := range families {
		if reason := s.refuses(f); reason != "" {
			refused[reason] += len(f.GetMetric())
			continue
		}
		seen := map[string]bool{}
		before := len(list)
		for _, m := range f.GetMetric() {
			m, key, reason := labelled(check, m)
			n := seriesOf(m)
			switch {
			case reason != "":
			case seen[key]:
				reason = refusedTwice
			case n > left:
				reason = refusedMany
			}
			if reason != "" {
				refused[reason]++
				continue
			}
			seen[key] = true
			left -= n
			list = append(list, taken{f.GetName(), m})
		}
		if len(list) > before {
			s.claim(check, f)
		}
	}
	if list != nil {
		s.checks[check] = list
	}
	if families != nil {
		s.kept.WithLabelValues("check/" + check).Set(float64(s.max - left))
	} else {
		s.kept.DeleteLabelValues("check/" + check)
	}
	for reason, n := range refused {
		s.refused.WithLabelValues(reason).Add(float64(n))
	}
	return refused
}

func (s *Series) release(check string) {
	delete(s.checks, check)
	for name, c := range s.claims {
		if delete(c.checks, check); len(c.checks) == 0 {
			delete(s.claims, name)
		}
	}
}

func (s *Series) claim(check string, f *dto.MetricFamily) {
	c := s.claims[f.GetName()]
	if c == nil {
		c = &claim{typ: f.GetType(), help: f.GetHelp(), checks: map[string]bool{}}
		s.claims[f.GetName()] = c
	}
	c.checks[check] = true
}

// refuses says why a whole family is not taken.
func (s *Series) refuses(f *dto.MetricFamily) string {
	for _, p := range ownPrefixes {
		if strings.HasPrefix(f.GetName(), p) {
			return refusedName
		}
	}
	if c := s.claims[f.GetName()]; c != nil && c.typ != f.GetType() {
		return refusedClash
	}
	if len(f.GetName()) > maxLabel || len(f.GetHelp()) > maxHelp {
		return refusedLong
	}
	return ""
}

// labelled returns a metric with the label check and without its time, which
// is that of the push, and a key of its labels.
func labelled(check string, m *dto.Metric) (out *dto.Metric, key, reason string) {
	out = proto.CloneOf(m)
	out.TimestampMs = nil
	if len(out.Label) > maxLabels {
		return out, "", refusedLong
	}
	for _, l := range out.Label {
		switch name := l.GetName(); {
		case name == labelOfCheck || name == "server" || name == "server_id" || strings.HasPrefix(name, "__"):
			return out, "", refusedName
		case len(name) > maxLabel || len(l.GetValue()) > maxLabel:
			return out, "", refusedLong
		}
	}
	out.Label = append(out.Label, &dto.LabelPair{Name: proto.String(labelOfCheck), Value: proto.String(check)})
	slices.SortFunc(out.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	var b strings.Builder
	for i, l := range out.Label {
		if i > 0 && l.GetName() == out.Label[i-1].GetName() {
			return out, "", refusedTwice
		}
		fmt.Fprintf(&b, "%s=%q,", l.GetName(), l.GetValue())
	}
	return out, b.String(), ""
}

// seriesOf is how many series a metric is pushed as.
func seriesOf(m *dto.Metric) int {
	switch {
	case m.Histogram != nil:
		return len(m.Histogram.GetBucket()) + 2
	case m.Summary != nil:
		return len(m.Summary.GetQuantile()) + 2
	}
	return 1
}
