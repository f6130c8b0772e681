package evtx

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/Velocidex/ordereddict"
	velocidex "www.velocidex.com/golang/evtx"

	"nocturne/internal/record"
)

// maxRetries bounds how many records of one chunk are given up one by one.
const maxRetries = 8

// decodeChunk decodes the records of one chunk. bad counts those that could not
// be decoded, those without a channel or provider among them: they are what is
// left of a torn record.
func decodeChunk(buf []byte, spans []span) (recs []record.Record, bad int) {
	for try := 0; len(spans) > 0; try++ {
		events, err := parse(buf, spans)
		if err == nil {
			out, none := convert(events, spans)
			return out, bad + none
		}
		if try >= maxRetries {
			return nil, bad + len(spans)
		}
		i := culprit(buf, spans)
		spans = append(spans[:i:i], spans[i+1:]...)
		bad++
	}
	return nil, bad
}

// decodeCautiously decodes one record after the other, each with those before
// it, whose templates it may need, and announces each before it tries: the
// record that decoding does not come back from is then known. Those in skip
// are left out, and what comes before the last of them was sent by an earlier
// child.
func decodeCautiously(buf []byte, spans []span, skip []int, announce func(i int) error, got func(r record.Record), lost func()) error {
	kept := make([]span, 0, len(spans))
	from := -1
	if len(skip) > 0 {
		from = slices.Max(skip)
	}
	for i, s := range spans {
		if slices.Contains(skip, i) {
			continue
		}
		kept = append(kept, s)
		if i < from {
			continue
		}
		if err := announce(i); err != nil {
			return err
		}
		events, err := parse(buf, kept)
		if err != nil {
			kept = kept[:len(kept)-1]
			lost()
			continue
		}
		last := len(kept) - 1
		recs, _ := convert(events[last:], kept[last:])
		if len(recs) == 0 {
			lost()
			continue
		}
		got(recs[0])
	}
	return nil
}

// culprit finds the first record with which decoding fails.
func culprit(buf []byte, spans []span) int {
	good, failing := 0, len(spans) // the first n: decode, do not
	for failing-good > 1 {
		mid := (good + failing) / 2
		if _, err := parse(buf, spans[:mid]); err == nil {
			good = mid
		} else {
			failing = mid
		}
	}
	return failing - 1
}

// parse runs the decoder over the records given and contains its panics.
func parse(buf []byte, spans []span) (events []*velocidex.EventRecord, err error) {
	defer func() {
		if p := recover(); p != nil {
			events, err = nil, fmt.Errorf("decode: %v", p)
		}
	}()
	b, lead := joined(buf, spans)
	c := &velocidex.Chunk{Fd: bytes.NewReader(b)}
	n := len(spans)
	if lead {
		n++
	}
	c.Header.FirstEventRecNumber, c.Header.LastEventRecNumber = 1, uint64(n)
	events, err = c.Parse(0)
	if err != nil {
		return nil, err
	}
	if len(events) != n {
		return nil, fmt.Errorf("decode: %d of %d records", len(events), n)
	}
	if lead {
		events = events[1:]
	}
	return events, nil
}

func convert(events []*velocidex.EventRecord, spans []span) (recs []record.Record, bad int) {
	now := time.Now()
	for i, e := range events {
		top, _ := e.Event.(*ordereddict.Dict)
		r, ok := toRecord(top, spans[i], now)
		if !ok {
			bad++
			continue
		}
		recs = append(recs, r)
	}
	return recs, bad
}
