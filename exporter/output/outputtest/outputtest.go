// Package outputtest is the suite that every output passes: it holds the
// contract of output.Output.
package outputtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"nocturne/exporter/output"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Receiver is the other end of an output under test.
type Receiver interface {
	// Bodies returns the bodies of the records received so far, in order.
	Bodies() []string
	// Break makes the next n requests or writes fail as a whole.
	Break(n int)
}

// Factory returns a fresh output and its receiver. The output speaks for
// Subject in Epoch.
type Factory func(t *testing.T) (output.Output, Receiver)

// Who speaks in the suite.
var (
	Subject = record.ID{0xaa, 1}
	Epoch   = record.EpochRef{Start: 1_790_000_000_000_000_000, Random: 7}
)

// Data returns a data frame of records with these bodies.
func Data(first uint64, bodies ...string) spool.Frame {
	f := spool.Frame{Header: header(record.FrameData, first, first+uint64(len(bodies))-1)}
	for _, b := range bodies {
		f.Raw = record.AppendRecords(f.Raw, []record.Record{{Name: record.NameJournal, Body: b}})
	}
	f.Header.Count = uint32(len(bodies))
	return f
}

// Gap returns a gap frame.
func Gap(first, last uint64) spool.Frame {
	h := header(record.FrameGap, first, last)
	h.Reason = record.GapOverflow
	return spool.Frame{Header: h}
}

func header(kind record.FrameKind, first, last uint64) record.Header {
	return record.Header{Kind: kind, Category: record.EventLog, Producer: record.ExporterProducer(Subject), Subject: Subject,
		Epoch: record.Epoch{EpochRef: Epoch}, First: first, Last: last}
}

// Run checks an output against the contract.
func Run(t *testing.T, factory Factory) {
	tests := map[string]func(*testing.T, output.Output, Receiver){
		"order":           order,
		"bare frames":     bareFrames,
		"redelivery":      redelivery,
		"failure":         failure,
		"cancelled":       cancelled,
		"poison":          poison,
		"frames are ours": untouched,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, r := factory(t)
			if _, err := out.Hello(t.Context(), nil); err != nil {
				t.Fatalf("hello: %v", err)
			}
			test(t, out, r)
			if err := out.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// send wants every frame stored.
func send(t *testing.T, out output.Output, frames ...spool.Frame) {
	t.Helper()
	a, err := out.Send(t.Context(), frames)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	if !slices.Equal(a.Verdicts, slices.Repeat([]spool.Verdict{spool.Stored}, len(frames))) {
		t.Fatalf("verdicts %v about %d frames (%v)", a.Verdicts, len(frames), a.Reasons)
	}
}

func want(t *testing.T, r Receiver, bodies ...string) {
	t.Helper()
	if got := r.Bodies(); !slices.Equal(got, bodies) {
		t.Errorf("received %q, want %q", got, bodies)
	}
}

func order(t *testing.T, out output.Output, r Receiver) {
	send(t, out, Data(1, "a", "b"), Data(3, "c"))
	send(t, out, Data(4, "d"))
	want(t, r, "a", "b", "c", "d")
}

func bareFrames(t *testing.T, out output.Output, r Receiver) {
	send(t, out, Gap(1, 5))
	send(t, out, Data(6, "a"), Gap(7, 9), Data(10, "b"))
	want(t, r, "a", "b")
}

// A repeat is taken like the first time: consumers know it by its numbers.
func redelivery(t *testing.T, out output.Output, r Receiver) {
	send(t, out, Data(1, "a"))
	send(t, out, Data(1, "a"))
	if got := r.Bodies(); len(got) == 0 || got[0] != "a" {
		t.Errorf("received %q", got)
	}
}

func failure(t *testing.T, out output.Output, r Receiver) {
	r.Break(1)
	a, err := out.Send(t.Context(), []spool.Frame{Data(1, "a"), Data(2, "b")})
	if err == nil && len(a.Verdicts) > 0 && a.Verdicts[0] != spool.Retry {
		t.Fatalf("a broken receiver gave verdicts %v", a.Verdicts)
	}
	var f *output.Failure
	if errors.As(err, &f) && f.Kind == output.TooLarge {
		t.Errorf("a broken receiver is taken for a request that is too large: %v", err)
	}
	if _, err := out.Hello(t.Context(), nil); err != nil {
		t.Fatalf("hello after the failure: %v", err)
	}
	send(t, out, Data(1, "a"), Data(2, "b"))
	want(t, r, "a", "b")
}

func cancelled(t *testing.T, out output.Output, _ Receiver) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, err := out.Send(ctx, []spool.Frame{Data(1, "a")})
	if err == nil && len(a.Verdicts) > 0 {
		t.Errorf("verdicts %v after the end of the context", a.Verdicts)
	}
}

// A frame that can never be sent is refused, not an error for ever, and does
// not keep others.
func poison(t *testing.T, out output.Output, r Receiver) {
	bad := Data(1, "x")
	bad.Raw = []byte{0xff, 0xff, 0xff}
	bad.Header.Category = 99
	rest := []spool.Frame{bad, Data(2, "a")}
	refused := 0
	for range 5 {
		if len(rest) == 0 {
			break
		}
		a, err := out.Send(t.Context(), rest)
		var f *output.Failure
		if errors.As(err, &f) && f.Kind == output.TooLarge && len(rest) > 1 {
			if a, err = out.Send(t.Context(), rest[:1]); err != nil {
				t.Fatalf("send: %v", err)
			}
		} else if err != nil {
			t.Fatalf("send: %v", err)
		}
		for _, v := range a.Verdicts {
			if v == spool.Refused {
				refused++
			}
		}
		rest = rest[len(a.Verdicts):]
	}
	if refused != 1 || len(rest) > 0 {
		t.Errorf("%d refused, %d left", refused, len(rest))
	}
	want(t, r, "a")
}

func untouched(t *testing.T, out output.Output, _ Receiver) {
	frames := []spool.Frame{Data(1, "a", "b"), Gap(3, 4)}
	before := fmt.Sprint(frames)
	raw := bytes.Clone(frames[0].Raw)
	send(t, out, frames...)
	if fmt.Sprint(frames) != before || !bytes.Equal(frames[0].Raw, raw) {
		t.Error("send changed the frames")
	}
}
