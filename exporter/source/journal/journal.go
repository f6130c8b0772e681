// Package journal follows the systemd journal through journalctl and turns
// entries into events.
//
// journalctl runs as a child: it reads every version of the journal's files,
// and a fault in it is not ours. The cursor of the last entry is committed with
// the records, so a crash reads again and never skips. Where the cursor's entry
// is gone at the next start, because the journal was rotated away meanwhile,
// the source says so in a record and goes on with the oldest entry left.
//
// A Source belongs to the supervisor's goroutine. To test:
// go test ./exporter/source/journal (with a journald of its own where it runs
// as root and systemd is installed).
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "journal".
type Config struct {
	// Enabled turns the source on; where no journald runs it says so once.
	Enabled bool `yaml:"enabled"`
	// Command is journalctl's absolute path and arguments that come before ours;
	// empty = the first of /usr/bin/journalctl and /bin/journalctl.
	Command []string `yaml:"command"`
	// Matches select entries, as in journalctl(1): "_SYSTEMD_UNIT=ssh.service".
	Matches []string `yaml:"matches"`
	// Units and Identifiers select entries too: of any of the units, and any of
	// the identifiers (SYSLOG_IDENTIFIER); empty = all.
	Units       []string `yaml:"units"`
	Identifiers []string `yaml:"identifiers"`
	// ExcludeIdentifiers leaves out what these say.
	ExcludeIdentifiers []string `yaml:"exclude_identifiers"`
	// Priority leaves out what is less urgent, 0 (emerg) to 7 (debug).
	Priority int `yaml:"priority"`
	// MaxMessage is the most that is kept of a message, in bytes.
	MaxMessage int `yaml:"max_message"`
	// MaxRate is the most entries a second of one identifier, averaged over 10 s;
	// what is more is left out, counted and said. 0 = no limit: journald has one of
	// its own for services.
	MaxRate int `yaml:"max_rate"`
}

// DefaultConfig reads everything but debug messages.
func DefaultConfig() Config { return Config{Enabled: true, Priority: 6, MaxMessage: 16 << 10} }

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]) {
		return fmt.Errorf("journal command %q: write the absolute path of journalctl", c.Command[0])
	}
	if c.Priority < 0 || c.Priority > 7 {
		return fmt.Errorf("journal priority %d: write a number from 0 (emerg) to 7 (debug)", c.Priority)
	}
	if c.MaxMessage < 256 || c.MaxMessage > 256<<10 {
		return fmt.Errorf("journal max_message %d: write a number from 256 to 262144", c.MaxMessage)
	}
	if c.MaxRate < 0 || c.MaxRate > 1_000_000 {
		return fmt.Errorf("journal max_rate %d: write a number from 1 to 1000000, or 0 for no limit", c.MaxRate)
	}
	for _, w := range slices.Concat(c.Units, c.Identifiers, c.ExcludeIdentifiers) {
		if w == "" || len(w) > 256 || strings.ContainsAny(w, "\x00\n") {
			return fmt.Errorf("journal filter %.60q: write the name of a unit or an identifier", w)
		}
	}
	if slices.Contains(c.Matches, "+") && len(c.Units)+len(c.Identifiers) > 0 {
		return errors.New("journal matches with + stand beside units or identifiers: write either")
	}
	for _, m := range c.Matches {
		if m != "+" && (!strings.Contains(m, "=") || strings.HasPrefix(m, "-")) {
			return fmt.Errorf("journal match %q: write FIELD=value or +", m)
		}
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Positions reads the cursor stored last.
	Positions source.Positions
	// Root is put before the paths that tell whether journald runs; "" = "/".
	Root string
	Log  *slog.Logger
	// Metrics is what is counted; nil = for nobody.
	Metrics *Metrics
}

// Name is the source's name and the key of its position.
const Name = "journal"

