// Package spool is the bounded queue on disk between the sources and the
// outputs of an exporter.
//
// Records of all categories and the position of the source they came from go
// into one log with one durable append (Append); appends that wait for the same
// fsync share it. Every output has its own position in the log (Reader): frames
// are cut from it on demand, in the order of the appends, each of one sequence.
//
// What it promises: once Append returns nil, the records and the position
// survive a crash and a power loss, and every output is handed the records, or
// a gap frame that names them. Before that, after a crash, either both records
// and position are there, or none of the two. A frame holds only what is
// durable. Nothing is ever numbered twice: each Open begins a new epoch, and the
// epoch file, which lies elsewhere, says what it follows.
//
// The log is cut into segments, the oldest of which are removed when every
// output has an answer for them and Keep has passed (so that Rewind can present
// them again). When the log is full the policy is, in this order: remove what
// is answered, oldest first; drop the heartbeats of the oldest segment that has
// some; drop the oldest segment. Dropped records are declared by gap frames that
// name exactly them, at their place in the order.
//
// A Spool is safe for concurrent use; a Reader is for one goroutine. Open starts
// nothing; Run keeps house. To test: go test ./exporter/spool; the tests run
// over a file layer that forgets unsynced writes.
package spool

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// Config bounds the spool.
type Config struct {
	// MaxBytes is the most that all segments take on disk.
	MaxBytes int64 `yaml:"max_bytes"`
	// SegmentBytes is the size of one segment, the least that is removed at once.
	SegmentBytes int64 `yaml:"segment_bytes"`
	// Keep is how long records stay after every output has an answer for them.
	Keep time.Duration `yaml:"keep"`
}

// DefaultConfig returns 512 MiB in segments of 8 MiB, kept for 10 minutes.
func DefaultConfig() Config {
	return Config{MaxBytes: 512 << 20, SegmentBytes: 8 << 20, Keep: 10 * time.Minute}
}

// Validate says what to write instead.
func (c Config) Validate() error {
	switch {
	case c.SegmentBytes < 64<<10 || c.SegmentBytes > 64<<20:
		return fmt.Errorf("segment_bytes %d: write a number from 65536 to 67108864", c.SegmentBytes)
	case c.MaxBytes < 4*c.SegmentBytes:
		return fmt.Errorf("max_bytes %d: write at least four times segment_bytes, %d", c.MaxBytes, 4*c.SegmentBytes)
	case c.Keep < 0:
		return fmt.Errorf("keep %s: write 0s or more", c.Keep)
	}
	return nil
}

// Options is what Open needs.
type Options struct {
	Config   Config
	FS       FS // the spool's own directory
	StateFS  FS // another directory, for the epoch file
	Producer string
	Subject  record.ID
	Outputs  []string // names; positions of others are forgotten
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil = not registered

	Now    func() time.Time // nil = time.Now
	Random func() uint64    // nil = crypto/rand
}

// Errors that callers tell apart.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("spool closed")
	// ErrTooLarge means that a batch can never be taken: drop it, count it.
	ErrTooLarge = errors.New("batch larger than the spool takes")
	// ErrBroken means that the disk refused a sync: nothing is known about what
	// is durable, so the process has to start again and look.
	ErrBroken = errors.New("spool broken")
)

// Spool is the queue. See the package comment.
type Spool struct {
	cfg      Config
	fs       FS
	stateFS  FS
	producer string
	subject  record.ID
	log      *slog.Logger
	now      func() time.Time
	metrics  *metrics
	epoch    record.EpochRef // of this process

	mu      sync.Mutex
	idle    *sync.Cond // signalled when the writer role is free, or an append done
	busy    bool       // someone has the writer role: may write files and change what is below
	closed  bool
	broken  error
	queue   []*request
	changed chan struct{} // closed when there is something new to read

	segments  []*segment // ascending; the last one takes the appends
	bytes     int64      // of all segments
	next      uint64     // ordinal of the next record
	sequences map[record.Category]sequence
	sources   map[string][]byte
	outputs   []*output
	disowned  uint64 // number of the last segment of another server
	swaps     uint64 // rises when a segment is replaced or removed
	epochDue  bool   // the epoch file lags behind sequences
}

// output is an output's state and what of it is in flight.
type output struct {
	outputState
	dirty    bool // not yet written as an ack entry
	waiting  uint64
	inflight []flight // ascending
	recount  bool     // waiting is to be counted anew, once nothing is in flight
	// Versions of owed: now, as last written, as known durable.
	debts, written, durable uint64
}

// flight is one frame that was handed out and not yet settled.
type flight struct {
	from, end uint64 // ordinals
	records   uint64 // live records in it when it was cut
	gone      uint64 // of which dropped since
}

// Open recovers what is in the directory and begins a new epoch, which is
// durable when it returns.
func Open(o Options) (*Spool, error) {
	s := &Spool{
		cfg: o.Config, fs: o.FS, stateFS: o.StateFS, producer: o.Producer, subject: o.Subject,
		log: o.Log, now: o.Now, changed: make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.idle = sync.NewCond(&s.mu)
	s.metrics = newMetrics(o.Outputs)
	file, err := readEpoch(s.stateFS, s.log)
	if err != nil {
		return nil, err
	}
	if file.Subject != s.subject {
		file = epochFile{Epoch: file.Epoch}
	}
	wounds, err := s.recover(&file)
	var foreign []*segment
	if err == nil && s.foreign() {
		foreign, wounds = s.disown(), nil
	}
	if err == nil {
		err = s.begin(&file, o, len(wounds) > 0)
	}
	for _, g := range foreign { // only now that the new log is durable
		if err == nil {
			err = s.discard(g)
		}
	}
	for _, w := range wounds { // only now that the outputs' debts are durable
		if err == nil {
			err = s.mend(w)
		}
	}
	if err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(collector{s}); err != nil {
			s.closeFiles()
			return nil, err
		}
	}
	return s, nil
}

// begin starts the new epoch: the epoch file first, then the log.
func (s *Spool) begin(file *epochFile, o Options, damaged bool) error {
	random := o.Random
	if random == nil {
		random = cryptoRandom
	}
	// A clock that was set back must not make this epoch look older than the
	// last: consumers remember a few epochs and take older ones for repeats.
	start := max(s.now().UnixNano(), file.Epoch.Start+1)
	for _, q := range s.sequences {
		start = max(start, q.epoch.Start+1)
	}
	s.epoch = record.EpochRef{Start: start, Random: random()}
	if err := s.adoptOutputs(file, o.Outputs); err != nil {
		return err
	}
	if err := s.writeEpoch(s.sequences, o.Outputs); err != nil {
		return err
	}
	if damaged {
		return s.roll()
	}
	return s.resume()
}

func cryptoRandom() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return binary.LittleEndian.Uint64(b[:])
}

// resume makes the log ready for appends, with a durable checkpoint.
func (s *Spool) resume() error {
	if n := len(s.segments); n > 0 && !s.segments[n-1].sealed && s.segments[n-1].size < s.cfg.SegmentBytes {
		g := s.segments[n-1]
		b, start := beginEntry(nil)
		b = appendCheckpoint(b, s.checkpoint())
		finishEntry(b, start, header{kind: kindCheckpoint, at: s.next, durable: uint32(g.synced)})
		if _, err := g.f.WriteAt(b, g.size); err != nil {
			return fmt.Errorf("write segment %s: %w", g.name(), err)
		}
		if err := g.f.Sync(); err != nil {
			return fmt.Errorf("sync segment %s: %w", g.name(), err)
		}
		g.size += int64(len(b))
		g.synced = g.size
		s.bytes += int64(len(b))
		return nil
	}
	return s.roll()
}

// roll seals the last segment and adds a new one. Callers hold the writer role.
func (s *Spool) roll() error {
	g := &segment{number: s.disowned + 1, subject: s.subject, first: s.next, end: s.next, began: s.now()}
	if n := len(s.segments); n > 0 {
		last := s.segments[n-1]
		if last.synced < last.size {
			if err := last.f.Sync(); err != nil {
				return s.fail(fmt.Errorf("sync segment %s: %w", last.name(), err))
			}
			last.synced = last.size
		}
		g.number = last.number + 1
	}
	g.from = g.number
	if len(s.segments) == 0 {
		g.from = 0
	}
	s.mu.Lock()
	state := s.checkpoint()
	s.mu.Unlock()
	b, start := beginEntry(nil)
	b = appendCheckpoint(b, state)
	finishEntry(b, start, header{kind: kindCheckpoint, at: state.next})
	if err := g.create(s.fs, b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.segments); n > 0 {
		s.segments[n-1].sealed = true
	}
	s.segments = append(s.segments, g)
	s.bytes += g.size
	return nil
}

// checkpoint copies the state. Callers hold mu, or are alone.
func (s *Spool) checkpoint() *checkpoint {
	c := &checkpoint{next: s.next, sequences: map[record.Category]sequence{}, sources: map[string][]byte{}}
	for k, v := range s.sequences {
		c.sequences[k] = v
	}
	for k, v := range s.sources {
		c.sources[k] = v
	}
	for _, o := range s.outputs {
		c.outputs = append(c.outputs, o.outputState)
	}
	return c
}

// Position returns a source's last position; nil when there is none.
func (s *Spool) Position(source string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	return s.sources[source], nil
}

// Epoch returns the epoch of this process.
func (s *Spool) Epoch() record.EpochRef { return s.epoch }

// Size returns how many records wait for the output that is furthest behind,
// and the bytes on disk.
func (s *Spool) Size() (records, bytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outputs {
		records = max(records, o.waiting)
	}
	return records, uint64(s.bytes)
}

// foreign tells whether the log holds records of another server.
func (s *Spool) foreign() bool {
	for _, g := range s.segments {
		if g.subject != s.subject && !g.subject.IsZero() {
			return true
		}
	}
	return false
}

// disown lets go of a log that holds the records of another server: they cannot
// be sent in the name of this one. What the sources have read stays read. It
// returns the segments, which the first one of the new log stands for.
func (s *Spool) disown() []*segment {
	waiting := uint64(0)
	for _, o := range s.outputs {
		if n, err := s.countLive(o.position); err == nil {
			waiting = max(waiting, n)
		}
	}
	if was := s.segments[0].subject.String(); waiting > 0 {
		s.metrics.lose()
		s.log.Error("this exporter has become another server; what was not sent for the old one is gone", "was", was, "is", s.subject.String(), "records", waiting)
	} else {
		s.log.Info("this exporter has become another server", "was", was, "is", s.subject.String())
	}
	old := s.segments
	s.segments, s.outputs, s.sequences = nil, nil, map[record.Category]sequence{}
	s.disowned = old[len(old)-1].number
	return old
}

// lead takes the writer role. Callers hold mu.
func (s *Spool) lead() error {
	for s.busy {
		s.idle.Wait()
	}
	switch {
	case s.broken != nil:
		return s.broken
	case s.closed:
		return ErrClosed
	}
	s.busy = true
	return nil
}

// yield gives the writer role back. Callers hold mu.
func (s *Spool) yield() {
	s.busy = false
	s.idle.Broadcast()
}

// wake tells readers that there is something new. Callers hold mu.
func (s *Spool) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Run keeps house until ctx ends: it removes what every output has an answer
// for, makes answers durable that no append took along, and refreshes the epoch
// file. It returns an error when the disk fails.
func (s *Spool) Run(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			switch err := s.tidy(); {
			case errors.Is(err, ErrClosed):
				return nil
			case errors.Is(err, ErrBroken):
				return err
			case err != nil: // a full disk, most likely: the next round tries again
				s.log.Warn("spool could not be tidied", "err", err)
			}
		}
	}
}

func (s *Spool) tidy() error {
	s.mu.Lock()
	if err := s.lead(); err != nil {
		s.mu.Unlock()
		return err
	}
	before := s.now().Add(-s.cfg.Keep)
	s.trim(before)
	due, old := s.epochDue, s.aged(before)
	s.epochDue = false
	sequences, outputs := s.checkpoint().sequences, s.outputNames()
	s.mu.Unlock()

	err := s.syncAcks()
	if err == nil && old {
		err = s.roll()
	}
	if due {
		err = errors.Join(err, s.writeEpoch(sequences, outputs))
	}
	s.mu.Lock()
	s.epochDue = s.epochDue || due && err != nil
	s.yield()
	s.mu.Unlock()
	return err
}

// aged tells whether the last segment has only answered records and is older
// than what is kept: sealed it can go, so that a rewind on a quiet server does
// not present a month again. Callers hold mu.
func (s *Spool) aged(before time.Time) bool {
	g := s.segments[len(s.segments)-1]
	if g.end == g.first || g.began.After(before) {
		return false
	}
	for _, o := range s.outputs {
		if o.position < g.end {
			return false
		}
	}
	return true
}

func (s *Spool) outputNames() []string {
	names := make([]string, len(s.outputs))
	for i, o := range s.outputs {
		names[i] = o.name
	}
	return names
}

// fail marks the spool broken.
func (s *Spool) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return s.broken
}

// Close makes everything durable and ends all waiting. It is safe to call it
// twice.
func (s *Spool) Close() error {
	s.mu.Lock()
	err := s.lead()
	if err != nil {
		if !errors.Is(err, ErrClosed) && !s.closed { // broken: let go of the files only
			s.closed = true
			s.wake()
			s.closeFiles()
		}
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.wake()
	sequences, outputs := s.checkpoint().sequences, s.outputNames()
	s.mu.Unlock()

	err = s.syncAcks()
	err = errors.Join(err, s.writeEpoch(sequences, outputs))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeFiles()
	s.yield()
	return err
}

func (s *Spool) closeFiles() {
	for _, g := range s.segments {
		if g.f != nil {
			_ = g.f.Close() // read only, or already synced
			g.f = nil
		}
	}
}
