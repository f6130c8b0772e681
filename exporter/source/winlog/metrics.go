package winlog

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// Reasons of what is missing, a closed set.
const (
	missingHole       = "hole"       // a number between two that were read
	missingRemoved    = "removed"    // cleared or overwritten before it was read; of a filtered channel at most so many
	missingUnreadable = "unreadable" // Windows could not give it, or not whole
)

// Metrics are those of the channels of a configuration: the names of channels
// are a closed set, providers and event ids are capped. A source that is built
// anew after a hang goes on with the same ones.
type Metrics struct {
	read, full, resets, reopened *prometheus.CounterVec
	dropped, missing             *prometheus.CounterVec
	lag, newest, open            *prometheus.GaugeVec
	levels                       *prometheus.CounterVec
	events                       *eventCounter
}

// channelMetrics are one channel's.
type channelMetrics struct {
	read, full, resets, reopened prometheus.Counter
	dropped, missing             *prometheus.CounterVec
	lag, newest, open            prometheus.Gauge
	m                            *Metrics
	channel                      string
}

// NewMetrics makes and registers them; a nil registerer = they are not seen.
func NewMetrics(reg prometheus.Registerer, channels []Channel) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "exporter", Subsystem: Name, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "exporter", Subsystem: Name, Name: name, Help: help}, []string{"channel"})
	}
	m := &Metrics{
		read:     counter("read_total", "Events that Windows gave: those handed on, filtered, repeated and unreadable.", "channel"),
		full:     counter("full_batches_total", "Answers that held as many events as were asked for: there are more.", "channel"),
		resets:   counter("resets_total", "Times the channel's record numbers began again, as when it was cleared.", "channel"),
		reopened: counter("reopened_total", "Times the channel was opened again after a failure.", "channel"),
		dropped:  counter("dropped_total", "Events that were read and not handed on, by reason.", "channel", "reason"),
		missing:  counter("missing_total", "Events that were written and never read, by what shows it; removed ones of a filtered channel are at most so many.", "channel", "reason"),
		lag:      gauge("lag_seconds", "How old the newest event read was when it was read."),
		newest:   gauge("newest_event_timestamp_seconds", "Time of the newest event read."),
		open:     gauge("channel_open", "Whether the channel is subscribed to now."),
		levels:   counter("levels_total", "Events handed on by level, all channels.", "level"),
		events:   newEventCounter(),
	}
	for i := range channels {
		m.of(channels[i].Name)
	}
	for _, l := range levelWords {
		m.levels.WithLabelValues(l)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.read, m.full, m.resets, m.reopened, m.dropped, m.missing, m.levels, m.lag, m.newest, m.open, m.events} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) of(channel string) *channelMetrics {
	c := &channelMetrics{
		read: m.read.WithLabelValues(channel), full: m.full.WithLabelValues(channel), resets: m.resets.WithLabelValues(channel),
		reopened: m.reopened.WithLabelValues(channel), lag: m.lag.WithLabelValues(channel), newest: m.newest.WithLabelValues(channel),
		open: m.open.WithLabelValues(channel), m: m, channel: channel,
		dropped: m.dropped.MustCurryWith(prometheus.Labels{"channel": channel}), missing: m.missing.MustCurryWith(prometheus.Labels{"channel": channel}),
	}
	for _, r := range []string{reasonLevel, reasonProvider, reasonEventID, reasonRepeat} {
		c.dropped.WithLabelValues(r)
	}
	for _, r := range []string{missingHole, missingRemoved, missingUnreadable} {
		c.missing.WithLabelValues(r)
	}
	return c
}

// behind notes the newest event of an answer.
func (c *channelMetrics) behind(newest, now time.Time) {
	if newest.IsZero() {
		return
	}
	c.newest.Set(float64(newest.UnixMilli()) / 1e3)
	c.lag.Set(max(0, now.Sub(newest).Seconds())) // clocks may be set back
}

// maxEventSeries bounds the series of eventCounter; further kinds of events are
// counted as others of their channel and level, whose series exist beyond it.
const maxEventSeries = 500

// other stands for providers and event ids beyond the bound.
const other = "other"

type eventKey struct{ channel, provider, level, id string }

// eventCounter counts events by channel, provider, level and event id, with
// a bound on the number of series: who first comes is counted by name. It is
// a prometheus.Collector and may be used concurrently.
type eventCounter struct {
	desc *prometheus.Desc

	mu     sync.Mutex
	counts map[eventKey]float64
	named  int
}

func newEventCounter() *eventCounter {
	return &eventCounter{
		desc:   prometheus.NewDesc("exporter_winlog_events_total", "Events handed on. Kinds beyond the first "+strconv.Itoa(maxEventSeries)+` are counted as provider and event_id "other".`, []string{"channel", "provider", "level", "event_id"}, nil),
		counts: map[eventKey]float64{},
	}
}

// add counts an event. A provider's name has case as Windows pleases: it is
// made lower case.
func (c *eventCounter) add(channel, provider, level string, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := eventKey{channel, strings.ToLower(Clip(strings.ToValidUTF8(provider, "?"), 128)), level, strconv.FormatInt(id, 10)}
	if _, known := c.counts[k]; !known {
		if c.named >= maxEventSeries {
			k.provider, k.id = other, other
		} else {
			c.named++
		}
	}
	c.counts[k]++
}

// Describe implements prometheus.Collector.
func (c *eventCounter) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *eventCounter) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range c.counts {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, n, k.channel, k.provider, k.level, k.id)
	}
}

// handed counts an event that is handed on.
func (c *channelMetrics) handed(r *record.Record) {
	level := r.Attr(record.AttrLevel).Str()
	id, _ := r.Attr(record.AttrEventID).Int()
	c.m.levels.WithLabelValues(level).Inc()
	c.m.events.add(c.channel, r.Attr(record.AttrProvider).Str(), level, id)
}
