package evtx

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"nocturne/exporter/limit"
	"nocturne/exporter/source"
	"nocturne/exporter/source/winlog"
	"nocturne/internal/record"
)

// Options bound an import; the zero value is right.
type Options struct {
	// Command runs Child; empty = this program with Subcommand.
	Command []string
	// Memory is the most the child may use, in bytes; 0 = 512 MiB.
	Memory int64
	// Time is the most the whole file may take; 0 = 30 minutes. ChunkTime is the
	// most one chunk may take; 0 = 20 s.
	Time, ChunkTime time.Duration
}

// Report is what became of a file.
type Report struct {
	Chunks     int // places for chunks in the file
	Records    int // handed to emit
	Duplicates int // the same channel, computer and record id again
	Unreadable int // records and chunks that were lost, as far as they can be counted
	// Computers are the machines that the events name, and how many events each;
	// a machine may be renamed within a file. "" = others beyond a limit.
	Computers map[string]int
	// Problems say what was unreadable, up to a limit.
	Problems []string
}

const (
	maxProblems = 100
	maxNames    = 32      // computers told apart
	maxFailures = 64      // children that may end badly before the import gives up
	maxSeen     = 8 << 20 // record ids remembered; a file of 1 GiB has about 1 million
)

// Import reads an event log file to its end and emits its events in the order
// of the file, in batches of one chunk or less, without positions. An error
// means that the file could not be read to its end; what was emitted before
// stays. Importing again emits all again, with the same record ids.
func Import(ctx context.Context, path string, emit source.Emit, o Options) (Report, error) {
	if len(o.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return Report{}, fmt.Errorf("import %s: find this program: %w", path, err)
		}
		o.Command = []string{self, Subcommand}
	}
	o.Memory, o.Time, o.ChunkTime = orElse(o.Memory, 512<<20), orElse(o.Time, 30*time.Minute), orElse(o.ChunkTime, 20*time.Second)
	ctx, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	im := &importer{o: o, path: path, emit: emit, seen: map[winlog.Key]struct{}{}}
	if err := im.run(ctx); err != nil {
		return im.report, fmt.Errorf("import %s: %w", path, err)
	}
	return im.report, nil
}

// Check tells why a file cannot be an event log, before an import begins.
func Check(path string) error {
	_, closer, err := openFile(path)
	if err != nil {
		return fmt.Errorf("import %s: %w", path, err)
	}
	return closer.Close()
}

func orElse[T int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

type importer struct {
	o      Options
	path   string
	emit   source.Emit
	report Report
	seen   map[winlog.Key]struct{}
	// What the child works on: a chunk, how many whole records it has, how many
	// of them came, and the record it tries, -1 when it takes all at once.
	at, whole, got, try int
	ended               bool
}

func (im *importer) problem(n int, text string) {
	im.report.Unreadable += n
	if len(im.report.Problems) < maxProblems {
		im.report.Problems = append(im.report.Problems, text)
	}
}

// run starts children until one reaches the end of the file. A chunk that ends
// a child is read again with care, record by record; a record that ends that
// child is left out.
func (im *importer) run(ctx context.Context) error {
	from, careful := 0, false
	var skip []int
	for failures := 0; ; failures++ {
		im.at, im.whole, im.got, im.try = from-1, 0, 0, -1
		err := im.child(ctx, begin(from, careful, skip))
		var stop *stopError
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case im.ended:
			return nil
		case im.at < from:
			return fmt.Errorf("the reading child did not begin: %w", err)
		case failures >= maxFailures:
			return fmt.Errorf("gave up at chunk %d after %d failures, the last: %w", im.at, failures, err)
		}
		switch {
		case im.at > from || !careful && im.whole > 0:
			from, careful, skip = im.at, im.whole > 0, nil // read it again with care
			if careful {
				continue
			}
		case careful && im.try >= 0 && len(skip) < maxSkips:
			skip = append(skip, im.try)
			im.problem(1, fmt.Sprintf("chunk %d: reading record %d of %d failed: %v", im.at, im.try+1, im.whole, err))
			continue
		}
		im.problem(max(1, im.whole-max(im.try, 0)), fmt.Sprintf("chunk %d: reading it failed: %v", im.at, err))
		from, careful, skip = im.at+1, false, nil
	}
}

// maxSkips bounds the records of one chunk that are left out one by one.
const maxSkips = 6

