package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// Version is the wire format's version.
//
//	1  2026-11: first.
const Version = 1

// FrameKind says what a frame states.
type FrameKind uint8

// The frame kinds of wire format v1.
const (
	FrameData FrameKind = 1 // records First..Last are in the payload
	FrameGap  FrameKind = 2 // the producer declares First..Last lost
	FrameBase FrameKind = 3 // this output was promised records only from First on
)

// GapReason says why the producer declares records lost.
type GapReason uint8

// The reasons of wire format v1.
const (
	GapNone       GapReason = 0
	GapOverflow   GapReason = 1 // the spool was full
	GapFiltered   GapReason = 2 // a filter took them after they were numbered
	GapUnreadable GapReason = 3 // the spool, or the source, could not be read
	GapWrapped    GapReason = 4 // the source's log wrapped or was cleared
)

var gapReasons = [...]string{"none", "overflow", "filtered", "unreadable", "wrapped"}

// String returns the reason as it stands in labels.
func (r GapReason) String() string {
	if int(r) >= len(gapReasons) {
		return "unknown"
	}
	return gapReasons[r]
}

// GapReasons returns every reason that a gap frame can give.
func GapReasons() []GapReason {
	return []GapReason{GapOverflow, GapFiltered, GapUnreadable, GapWrapped}
}

// Encoding says how the payload is packed.
type Encoding uint8

// The encodings of wire format v1.
const (
	EncodingRaw  Encoding = 0
	EncodingZstd Encoding = 1
)

// EpochRef names an epoch of a producer: one start of its process.
type EpochRef struct {
	Start  int64 // Unix nanoseconds, producer's clock
	Random uint64
}

// IsZero tells whether there is no epoch.
func (e EpochRef) IsZero() bool { return e == EpochRef{} }

// String returns start and random part in hexadecimal, 33 characters.
func (e EpochRef) String() string { return fmt.Sprintf("%016x-%016x", uint64(e.Start), e.Random) }

// Epoch is an epoch and what it follows, which is kept outside the spool: that
// is how a lost spool and a cloned disk become visible.
type Epoch struct {
	EpochRef
	Prev     EpochRef
	PrevLast uint64 // last seq of this sequence in Prev
}

// Header is a frame's header: the only source of identity.
type Header struct {
	Kind       FrameKind
	Category   Category
	Encoding   Encoding
	Reason     GapReason
	Unassured  bool // at least once, holes cannot be seen (plain OTLP)
	Producer   string
	Subject    ID
	Epoch      Epoch
	First      uint64 // seq rises by one per record, from 1
	Last       uint64
	Count      uint32 // records in the payload
	RawLen     uint32 // bytes of the payload before packing
	PayloadLen uint32 // bytes of the payload as sent
	CRC        uint32 // CRC32C of header (this field zero) and payload
	Sent       int64  // Unix nanoseconds, producer's clock
	KeyID      string // empty = not signed
	MAC        [sha256.Size]byte
}

// Key returns the sequence that the frame belongs to.
func (h *Header) Key() SequenceKey {
	return SequenceKey{Producer: h.Producer, Subject: h.Subject, Category: h.Category}
}

// Len returns how many seqs the frame speaks of.
func (h *Header) Len() uint64 {
	if h.Kind == FrameBase {
		return 0
	}
	return h.Last - h.First + 1
}

// Layout of header v1, little endian. After the fixed part stand producer, key
// id and, when there is a key id, the HMAC-SHA256 of the frame with CRC and MAC
// zero. A later version may append to the header: its length is in it.
const (
	offMagic      = 0
	offVersion    = 2
	offKind       = 3
	offHeaderLen  = 4 // uint16
	offCategory   = 6
	offEncoding   = 7
	offSubject    = 8
	offStart      = 24
	offRandom     = 32
	offPrevStart  = 40
	offPrevRandom = 48
	offPrevLast   = 56
	offFirst      = 64
	offLast       = 72
	offCount      = 80
	offRawLen     = 84
	offPayloadLen = 88
	offCRC        = 92
	offSent       = 96
	offReason     = 104
	offFlags      = 105
	offProducer   = 106 // length of the producer's name
	offKeyID      = 107 // length of the key id
	headerFixed   = 108
	headerMax     = 1024

	flagUnassured = 1
)

