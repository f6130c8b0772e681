package operator

import (
	"encoding/binary"
	"fmt"

	"nocturne/internal/record"
)

// The states are written as one version byte and varints. A version that is
// not known is ErrShape: the key starts empty, which is safe.

// maxKept bounds the texts that a state keeps.
const maxKept = 300

type writer []byte

func (w *writer) int(v int64) { *w = binary.AppendVarint(*w, v) }

func (w *writer) text(s string) {
	*w = binary.AppendUvarint(*w, uint64(len(s)))
	*w = append(*w, s...)
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n) {
		r.bad = true
		return ""
	}
	s := string(r.b[n : n+int(v)])
	r.b = r.b[n+int(v):]
	return s
}

// count reads how many things follow, each of which takes a byte at least.
func (r *reader) count() int {
	n := r.int()
	if r.bad || n < 0 || n > int64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// open checks shape and version and returns the rest.
func open(s KeyedState, shape string, version byte) (*reader, error) {
	switch {
	case s.Shape != shape:
		return nil, fmt.Errorf("load state of rule %s: shape %s, want %s: %w", s.RuleID, s.Shape, shape, ErrShape)
	case len(s.Data) == 0 || s.Data[0] != version:
		return nil, fmt.Errorf("load state of rule %s: unknown version: %w", s.RuleID, ErrShape)
	}
	return &reader{b: s.Data[1:]}, nil
}

func (r *reader) close(s KeyedState) error {
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("load state of rule %s: %w", s.RuleID, record.ErrMalformed)
	}
	return nil
}
