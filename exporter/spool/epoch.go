package spool

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"nocturne/internal/record"
)

// epochName is the epoch file. It lies outside the spool's directory, so that a
// spool that was lost, or rolled back, is noticed by everyone down the line: the
// next epoch names the one before it and its last seqs.
const epochName = "epoch.json"

type epochFile struct {
	Version   int                               `json:"version"`
	Subject   record.ID                         `json:"subject"`
	Epoch     epochRef                          `json:"epoch"`
	Sequences map[record.Category]epochSequence `json:"sequences"`
	Outputs   []string                          `json:"outputs"`
}

type epochRef struct {
	Start  int64  `json:"start"`
	Random uint64 `json:"random,string"`
}

type epochSequence struct {
	Epoch    epochRef `json:"epoch"`
	Last     uint64   `json:"last"`
	Prev     epochRef `json:"prev"`
	PrevLast uint64   `json:"prev_last"`
}

func refOf(e record.EpochRef) epochRef  { return epochRef{e.Start, e.Random} }
func (e epochRef) ref() record.EpochRef { return record.EpochRef{Start: e.Start, Random: e.Random} }
func (q epochSequence) sequence() sequence {
	return sequence{epoch: record.Epoch{EpochRef: q.Epoch.ref(), Prev: q.Prev.ref(), PrevLast: q.PrevLast}, last: q.Last}
}

// readEpoch returns a zero file when there is none, or none that can be read.
func readEpoch(fsys FS, log *slog.Logger) (epochFile, error) {
	b, err := readFile(fsys, epochName)
	if err != nil {
		return epochFile{}, fmt.Errorf("read %s: %w", epochName, err)
	}
	var e epochFile
	if b == nil {
		return e, nil
	}
	if err := json.Unmarshal(b, &e); err != nil || e.Version != 1 {
		log.Error("epoch file unreadable; numbering starts anew", "file", epochName, "err", err)
		return epochFile{}, nil
	}
	return e, nil
}

// writeEpoch makes the numbering durable. Callers hold the writer role or have
// not shared the spool yet.
func (s *Spool) writeEpoch(sequences map[record.Category]sequence, outputs []string) error {
	e := epochFile{Version: 1, Subject: s.subject, Epoch: refOf(s.epoch), Sequences: map[record.Category]epochSequence{}, Outputs: outputs}
	for c, q := range sequences {
		e.Sequences[c] = epochSequence{Epoch: refOf(q.epoch.EpochRef), Last: q.last, Prev: refOf(q.epoch.Prev), PrevLast: q.epoch.PrevLast}
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(s.stateFS, epochName, append(b, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", epochName, err)
	}
	return nil
}

// tracker follows the numbering of every sequence through the log and tells
// what is not there.
type tracker struct {
	sequences map[record.Category]sequence
	complete  bool // a category not in sequences has no records before
}

// observe takes note of first..last and returns what is missing before it.
func (t *tracker) observe(category record.Category, e record.Epoch, first, last uint64) []lost {
	q, known := t.sequences[category]
	var missing []lost
	miss := func(e record.Epoch, first, last uint64) {
		if first <= last {
			missing = append(missing, lost{category: category, kind: record.FrameGap, reason: record.GapUnreadable, epoch: e, first: first, last: last})
		}
	}
	switch {
	case known && q.epoch.EpochRef == e.EpochRef:
		miss(e, q.last+1, first-1)
		last = max(last, q.last)
	case known && e.Prev == q.epoch.EpochRef:
		miss(q.epoch, q.last+1, e.PrevLast)
		miss(e, 1, first-1)
	case known || t.complete:
		miss(e, 1, first-1)
	}
	if last > 0 {
		t.sequences[category] = sequence{epoch: e, last: last}
	}
	return missing
}

// until returns what is missing before a checkpoint says to go on.
func (t *tracker) until(sequences map[record.Category]sequence) []lost {
	var missing []lost
	for _, c := range record.Categories() {
		if q, ok := sequences[c]; ok {
			missing = append(missing, t.observe(c, q.epoch, q.last+1, q.last)...)
		}
	}
	return missing
}

// newer merges what the epoch file and the spool know of the numbering.
func newer(a, b map[record.Category]sequence) map[record.Category]sequence {
	out := map[record.Category]sequence{}
	for _, c := range record.Categories() {
		p, inA := a[c]
		q, inB := b[c]
		switch {
		case inA && inB && p.epoch.EpochRef == q.epoch.EpochRef:
			p.last = max(p.last, q.last)
			out[c] = p
		case inA && (!inB || p.epoch.Start > q.epoch.Start):
			out[c] = p
		case inB:
			out[c] = q
		}
	}
	return out
}

func (e *epochFile) sequences() map[record.Category]sequence {
	out := map[record.Category]sequence{}
	for c, q := range e.Sequences {
		if s := q.sequence(); c.Valid() && s.last > 0 && !s.epoch.IsZero() {
			out[c] = s
		}
	}
	return out
}

func (e *epochFile) knows(output string) bool { return slices.Contains(e.Outputs, output) }