// New returns the journal source.
func New(o Options) source.Source {
	if o.Positions == nil {
		o.Positions = source.NoPositions{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics, _ = NewMetrics(nil) // fails to register only
	}
	return &journal{o: o}
}

type journal struct {
	o     Options
	limit *limiter
	past  int // entries to begin with where there is no cursor
}

// Recent implements source.Recent.
func (j *journal) Recent(n int) source.Source { return &journal{o: j.o, past: n} }

func (j *journal) Name() string              { return Name }
func (j *journal) Category() record.Category { return record.EventLog }

const (
	maxBatch  = 512                    // entries in one commit
	batchWait = 200 * time.Millisecond // how long the first of a batch waits for others
	maxLine   = 8 << 20                // bytes of an entry; a byte of a message can take four
	queued    = 256                    // lines read ahead
)

// Run implements source.Source.
func (j *journal) Run(ctx context.Context, emit source.Emit) error {
	j.limit = newLimiter(j.o.MaxRate) // what was not kept is read again
	command, err := j.command()
	if err != nil {
		return err
	}
	position, err := j.o.Positions.Position(Name)
	if err != nil {
		return fmt.Errorf("read the journal's position: %w", err)
	}
	cursor := string(position)
	if cursor != "" && !validCursor(cursor) {
		damaged := source.Failed(Name, fmt.Errorf("the stored cursor %.100q is damaged, reading begins with new entries", cursor), time.Now())
		if err := emit(ctx, []record.Record{damaged}, nil); err != nil {
			return err
		}
		cursor = ""
	}
	err = j.follow(ctx, emit, command, start{cursor: cursor})
	if errors.Is(err, errCursor) {
		if err := emit(ctx, []record.Record{j.gap(cursor, "", time.Now())}, nil); err != nil {
			return err
		}
		// Read on from the time that the cursor names: entries around it may
		// come twice, none is skipped.
		return j.follow(ctx, emit, command, start{since: cursorSeconds(cursor), lost: cursor})
	}
	return err
}

func (j *journal) command() ([]string, error) {
	if len(j.o.Command) > 0 {
		return slices.Clone(j.o.Command), source.CheckTool(j.o.Command[0])
	}
	if !j.running() {
		return nil, fmt.Errorf("no journald runs here: %w", errors.ErrUnsupported)
	}
	for _, path := range []string{"/usr/bin/journalctl", "/bin/journalctl"} {
		if _, err := os.Stat(path); err == nil {
			return []string{path}, nil
		}
	}
	return nil, fmt.Errorf("journalctl is not installed: %w", errors.ErrUnsupported)
}

// running tells whether journald has its socket; left-over files of another
// time are no journal.
func (j *journal) running() bool {
	root := j.o.Root
	if root == "" {
		root = "/"
	}
	_, err := os.Stat(filepath.Join(root, "run/systemd/journal/socket"))
	return err == nil
}

// start is where a journalctl begins: at a cursor, at a time, or now.
type start struct {
	cursor, since string
	lost          string // the cursor that is gone, where since stands for it
}

// arguments returns journalctl's arguments. With a cursor the entry itself is
// asked for again: only so can be seen that it is still there.
func (j *journal) arguments(s start) []string {
	args := []string{"--output=json", "--follow", "--all", "--no-pager", "--quiet", "--output-fields=" + strings.Join(wanted, ","), fmt.Sprintf("--priority=%d", j.o.Priority)}
	for _, u := range j.o.Units {
		args = append(args, "--unit="+u)
	}
	for _, id := range j.o.Identifiers {
		args = append(args, "--identifier="+id)
	}
	switch {
	case s.cursor != "":
		args = append(args, "--no-tail", "--cursor="+s.cursor)
	case s.since != "":
		args = append(args, "--no-tail", "--since=@"+s.since)
	default:
		args = append(args, fmt.Sprintf("--lines=%d", j.past))
	}
	return append(append(args, "--"), j.o.Matches...)
}

var (
	errCursor = errors.New("journalctl does not know the cursor")
	errEnded  = errors.New("journalctl ended")
)

// follow runs one journalctl until it ends or ctx does.
func (j *journal) follow(ctx context.Context, emit source.Emit, command []string, from start) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := startChild(ctx, command[0], append(slices.Clone(command[1:]), j.arguments(from)...))
	if err != nil {
		return fmt.Errorf("start journalctl: %w", err)
	}
	lines := make(chan line, queued) // owned and closed by the reading goroutine
	go func() {
		defer close(lines)
		readLines(ctx, c.out, maxLine, lines)
	}()
	b := &batch{j: j, emit: emit, resumed: from.cursor, lost: from.lost}
	err = b.collect(ctx, lines)
	cancel() // ends the child
	ended := c.wait()
	_ = c.out.Close() // ends the reader, also when something else holds the pipe
	for range lines {
	}
	switch {
	case err != nil:
		return err
	case b.seen == 0 && from.cursor != "" && strings.Contains(c.errText(), "cursor"):
		return errCursor
	case c.errText() != "":
		return fmt.Errorf("%w (%v): %s", errEnded, ended, c.errText())
	}
	return fmt.Errorf("%w: %v", errEnded, ended)
}

// batch gathers entries into commits.
type batch struct {
	j       *journal
	emit    source.Emit
	resumed string // the cursor that the first entry must have
	lost    string // the cursor behind which entries are missing
	newest  time.Time
	seen    int
	recs    []record.Record
	cursor  string
}

// collect returns nil when the lines end, and an error when it is Emit's or
// ctx's.
func (b *batch) collect(ctx context.Context, lines <-chan line) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var full <-chan time.Time
		if b.pending() {
			full = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-full:
			if err := b.flush(ctx); err != nil {
				return err
			}
		case l, ok := <-lines:
			if !ok {
				return b.flush(ctx)
			}
			if !b.pending() {
				timer.Reset(batchWait)
			}
			b.add(l)
			if len(b.recs) >= maxBatch {
				if err := b.flush(ctx); err != nil {
					return err
				}
			}
		}
	}
}