var (
	magic      = [2]byte{'N', 'F'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Reject says why a frame was refused. The same frame gets the same verdict
// from every consumer.
type Reject uint8

// The reasons, a closed set for labels.
const (
	RejectNone     Reject = iota
	RejectTorn            // ends before its length says
	RejectMagic           // not a frame
	RejectVersion         // a wire format this program does not know
	RejectTooLarge        // beyond a limit
	RejectHeader          // fields that contradict each other
	RejectChecksum        // CRC32C differs
	RejectMAC             // HMAC missing or wrong
	RejectPayload         // cannot be unpacked or decoded
	RejectCount           // holds another number of records than the header says
)

var rejects = [...]string{"none", "torn", "magic", "version", "too_large", "header", "checksum", "mac", "payload", "count"}

// String returns the reason as it stands in labels.
func (r Reject) String() string {
	if int(r) >= len(rejects) {
		return "unknown"
	}
	return rejects[r]
}

// Rejects returns every reason but RejectNone.
func Rejects() []Reject {
	out := make([]Reject, 0, len(rejects)-1)
	for r := RejectTorn; int(r) < len(rejects); r++ {
		out = append(out, r)
	}
	return out
}

// RejectError carries the reason of a refusal. It wraps ErrMalformed.
type RejectError struct {
	Reason Reject
	Detail string
}

func (e *RejectError) Error() string { return "frame " + e.Reason.String() + ": " + e.Detail }

// Unwrap makes errors.Is(err, ErrMalformed) true.
func (e *RejectError) Unwrap() error { return ErrMalformed }

func reject(r Reject, format string, args ...any) error {
	return &RejectError{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// RejectOf returns the reason an error carries, RejectPayload for a malformed
// payload, RejectNone for nil.
func RejectOf(err error) Reject {
	var e *RejectError
	switch {
	case err == nil:
		return RejectNone
	case errors.As(err, &e):
		return e.Reason
	default:
		return RejectPayload
	}
}

// Packers and unpackers are costly to make and safe to share.
var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(err) // constant options
		}
		return e
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxRaw), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // constant options
		}
		return d
	})
)

// EncodeData makes a data frame of the records, which get the seqs
// h.First, h.First+1 and so on. It sets what follows from the records: Kind,
// Last, Count, lengths, Encoding, CRC. Key id and MAC are left to Sign.
func EncodeData(h Header, recs []Record) ([]byte, error) {
	if len(recs) == 0 || len(recs) > MaxCount {
		return nil, reject(RejectCount, "%d records, want 1 to %d", len(recs), MaxCount)
	}
	buf := rawBuffers.Get().(*[]byte)
	defer rawBuffers.Put(buf)
	var largest int
	*buf, largest = appendRecords((*buf)[:0], recs)
	if largest > MaxRecord {
		return nil, reject(RejectTooLarge, "a record has %d bytes, limit %d", largest, MaxRecord)
	}
	return EncodeRaw(h, *buf, len(recs))
}

// EncodeRaw makes a data frame of a payload that AppendRecords wrote for
// count records.
func EncodeRaw(h Header, raw []byte, count int) ([]byte, error) {
	if len(raw) > MaxRaw {
		return nil, reject(RejectTooLarge, "payload of %d bytes, limit %d", len(raw), MaxRaw)
	}
	h.Kind, h.Reason = FrameData, GapNone
	h.Count, h.Last = uint32(count), h.First+uint64(count)-1
	h.RawLen, h.KeyID = uint32(len(raw)), ""
	n := headerFixed + len(h.Producer)
	frame := make([]byte, n, n+len(raw)/4+64)
	frame = packer().EncodeAll(raw, frame)
	h.Encoding = EncodingZstd
	if len(frame)-n >= len(raw) { // small or random: packing does not pay
		frame, h.Encoding = append(frame[:n], raw...), EncodingRaw
	}
	h.PayloadLen = uint32(len(frame) - n)
	return finish(&h, frame)
}

// EncodeBare makes a gap or a base frame.
func EncodeBare(h Header) ([]byte, error) {
	h.Count, h.RawLen, h.PayloadLen, h.Encoding, h.KeyID = 0, 0, 0, EncodingRaw, ""
	if h.Kind == FrameBase {
		h.Last, h.Reason = h.First, GapNone
	}
	return finish(&h, make([]byte, headerFixed+len(h.Producer)))
}

