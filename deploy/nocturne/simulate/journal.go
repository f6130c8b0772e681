package simulate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

// journal keeps one server's state and the frames that the bridge has not
// acknowledged, in one file that is only appended to. Each change is one write,
// so that a killed simulator finds either all of it or none. It is not synced:
// a simulated server may lose power with the machine that simulates it.
type journal struct {
	path string
	f    *os.File
	size int
	buf  []byte
}

// Kinds of entries.
const (
	entryState = 'S' // JSON; the newest counts
	entryFrame = 'F' // a frame that waits
	entryAcked = 'A' // uvarint: that many of the oldest frames are stored
	entryReset = 'R' // no frame waits; those that do follow
)

const (
	entryHead   = 1 + 4 + 4 // kind, length, CRC32
	compactSize = 256 << 10
)

// openJournal reads a journal, making it where it is missing, and cuts off what
// a crash left half written.
func openJournal(path string) (j *journal, state []byte, frames [][]byte, err error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, fmt.Errorf("read simulated server: %w", err)
	}
	at := 0
	for at+entryHead <= len(b) {
		kind, n, sum := b[at], int(binary.LittleEndian.Uint32(b[at+1:])), binary.LittleEndian.Uint32(b[at+5:])
		if n > len(b)-at-entryHead {
			break
		}
		v := b[at+entryHead : at+entryHead+n]
		if crc32.ChecksumIEEE(v) != sum {
			break
		}
		at += entryHead + n
		switch kind {
		case entryState:
			state = v
		case entryFrame:
			frames = append(frames, v)
		case entryReset:
			frames = nil
		case entryAcked:
			k, _ := binary.Uvarint(v)
			frames = frames[min(int(k), len(frames)):]
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // holds a credential
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open simulated server: %w", err)
	}
	if err := f.Truncate(int64(at)); err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("mend simulated server: %w", err), f.Close())
	}
	if _, err := f.Seek(int64(at), 0); err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("open simulated server: %w", err), f.Close())
	}
	return &journal{path: path, f: f, size: at}, state, frames, nil
}

func (j *journal) add(kind byte, v []byte) {
	j.buf = append(j.buf, kind)
	j.buf = binary.LittleEndian.AppendUint32(j.buf, uint32(len(v)))
	j.buf = binary.LittleEndian.AppendUint32(j.buf, crc32.ChecksumIEEE(v))
	j.buf = append(j.buf, v...)
}

// commit writes what was added, as one.
func (j *journal) commit() error {
	n, err := j.f.Write(j.buf)
	j.size += n
	j.buf = j.buf[:0]
	if err != nil {
		return fmt.Errorf("write simulated server: %w", err)
	}
	return nil
}

// compact writes the file anew once it has grown.
func (j *journal) compact(state []byte, frames [][]byte) error {
	if j.size < compactSize {
		return nil
	}
	j.add(entryState, state)
	for _, f := range frames {
		j.add(entryFrame, f)
	}
	if len(j.buf) > j.size/2 { // still mostly frames that wait
		j.buf = j.buf[:0]
		return nil
	}
	next, err := os.OpenFile(j.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("compact simulated server: %w", err)
	}
	if _, err := next.Write(j.buf); err != nil {
		return errors.Join(fmt.Errorf("compact simulated server: %w", err), next.Close())
	}
	if err := os.Rename(j.path+".new", j.path); err != nil {
		return errors.Join(fmt.Errorf("compact simulated server: %w", err), next.Close())
	}
	err = j.f.Close()
	j.f, j.size, j.buf = next, len(j.buf), j.buf[:0]
	if err != nil {
		return fmt.Errorf("compact simulated server: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }
