package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
)

// Who speaks under an issued id? Epochs, one per start of an exporter, chain by
// Prev into lines. A server has one line: a restart, a rename, a board swap, a
// reinstall, a restored backup and a reverted VM go on with it. Two machines
// that live under one id, as after copying a disk, are clones: the second one
// gets a line of its own, with its own key for all state, so that nothing of
// the two is ever mixed.
//
// A new epoch takes over a line at once when its evidence is the line's, or
// when the line's head said goodbye or has missed a heartbeat. Otherwise it
// waits in a line apart until the old head either misses a heartbeat, which
// makes it the successor, or sends one that is fresh, which makes them clones.
// Only copies that cannot be told apart, same machine id and same SMBIOS UUID,
// share a line until the older epoch proves to be alive.
//
// Everything here is a pure function of the heartbeats and the clock.

const (
	maxLineEpochs   = 4
	aliveAfter      = time.Minute // of a newer epoch's start: no restart takes that long
	aliveBeats      = 2           // fresh heartbeats of an older epoch that make a clone
	defaultInterval = 2 * time.Minute
	cloneQuiet      = 15 * time.Minute // a clone that was not heard for so long is gone
)

// line is one chain of epochs.
type line struct {
	key      record.ID     // of all its state; the issued id for the first line
	epochs   []lineEpoch   // the last one is the head
	machine  uint64        // hash of the machine id; 0 = not known
	board    uint64        // hash of the SMBIOS UUID; 0 = not known
	lastBeat int64         // clock, Unix nanoseconds; 0 = never
	interval time.Duration // announced
	goodbye  bool          // the head's last word
	waiting  bool          // not decided yet: successor or clone
	reverted bool          // the head's numbers went back, and somebody was told
	observed int64         // newest heartbeat, producer's clock, Unix nanoseconds
}

type lineEpoch struct {
	ref   record.EpochRef
	first int64 // clock when it was first heard, Unix nanoseconds
	alive uint8 // fresh heartbeats though a newer epoch had begun
}

func (l *line) head() *lineEpoch {
	if len(l.epochs) == 0 {
		return nil
	}
	return &l.epochs[len(l.epochs)-1]
}

func (l *line) find(ref record.EpochRef) int {
	return slices.IndexFunc(l.epochs, func(e lineEpoch) bool { return e.ref == ref })
}

// gone tells whether the head said goodbye or has missed a heartbeat.
func (l *line) gone(now int64) bool {
	iv := l.interval
	if iv <= 0 {
		iv = defaultInterval
	}
	return l.goodbye || l.lastBeat == 0 || now-l.lastBeat > int64(iv+iv/4)
}

func (l *line) push(e lineEpoch) {
	l.observed, l.reverted = 0, false
	l.epochs = append(l.epochs, e)
	if n := len(l.epochs) - maxLineEpochs; n > 0 {
		l.epochs = slices.Delete(l.epochs, 0, n)
	}
}

// beat is what identity takes from a record of category heartbeat.
type beat struct {
	epoch          record.Epoch
	observed, sent int64 // producer's clock, Unix nanoseconds
	machine, board uint64
	interval       time.Duration
	goodbye        bool
}

// finding is what a heartbeat told about who speaks.
type finding uint8

const (
	findNothing   finding = iota
	findSucceeded         // a new epoch took over the line
	findWaiting           // a new epoch stands apart, for now
	findClones            // two machines live under one id
	findResumed           // an older epoch speaks again and the newer is gone
)

var findingNames = [...]string{"", "succeeded", "waiting", "clones", "resumed"}

func (f finding) String() string { return findingNames[f] }

// decision says which line a heartbeat belongs to and what it told.
type decision struct {
	line    *line
	finding finding
	reason  string
	// dropped is a waiting line that has become part of line: its state goes.
	dropped *line
}

// lines are the lines of one issued id; the first one has the id as its key.
type lines struct {
	root   record.ID
	all    []*line
	clones bool
}

// route returns the line of a record that is no heartbeat.
func (ls *lines) route(e *record.Epoch) *line {
	for _, l := range ls.all {
		if l.find(e.EpochRef) >= 0 {
			return l
		}
	}
	for _, l := range ls.all {
		if l.find(e.Prev) >= 0 {
			return l
		}
	}
	return ls.all[0]
}

// observe decides about a heartbeat; now is the operators' clock.
func (ls *lines) observe(b beat, now int64) decision {
	d := ls.decide(b, now)
	l := d.line
	if h := l.head(); h != nil && h.ref == b.epoch.EpochRef {
		l.lastBeat, l.goodbye, l.observed = now, b.goodbye, max(l.observed, b.observed)
		if b.interval > 0 {
			l.interval = b.interval
		}
		if b.machine != 0 {
			l.machine = b.machine
		}
		if b.board != 0 {
			l.board = b.board
		}
	}
	return d
}

func (ls *lines) decide(b beat, now int64) decision {
	for _, l := range ls.all {
		switch i := l.find(b.epoch.EpochRef); {
		case i < 0:
		case i == len(l.epochs)-1:
			return ls.again(l, b, now)
		default:
			return ls.older(l, i, b, now)
		}
	}
	return ls.fresh(b, now)
}

// again is a heartbeat of a line's head.
func (ls *lines) again(l *line, b beat, now int64) decision {
	if l.waiting {
		first := ls.all[0]
		if first.gone(now) {
			return ls.absorb(first, l, "the machine before it fell silent")
		}
		return decision{line: l}
	}
	for _, w := range ls.all {
		if h := w.head(); w.waiting && l == ls.all[0] && b.livesBeside(h, now) {
			w.waiting, ls.clones = false, true
			return decision{line: l, finding: findClones, reason: "heartbeats of two machines with different evidence arrive in turns"}
		}
	}
	return decision{line: l}
}

