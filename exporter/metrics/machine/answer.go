package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// A request is one byte. An answer is one byte of kind, four of length (little
// endian), and the payload.
const (
	askMetrics byte = 'G'

	answerMetrics byte = 'A' // MetricFamily messages, each after its length
	answerError   byte = 'X' // why the collectors cannot be asked: text; the child ends
)

// Limits of an answer.
const (
	maxAnswer      = 8 << 20
	maxErrorText   = 4 << 10
	maxFamilies    = 5000
	maxMetrics     = 50000 // of all families
	maxLabels      = 64    // of a metric
	maxLabelName   = 256
	maxLabelValue  = 4 << 10
	maxHelp        = 4 << 10
	maxPoints      = 1000 // buckets or quantiles of a metric
	maxNameLength  = 256
	headerOfAnswer = 5
)

// writeAnswer writes one answer.
func writeAnswer(w io.Writer, kind byte, payload []byte) error {
	head := [headerOfAnswer]byte{kind}
	binary.LittleEndian.PutUint32(head[1:], uint32(len(payload)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// errChild says that the child gave its reason; its text stands behind it.
var errChild = errors.New("collectors")

// readAnswer reads one answer; it never takes more memory than the limit.
func readAnswer(r io.Reader) ([]byte, error) {
	var head [headerOfAnswer]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	n := binary.LittleEndian.Uint32(head[1:])
	limit := uint32(maxAnswer)
	if head[0] == answerError {
		limit = maxErrorText
	}
	if head[0] != answerMetrics && head[0] != answerError {
		return nil, fmt.Errorf("%w: an answer of kind %d", errProtocol, head[0])
	}
	if n > limit {
		return nil, fmt.Errorf("%w: an answer of %d bytes, at most %d are taken", errProtocol, n, limit)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	if head[0] == answerError {
		return nil, fmt.Errorf("%w: %s", errChild, strings.ToValidUTF8(string(payload), "?"))
	}
	return payload, nil
}

// encode packs families; what does not fit the limit of an answer is left out
// and counted.
func encode(families []*dto.MetricFamily) (payload []byte, left int) {
	var b bytes.Buffer
	for i, f := range families {
		before := b.Len()
		if _, err := protodelim.MarshalTo(&b, f); err != nil || b.Len() > maxAnswer {
			b.Truncate(before)
			if err == nil {
				return b.Bytes(), len(families) - i
			}
			left++
		}
	}
	return b.Bytes(), left
}

// Reasons for which a family of an answer is left out.
const (
	reasonInvalid  = "invalid"  // it breaks Prometheus' rules or a limit
	reasonReserved = "reserved" // it bears a name of the exporter's own metrics
)

var reasons = []string{reasonInvalid, reasonReserved}

// reserved are the prefixes of the metrics that the exporter makes itself.
var reserved = []string{"exporter_", "go_", "process_", "promhttp_"}

// decode unpacks an answer. A payload that cannot be read to its end is an
// error; a family that would spoil the others is left out and counted.
func decode(payload []byte) (families []*dto.MetricFamily, left map[string]int, err error) {
	left = map[string]int{}
	seen := map[string]bool{}
	r := bytes.NewReader(payload)
	options := protodelim.UnmarshalOptions{MaxSize: maxAnswer}
	for metrics := 0; r.Len() > 0; {
		f := new(dto.MetricFamily)
		if err := options.UnmarshalFrom(r, f); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errProtocol, err)
		}
		if len(seen) == maxFamilies || metrics+len(f.GetMetric()) > maxMetrics {
			return nil, nil, fmt.Errorf("%w: more than %d families or %d metrics", errProtocol, maxFamilies, maxMetrics)
		}
		metrics += len(f.GetMetric())
		name := f.GetName()
		switch {
		case slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(name, p) }):
			left[reasonReserved]++
		case seen[name] || !validFamily(f):
			left[reasonInvalid]++
		default:
			seen[name] = true
			families = append(families, f)
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, left, nil
}

func validFamily(f *dto.MetricFamily) bool {
	if !validName(f.GetName(), true) || len(f.GetHelp()) > maxHelp || !utf8.ValidString(f.GetHelp()) || len(f.GetMetric()) == 0 {
		return false
	}
	for _, m := range f.GetMetric() {
		if !validMetric(f.GetType(), m) {
			return false
		}
	}
	return true
}

func validMetric(t dto.MetricType, m *dto.Metric) bool {
	if len(m.GetLabel()) > maxLabels {
		return false
	}
	names := make(map[string]bool, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		name, value := l.GetName(), l.GetValue()
		if names[name] || len(name) > maxLabelName || !validName(name, false) || len(value) > maxLabelValue || !utf8.ValidString(value) {
			return false
		}
		names[name] = true
	}
	switch t {
	case dto.MetricType_COUNTER:
		return m.Counter != nil && !math.IsNaN(m.Counter.GetValue())
	case dto.MetricType_GAUGE:
		return m.Gauge != nil
	case dto.MetricType_UNTYPED:
		return m.Untyped != nil
	case dto.MetricType_SUMMARY:
		return m.Summary != nil && len(m.Summary.GetQuantile()) <= maxPoints && !names["quantile"]
	case dto.MetricType_HISTOGRAM:
		return m.Histogram != nil && len(m.Histogram.GetBucket()) <= maxPoints && !names["le"]
	default:
		return false
	}
}

// validName tells a name of Prometheus' data model; colons are for metrics.
func validName(s string, metric bool) bool {
	if s == "" || len(s) > maxNameLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || metric && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
