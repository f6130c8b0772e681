package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// The file header of a segment, 48 bytes, little endian: magic, version,
// number, the lowest number that this segment stands for, server id, CRC32C.
const (
	fileHeader  = 48
	fileMagic   = "NOCSPOOL"
	fileVersion = 1

	segSuffix = ".seg"
	tmpSuffix = ".tmp"

	scanChunk = 128 << 10
)

// segment is one file of the log. The last one takes the appends; the others
// are sealed and only ever replaced as a whole, by a higher generation.
type segment struct {
	number     uint64
	from       uint64 // lowest number merged into this one
	subject    record.ID
	generation uint64
	f          File
	size       int64 // bytes of whole entries; what is beyond does not count
	synced     int64 // bytes known durable
	first      uint64
	end        uint64 // every ordinal in here is below
	live       uint64 // records that can still be handed out
	heartbeats uint64 // those of category heartbeat among them
	sealed     bool
	began      time.Time // when this process began to append to it
	consumed   time.Time // when the last output got past it; zero = not yet
}

func segmentName(number, generation uint64) string {
	return fmt.Sprintf("%016x-%08x%s", number, generation, segSuffix)
}

// parseSegmentName is the opposite of segmentName.
func parseSegmentName(name string) (number, generation uint64, ok bool) {
	base, found := strings.CutSuffix(name, segSuffix)
	a, b, dash := strings.Cut(base, "-")
	if !found || !dash || len(a) != 16 || len(b) != 8 {
		return 0, 0, false
	}
	number, err1 := strconv.ParseUint(a, 16, 64)
	generation, err2 := strconv.ParseUint(b, 16, 32)
	return number, generation, err1 == nil && err2 == nil
}

func (g *segment) name() string { return segmentName(g.number, g.generation) }

func (g *segment) appendFileHeader(b []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, fileMagic...)
	b = le.AppendUint32(b, fileVersion)
	b = le.AppendUint64(b, g.number)
	b = le.AppendUint64(b, g.from)
	b = append(b, g.subject[:]...)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func (g *segment) readFileHeader() error {
	var b [fileHeader]byte
	if n, err := g.f.ReadAt(b[:], 0); n < len(b) {
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return fmt.Errorf("file header of %d bytes: %w", n, errDamaged)
	}
	le := binary.LittleEndian
	switch {
	case string(b[:8]) != fileMagic || le.Uint32(b[fileHeader-4:]) != crc32.Checksum(b[:fileHeader-4], castagnoli):
		return fmt.Errorf("file header: %w", errDamaged)
	case le.Uint32(b[8:]) != fileVersion:
		return fmt.Errorf("spool format %d, this program knows %d", le.Uint32(b[8:]), fileVersion)
	case le.Uint64(b[12:]) != g.number || le.Uint64(b[20:]) > g.number:
		return fmt.Errorf("file header of segment %d: %w", le.Uint64(b[12:]), errDamaged)
	}
	g.from = le.Uint64(b[20:])
	copy(g.subject[:], b[28:])
	return nil
}

// create writes a new segment file: header and entries, durable, then visible
// under its name.
func (g *segment) create(fsys FS, entries []byte) error {
	content := append(g.appendFileHeader(nil), entries...)
	if err := writeFile(fsys, g.name(), content); err != nil {
		return fmt.Errorf("write segment %s: %w", g.name(), err)
	}
	f, err := fsys.Open(g.name())
	if err != nil {
		return fmt.Errorf("open segment %s: %w", g.name(), err)
	}
	g.f, g.size, g.synced = f, int64(len(content)), int64(len(content))
	return nil
}

// note counts an entry that is part of the segment now.
func (g *segment) note(h *header, holes uint64) {
	switch h.kind {
	case kindCommit:
		n := uint64(h.count) - holes
		g.live += n
		if h.category == record.Heartbeat {
			g.heartbeats += n
		}
		g.end = max(g.end, h.at+uint64(h.count))
	case kindDrop:
		if h.flags&flagKnown == 0 {
			g.end = max(g.end, h.at+1)
		}
	}
}

// scanner reads entries one after the other through one buffer.
type scanner struct {
	f     File
	limit int64 // bytes from here on are not read
	buf   []byte
	at    int64 // offset of buf in the file
}

// entry returns the whole entry at an offset, valid until the next call, and
// io.EOF at the limit. An error wraps errDamaged when the bytes are wrong.
func (s *scanner) entry(off int64) (header, []byte, error) {
	if off >= s.limit {
		return header{}, nil, io.EOF
	}
	b, err := s.bytes(off, entryHeader)
	if err != nil {
		return header{}, nil, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return header{}, nil, err
	}
	if b, err = s.bytes(off, int(h.size())); err != nil {
		return header{}, nil, err
	}
	h, err = checkEntry(b)
	return h, b, err
}

func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	if off+int64(n) > s.limit {
		return nil, fmt.Errorf("ends at %d of %d bytes: %w", s.limit, off+int64(n), errDamaged)
	}
	if off < s.at || off+int64(n) > s.at+int64(len(s.buf)) {
		size := min(int64(max(n, scanChunk)), s.limit-off)
		if int64(cap(s.buf)) < size || cap(s.buf) > 4*scanChunk && size <= scanChunk {
			s.buf = make([]byte, size)
		}
		s.buf = s.buf[:size]
		s.at = off
		if got, err := s.f.ReadAt(s.buf, off); int64(got) < size {
			s.buf = s.buf[:0]
			if err == nil || errors.Is(err, io.EOF) {
				err = fmt.Errorf("%d bytes at %d, want %d: %w", got, off, size, errDamaged)
			}
			return nil, err
		}
	}
	return s.buf[off-s.at : off-s.at+int64(n)], nil
}

// resync finds the next entry that is whole, after off; limit when there is none.
func (s *scanner) resync(off int64) (int64, error) {
	for off++; off+entryHeader <= s.limit; {
		b, err := s.bytes(off, int(min(scanChunk/2, s.limit-off)))
		if err != nil {
			return 0, err
		}
		i := bytes.Index(b, []byte{'N', 'S'})
		if i < 0 {
			off += int64(len(b) - 1) // the last byte may begin one
			continue
		}
		off += int64(i)
		if _, _, err = s.entry(off); err == nil {
			return off, nil
		} else if !errors.Is(err, errDamaged) {
			return 0, err
		}
		off++
	}
	return s.limit, nil
}

// countHoles counts the records of a commit that could not be taken.
func countHoles(payload []byte) (commit, uint64, error) {
	c, b, err := decodeCommit(payload)
	if err != nil {
		return c, 0, err
	}
	holes := uint64(0)
	for len(b) > 0 {
		raw, rest, err := nextRecord(b)
		if err != nil {
			return c, 0, err
		}
		if len(raw) == 0 {
			holes++
		}
		b = rest
	}
	return c, holes, nil
}
