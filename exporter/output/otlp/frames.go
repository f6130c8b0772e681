package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"nocturne/exporter/output"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// place is a place in the stream, as answers name it and as it is kept.
type place struct {
	Incarnation string `json:"incarnation"`
	Partition   int    `json:"partition"`
	Entry       uint64 `json:"entry"`
}

type helloRequest struct {
	Producer string     `json:"producer"`
	Epoch    helloEpoch `json:"epoch"`
	Last     []place    `json:"last"`
}

type helloEpoch struct {
	Start  int64  `json:"start"`
	Random uint64 `json:"random"`
}

type helloAnswer struct {
	Bridge      string  `json:"bridge"`
	Incarnation string  `json:"incarnation"`
	Partition   int     `json:"partition"`
	Head        uint64  `json:"head"`
	Rewind      bool    `json:"rewind"`
	Reason      string  `json:"reason"`
	Pace        float64 `json:"pace_frames_per_s"`
	ServerID    string  `json:"server_id"`
	Server      string  `json:"server"`
}

type framesAnswer struct {
	Results []frameResult `json:"results"`
}

type frameResult struct {
	Status string `json:"status"`
	place
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

// Hello implements output.Output.
func (o *Output) Hello(ctx context.Context, note []byte) (output.Greeting, error) {
	if o.o.Plain {
		return output.Greeting{}, nil
	}
	q := helloRequest{Producer: o.o.Producer, Epoch: helloEpoch{o.o.Epoch.Start, o.o.Epoch.Random}, Last: []place{}}
	o.last = place{}
	if note != nil {
		if err := json.Unmarshal(note, &o.last); err != nil {
			o.last = place{} // not ours, or damaged: as if there were none
		} else {
			q.Last = append(q.Last, o.last)
		}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return output.Greeting{}, err
	}
	b, err := o.Post(ctx, "/nocturne/v1/hello", "application/json", "", bytes.NewReader(body))
	if err != nil {
		return output.Greeting{}, asFailure(err)
	}
	var a helloAnswer
	if err := json.Unmarshal(b, &a); err != nil || a.Bridge == "" {
		return output.Greeting{}, &output.Failure{Kind: output.Denied, Err: errors.New("the receiver is not an eventbridge: its answer to hello is not one")}
	}
	if id, err := record.ParseID(a.ServerID); err == nil && id != o.o.Subject && o.o.Successor != nil {
		o.o.Successor(id, a.Server)
	}
	g := output.Greeting{FramesPerSecond: a.Pace}
	if a.Rewind {
		o.last = place{Incarnation: a.Incarnation, Partition: a.Partition, Entry: a.Head}
		g.Rewind, g.Reason = true, a.Reason
		if g.Note, err = json.Marshal(o.last); err != nil {
			return output.Greeting{}, err
		}
	}
	return g, nil
}

// sendFrames posts concatenated frames, stamped with the time of sending.
func (o *Output) sendFrames(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	var body []byte
	now := o.Client.o.Now().UnixNano()
	for i := range frames {
		b, err := frames[i].Encode()
		if err == nil {
			err = record.Stamp(b, now)
		}
		if err != nil {
			if i == 0 { // cannot be said at all: skip it
				return output.Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{err.Error()}}, nil
			}
			frames = frames[:i]
			break
		}
		body = append(body, b...)
	}
	b, err := o.Post(ctx, "/nocturne/v1/frames", "application/x-nocturne-frames", "", bytes.NewReader(body))
	if s := (*status)(nil); errors.As(err, &s) && s.code == 400 {
		return poison(frames, s)
	}
	if err != nil {
		return output.Answer{}, asFailure(err)
	}
	var a framesAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return output.Answer{}, fmt.Errorf("answer to frames: %w", err)
	}
	return o.verdicts(frames, a.Results)
}

// poison deals with a request that was refused as a whole: the frames go one
// by one, and one that is refused alone is skipped.
func poison(frames []spool.Frame, s *status) (output.Answer, error) {
	if len(frames) > 1 {
		return output.Answer{}, &output.Failure{Kind: output.TooLarge, Err: s}
	}
	return output.Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{s.Error()}}, nil
}

func (o *Output) verdicts(frames []spool.Frame, results []frameResult) (output.Answer, error) {
	if len(results) > len(frames) {
		return output.Answer{}, fmt.Errorf("answer to %d frames has %d results", len(frames), len(results))
	}
	var a output.Answer
	last := o.last
	for i := range results {
		r := &results[i]
		switch r.Status {
		case "stored":
			a.Verdicts = append(a.Verdicts, spool.Stored)
			if last.Incarnation != "" && last.Partition == r.Partition && (last.Incarnation != r.Incarnation || r.Entry < last.Entry) {
				a.Hello = true
			}
			last = r.place
		case "refused":
			a.Verdicts = append(a.Verdicts, spool.Refused)
			a.Reasons = append(a.Reasons, r.Reason+": "+shorten([]byte(r.Error)))
		default: // busy, or a word of later bridges: again, with all that follow
			return o.note(a, last)
		}
	}
	return o.note(a, last)
}

// note keeps the place of the last answer, unless the stream is not the one it
// was: then the next hello presents the old one.
func (o *Output) note(a output.Answer, last place) (output.Answer, error) {
	if a.Hello || last == o.last {
		return a, nil
	}
	var err error
	if a.Note, err = json.Marshal(last); err != nil {
		return output.Answer{}, err
	}
	o.last = last
	return a, nil
}
