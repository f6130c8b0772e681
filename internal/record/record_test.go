package record

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

var update = flag.Bool("update", false, "rewrite the versioned test files (only for a new wire format version)")

var testID = ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// testRecords has one of everything.
func testRecords() []Record {
	at := time.Date(2026, 11, 21, 3, 0, 0, 123456789, time.UTC)
	return []Record{
		{
			Time: at, Observed: at.Add(time.Millisecond), Severity: Error, Name: NameWindowsEvent, Body: "The device, \\Device\\Harddisk1\\DR1, has a bad block.",
			Attrs: []Attr{
				{AttrChannel, String("System")}, {AttrProvider, String("disk")}, {AttrEventID, Int(7)}, {AttrLevel, String("error")},
				{"bool", Bool(true)}, {"no", Bool(false)}, {"double", Double(-1.5)}, {"nan", Double(math.NaN())}, {"negative", Int(-1)}, {"bytes", Bytes([]byte{0, 255})},
				{"list", List([]Value{String("a"), {}, Int(2)})}, {"map", Map([]Attr{{"k", String("v")}})}, {"null", Value{}}, {"empty", String("")},
			},
		},
		{Observed: at, Severity: Info, Name: NameSnapshot, Body: "raid", Snapshot: &Snapshot{
			Sections: []Section{{Type: DevicePhysicalDrive, Scope: "c0"}, {Type: DeviceController}},
			Devices: []Device{
				{Type: DevicePhysicalDrive, Place: "c0/e252/s4", Occupant: "ZC1A", Fields: []Attr{{FieldState, String("Onln")}, {FieldSize, Int(4000787030016)}}},
				{Type: DevicePhysicalDrive, Place: "c0/e252/s5"},
			},
		}},
		{},
	}
}

