// Package console writes records as JSON lines, one record per line, for a
// person or another program on the same machine. A gap or base frame is a line
// of its own. A line is one write; what a write could not finish is written
// again, so a reader may see a line twice, never half of it between others.
//
// An Output belongs to one driver. To test: go test ./exporter/output/console.
package console

import (
	"context"
	"fmt"
	"io"

	"nocturne/exporter/output"
	"nocturne/exporter/output/jsonlines"
	"nocturne/exporter/spool"
)

// Output writes to one writer.
type Output struct{ w io.Writer }

// New returns an output that writes lines to w.
func New(w io.Writer) *Output { return &Output{w: w} }

// Hello implements output.Output: nothing has to be agreed.
func (o *Output) Hello(context.Context, []byte) (output.Greeting, error) {
	return output.Greeting{}, nil
}

// Send implements output.Output.
func (o *Output) Send(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	var a output.Answer
	for i := range frames {
		if ctx.Err() != nil {
			return a, nil
		}
		b, err := jsonlines.Records(&frames[i])
		if err != nil {
			a.Verdicts = append(a.Verdicts, spool.Refused)
			a.Reasons = append(a.Reasons, err.Error())
			continue
		}
		if _, err := o.w.Write(b); err != nil {
			if i == 0 {
				return output.Answer{}, &output.Failure{Kind: output.Busy, Err: fmt.Errorf("write console: %w", err)}
			}
			return a, nil
		}
		a.Verdicts = append(a.Verdicts, spool.Stored)
	}
	return a, nil
}

// Close implements output.Output. The writer stays open.
func (o *Output) Close() error { return nil }
