package amqp

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/ingest/compat"
	"nocturne/internal/record"
)

// The two inputs.
const (
	inputFrames = "frames"
	inputCompat = "compat"
)

// Why a message with a frame becomes a dead letter, beside record.Rejects.
const (
	deadIdentity   = "identity"   // another server's, or another producer's
	deadCredential = "credential" // the key is not known, or was revoked
)

// Why messages of the old agent are not taken.
const (
	dropDecode   = "decode"    // not what the queue is for: a dead letter
	dropHost     = "host"      // no pattern allows it
	dropEnrolled = "enrolled"  // that server has an exporter of its own
	dropRefused  = "refused"   // the server was revoked or decommissioned
	dropLimit    = "limit"     // more servers than compat.max_servers
	dropEmpty    = "empty"     // says nothing
	dropReturned = "returned"  // handed back to the broker, which sends it again
	dropTooLarge = "too_large" // a record above the limit
)

func deadReasons() []string {
	out := []string{deadIdentity, deadCredential}
	for _, r := range record.Rejects() {
		out = append(out, r.String())
	}
	return out
}

func compatReasons() []string {
	return []string{dropDecode, dropHost, dropEnrolled, dropRefused, dropLimit, dropEmpty, dropTooLarge, dropReturned}
}

// Metrics are the numbers of the broker's inputs.
type Metrics struct {
	Frames *ingest.Stage // records in frames, from the broker into the stream
	Compat *ingest.Stage // records of the old agent's messages

	up       map[string]prometheus.Gauge
	queues   map[string]prometheus.Gauge
	sessions map[string]prometheus.Counter // by input
	failures map[string]prometheus.Counter
	// queueFailures are of single queues, while the connection is well.
	queueFailures map[string]prometheus.Counter
	messages      map[string]prometheus.Counter
	redelivered   map[string]prometheus.Counter
	dead          map[string]prometheus.Counter // by reason
	kinds         map[string]prometheus.Counter
	bytes         prometheus.Counter
	ingest.Collectors

	mu      sync.Mutex
	trouble map[place]string // since when there is no broker, or a queue cannot be read, and why
}

// place is an input, or one of its queues.
type place struct{ input, queue string }

// Trouble says of each input that has no broker, and each queue that cannot be
// read, since when, and why. It may be called concurrently.
func (m *Metrics) Trouble() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Values(m.trouble))
}

func (m *Metrics) there(input string) {
	m.up[input].Set(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.trouble, place{input: input})
}

// gone keeps what was said first: since is when the broker was lost.
func (m *Metrics) gone(input string, now time.Time, err error) {
	m.up[input].Set(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for at := range m.trouble { // of single queues nothing is known any more
		if at.input == input && at.queue != "" {
			delete(m.trouble, at)
		}
	}
	if at := (place{input: input}); m.trouble[at] == "" {
		m.trouble[at] = fmt.Sprintf("no broker for %s since %s, its messages wait there: %v", input, now.UTC().Format(time.RFC3339), err)
	}
}

func (m *Metrics) queueThere(input, queue string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.trouble, place{input, queue})
}

// queueGone tells whether that is news.
func (m *Metrics) queueGone(input, queue string, now time.Time, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := place{input, queue}
	if m.trouble[at] != "" {
		return false
	}
	m.trouble[at] = fmt.Sprintf("queue %s cannot be read since %s, its messages wait there: %v", queue, now.UTC().Format(time.RFC3339), err)
	return true
}

// NewMetrics returns the metrics, all at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		Frames:  ingest.NewStage("amqp", "frames over AMQP.", append(deadReasons(), dropReturned)...),
		trouble: map[place]string{},
		Compat:  ingest.NewStage("compat", "messages of the old agent.", compatReasons()...),
	}
	m.Collectors = ingest.Collectors{m.Frames, m.Compat}
	inputs := []string{inputFrames, inputCompat}
	m.up = m.gauges("up", "Whether the bridge is connected to the broker.", inputs)
	m.queues = m.gauges("queues", "Queues that the bridge reads.", inputs)
	m.sessions = m.Closed("eventbridge_amqp_sessions_total", "Connections made to the broker.", "input", inputs...)
	m.failures = m.Closed("eventbridge_amqp_failures_total", "Connections that failed or ended.", "input", inputs...)
	m.queueFailures = m.Closed("eventbridge_amqp_queue_failures_total", "Queues that could not be read, or not any more, while the connection was well.", "input", inputs...)
	m.messages = m.Closed("eventbridge_amqp_messages_total", "Messages received.", "input", inputs...)
	m.redelivered = m.Closed("eventbridge_amqp_redelivered_total", "Messages that the broker had delivered before.", "input", inputs...)
	m.dead = m.Closed("eventbridge_amqp_dead_letters_total", "Messages put into the queue of dead letters.", "reason", append(deadReasons(), dropDecode)...)
	kinds := make([]string, 0, len(compat.Kinds()))
	for _, k := range compat.Kinds() {
		kinds = append(kinds, string(k))
	}
	m.kinds = m.Closed("eventbridge_compat_messages_total", "Messages of the old agent that are in the stream.", "kind", kinds...)
	m.bytes = prometheus.NewCounter(prometheus.CounterOpts{Name: "eventbridge_amqp_bytes_total", Help: "Bytes of messages received."})
	m.Collectors = append(m.Collectors, m.bytes)
	return m
}

func (m *Metrics) gauges(name, help string, inputs []string) map[string]prometheus.Gauge {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "eventbridge_amqp_" + name, Help: help}, []string{"input"})
	m.Collectors = append(m.Collectors, v)
	out := map[string]prometheus.Gauge{}
	for _, i := range inputs {
		out[i] = v.WithLabelValues(i)
	}
	return out
}