func finish(h *Header, frame []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if len(frame) > MaxPacked {
		return nil, reject(RejectTooLarge, "frame of %d bytes, limit %d", len(frame), MaxPacked)
	}
	h.put(frame)
	binary.LittleEndian.PutUint32(frame[offCRC:], crc(frame))
	return frame, nil
}

func (h *Header) put(b []byte) {
	le := binary.LittleEndian
	b[0], b[1], b[offVersion], b[offKind] = magic[0], magic[1], Version, byte(h.Kind)
	n := headerFixed + len(h.Producer)
	le.PutUint16(b[offHeaderLen:], uint16(n))
	b[offCategory], b[offEncoding] = byte(h.Category), byte(h.Encoding)
	copy(b[offSubject:], h.Subject[:])
	le.PutUint64(b[offStart:], uint64(h.Epoch.Start))
	le.PutUint64(b[offRandom:], h.Epoch.Random)
	le.PutUint64(b[offPrevStart:], uint64(h.Epoch.Prev.Start))
	le.PutUint64(b[offPrevRandom:], h.Epoch.Prev.Random)
	le.PutUint64(b[offPrevLast:], h.Epoch.PrevLast)
	le.PutUint64(b[offFirst:], h.First)
	le.PutUint64(b[offLast:], h.Last)
	le.PutUint32(b[offCount:], h.Count)
	le.PutUint32(b[offRawLen:], h.RawLen)
	le.PutUint32(b[offPayloadLen:], h.PayloadLen)
	le.PutUint64(b[offSent:], uint64(h.Sent))
	b[offReason], b[offFlags] = byte(h.Reason), 0
	if h.Unassured {
		b[offFlags] = flagUnassured
	}
	b[offProducer], b[offKeyID] = byte(len(h.Producer)), 0
	copy(b[headerFixed:], h.Producer)
}

// crc covers the whole frame but for its own four bytes.
func crc(frame []byte) uint32 {
	c := crc32.Update(0, castagnoli, frame[:offCRC])
	c = crc32.Update(c, castagnoli, []byte{0, 0, 0, 0})
	return crc32.Update(c, castagnoli, frame[offCRC+4:])
}

// Stamp sets the send time in place, before each time the frame is sent. It
// leaves a signed frame without a valid MAC: sign after stamping.
func Stamp(frame []byte, sent int64) error {
	if len(frame) < headerFixed || frame[0] != magic[0] || frame[1] != magic[1] {
		return reject(RejectMagic, "not a frame")
	}
	binary.LittleEndian.PutUint64(frame[offSent:], uint64(sent))
	binary.LittleEndian.PutUint32(frame[offCRC:], crc(frame))
	return nil
}

// Sign returns the frame with key id and HMAC-SHA256 (RFC 2104) added.
func Sign(frame []byte, keyID string, key []byte) ([]byte, error) {
	h, n, err := DecodeHeader(frame)
	if err != nil {
		return nil, err
	}
	if n != len(frame) || h.KeyID != "" || keyID == "" || len(keyID) > MaxKeyID {
		return nil, reject(RejectMAC, "sign needs one unsigned frame and a key id of 1 to %d bytes", MaxKeyID)
	}
	cut := len(frame) - int(h.PayloadLen)
	out := make([]byte, 0, len(frame)+len(keyID)+sha256.Size)
	out = append(out, frame[:cut]...)
	out = append(out, keyID...)
	out = append(out, make([]byte, sha256.Size)...)
	binary.LittleEndian.PutUint16(out[offHeaderLen:], uint16(len(out)))
	out[offKeyID] = byte(len(keyID))
	at := len(out) - sha256.Size
	out = append(out, frame[cut:]...)
	copy(out[at:], mac(out, at, key))
	binary.LittleEndian.PutUint32(out[offCRC:], crc(out))
	return out, nil
}

// mac is computed over the frame with CRC and MAC zero; at is the MAC's place.
func mac(frame []byte, at int, key []byte) []byte {
	var zero [sha256.Size]byte
	m := hmac.New(sha256.New, key)
	m.Write(frame[:offCRC])
	m.Write(zero[:4])
	m.Write(frame[offCRC+4 : at])
	m.Write(zero[:])
	m.Write(frame[at+sha256.Size:])
	return m.Sum(nil)
}

