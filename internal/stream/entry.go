package stream

import (
	"encoding/binary"
	"fmt"
	"time"

	"nocturne/internal/record"
)

// EntryKind says what an entry holds. The numbers are in the log and stay.
type EntryKind uint8

// The kinds of entry format v1.
const (
	EntryFrames EntryKind = 1
	EntryTick   EntryKind = 2
)

// Limits of entry format v1.
const (
	MaxBridge = 64   // bytes of a bridge's id
	MaxFrames = 4096 // frames in one entry
)

const entryVersion = 1

// Entry is what a bridge appends to a partition.
type Entry struct {
	Kind   EntryKind
	Bridge string // id of the bridge that wrote it
	Frames []EntryFrame
	Tick   Tick
}

// EntryFrame is a frame as the bridge received it.
type EntryFrame struct {
	Received int64 // Unix nanoseconds, bridge's clock
	Skew     int64 // nanoseconds: received less the frame's send time
	Frame    []byte
}

// Tick is a bridge's word that time passes and that it can be reached.
type Tick struct {
	Wall     int64 // Unix nanoseconds, bridge's clock
	Period   time.Duration
	Accepted uint64 // frames accepted, in all partitions, since the last tick
	ProbeOK  bool   // its probe of its own public listener succeeded
}

// Sizes of the parts of an encoded entry.
const (
	entryFixed = 2 + 1 + 1 + 1 // magic, version, kind, length of the bridge's id
	frameFixed = 8 + 8 + 4     // received, skew, length
	tickFixed  = 8 + 8 + 8 + 1 // wall, period, accepted, probe
)

// FrameSpace is what a frame of n bytes takes in an entry, and EntrySpace what
// an entry of a bridge takes beside its frames. A frame of record.MaxPacked
// bytes always fits an entry of record.MaxEntry.
func FrameSpace(n int) int { return frameFixed + n }

// EntrySpace returns the bytes of an entry without frames.
func EntrySpace(bridge string) int { return entryFixed + len(bridge) + 2 }

// AppendEntry appends the encoded entry.
func AppendEntry(dst []byte, e *Entry) ([]byte, error) {
	if e.Bridge == "" || len(e.Bridge) > MaxBridge {
		return dst, fmt.Errorf("encode entry: bridge id of %d bytes, want 1 to %d", len(e.Bridge), MaxBridge)
	}
	start := len(dst)
	dst = append(dst, 'N', 'E', entryVersion, byte(e.Kind), byte(len(e.Bridge)))
	dst = append(dst, e.Bridge...)
	le := binary.LittleEndian
	switch e.Kind {
	case EntryFrames:
		if len(e.Frames) == 0 || len(e.Frames) > MaxFrames {
			return dst[:start], fmt.Errorf("encode entry: %d frames, want 1 to %d", len(e.Frames), MaxFrames)
		}
		dst = le.AppendUint16(dst, uint16(len(e.Frames)))
		for i := range e.Frames {
			f := &e.Frames[i]
			dst = le.AppendUint64(dst, uint64(f.Received))
			dst = le.AppendUint64(dst, uint64(f.Skew))
			dst = le.AppendUint32(dst, uint32(len(f.Frame)))
			dst = append(dst, f.Frame...)
		}
	case EntryTick:
		dst = le.AppendUint64(dst, uint64(e.Tick.Wall))
		dst = le.AppendUint64(dst, uint64(e.Tick.Period))
		dst = le.AppendUint64(dst, e.Tick.Accepted)
		probe := byte(0)
		if e.Tick.ProbeOK {
			probe = 1
		}
		dst = append(dst, probe)
	default:
		return dst[:start], fmt.Errorf("encode entry: kind %d", e.Kind)
	}
	if n := len(dst) - start; n > record.MaxEntry {
		return dst[:start], fmt.Errorf("encode entry: %d bytes, limit %d", n, record.MaxEntry)
	}
	return dst, nil
}

// DecodeEntry reads an encoded entry. The frames share b's memory and are not
// looked into. An error wraps record.ErrMalformed.
func DecodeEntry(b []byte) (Entry, error) {
	bad := func(what string) (Entry, error) {
		return Entry{}, fmt.Errorf("decode entry: %s: %w", what, record.ErrMalformed)
	}
	if len(b) > record.MaxEntry {
		return bad(fmt.Sprintf("%d bytes, limit %d", len(b), record.MaxEntry))
	}
	if len(b) < entryFixed || b[0] != 'N' || b[1] != 'E' {
		return bad("not an entry")
	}
	if b[2] != entryVersion {
		return bad(fmt.Sprintf("version %d, this program knows %d", b[2], entryVersion))
	}
	e := Entry{Kind: EntryKind(b[3])}
	n := int(b[4])
	b = b[entryFixed:]
	if n == 0 || n > MaxBridge || n > len(b) {
		return bad("bridge id")
	}
	e.Bridge, b = string(b[:n]), b[n:]
	le := binary.LittleEndian
	switch e.Kind {
	case EntryTick:
		if len(b) != tickFixed || b[24] > 1 {
			return bad("tick")
		}
		e.Tick = Tick{Wall: int64(le.Uint64(b)), Period: time.Duration(le.Uint64(b[8:])), Accepted: le.Uint64(b[16:]), ProbeOK: b[24] == 1}
		return e, nil
	case EntryFrames:
		if len(b) < 2 {
			return bad("torn")
		}
		count := int(le.Uint16(b))
		b = b[2:]
		if count == 0 || count > MaxFrames || count*frameFixed > len(b) {
			return bad("number of frames")
		}
		e.Frames = make([]EntryFrame, 0, count)
		for range count {
			if len(b) < frameFixed {
				return bad("torn")
			}
			f := EntryFrame{Received: int64(le.Uint64(b)), Skew: int64(le.Uint64(b[8:]))}
			n := int(le.Uint32(b[16:]))
			b = b[frameFixed:]
			if n > len(b) {
				return bad("torn frame")
			}
			f.Frame, b = b[:n:n], b[n:]
			e.Frames = append(e.Frames, f)
		}
		if len(b) != 0 {
			return bad(fmt.Sprintf("%d bytes after the last frame", len(b)))
		}
		return e, nil
	default:
		return bad(fmt.Sprintf("kind %d", e.Kind))
	}
}