// livesBeside tells whether the heartbeat was made after another epoch had
// begun, and long enough after to be no restart.
func (b *beat) livesBeside(newer *lineEpoch, now int64) bool {
	travel := max(b.sent-b.observed, 0) // one clock: its error cancels out
	return !b.goodbye && b.observed > newer.ref.Start+int64(aliveAfter) && now-travel > newer.first
}

// older is a heartbeat of an epoch that another one took over from.
func (ls *lines) older(l *line, i int, b beat, now int64) decision {
	if !b.livesBeside(&l.epochs[i+1], now) {
		return decision{line: l} // it was on its way
	}
	e := &l.epochs[i]
	if l.gone(now) {
		was := *e
		was.alive = 0
		l.epochs = append(slices.Delete(l.epochs, i, i+1), was)
		return decision{line: l, finding: findResumed, reason: "the newer start is gone, the older one speaks"}
	}
	if e.alive++; e.alive < aliveBeats {
		return decision{line: l}
	}
	apart := &line{key: lineKey(ls.root, b.epoch.EpochRef), machine: b.machine, board: b.board}
	apart.push(lineEpoch{ref: e.ref, first: now})
	l.epochs = slices.Delete(l.epochs, i, i+1)
	ls.all, ls.clones = append(ls.all, apart), true
	return decision{line: apart, finding: findClones, reason: "an exporter that another start had followed is still alive"}
}

// fresh is the first heartbeat of an epoch.
func (ls *lines) fresh(b beat, now int64) decision {
	e := lineEpoch{ref: b.epoch.EpochRef, first: now}
	l := ls.nearest(&b)
	h := l.head()
	if h == nil {
		l.push(e)
		return decision{line: l}
	}
	chained := h.ref == b.epoch.Prev
	if !chained && b.epoch.Start < h.ref.Start && b.observed <= h.ref.Start+int64(aliveAfter) {
		// Late, from before the head's start.
		l.epochs = slices.Insert(l.epochs, len(l.epochs)-1, e)
		if len(l.epochs) > maxLineEpochs {
			l.epochs = slices.Delete(l.epochs, 0, 1)
		}
		return decision{line: l}
	}
	same := likeness(l, &b)
	switch {
	case l.gone(now), same == likeFull, chained && same == likeUnknown:
		l.push(e)
		return decision{line: l, finding: findSucceeded, reason: succession(l, &b, chained, same)}
	}
	apart := &line{key: lineKey(ls.root, e.ref), waiting: true}
	apart.push(e)
	ls.all = append(ls.all, apart)
	return decision{line: apart, finding: findWaiting, reason: "another machine, by its evidence, while the one before it may still live"}
}

// nearest is the line that an epoch most likely belongs to: the one it follows,
// then the one whose evidence it has, then the first.
func (ls *lines) nearest(b *beat) *line {
	for _, l := range ls.all {
		if l.find(b.epoch.Prev) >= 0 && !(ls.clones && likeness(l, b) == likeNone) {
			return l
		}
	}
	for _, want := range []like{likeFull, likePart} {
		for _, l := range ls.all {
			if likeness(l, b) == want {
				return l
			}
		}
	}
	return ls.all[0]
}

// absorb makes a waiting line's epochs part of the line it succeeds.
func (ls *lines) absorb(l, w *line, reason string) decision {
	for _, e := range w.epochs {
		l.push(e)
	}
	ls.remove(w)
	return decision{line: l, finding: findSucceeded, reason: reason, dropped: w}
}

func (ls *lines) remove(w *line) {
	ls.all = slices.DeleteFunc(ls.all, func(l *line) bool { return l == w })
	if len(ls.all) == 1 {
		ls.clones = false
	}
}

// quiet returns a line, other than the first, that was not heard for so long
// that only one machine is left.
func (ls *lines) quiet(now int64) *line {
	for _, l := range ls.all[1:] {
		if now-l.lastBeat > int64(cloneQuiet) {
			return l
		}
	}
	return nil
}

// like says how the evidence of a heartbeat compares with a line's.
type like uint8

const (
	likeUnknown like = iota // nothing to compare
	likeNone                // all that is known differs
	likePart                // one agrees, the other differs
	likeFull                // all that is known agrees
)

func likeness(l *line, b *beat) like {
	var equal, differ int
	for _, pair := range [...][2]uint64{{l.machine, b.machine}, {l.board, b.board}} {
		switch {
		case pair[0] == 0 || pair[1] == 0:
		case pair[0] == pair[1]:
			equal++
		default:
			differ++
		}
	}
	switch {
	case equal == 0 && differ == 0:
		return likeUnknown
	case equal == 0:
		return likeNone
	case differ > 0:
		return likePart
	}
	return likeFull
}

func succession(l *line, b *beat, chained bool, same like) string {
	switch {
	case same == likePart && l.machine == b.machine:
		return "another board, same installation"
	case same == likePart:
		return "another installation, same board"
	case same == likeNone:
		return "another machine took over after the one before it was gone"
	case !chained:
		return "restored: it goes on from an earlier start"
	}
	return "restart"
}

// lineKey is the key of a second line's state.
func lineKey(root record.ID, e record.EpochRef) record.ID {
	h := sha256.New()
	h.Write([]byte("nocturne line"))
	h.Write(root[:])
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(e.Start))
	binary.BigEndian.PutUint64(b[8:], e.Random)
	h.Write(b[:])
	return record.ID(h.Sum(nil)[:16])
}

// evidence hashes a machine id or UUID; placeholders are not known.
func evidence(s string) uint64 {
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}"))
	if diff.Known(s) == "" || s == "03000200-0400-0500-0006-000700080009" { // the UUID of many boards of one maker
		return 0
	}
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:8]) | 1
}