func (b *batch) pending() bool { return len(b.recs) > 0 || b.cursor != "" }

func (b *batch) flush(ctx context.Context) error {
	if !b.pending() {
		return nil
	}
	if text, n := b.j.limit.summary(); n > 0 {
		rec := source.Failed(Name, errors.New(text), time.Now())
		b.recs = append(b.recs, withMissing(rec, uint64(n)))
	}
	if !b.newest.IsZero() {
		b.j.o.Metrics.newest.Set(float64(b.newest.UnixMilli()) / 1e3)
		b.j.o.Metrics.lag.Set(max(0, time.Since(b.newest).Seconds()))
	}
	var position []byte
	if b.cursor != "" {
		position = []byte(b.cursor)
	}
	if err := b.emit(ctx, b.recs, position); err != nil {
		return err
	}
	b.recs, b.cursor = nil, ""
	return nil
}

func (b *batch) add(l line) {
	now, m := time.Now(), b.j.o.Metrics
	unreadable := func(err error) {
		m.read.Inc()
		m.missing.WithLabelValues(missingUnreadable).Inc()
		b.recs = append(b.recs, withMissing(source.Failed(Name, err, now), 1))
	}
	if l.cut > 0 {
		unreadable(fmt.Errorf("an entry of more than %d bytes was left out", maxLine))
		return
	}
	e, err := parseEntry(l.text)
	if err != nil {
		unreadable(err)
		return
	}
	if b.seen++; b.seen == 1 && b.begins(&e, now) {
		return // it shows that nothing is missing, no more
	}
	m.read.Inc()
	b.cursor = e.cursor
	if e.at.After(b.newest) {
		b.newest = e.at
	}
	who := first(e.fields, "SYSLOG_IDENTIFIER", "_COMM")
	switch {
	case slices.Contains(b.j.o.ExcludeIdentifiers, who):
		m.dropped.WithLabelValues(droppedExcluded).Inc()
	case !b.j.limit.allow(who, e.at):
		m.dropped.WithLabelValues(droppedRate).Inc()
	default:
		rec := e.record(b.j.o.MaxMessage, now)
		m.handed(&rec)
		b.recs = append(b.recs, rec)
	}
}

// begins looks at the first entry: whether it was sent before, or entries
// before it are missing.
func (b *batch) begins(e *entry, now time.Time) (sent bool) {
	switch {
	case b.resumed != "" && e.cursor == b.resumed:
		return true
	case b.resumed != "":
		b.recs = append(b.recs, b.j.gap(b.resumed, e.cursor, now))
	case b.lost != "":
		if n, ok := between(b.lost, e.cursor); ok && n > 0 {
			b.recs = append(b.recs, b.j.gap(b.lost, e.cursor, now))
		}
	}
	return false
}

// gap says that entries were removed before they were read, and counts them
// where the cursors tell how many.
func (j *journal) gap(from, to string, now time.Time) record.Record {
	text := "entries after the cursor " + from + " were removed from the journal before they were read"
	n, known := between(from, to)
	if to != "" {
		text += "; it goes on at " + to
	}
	if known {
		text += fmt.Sprintf("; at most %d are missing", n)
		j.o.Metrics.missing.WithLabelValues(missingRemoved).Add(float64(n))
	}
	return withMissing(source.Failed(Name, errors.New(text), now), n)
}

// withMissing says in a record how many are missing; 0 = not known.
func withMissing(r record.Record, n uint64) record.Record {
	if n > 0 {
		r.Attrs = append(r.Attrs, record.Attr{Key: record.AttrMissing, Value: record.Int(int64(min(n, 1<<62)))})
	}
	return r
}

type line struct {
	text []byte
	cut  int // bytes that were left out; the text is then not whole
}

// readLines sends the lines of r until it ends. A line above the limit is sent
// without its text.
func readLines(ctx context.Context, r io.Reader, limit int, out chan<- line) {
	buf := make([]byte, 0, 64<<10)
	chunk := make([]byte, 64<<10)
	skipping := 0
	send := func(l line) bool {
		select {
		case out <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		n, err := r.Read(chunk)
		rest := chunk[:n]
		for {
			i := slices.Index(rest, '\n')
			if i < 0 {
				break
			}
			l := line{cut: skipping}
			if skipping > 0 || len(buf)+i > limit {
				l.cut += len(buf) + i
			} else {
				l.text = append(slices.Clone(buf), rest[:i]...)
			}
			if !send(l) {
				return
			}
			buf, rest, skipping = buf[:0], rest[i+1:], 0
		}
		if skipping > 0 || len(buf)+len(rest) > limit {
			skipping += len(buf) + len(rest)
			buf = buf[:0]
		} else {
			buf = append(buf, rest...)
		}
		if err != nil {
			return // what was written of the last line has no end: it comes again
		}
	}
}
