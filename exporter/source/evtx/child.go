package evtx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"nocturne/exporter/limit"
	"nocturne/internal/record"
)

// Subcommand is the hidden subcommand of the program that imports: its main
// calls Child when it is its first argument.
const Subcommand = "evtx-child"

// A message of the child: one byte of kind, four of length, the payload.
type kind byte

const (
	msgChunks  kind = 'C' // how many places for chunks the file has: 4 bytes
	msgBegin   kind = 'B' // work on a chunk begins: its number, 4 bytes
	msgWhole   kind = 'W' // how many whole records the chunk has: 4 bytes
	msgTry     kind = 'T' // work on a record of the chunk begins: its index, 4 bytes
	msgRecords kind = 'R' // records, as record.AppendRecords writes them
	msgProblem kind = 'P' // what could not be read: count, 4 bytes, then text
	msgEnd     kind = 'E' // the file was read to its end
	msgError   kind = 'X' // the file cannot be read at all: text
)

const (
	maxMessage   = 8 << 20
	maxProcessor = 30 * time.Minute // of one child
)

// Child reads a file and writes messages to out: the part of Import that runs
// in a process of its own. args are where to begin, the memory limit in bytes,
// and the path. It begins at a chunk, "7", or in one that an earlier child did
// not survive, "7:" and the records there to leave out, "7:3,12". It returns
// the exit code.
func Child(args []string, out io.Writer) int {
	w := &messages{w: newWriter(out)}
	if err := child(args, w); err != nil {
		w.send(msgError, []byte(err.Error()))
	}
	if w.w.Flush() != nil || w.err != nil {
		return 2
	}
	return 0
}

func newWriter(out io.Writer) *bufio.Writer { return bufio.NewWriterSize(out, 64<<10) }

type messages struct {
	w   *bufio.Writer
	err error
}

func (m *messages) send(k kind, payload []byte) {
	if m.err != nil {
		return
	}
	head := [5]byte{byte(k)}
	binary.LittleEndian.PutUint32(head[1:], uint32(len(payload)))
	if _, m.err = m.w.Write(head[:]); m.err == nil {
		_, m.err = m.w.Write(payload)
	}
}

func (m *messages) number(k kind, n int, text string) {
	m.send(k, append(binary.LittleEndian.AppendUint32(nil, uint32(n)), text...))
}

func child(args []string, w *messages) error {
	if len(args) != 3 {
		return fmt.Errorf("%s: want where to begin, memory limit and path", Subcommand)
	}
	from, skip, careful, err := parseStart(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", Subcommand, err)
	}
	most, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil || most <= 0 {
		return fmt.Errorf("%s: memory limit %q: want a number", Subcommand, args[1])
	}
	// The processor's time is bounded because a parent that is gone ends no loop.
	if err := limit.Process(most, maxProcessor); err != nil {
		return fmt.Errorf("limit memory to %d bytes and time to %s: %w", most, maxProcessor, err)
	}
	f, closer, err := openFile(args[2])
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }() // only read
	w.number(msgChunks, f.chunks, "")
	if from == 0 && !careful && f.missing > 0 {
		w.number(msgProblem, f.missing, fmt.Sprintf("the file ends early: its head counts %d chunks, %d are there", f.chunks+f.missing, f.chunks))
	}
	for i := from; i < f.chunks; i++ {
		if err := w.announce(msgBegin, i); err != nil {
			return err
		}
		read := readChunk
		if careful && i == from {
			read = func(f *file, i int, w *messages) error { return readCautiously(f, i, skip, w) }
		}
		if err := read(f, i, w); err != nil {
			return err
		}
	}
	w.send(msgEnd, nil)
	return w.err
}

// parseStart reads "7", "7:" and "7:3,12".
func parseStart(s string) (chunk int, skip []int, careful bool, err error) {
	first, rest, careful := strings.Cut(s, ":")
	if chunk, err = strconv.Atoi(first); err != nil || chunk < 0 {
		return 0, nil, false, fmt.Errorf("begin at %q: want a number", s)
	}
	if rest == "" {
		return chunk, nil, careful, nil
	}
	for part := range strings.SplitSeq(rest, ",") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return 0, nil, false, fmt.Errorf("begin at %q: want numbers", s)
		}
		skip = append(skip, n)
	}
	return chunk, skip, careful, nil
}

// announce says what is worked on now, so that the parent knows, should this be
// the child's end.
func (m *messages) announce(k kind, n int) error {
	m.number(k, n, "")
	if m.err == nil {
		m.err = m.w.Flush()
	}
	return m.err
}

// spans reads a chunk and finds its whole records.
func spans(f *file, i int, w *messages, say bool) (buf []byte, found []span, err error) {
	buf, ok, bad, err := f.chunk(i)
	if err != nil {
		return nil, nil, fmt.Errorf("read chunk %d: %w", i, err)
	}
	if !ok {
		if bad && say {
			w.number(msgProblem, 1, fmt.Sprintf("chunk %d: holds records but has no signature", i))
		}
		return nil, nil, nil
	}
	found, torn := walk(buf)
	if torn > 0 && say {
		w.number(msgProblem, torn, fmt.Sprintf("chunk %d: %d torn records", i, torn))
	}
	return buf, found, w.announce(msgWhole, len(found))
}

func readChunk(f *file, i int, w *messages) error {
	buf, found, err := spans(f, i, w, true)
	if err != nil {
		return err
	}
	recs, undecoded := decodeChunk(buf, found)
	if undecoded > 0 {
		w.number(msgProblem, undecoded, fmt.Sprintf("chunk %d: %d of %d records cannot be decoded", i, undecoded, len(found)))
	}
	for len(recs) > 0 {
		n := batchOf(recs)
		w.send(msgRecords, record.AppendRecords(nil, recs[:n]))
		recs = recs[n:]
	}
	return w.err
}

// readCautiously reads a chunk that another child did not survive. What is torn
// was said by that one.
func readCautiously(f *file, i int, skip []int, w *messages) error {
	buf, found, err := spans(f, i, w, false)
	if err != nil {
		return err
	}
	undecoded := 0
	err = decodeCautiously(buf, found, skip,
		func(n int) error { return w.announce(msgTry, n) },
		func(r record.Record) { w.send(msgRecords, record.AppendRecords(nil, []record.Record{r})) },
		func() { undecoded++ })
	if undecoded > 0 {
		w.number(msgProblem, undecoded, fmt.Sprintf("chunk %d: %d of %d records cannot be decoded", i, undecoded, len(found)))
	}
	return err
}

// batchOf returns how many of the first records fit one message.
func batchOf(recs []record.Record) int {
	total := 0
	for i := range recs {
		if total += record.RecordSize(&recs[i]) + 16; total > maxMessage/2 && i > 0 {
			return i
		}
	}
	return len(recs)
}