func begin(chunk int, careful bool, skip []int) string {
	s := strconv.Itoa(chunk)
	if !careful {
		return s
	}
	parts := make([]string, len(skip))
	for i, n := range skip {
		parts[i] = strconv.Itoa(n)
	}
	return s + ":" + strings.Join(parts, ",")
}

// stopError is an error that no other child would get around.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

// child runs one child and takes in its messages.
func (im *importer) child(ctx context.Context, from string) (err error) {
	// Linux ends the child with the thread that started it: keep that thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	args := append(im.o.Command[1:len(im.o.Command):len(im.o.Command)], from, strconv.FormatInt(im.o.Memory, 10), im.path)
	cmd := exec.CommandContext(ctx, im.o.Command[0], args...)
	var complaint bytes.Buffer
	cmd.Stderr = &limitedWriter{w: &complaint, left: 8 << 10}
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", im.o.Memory/4*3), "GOMAXPROCS=1", "GOTRACEBACK=none")
	limit.Hide(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return &stopError{err}
	}
	if err := cmd.Start(); err != nil {
		return &stopError{fmt.Errorf("start the reading child: %w", err)}
	}
	// A chunk that takes too long is one that decoding does not come back from.
	watch := time.AfterFunc(im.o.ChunkTime, func() { cancel(fmt.Errorf("no end within %s", im.o.ChunkTime)) })
	defer watch.Stop()
	err = im.messages(ctx, bufio.NewReaderSize(out, 64<<10), watch)
	cancel(err)
	werr := cmd.Wait()
	if err == nil && !im.ended {
		err = fmt.Errorf("the reading child ended early: %w", errors.Join(werr, errors.New(firstLine(complaint.String()))))
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) && !errors.As(err, new(*stopError)) {
		return cause
	}
	return err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// messages reads until the child's output ends. The child is hostile: it has
// read the file.
func (im *importer) messages(ctx context.Context, r io.Reader, watch *time.Timer) error {
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return nil // the end of the child, in its own words or not: Wait knows
		}
		n := binary.LittleEndian.Uint32(head[1:])
		if n > maxMessage {
			return &stopError{fmt.Errorf("the reading child sent a message of %d bytes", n)}
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r, payload); err != nil {
			return nil // as above
		}
		switch kind(head[0]) {
		case msgChunks:
			im.report.Chunks = number32(payload)
		case msgBegin:
			im.at, im.whole, im.got, im.try = number32(payload), 0, 0, -1
			watch.Reset(im.o.ChunkTime)
		case msgWhole:
			im.whole = number32(payload)
		case msgTry:
			im.try = number32(payload)
		case msgProblem:
			im.problem(number32(payload), strings.ToValidUTF8(string(payload[min(4, len(payload)):]), "?"))
		case msgRecords:
			watch.Stop() // the spool may be busy; that is not the chunk's fault
			if err := im.records(ctx, payload); err != nil {
				return err
			}
			watch.Reset(im.o.ChunkTime)
		case msgEnd:
			im.ended = true
		case msgError:
			return &stopError{errors.New(strings.ToValidUTF8(string(payload), "?"))}
		default:
			return &stopError{fmt.Errorf("the reading child sent a message of kind %d", head[0])}
		}
	}
}

func number32(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b) & 0x7fffffff)
}

// computers counts the machines that events name.
func (im *importer) computers(recs []record.Record) {
	if im.report.Computers == nil {
		im.report.Computers = map[string]int{}
	}
	for i := range recs {
		name := recs[i].Attr(record.AttrComputer).Str()
		if _, known := im.report.Computers[name]; !known && len(im.report.Computers) >= maxNames {
			name = ""
		}
		im.report.Computers[name]++
	}
}

func (im *importer) records(ctx context.Context, payload []byte) error {
	recs, _, err := record.DecodeRecords(payload)
	if err != nil {
		return fmt.Errorf("what the reading child sent: %w", err)
	}
	fresh := recs[:0]
	for _, r := range recs {
		k := winlog.KeyOf(&r)
		if _, again := im.seen[k]; again {
			im.report.Duplicates++
			continue
		}
		if len(im.seen) < maxSeen {
			im.seen[k] = struct{}{}
		}
		fresh = append(fresh, r)
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := im.emit(ctx, fresh, nil); err != nil {
		return &stopError{err}
	}
	im.report.Records += len(fresh)
	im.computers(fresh)
	return nil
}
