package record

import (
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
)

// The peer of our codec is the OpenTelemetry Collector's own, on the same
// bytes in the same run: `make bench` prints both.

func BenchmarkPeerDecode(b *testing.B) {
	recs := benchRecords(100)
	raw := AppendRecords(nil, recs)
	packed := packer().EncodeAll(raw, nil)
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
	if err != nil {
		b.Fatal(err)
	}
	defer dec.Close()
	var buf []byte
	for b.Loop() {
		if buf, err = dec.DecodeAll(packed, buf[:0]); err != nil {
			b.Fatal(err)
		}
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(buf)
		if err != nil || logs.LogRecordCount() != len(recs) {
			b.Fatalf("%d records, %v", logs.LogRecordCount(), err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkPeerEncode(b *testing.B) {
	logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(AppendRecords(nil, benchRecords(100)))
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	for b.Loop() {
		raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		if err != nil {
			b.Fatal(err)
		}
		out = packer().EncodeAll(raw, out[:0])
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "records/s")
}

// TestPeerReads holds our payload to the OTLP that others read.
func TestPeerReads(t *testing.T) {
	recs := testRecords()
	logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(AppendRecords(nil, recs))
	if err != nil {
		t.Fatal(err)
	}
	rl := logs.ResourceLogs().At(0)
	if n := rl.Resource().Attributes().Len(); n != 0 {
		t.Errorf("%d resource attributes: a payload has no identity", n)
	}
	got := rl.ScopeLogs().At(0).LogRecords()
	if got.Len() != len(recs) {
		t.Fatalf("%d records, want %d", got.Len(), len(recs))
	}
	r := got.At(0)
	id, _ := r.Attributes().Get(AttrEventID)
	if r.EventName() != NameWindowsEvent || r.Body().Str() != recs[0].Body || id.Int() != 7 || int(r.SeverityNumber()) != int(Error) || !r.Timestamp().AsTime().Equal(recs[0].Time) {
		t.Errorf("the collector reads %q %q %v %v", r.EventName(), r.Body().AsString(), id.AsString(), r.Timestamp())
	}
	// And we read what it writes.
	raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := DecodeRecords(raw)
	if err != nil || string(AppendRecords(nil, back)) != string(AppendRecords(nil, recs)) {
		t.Errorf("through the collector and back: %v", err)
	}
}
