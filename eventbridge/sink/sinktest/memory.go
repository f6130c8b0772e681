package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"nocturne/eventbridge/sink"
)

// Memory is a store in memory that behaves as VictoriaLogs does: it
// acknowledges before it is durable, and what is not durable is gone after Kill.
type Memory struct {
	mu       sync.Mutex
	durable  map[string]int // copies by place, see placeOf
	volatile map[string]int
	ids      map[string]int // copies by record id, of both
	life     int
	down     bool
	refused  map[string]bool
	fail     func(b sink.Batch) error
	writes   int
	rows     []string // ids in the order of their arrival
}

var _ sink.Sink = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{durable: map[string]int{}, volatile: map[string]int{}, ids: map[string]int{}, refused: map[string]bool{}}
}

// placeOf names a row as VictoriaLogs could find it: by id and entry.
func placeOf(r *sink.Row) string { return fmt.Sprintf("%s %d/%d", r.ID(), r.Partition, r.Entry) }

// has tells whether a row is there, asked in the way its mark allows: one that
// may only be there with the same entry is not looked for elsewhere.
func (m *Memory) has(r *sink.Row, repeat bool) bool {
	switch {
	case r.Again == sink.AnyEntry:
		return m.ids[r.ID()] > 0
	case r.Again == sink.SameEntry || repeat:
		return m.durable[placeOf(r)]+m.volatile[placeOf(r)] > 0
	}
	return false
}

// ErrDown is what a store that is down answers.
var ErrDown = errors.New("connection refused")

// Write implements sink.Sink.
func (m *Memory) Write(ctx context.Context, b sink.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if m.down {
		return ErrDown
	}
	for i := range b.Rows {
		id := b.Rows[i].ID()
		if m.refused[id] {
			return fmt.Errorf("row %s: %w", id, sink.ErrRefused)
		}
		if m.has(&b.Rows[i], b.Repeat) {
			continue
		}
		m.volatile[placeOf(&b.Rows[i])]++
		m.ids[id]++
		m.rows = append(m.rows, id)
	}
	if m.fail != nil {
		return m.fail(b)
	}
	return nil
}

// Instance implements sink.Sink.
func (m *Memory) Instance(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return "", ErrDown
	}
	return fmt.Sprint("life ", m.life), nil
}

// Flush makes everything durable.
func (m *Memory) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for place, n := range m.volatile {
		m.durable[place] += n
	}
	clear(m.volatile)
}

// Kill loses what is not durable; Start brings the store back.
func (m *Memory) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for place, n := range m.volatile {
		id, _, _ := strings.Cut(place, " ")
		m.ids[id] -= n
	}
	clear(m.volatile)
	m.down = true
}

// Start brings the store back as a new process.
func (m *Memory) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	m.down = false
}

// Refuse makes the store refuse every batch with one of the rows.
func (m *Memory) Refuse(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.refused[id] = true
	}
}

// FailWith sets what Write returns after it stored a batch; nil again ends it.
func (m *Memory) FailWith(fail func(b sink.Batch) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// Rows returns how many copies of each record are there.
func (m *Memory) Rows() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int{}
	for id, n := range m.ids {
		if n > 0 {
			out[id] = n
		}
	}
	return out
}

// Writes returns how often Write was called.
func (m *Memory) Writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// Arrived returns the ids of rows in the order in which they came.
func (m *Memory) Arrived() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.rows...)
}