// VerifyMAC checks a signed frame against the key that its key id names.
func VerifyMAC(frame, key []byte) error {
	h, n, err := DecodeHeader(frame)
	if err != nil {
		return err
	}
	if h.KeyID == "" || n != len(frame) {
		return reject(RejectMAC, "the frame is not signed")
	}
	at := headerFixed + len(h.Producer) + len(h.KeyID)
	if !hmac.Equal(h.MAC[:], mac(frame, at, key)) {
		return reject(RejectMAC, "the signature of key %q does not match", h.KeyID)
	}
	return nil
}

// DecodeHeader reads the header at the start of b and returns the length of the
// whole frame, which may be longer than b.
func DecodeHeader(b []byte) (Header, int, error) {
	if len(b) < headerFixed {
		if len(b) >= 2 && (b[0] != magic[0] || b[1] != magic[1]) {
			return Header{}, 0, reject(RejectMagic, "starts with %#x, want \"NF\"", b[:2])
		}
		return Header{}, 0, reject(RejectTorn, "%d bytes, a header has at least %d", len(b), headerFixed)
	}
	if b[0] != magic[0] || b[1] != magic[1] {
		return Header{}, 0, reject(RejectMagic, "starts with %#x, want \"NF\"", b[:2])
	}
	if b[offVersion] != Version {
		return Header{}, 0, reject(RejectVersion, "wire format %d, this program knows %d", b[offVersion], Version)
	}
	le := binary.LittleEndian
	n := int(le.Uint16(b[offHeaderLen:]))
	producer, keyID := int(b[offProducer]), int(b[offKeyID])
	want := headerFixed + producer + keyID
	if keyID > 0 {
		want += sha256.Size
	}
	switch {
	case n > headerMax || producer > MaxProducer || keyID > MaxKeyID:
		return Header{}, 0, reject(RejectTooLarge, "header of %d bytes with a producer of %d and a key id of %d", n, producer, keyID)
	case n < want:
		return Header{}, 0, reject(RejectHeader, "header says %d bytes, its parts need %d", n, want)
	case n > len(b):
		return Header{}, 0, reject(RejectTorn, "%d bytes of a header of %d", len(b), n)
	}
	h := Header{
		Kind: FrameKind(b[offKind]), Category: Category(b[offCategory]), Encoding: Encoding(b[offEncoding]),
		Reason: GapReason(b[offReason]), Unassured: b[offFlags]&flagUnassured != 0,
		Producer: string(b[headerFixed : headerFixed+producer]),
		Epoch: Epoch{
			EpochRef: EpochRef{int64(le.Uint64(b[offStart:])), le.Uint64(b[offRandom:])},
			Prev:     EpochRef{int64(le.Uint64(b[offPrevStart:])), le.Uint64(b[offPrevRandom:])},
			PrevLast: le.Uint64(b[offPrevLast:]),
		},
		First: le.Uint64(b[offFirst:]), Last: le.Uint64(b[offLast:]), Count: le.Uint32(b[offCount:]),
		RawLen: le.Uint32(b[offRawLen:]), PayloadLen: le.Uint32(b[offPayloadLen:]), CRC: le.Uint32(b[offCRC:]),
		Sent: int64(le.Uint64(b[offSent:])),
	}
	copy(h.Subject[:], b[offSubject:])
	if keyID > 0 {
		h.KeyID = string(b[headerFixed+producer : headerFixed+producer+keyID])
		copy(h.MAC[:], b[headerFixed+producer+keyID:])
	}
	if err := h.check(); err != nil {
		return Header{}, 0, err
	}
	total := n + int(h.PayloadLen)
	if total > MaxPacked || h.RawLen > MaxRaw {
		return Header{}, 0, reject(RejectTooLarge, "frame of %d bytes (%d unpacked), limits %d and %d", total, h.RawLen, MaxPacked, MaxRaw)
	}
	return h, total, nil
}

