// Package evtx imports event log files of Windows (.evtx).
//
// Such files come dirty (copied from a running machine, so that the header
// counts a third of the chunks), torn and damaged, and reading damaged binary
// XML has made the best readers loop for ever or eat all memory. So the file
// is read in a child process with limits on memory and time; when it fails, a
// new one goes on with the next chunk. What could not be read is said.
//
// This file finds chunks and records; www.velocidex.com/golang/evtx decodes
// one chunk at a time, from a buffer in which everything that is no whole
// record has been taken out. event.go turns its answer into records.
//
// To test: go test ./exporter/source/evtx.
package evtx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The layout of [MS-EVEN6] files, as described by libevtx.
const (
	chunkSize   = 64 << 10
	chunkHeader = 512
	recordHead  = 24 // signature, size, record id, time
	recordTail  = 4  // the size again
	fileHeader  = 128
	maxFile     = 8 << 30
)

var (
	fileMagic   = []byte("ElfFile\x00")
	chunkMagic  = []byte("ElfChnk\x00")
	recordMagic = []byte("\x2a\x2a\x00\x00")
)

// errNotEvtx says that a file is no event log at all.
var errNotEvtx = errors.New("not an event log file (no ElfFile signature)")

// file is an open event log.
type file struct {
	r      io.ReaderAt
	start  int64 // of the first chunk
	chunks int   // places for chunks up to the end of the file, whatever the header counts
	// missing are chunks that the header counts behind the end of the file. It may
	// count too few, but never did it count one that was not written.
	missing int
}

func openFile(path string) (*file, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	var l *file
	if err == nil {
		l, err = newFile(f, info.Size())
	}
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return l, f, nil
}

func newFile(r io.ReaderAt, size int64) (*file, error) {
	head := make([]byte, fileHeader)
	if _, err := r.ReadAt(head, 0); err != nil || !bytes.Equal(head[:8], fileMagic) {
		return nil, errNotEvtx
	}
	if size > maxFile {
		return nil, fmt.Errorf("event log file of %d bytes: the limit is %d", size, int64(maxFile))
	}
	start := int64(binary.LittleEndian.Uint16(head[40:]))
	if start < fileHeader {
		start = 4096 // damaged; every version has this
	}
	l := &file{r: r, start: start, chunks: max(0, int((size-start+chunkSize-1)/chunkSize))}
	l.missing = max(0, int(binary.LittleEndian.Uint16(head[42:]))-l.chunks)
	return l, nil
}

// chunk returns the bytes of a place for a chunk, filled up with zeros where
// the file ends in it. ok is false where no chunk is; bad says that there
// should be one: the place is not empty.
func (f *file) chunk(i int) (buf []byte, ok, bad bool, err error) {
	buf = make([]byte, chunkSize)
	n, err := f.r.ReadAt(buf, f.start+int64(i)*chunkSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, false, err
	}
	if bytes.Equal(buf[:8], chunkMagic) {
		return buf, true, false, nil
	}
	// An unused place is zeros, or has a record signature nowhere.
	return buf, false, n > 0 && bytes.Contains(buf, recordMagic), nil
}

// span is a record's place in its chunk.
type span struct {
	off, size int
	id        uint64
	filetime  uint64
}

// walk finds the whole records of a chunk. Where one is torn it looks for the
// next whole one; lost counts the records between, by their ids where they
// tell.
//
// The chunk's head says where its records end and which id is the last. That is
// not believed where whole records with rising ids go on, as in a copy of a log
// that was being written. But where they do not go on, what lies behind is left
// from an earlier use of the chunk, or from records that a filter took out, and
// their templates are gone: decoding those ends in nonsense.
func walk(buf []byte) (spans []span, lost int) {
	last := uint64(0)
	final, end := binary.LittleEndian.Uint64(buf[32:]), int(binary.LittleEndian.Uint32(buf[48:]))
	for off := chunkHeader; off+recordHead+recordTail <= len(buf); {
		s, ok := recordAt(buf, off)
		if !ok {
			if off >= min(end, len(buf)) || last >= final || empty(buf[off:]) {
				break
			}
			from := off + 8
			if len(spans) == 0 {
				from = max(from, chunkHeader+leadSize)
			}
			next := resync(buf[:min(end, len(buf))], from, last, final)
			if next < 0 {
				lost += rest(last, final, (end-off)/(recordHead+recordTail))
				break
			}
			lost += between(buf, last, next, (next-off)/(recordHead+recordTail))
			off = next
			continue
		}
		if len(spans) > 0 && s.id <= last {
			break
		}
		spans, last = append(spans, s), s.id
		off += s.size
	}
	return spans, lost
}

// between returns how many ids lie between the last record and that at off: at
// least one, and no more than had room.
func between(buf []byte, last uint64, off, room int) int {
	s, ok := recordAt(buf, off)
	if !ok || last == 0 {
		return 1
	}
	return int(min(max(s.id-last-1, 1), uint64(max(room, 1))))
}

// rest returns how many records a chunk's head announces behind the last one
// found: at least one, and no more than had room.
func rest(last, final uint64, room int) int {
	if last == 0 || final <= last {
		return 1
	}
	return int(min(final-last, uint64(max(room, 1))))
}

func recordAt(buf []byte, off int) (span, bool) {
	if off+recordHead+recordTail > len(buf) || !bytes.Equal(buf[off:off+4], recordMagic) {
		return span{}, false
	}
	size := int64(binary.LittleEndian.Uint32(buf[off+4:]))
	if size < recordHead+recordTail || int64(off)+size > int64(len(buf)) {
		return span{}, false
	}
	if int64(binary.LittleEndian.Uint32(buf[off+int(size)-recordTail:])) != size {
		return span{}, false
	}
	return span{off: off, size: int(size), id: binary.LittleEndian.Uint64(buf[off+8:]), filetime: binary.LittleEndian.Uint64(buf[off+16:])}, true
}

// resync finds the next whole record with an id above last, up to final;
// records begin at multiples of 8.
func resync(buf []byte, from int, last, final uint64) int {
	for off := (from + 7) &^ 7; off+recordHead+recordTail <= len(buf); off += 8 {
		if s, ok := recordAt(buf, off); ok && s.id > last && s.id <= final {
			return off
		}
	}
	return -1
}

func empty(b []byte) bool {
	for _, c := range b[:min(len(b), recordHead)] {
		if c != 0 {
			return false
		}
	}
	return true
}

// leadSize is the least room that the record which leads to the first one needs.
const leadSize = recordHead + 8

// joined returns a copy of the chunk in which the decoder, which goes from
// record to record by their sizes, sees exactly the records given: each one's
// size reaches to the next, the first is led to by an empty one, and what
// follows the last is no record.
func joined(buf []byte, spans []span) (out []byte, lead bool) {
	out = bytes.Clone(buf)
	for i, s := range spans {
		end := s.off + s.size
		if i+1 < len(spans) {
			end = spans[i+1].off
		}
		binary.LittleEndian.PutUint32(out[s.off+4:], uint32(end-s.off))
	}
	if len(spans) == 0 {
		return out, false
	}
	if tail := spans[len(spans)-1]; tail.off+tail.size+4 <= len(out) {
		copy(out[tail.off+tail.size:], "\x00\x00\x00\x00")
	}
	if first := spans[0].off; first > chunkHeader {
		head := out[chunkHeader:]
		copy(head, recordMagic)
		binary.LittleEndian.PutUint32(head[4:], uint32(first-chunkHeader))
		clear(head[8 : recordHead+1]) // id 0, and the token that ends an event
		return out, true
	}
	return out, false
}
