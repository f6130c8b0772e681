// Package otlp sends records over HTTP: as frames to an eventbridge, or, in
// plain mode, as OTLP/HTTP logs to any OpenTelemetry backend.
//
// To an eventbridge every frame is answered by itself, after the stream has it
// on disk. The answer names a place in the stream; the last one is kept in the
// spool and presented in the hello of the next session, so that a bridge that
// lost its volume is noticed and gets again what the spool still has. The same
// is noticed without a new session when an answer's place goes backwards.
//
// Plain mode promises less: a backend answers when it likes, refuses parts of a
// request without saying which, and cannot see holes.
//
// An Output belongs to one driver. To test: go test ./exporter/output/otlp.
package otlp

import (
	"context"

	"nocturne/exporter/output"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Options say as whom to speak, and how.
type Options struct {
	Producer string
	Subject  record.ID
	Epoch    record.EpochRef
	Plain    bool
	Resource []record.Attr // of plain requests: host.name, service.name …
	// Successor is told when the bridge says that this server is another one by
	// now; nil = not asked for.
	Successor func(id record.ID, name string)
}

// Output is an output.Output over HTTP.
type Output struct {
	*Client
	o    Options
	last place // of the last answer, or of the note that the hello presented
}

// New returns an output that speaks through a client.
func New(c *Client, o Options) *Output { return &Output{Client: c, o: o} }

// Send implements output.Output.
func (o *Output) Send(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	if o.o.Plain {
		return o.sendPlain(ctx, frames)
	}
	return o.sendFrames(ctx, frames)
}