func testHeader() Header {
	return Header{
		Producer: ExporterProducer(testID), Subject: testID, Category: EventLog, First: 42, Sent: 1795230000000000000,
		Epoch: Epoch{EpochRef: EpochRef{1795220000000000000, 0xfeedfacecafebeef}, Prev: EpochRef{1795210000000000000, 77}, PrevLast: 41},
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	want := testRecords()
	raw := AppendRecords(nil, want)
	got, stats, err := DecodeRecords(raw)
	if err != nil {
		t.Fatal(err)
	}
	if (stats != Stats{}) {
		t.Errorf("mended %+v in records of our own", stats)
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("record %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
		if n := RecordSize(&want[i]); n > len(raw) {
			t.Errorf("record %d: size %d of a payload of %d", i, n, len(raw))
		}
	}
}

// TestVersions decodes a file of every wire format version there ever was.
func TestVersions(t *testing.T) {
	data, err := EncodeData(testHeader(), testRecords())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Sign(data, "key-1", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	gap := testHeader()
	gap.Kind, gap.Reason, gap.Last = FrameGap, GapOverflow, 99
	gapFrame, err := EncodeBare(gap)
	if err != nil {
		t.Fatal(err)
	}
	base := testHeader()
	base.Kind = FrameBase
	baseFrame, err := EncodeBare(base)
	if err != nil {
		t.Fatal(err)
	}
	for name, frame := range map[string][]byte{"data": data, "signed": signed, "gap": gapFrame, "base": baseFrame} {
		path := filepath.Join("testdata", "v1-"+name+".frame")
		if *update {
			if err := os.WriteFile(path, frame, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := DecodeFrame(kept)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		g, err := DecodeFrame(frame)
		if err != nil {
			t.Fatal(err)
		}
		f.PayloadLen, g.PayloadLen, f.CRC, g.CRC, f.MAC, g.MAC = 0, 0, 0, 0, [32]byte{}, [32]byte{} // depend on the packer's version
		if got, want := fmt.Sprintf("%+v", f.Header), fmt.Sprintf("%+v", g.Header); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
		if string(AppendRecords(nil, f.Records)) != string(AppendRecords(nil, g.Records)) {
			t.Errorf("%s: records differ", path)
		}
		if name == "signed" {
			if err := VerifyMAC(kept, []byte("secret")); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestFrameRejects(t *testing.T) {
	good, err := EncodeData(testHeader(), benchRecords(20)) // enough to be worth packing
	if err != nil {
		t.Fatal(err)
	}
	recrc := func(b []byte) []byte { // the CRC is right, the rest is not
		if err := Stamp(b, 1); err != nil {
			t.Fatal(err)
		}
		return b
	}
	change := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return recrc(b) }
	}
	for name, c := range map[string]struct {
		edit func([]byte) []byte
		want Reject
	}{
		"empty":                 {func([]byte) []byte { return nil }, RejectTorn},
		"torn header":           {func(b []byte) []byte { return b[:50] }, RejectTorn},
		"torn payload":          {func(b []byte) []byte { return b[:len(b)-1] }, RejectTorn},
		"bytes behind":          {func(b []byte) []byte { return append(b, 0) }, RejectHeader},
		"not a frame":           {func([]byte) []byte { return []byte(`{"hello": "world"}`) }, RejectMagic},
		"a later version":       {func(b []byte) []byte { b[offVersion] = 2; return b }, RejectVersion},
		"one bit of payload":    {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, RejectChecksum},
		"one bit of header":     {func(b []byte) []byte { b[offSent] ^= 1; return b }, RejectChecksum},
		"kind":                  {change(offKind, 9), RejectHeader},
		"category":              {change(offCategory, 200), RejectHeader},
		"encoding":              {change(offEncoding, 7), RejectHeader},
		"reason on data":        {change(offReason, 1), RejectHeader},
		"last before first":     {change(offLast, 1), RejectHeader},
		"count":                 {change(offCount, 2), RejectHeader},
		"raw instead of packed": {change(offEncoding, 0), RejectPayload},
		"raw length":            {change(offRawLen, 1), RejectPayload},
		"payload of 4 GiB":      {change(offPayloadLen+3, 255), RejectTooLarge},
		"unpacks to 4 GiB":      {change(offRawLen+3, 255), RejectTooLarge},
	} {
		b := c.edit(append([]byte(nil), good...))
		_, err := DecodeFrame(b)
		if got := RejectOf(err); got != c.want {
			t.Errorf("%s: %v (%v), want %v", name, got, err, c.want)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v is not ErrMalformed", name, err)
		}
	}
	two, err := EncodeData(testHeader(), testRecords()[:2])
	if err != nil {
		t.Fatal(err)
	}
	two[offCount], two[offLast] = 3, 44
	if _, err := DecodeFrame(recrc(two)); RejectOf(err) != RejectCount {
		t.Errorf("a record less than the header says: %v", err)
	}
}

func TestSignature(t *testing.T) {
	frame, err := EncodeData(testHeader(), testRecords())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Sign(frame, "k", []byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := DecodeFrame(signed); err != nil || f.KeyID != "k" || len(f.Records) != 3 {
		t.Errorf("signed frame: %+v, %v", f.Header, err)
	}
	if err := VerifyMAC(signed, []byte("right")); err != nil {
		t.Error(err)
	}
	if err := VerifyMAC(signed, []byte("wrong")); RejectOf(err) != RejectMAC {
		t.Errorf("wrong key: %v", err)
	}
	if err := VerifyMAC(frame, []byte("right")); RejectOf(err) != RejectMAC {
		t.Errorf("unsigned frame: %v", err)
	}
	if err := Stamp(signed, 5); err != nil {
		t.Fatal(err)
	}
	if err := VerifyMAC(signed, []byte("right")); RejectOf(err) != RejectMAC {
		t.Errorf("changed after signing: %v", err)
	}
}

func TestHostileRecords(t *testing.T) {
	r := Record{Name: "x", Body: "bad \xff\xfe utf-8"}
	for i := range 10000 {
		r.Attrs = append(r.Attrs, Attr{fmt.Sprintf("attribute.%d", i), Int(int64(i))})
	}
	deep := String("bottom")
	for range 50 {
		deep = List([]Value{deep})
	}
	long := Record{Name: "y", Attrs: []Attr{{strings.Repeat("k", 1000), String("v")}, {"deep", deep}}}
	raw := AppendRecords(nil, []Record{r, long})
	recs, stats, err := DecodeRecords(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) != 2 || len(recs[0].Attrs) != MaxAttrs || stats.AttrsCut != 10000-MaxAttrs+1 {
		t.Errorf("%d attributes kept, %+v", len(recs[0].Attrs), stats)
	}
	if recs[0].Body != "bad \ufffd utf-8" || stats.TextMended != 2 || len(recs[1].Attrs[0].Key) != MaxKey {
		t.Errorf("body %q, key of %d, %+v", recs[0].Body, len(recs[1].Attrs[0].Key), stats)
	}

	// A body that says it is another server: taken for its header, and counted.
	claim := protowire.AppendTag(nil, fieldResourceAttrs, protowire.BytesType)
	claim = protowire.AppendBytes(claim, appendAttr(nil, fieldResourceAttrs, &Attr{"host.name", String("db1")})[2:])
	res := protowire.AppendTag(nil, fieldResource, protowire.BytesType)
	res = protowire.AppendBytes(res, claim)
	msg := protowire.AppendTag(nil, fieldResourceLogs, protowire.BytesType)
	msg = protowire.AppendBytes(msg, res)
	recs, stats, err = DecodeRecords(append(msg, AppendRecords(nil, testRecords())...))
	if err != nil || len(recs) != 3 || stats.IdentityClaims != 1 {
		t.Errorf("%d records, %+v, %v", len(recs), stats, err)
	}
}

func TestRecordTooLarge(t *testing.T) {
	big := []Record{{Body: strings.Repeat("x", MaxRecord)}}
	if _, err := EncodeData(testHeader(), big); RejectOf(err) != RejectTooLarge {
		t.Errorf("encode: %v", err)
	}
	if _, _, err := DecodeRecords(AppendRecords(nil, big)); !errors.Is(err, ErrMalformed) {
		t.Errorf("decode: %v", err)
	}
}

func TestValueText(t *testing.T) {
	for want, v := range map[string]Value{
		"": {}, "a": String("a"), "true": Bool(true), "-5": Int(-5), "1.5": Double(1.5), "00ff": Bytes([]byte{0, 255}),
		`["a",null]`: List([]Value{String("a"), {}}), `{"k":"v\"\n\u0001\u2028"}`: Map([]Attr{{"k", String("v\"\n\x01\u2028")}}), "NaN": Double(math.NaN()),
	} {
		got := strings.Trim(v.Text(), `"`)
		if v.Kind() == KindMap || v.Kind() == KindList {
			got = v.Text()
		}
		if got != want {
			t.Errorf("%v: %q, want %q", v.Kind(), got, want)
		}
	}
	if b := AppendJSONString(nil, "\xff"); string(b) != "\"\ufffd\"" {
		t.Errorf("invalid UTF-8: %q", b)
	}
}

func TestSectionCovers(t *testing.T) {
	for _, c := range []struct {
		scope, place string
		want         bool
	}{{"", "c0/v1", true}, {"c0", "c0", true}, {"c0", "c0/e1/s1", true}, {"c1", "c10/e1/s1", false}, {"c0/e1", "c0/e2/s1", false}} {
		if got := (Section{Type: "d", Scope: c.scope}).Covers("d", c.place); got != c.want {
			t.Errorf("scope %q, place %q: %v", c.scope, c.place, got)
		}
	}
	if (Section{Type: "d"}).Covers("e", "x") {
		t.Error("another type is covered")
	}
}

func FuzzDecodeFrame(f *testing.F) {
	good, err := EncodeData(testHeader(), testRecords())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	h := testHeader()
	h.Kind, h.Reason, h.Last = FrameGap, GapWrapped, 50
	gap, err := EncodeBare(h)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(gap)
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = Stamp(b, 7) // a right CRC lets the fuzzer reach the rest
		fr, err := DecodeFrame(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || RejectOf(err) == RejectNone {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if fr.Kind == FrameData && len(fr.Records) != int(fr.Last-fr.First+1) {
			t.Fatalf("%d records for seq %d to %d", len(fr.Records), fr.First, fr.Last)
		}
		NewLedger().Observe(&fr.Header)
	})
}

func FuzzDecodeRecords(f *testing.F) {
	f.Add(AppendRecords(nil, testRecords()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		recs, _, err := DecodeRecords(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		// What was decoded encodes and decodes to the same.
		again := AppendRecords(nil, recs)
		recs2, stats, err := DecodeRecords(again)
		if err != nil || stats.IdentityClaims != 0 {
			t.Fatalf("decode again: %+v, %v", stats, err)
		}
		if string(AppendRecords(nil, recs2)) != string(again) {
			t.Fatal("not stable")
		}
	})
}

// benchRecords are events like those of a Windows server, n of them.
func benchRecords(n int) []Record {
	recs := make([]Record, n)
	at := time.Unix(1795230000, 0).UTC()
	for i := range recs {
		recs[i] = Record{
			Time: at.Add(time.Duration(i) * time.Millisecond), Observed: at, Severity: Warn, Name: NameWindowsEvent,
			Body: fmt.Sprintf("The IO operation at logical block address 0x%x for Disk %d (PDO name: \\Device\\0000003a) was retried.", i*4096, i%8),
			Attrs: []Attr{
				{AttrChannel, String("System")}, {AttrProvider, String("disk")}, {AttrEventID, Int(153)}, {AttrLevel, String("warning")}, {AttrRecordID, Int(int64(100000 + i))},
				{AttrComputer, String("srv042.example.org")}, {AttrData + "param1", String("\\Device\\Harddisk3\\DR3")}, {AttrData + "param2", String("0x1d2c3b00")}, {AttrData + "param3", Int(3)},
			},
		}
	}
	return recs
}

func BenchmarkEncode(b *testing.B) {
	recs, h := benchRecords(100), testHeader()
	for b.Loop() {
		if _, err := EncodeData(h, recs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkDecode(b *testing.B) {
	frame, err := EncodeData(testHeader(), benchRecords(100))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := DecodeFrame(frame); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(len(frame))/100, "B/record")
}

func BenchmarkCheck(b *testing.B) {
	frame, err := EncodeData(testHeader(), benchRecords(100))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := CheckFrame(frame); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "records/s")
}
