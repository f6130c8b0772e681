package metrics

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is wrapped by errors about bytes that are no remote-write v1
// request.
var ErrMalformed = errors.New("malformed")

// errTooLarge says that a request is beyond a limit.
var errTooLarge = errors.New("too large")

// Label is a label of a pushed series.
type Label struct{ Name, Value string }

// Point is one sample of a pushed series.
type Point struct {
	Value  float64
	Millis int64
}

// Series is one pushed series.
type Series struct {
	Labels []Label
	Points []Point
}

// Decoded is a request as it was sent.
type Decoded struct {
	Series []Series
	// Ignored counts exemplars and native histograms, which are not forwarded.
	Ignored int
}

// unpack unpacks snappy's block format within a limit.
func unpack(packed []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(packed)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w: %w", err, ErrMalformed)
	}
	if n > limit {
		return nil, fmt.Errorf("%d bytes unpacked, limit %d: %w", n, limit, errTooLarge)
	}
	raw, err := snappy.Decode(nil, packed)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w: %w", err, ErrMalformed)
	}
	return raw, nil
}

// decode reads a remote-write v1 WriteRequest (prompb/remote.proto): field 1
// is a series with labels (1) and samples (2). It stops at the limits as soon
// as it meets them, before memory is taken for what follows.
func decode(raw []byte, l Limits) (Decoded, error) {
	var d Decoded
	points := 0
	err := fields(raw, func(num protowire.Number, b []byte) error {
		if num != 1 {
			return nil // metadata and reserved fields
		}
		if len(d.Series) >= l.Series {
			return fmt.Errorf("more than %d series: %w", l.Series, errTooLarge)
		}
		s, ignored, err := decodeSeries(b, l)
		if err != nil {
			return err
		}
		d.Ignored += ignored
		if points += len(s.Points); points > l.Samples {
			return fmt.Errorf("more than %d samples: %w", l.Samples, errTooLarge)
		}
		d.Series = append(d.Series, s)
		return nil
	})
	return d, err
}

func decodeSeries(raw []byte, l Limits) (s Series, ignored int, err error) {
	err = fields(raw, func(num protowire.Number, b []byte) error {
		switch num {
		case 1:
			if len(s.Labels) >= l.Labels {
				return fmt.Errorf("a series with more than %d labels: %w", l.Labels, errTooLarge)
			}
			var lb Label
			if err := fields(b, func(num protowire.Number, b []byte) error {
				switch num {
				case 1:
					lb.Name = string(b)
				case 2:
					lb.Value = string(b)
				}
				return nil
			}); err != nil {
				return err
			}
			s.Labels = append(s.Labels, lb)
		case 2:
			p, err := decodePoint(b)
			if err != nil {
				return err
			}
			s.Points = append(s.Points, p)
		default:
			ignored++
		}
		return nil
	})
	return s, ignored, err
}

// fields calls fn with every length-delimited field and skips the others.
func fields(b []byte, fn func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", protowire.ParseError(n), ErrMalformed)
		}
		b = b[n:]
		if typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return fmt.Errorf("%w: %w", protowire.ParseError(n), ErrMalformed)
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", protowire.ParseError(n), ErrMalformed)
		}
		if err := fn(num, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func decodePoint(b []byte) (p Point, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return p, fmt.Errorf("%w: %w", protowire.ParseError(n), ErrMalformed)
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.Fixed64Type:
			v, w := protowire.ConsumeFixed64(b)
			p.Value, n = math.Float64frombits(v), w
		case num == 2 && typ == protowire.VarintType:
			v, w := protowire.ConsumeVarint(b)
			p.Millis, n = int64(v), w
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return p, fmt.Errorf("%w: %w", protowire.ParseError(n), ErrMalformed)
		}
		b = b[n:]
	}
	return p, nil
}

// appendSeries appends a series as field 1 of a WriteRequest, so that requests
// put end to end are one request.
func appendSeries(dst []byte, s *Series) []byte {
	n := 0
	for _, l := range s.Labels {
		n += 1 + protowire.SizeBytes(labelSize(l))
	}
	for _, p := range s.Points {
		n += 1 + protowire.SizeBytes(pointSize(p))
	}
	dst = protowire.AppendTag(dst, 1, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(n))
	for _, l := range s.Labels {
		dst = protowire.AppendTag(dst, 1, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(labelSize(l)))
		dst = protowire.AppendTag(dst, 1, protowire.BytesType)
		dst = protowire.AppendString(dst, l.Name)
		dst = protowire.AppendTag(dst, 2, protowire.BytesType)
		dst = protowire.AppendString(dst, l.Value)
	}
	for _, p := range s.Points {
		dst = protowire.AppendTag(dst, 2, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(pointSize(p)))
		dst = protowire.AppendTag(dst, 1, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, math.Float64bits(p.Value))
		dst = protowire.AppendTag(dst, 2, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(p.Millis))
	}
	return dst
}

func labelSize(l Label) int {
	return 2 + protowire.SizeBytes(len(l.Name)) + protowire.SizeBytes(len(l.Value))
}

func pointSize(p Point) int { return 2 + 8 + protowire.SizeVarint(uint64(p.Millis)) }

// cutText cuts a label value to its limit and mends what is not UTF-8.
func cutText(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
