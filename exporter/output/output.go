// Package output holds the Output interface and the driver that moves frames
// from the spool to one output. The suite that every output passes is in
// outputtest.
//
// A driver has one request in flight, so that order holds; it never gives up:
// what cannot be delivered now stays in the spool. It tells three kinds of
// failure apart: wait and try again, refused for good (skip, count, declare),
// and denied (someone must act: said loudly, tried slowly).
//
// To test: go test ./exporter/output/...
package output

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nocturne/exporter/spool"
)

// Output delivers frames to one receiver. A driver calls it from one goroutine.
type Output interface {
	// Hello begins a session, before the first Send and after every Send that
	// asked for it. last is the note of the last answer, nil when there is none.
	// An error is treated like one of Send.
	Hello(ctx context.Context, last []byte) (Greeting, error)
	// Send delivers frames in their order and returns when the receiver has
	// answered. Frames without a verdict are sent again. It neither keeps nor
	// changes the frames. An error means that none was taken, as far as one
	// knows; *Failure says how to go on, any other error means: try again.
	Send(ctx context.Context, frames []spool.Frame) (Answer, error)
	// Close frees what Hello and Send hold.
	Close() error
}

// Greeting is what the receiver says at the beginning of a session.
type Greeting struct {
	// Rewind means that the receiver lost what it had answered for: everything
	// that is still in the spool is sent again, at FramesPerSecond (0 = as fast
	// as it takes it). Note replaces the note of the last answer then.
	Rewind          bool
	Reason          string
	FramesPerSecond float64
	Note            []byte
}

// Answer is what the receiver says about frames.
type Answer struct {
	// Verdicts are about the first frames, in order.
	Verdicts []spool.Verdict
	// Note is kept with the position and given to the next Hello; nil = the
	// one before stays.
	Note []byte
	// Hello asks for a new session: the receiver is not the one it was.
	Hello bool
	// Rejected counts records that the receiver did not take although it took
	// their frames (OTLP partial success: it does not say which).
	Rejected uint64
	// Reasons say why frames or records were refused, for the log.
	Reasons []string
}

// Kind sorts failures by what to do about them.
type Kind uint8

// The kinds of failures.
const (
	Unreachable Kind = iota // no answer: say hello first, it may be another one
	Busy                    // the receiver asks to wait
	Denied                  // credential or address wrong: a person must act
	TooLarge                // fewer frames in one request
)

var kinds = [...]string{"unreachable", "busy", "denied", "too_large"}

// String returns the kind as it stands in labels.
func (k Kind) String() string { return kinds[k] }

// Failure is an error that says how to go on.
type Failure struct {
	Kind  Kind
	After time.Duration // the receiver's own wish; 0 = none
	Err   error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

// failureOf returns the failure that an error is; others are Unreachable.
func failureOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Kind: Unreachable, Err: err}
}

// Config says how a driver behaves. It is part of every output's configuration.
type Config struct {
	// Timeout ends a request that gets no answer.
	Timeout time.Duration `yaml:"timeout"`
	// MinBackoff and MaxBackoff bound the wait after a failure; it doubles, and
	// half of it is random. Denied starts at DeniedBackoff.
	MinBackoff    time.Duration `yaml:"min_backoff"`
	MaxBackoff    time.Duration `yaml:"max_backoff"`
	DeniedBackoff time.Duration `yaml:"denied_backoff"`
	// Batch bounds one request.
	Batch BatchConfig `yaml:"batch"`
}

// BatchConfig bounds one request.
type BatchConfig struct {
	Frames  int `yaml:"frames"`
	Records int `yaml:"records"` // of one frame
	Bytes   int `yaml:"bytes"`   // of records, before packing
}

// DefaultConfig suits an eventbridge on the same network.
func DefaultConfig() Config {
	l := spool.DefaultLimits()
	return Config{
		Timeout: 30 * time.Second, MinBackoff: 500 * time.Millisecond, MaxBackoff: 30 * time.Second, DeniedBackoff: 30 * time.Second,
		Batch: BatchConfig{Frames: l.Frames, Records: l.Records, Bytes: l.Bytes},
	}
}

// Validate says what to write instead.
func (c Config) Validate() error {
	switch {
	case c.Timeout < time.Second || c.Timeout > 10*time.Minute:
		return fmt.Errorf("timeout %s: write a time from 1s to 10m", c.Timeout)
	case c.MinBackoff < 10*time.Millisecond || c.MaxBackoff < c.MinBackoff || c.MaxBackoff > time.Hour:
		return fmt.Errorf("min_backoff %s, max_backoff %s: write times from 10ms to 1h, min below max", c.MinBackoff, c.MaxBackoff)
	case c.DeniedBackoff < c.MinBackoff || c.DeniedBackoff > time.Hour:
		return fmt.Errorf("denied_backoff %s: write a time from min_backoff to 1h", c.DeniedBackoff)
	case c.Batch.Frames < 1 || c.Batch.Frames > 1024:
		return fmt.Errorf("batch frames %d: write a number from 1 to 1024", c.Batch.Frames)
	case c.Batch.Records < 1 || c.Batch.Records > 65536:
		return fmt.Errorf("batch records %d: write a number from 1 to 65536", c.Batch.Records)
	case c.Batch.Bytes < 64<<10 || c.Batch.Bytes > 6<<20:
		return fmt.Errorf("batch bytes %d: write a number from 65536 to 6291456", c.Batch.Bytes)
	}
	return nil
}
