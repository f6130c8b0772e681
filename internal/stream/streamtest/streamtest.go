// Package streamtest gives tests a stream: New an in-memory one whose clock the
// test sets, Server a real JetStream in a temporary folder.
package streamtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"nocturne/internal/stream"
)

// Log is an in-memory stream.Log with the contract of the real one. The test
// decides what time an append gets.
type Log struct {
	mu          sync.Mutex
	changed     chan struct{} // closed and replaced at every append
	now         time.Time
	incarnation string
	parts       [stream.Partitions]partition
}

type partition struct {
	first   uint64 // entries before this one were trimmed
	entries []stream.Message
}

var _ stream.Log = (*Log)(nil)

// New returns an empty log whose clock stands at now.
func New(now time.Time) *Log {
	return &Log{changed: make(chan struct{}), now: now, incarnation: "mem-1"}
}

// SetTime sets the time of the following appends.
func (l *Log) SetTime(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
}

// Lose empties the log and begins a new incarnation, as if the volume was lost.
func (l *Log) Lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.incarnation += "'"
	l.parts = [stream.Partitions]partition{}
	l.wake()
}

// Trim drops the entries before the given one, as retention does.
func (l *Log) Trim(p int, before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	part := &l.parts[p]
	for len(part.entries) > 0 && part.entries[0].Position.Entry < before {
		part.entries = part.entries[1:]
		part.first++
	}
}

func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append implements stream.Log.
func (l *Log) Append(ctx context.Context, p int, entry []byte) (stream.Position, error) {
	if err := ctx.Err(); err != nil {
		return stream.Position{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	part := &l.parts[p]
	pos := stream.Position{Incarnation: l.incarnation, Entry: part.first + uint64(len(part.entries)) + 1}
	part.entries = append(part.entries, stream.Message{Partition: p, Position: pos, Time: l.now, Data: append([]byte(nil), entry...)})
	l.wake()
	return pos, nil
}

// First implements stream.Log.
func (l *Log) First(_ context.Context, p int) (stream.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return stream.Position{Incarnation: l.incarnation, Entry: l.parts[p].first}, nil
}

// Head implements stream.Log.
func (l *Log) Head(_ context.Context, p int) (stream.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	part := &l.parts[p]
	return stream.Position{Incarnation: l.incarnation, Entry: part.first + uint64(len(part.entries))}, nil
}

// Read implements stream.Log.
func (l *Log) Read(ctx context.Context, p int, from stream.Position, fn func(stream.Message) error) error {
	for {
		l.mu.Lock()
		part := &l.parts[p]
		head := part.first + uint64(len(part.entries))
		if from.Incarnation == "" {
			from.Incarnation = l.incarnation
		}
		if from.Incarnation != l.incarnation || from.Entry > head {
			l.mu.Unlock()
			return fmt.Errorf("entry %d of %s: %w", from.Entry, from.Incarnation, stream.ErrIncarnation)
		}
		var batch []stream.Message
		if at := max(from.Entry, part.first); at < head {
			batch = append(batch, part.entries[at-part.first:]...)
		}
		changed := l.changed
		l.mu.Unlock()
		for _, m := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(m); err != nil {
				return err
			}
			from = m.Position
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Server starts a real JetStream in a temporary folder, creates the partitions
// and returns the server and a connection with the bridge's role. Both are
// closed when the test ends.
func Server(t testing.TB) (*stream.Server, *stream.Conn) {
	t.Helper()
	dir := t.TempDir()
	s, err := stream.NewServer(stream.ServerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c, err := stream.Connect(stream.Config{URL: s.URL(), Role: stream.RoleBridge, TokenFile: stream.TokenFile(dir, stream.RoleBridge), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.CreateStreams(t.Context(), stream.StreamsConfig{MaxBytes: 4 << 30}); err != nil {
		t.Fatal(err)
	}
	return s, c
}