// check refuses fields that contradict each other.
func (h *Header) check() error {
	switch {
	case !h.Category.Valid():
		return reject(RejectHeader, "category %d", h.Category)
	case h.Encoding > EncodingZstd:
		return reject(RejectHeader, "encoding %d", h.Encoding)
	case h.Producer == "" || len(h.Producer) > MaxProducer || !utf8.ValidString(h.Producer):
		return reject(RejectHeader, "producer %s", strconv.QuoteToASCII(h.Producer[:min(len(h.Producer), 40)]))
	case h.Subject.IsZero():
		return reject(RejectHeader, "no subject")
	case h.Epoch.IsZero():
		return reject(RejectHeader, "no epoch")
	case h.First == 0 || h.Last < h.First || h.Last-h.First >= MaxGapLength:
		return reject(RejectHeader, "seq %d to %d", h.First, h.Last)
	}
	switch h.Kind {
	case FrameData:
		if h.Count == 0 || h.Count > MaxCount || h.Last-h.First+1 != uint64(h.Count) || h.Reason != GapNone {
			return reject(RejectHeader, "data frame of %d records with seq %d to %d", h.Count, h.First, h.Last)
		}
	case FrameGap:
		if h.Count != 0 || h.PayloadLen != 0 || h.RawLen != 0 || h.Reason == GapNone || int(h.Reason) >= len(gapReasons) {
			return reject(RejectHeader, "gap frame with %d records and reason %d", h.Count, h.Reason)
		}
	case FrameBase:
		if h.Count != 0 || h.PayloadLen != 0 || h.RawLen != 0 || h.Reason != GapNone || h.First != h.Last {
			return reject(RejectHeader, "base frame with %d records and reason %d", h.Count, h.Reason)
		}
	default:
		return reject(RejectHeader, "frame kind %d", h.Kind)
	}
	return nil
}

// CheckFrame checks what can be checked without unpacking: header, sizes and
// CRC. b must hold one frame and nothing else. It is what a bridge runs.
func CheckFrame(b []byte) (Header, error) {
	h, n, err := DecodeHeader(b)
	switch {
	case err != nil:
		return Header{}, err
	case n > len(b):
		return h, reject(RejectTorn, "%d bytes of %d", len(b), n)
	case n < len(b):
		return h, reject(RejectHeader, "%d bytes after the frame", len(b)-n)
	case crc(b) != h.CRC:
		return h, reject(RejectChecksum, "CRC32C differs")
	}
	return h, nil
}

// Frame is a decoded frame. Records[i] has the seq First+i.
type Frame struct {
	Header
	Records []Record
	Stats   Stats
}

// DecodeFrame gives the one verdict of every consumer on the bytes of one
// frame. RejectOf tells the reason of an error; when the header could be read,
// it is in the Frame even then.
func DecodeFrame(b []byte) (Frame, error) {
	h, err := CheckFrame(b)
	f := Frame{Header: h}
	if err != nil || h.Kind != FrameData {
		return f, err
	}
	raw := b[len(b)-int(h.PayloadLen):]
	if h.Encoding == EncodingZstd {
		buf := rawBuffers.Get().(*[]byte)
		defer rawBuffers.Put(buf)
		if cap(*buf) < int(h.RawLen) {
			*buf = make([]byte, 0, h.RawLen)
		}
		raw, err = unpacker().DecodeAll(raw, (*buf)[:0:h.RawLen])
		if err != nil {
			return f, reject(RejectPayload, "unpack: %v", err)
		}
	}
	if len(raw) != int(h.RawLen) {
		return f, reject(RejectPayload, "%d bytes unpacked, header says %d", len(raw), h.RawLen)
	}
	f.Records, f.Stats, err = decodeRecords(raw, int(h.Count))
	if err != nil {
		return f, err
	}
	if len(f.Records) != int(h.Count) {
		n := len(f.Records)
		f.Records = nil
		return f, reject(RejectCount, "%d records, header says %d", n, h.Count)
	}
	return f, nil
}

// Unpacked payloads: DecodeRecords copies out of them, zstd packs out of them.
var rawBuffers = sync.Pool{New: func() any { return new([]byte) }}

// RecordID is the stable, unique id of a record as text.
func RecordID(h *Header, seq uint64) string {
	b := make([]byte, 0, 96)
	b = appendHex(b, h.Subject[:])
	b = append(b, '-')
	b = strconv.AppendUint(b, h.Epoch.Random, 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(h.Category), 10)
	if producer := "exporter/" + h.Subject.String(); h.Producer != producer {
		// Another producer speaks of this server: its sequence is another one.
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(crc32.Checksum([]byte(h.Producer), castagnoli)), 36)
	}
	b = append(b, '-')
	return string(strconv.AppendUint(b, seq, 10))
}

func appendHex(b, src []byte) []byte {
	for _, c := range src {
		b = append(b, hexDigits[c>>4], hexDigits[c&0xf])
	}
	return b
}

// ExporterProducer names the exporter of a server as a producer.
func ExporterProducer(id ID) string { return "exporter/" + id.String() }
