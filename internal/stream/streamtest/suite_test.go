package streamtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"nocturne/internal/stream"
)

// TestLogs runs the contract of stream.Log against both implementations.
func TestLogs(t *testing.T) {
	logs := map[string]func(t *testing.T) stream.Log{
		"memory":    func(*testing.T) stream.Log { return New(time.Unix(1000, 0)) },
		"jetstream": func(t *testing.T) stream.Log { _, c := Server(t); return c },
	}
	for name, open := range logs {
		t.Run(name, func(t *testing.T) { suite(t, open(t)) })
	}
}

var errEnough = errors.New("enough")

// read returns the entries after from, up to n of them.
func read(t *testing.T, l stream.Log, p int, from stream.Position, n int) []stream.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []stream.Message
	err := l.Read(ctx, p, from, func(m stream.Message) error {
		got = append(got, m)
		if len(got) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("read %d entries after %v: got %d, %v", n, from, len(got), err)
	}
	return got
}

func suite(t *testing.T, l stream.Log) {
	ctx := t.Context()
	if h, err := l.Head(ctx, 3); err != nil || h.Entry != 0 || h.Incarnation == "" {
		t.Fatalf("head of an empty partition: %v, %v", h, err)
	}
	var last stream.Position
	for i := range 200 {
		pos, err := l.Append(ctx, 3, fmt.Appendf(nil, "entry %d", i))
		if err != nil || pos.Entry != uint64(i+1) || pos.Incarnation == "" {
			t.Fatalf("append %d: %v, %v", i, pos, err)
		}
		last = pos
	}
	if h, err := l.Head(ctx, 3); err != nil || h != last {
		t.Fatalf("head %v, %v; want %v", h, err, last)
	}
	if h, err := l.Head(ctx, 4); err != nil || h.Entry != 0 {
		t.Fatalf("another partition got entries: %v, %v", h, err)
	}
	got := read(t, l, 3, stream.Position{}, 200)
	for i, m := range got {
		if string(m.Data) != fmt.Sprintf("entry %d", i) || m.Position.Entry != uint64(i+1) || m.Partition != 3 {
			t.Fatalf("entry %d: %q at %v", i, m.Data, m.Position)
		}
		if i > 0 && m.Time.Before(got[i-1].Time) {
			t.Fatalf("stream time goes back at entry %d", i)
		}
	}
	if got := read(t, l, 3, got[149].Position, 1); string(got[0].Data) != "entry 150" {
		t.Fatalf("after entry 150: %q", got[0].Data)
	}

	// A reader that waits gets what comes later.
	done := make(chan stream.Message, 1)
	go func() { done <- read(t, l, 3, last, 1)[0] }()
	if _, err := l.Append(ctx, 3, []byte("later")); err != nil {
		t.Fatal(err)
	}
	if m := <-done; string(m.Data) != "later" || m.Position.Entry != 201 {
		t.Fatalf("waiting reader got %q at %v", m.Data, m.Position)
	}

	// A position of another life is refused, and so is one past the head.
	for _, from := range []stream.Position{{Incarnation: "another", Entry: 5}, {Incarnation: last.Incarnation, Entry: 900}} {
		err := l.Read(ctx, 3, from, func(stream.Message) error { return nil })
		if !errors.Is(err, stream.ErrIncarnation) {
			t.Errorf("read from %v: %v, want ErrIncarnation", from, err)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := l.Read(canceled, 3, last, func(stream.Message) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("read with a cancelled context: %v", err)
	}
}

func TestTrimAndLose(t *testing.T) {
	l := New(time.Unix(1, 0))
	for range 10 {
		if _, err := l.Append(t.Context(), 0, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	l.Trim(0, 5)
	if f, _ := l.First(t.Context(), 0); f.Entry != 4 {
		t.Errorf("first after trim: %v, want 4", f)
	}
	if got := read(t, l, 0, stream.Position{}, 1); got[0].Position.Entry != 5 {
		t.Errorf("oldest entry: %v, want 5", got[0].Position)
	}
	head, _ := l.Head(t.Context(), 0)
	l.Lose()
	if err := l.Read(t.Context(), 0, head, func(stream.Message) error { return nil }); !errors.Is(err, stream.ErrIncarnation) {
		t.Errorf("read after the volume was lost: %v", err)
	}
}
