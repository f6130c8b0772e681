package ingest

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/protobuf/encoding/protowire"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
)

// export builds a request with n log records, each changed by fn.
func export(n int, fn func(i int, lr plog.LogRecord)) plogotlp.ExportRequest {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("host.name", "claims-to-be-db1")
	rl.Resource().Attributes().PutStr("host.id", "abc")
	rl.Resource().Attributes().PutStr("deployment.environment", "test")
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("filelog")
	for i := range n {
		lr := sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(1_800_000_000_000_000_000)
		lr.SetSeverityNumber(plog.SeverityNumberError)
		lr.Body().SetStr(fmt.Sprintf("line %d", i))
		if fn != nil {
			fn(i, lr)
		}
	}
	return plogotlp.NewExportRequestFromLogs(logs)
}

func proto(t testing.TB, q plogotlp.ExportRequest) []byte {
	t.Helper()
	b, err := q.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func packed(t testing.TB, encoding string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch encoding {
	case "gzip":
		z := gzip.NewWriter(&out)
		_, err := z.Write(b)
		if err != nil || z.Close() != nil {
			t.Fatal(err)
		}
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = z.Write(b); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
	default:
		return b
	}
	return out.Bytes()
}

// stored decodes every frame about a server.
func (e *edge) stored(id record.ID) (out []record.Frame) {
	e.t.Helper()
	for _, ef := range e.frames(id) {
		f, err := record.DecodeFrame(ef.Frame)
		if err != nil {
			e.t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func TestLogs(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	asJSON, err := export(2, nil).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	asProto := proto(t, export(2, nil))
	next := uint64(1)
	for _, c := range []struct{ media, encoding string }{
		{typeProtobuf, ""}, {typeProtobuf, "identity"}, {typeProtobuf, "gzip"}, {typeProtobuf, "zstd"}, {typeJSON, ""}, {typeJSON, "gzip"}, {typeJSON, "zstd"},
	} {
		body := asProto
		if c.media == typeJSON {
			body = asJSON
		}
		status, header, answer := e.do(request{path: endpointLogs, contentType: c.media, encoding: c.encoding, auth: s.bearer(), body: packed(t, c.encoding, body)})
		resp := plogotlp.NewExportResponse()
		if c.media == typeJSON {
			err = resp.UnmarshalJSON(answer)
		} else {
			err = resp.UnmarshalProto(answer)
		}
		if status != 200 || header.Get("Content-Type") != c.media || err != nil || resp.PartialSuccess().RejectedLogRecords() != 0 {
			t.Errorf("%+v: %d %v %v", c, status, header, err)
		}
		all := e.stored(s.id)
		f := all[len(all)-1]
		if f.Producer != "bridge/b1/otlp" || !f.Unassured || f.Category != record.EventLog || f.First != next || len(f.Records) != 2 || f.Subject != s.id {
			t.Fatalf("%+v: frame %+v", c, f.Header)
		}
		next += 2
		r := f.Records[1]
		if r.Body != "line 1" || r.Severity != record.Error || r.Name != nameLog || !r.Time.Equal(time.Unix(1_800_000_000, 0)) {
			t.Errorf("%+v: record %+v", c, r)
		}
		for key, want := range map[string]string{
			record.AttrName: "claims-to-be-db1", record.AttrMachineID: "abc", "resource.deployment.environment": "test", attrScope: "filelog",
		} {
			if got := r.Attr(key).Text(); got != want {
				t.Errorf("%+v: %s = %q, want %q", c, key, got, want)
			}
		}
		if f.Stats.IdentityClaims != 0 {
			t.Errorf("%+v: the frame's body claims an identity", c)
		}
	}
	e.balanced()
	if n := e.metrics.OTLP.Totals(); n.In != 14 || n.Out != 14 {
		t.Errorf("stage %+v", n)
	}
}

// Hostile log records are cut and mended; the rest is kept.
func TestLogsAreClamped(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	q := export(6, func(i int, lr plog.LogRecord) {
		switch i {
		case 0:
			for k := range 10000 {
				lr.Attributes().PutInt(fmt.Sprintf("k%d", k), int64(k))
			}
		case 1:
			lr.Body().SetStr("bad \xff\xfe text")
			lr.Attributes().PutStr("k\xff", "v\xff")
		case 2:
			lr.SetEventName(record.NameDecommissioned)
			lr.SetTimestamp(math.MaxUint64)
			lr.SetSeverityNumber(99)
		case 3:
			lr.Attributes().PutStr(strings.Repeat("k", 5000), "v")
			m := lr.Attributes().PutEmptyMap("deep")
			for range 50 {
				m = m.PutEmptyMap("deeper")
			}
		case 4:
			lr.Body().SetStr(strings.Repeat("x", record.MaxRecord+1))
		case 5:
			lr.Body().SetEmptyMap().PutStr("message", "structured")
		}
	})
	status, _, answer := e.do(request{path: endpointLogs, contentType: typeProtobuf, auth: s.bearer(), body: proto(t, q)})
	resp := plogotlp.NewExportResponse()
	if err := resp.UnmarshalProto(answer); err != nil || status != 200 || resp.PartialSuccess().RejectedLogRecords() != 1 || resp.PartialSuccess().ErrorMessage() == "" {
		t.Fatalf("%d %v, rejected %d", status, err, resp.PartialSuccess().RejectedLogRecords())
	}
	f := e.stored(s.id)[0]
	if f.Count != 5 || f.Stats != (record.Stats{}) {
		t.Errorf("%d records, consumers mend %+v", f.Count, f.Stats)
	}
	if n := len(f.Records[0].Attrs); n != record.MaxAttrs {
		t.Errorf("%d attributes kept", n)
	}
	if f.Records[1].Body != "bad \ufffd text" {
		t.Errorf("body %q", f.Records[1].Body)
	}
	if r := f.Records[2]; r.Name != nameLog || r.Attr(attrClaimedName).Str() != record.NameDecommissioned || !r.Time.IsZero() || r.Severity != 0 {
		t.Errorf("claimed name: %+v", r)
	}
	if r := f.Records[4]; r.Body != `{"message":"structured"}` {
		t.Errorf("structured body: %q", r.Body)
	}
	for what, c := range e.metrics.mended {
		if value(t, c) == 0 {
			t.Errorf("%s was not counted", what)
		}
	}
	e.balanced()
	if n := e.metrics.OTLP.Totals(); n.Dropped[reasonTooLarge] != 1 || n.Out != 5 {
		t.Errorf("stage %+v", n)
	}
}

// Bodies that unpack to more than the limit are refused without unpacking it all.
func TestBombs(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	zeros := make([]byte, 300<<20)
	for _, encoding := range []string{"gzip", "zstd"} {
		bomb := packed(t, encoding, zeros)
		if len(bomb) > 1<<20 {
			t.Fatalf("%s: bomb of %d bytes", encoding, len(bomb))
		}
		status, _, body := e.do(request{path: endpointLogs, contentType: typeProtobuf, encoding: encoding, auth: s.bearer(), body: bomb})
		if v := decode[map[string]string](t, body); status != http.StatusRequestEntityTooLarge || v["reason"] != reasonTooLarge || v["hint"] == "" {
			t.Errorf("%s: %d %s", encoding, status, body)
		}
	}
	if !e.handler.memory.TryAcquire(e.handler.Config.MaxMemoryBytes) {
		t.Error("memory was not given back")
	}
}

// A few megabytes that would become gigabytes, or a recursion without end.
func TestShapes(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	wrap := func(field protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	logs := func(records []byte) []byte { return wrap(1, wrap(2, records)) }
	many := func(field protowire.Number, n int) []byte { return bytes.Repeat(wrap(field, nil), n) }
	deep := []byte{}
	for range 3000 { // arrays in arrays; longer lengths make it no deeper than its bytes
		deep = wrap(5, wrap(1, deep))
	}
	nested := strings.Repeat(`{"arrayValue":{"values":[`, 100000)
	for name, c := range map[string]struct {
		media string
		body  []byte
	}{
		"log records":      {typeProtobuf, logs(many(2, 3<<20))},
		"attributes":       {typeProtobuf, logs(wrap(2, many(6, 3<<20)))},
		"resource attrs":   {typeProtobuf, wrap(1, wrap(1, many(1, 3<<20)))},
		"nested values":    {typeProtobuf, logs(wrap(2, wrap(5, deep)))},
		"JSON log records": {typeJSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Repeat("{},", 2<<20) + `{}]}]}]}`)},
		"JSON, fewer":      {typeJSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Repeat("{},", 70000) + `{}]}]}]}`)},
		"JSON, nested":     {typeJSON, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":` + nested)},
	} {
		status, _, body := e.do(request{path: endpointLogs, contentType: c.media, auth: s.bearer(), body: c.body})
		if v := decode[map[string]string](t, body); status != http.StatusRequestEntityTooLarge || v["reason"] != reasonTooLarge {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if err := checkJSONShape([]byte(`{"a":"` + strings.Repeat(`[{,\"`, 1<<20) + `"}`)); err != nil {
		t.Errorf("what stands in a string counts: %v", err)
	}
	if status, _, body := e.do(request{path: endpointLogs, contentType: typeProtobuf, auth: s.bearer(), body: logs(many(2, 1000))}); status != 200 {
		t.Errorf("a thousand empty records: %d %s", status, body)
	}
	e.balanced()
}

// A large batch becomes several frames, each below the limits.
func TestLogsAreSplit(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	q := export(40, func(i int, lr plog.LogRecord) { lr.Body().SetStr(noise(90<<10, uint64(i))) })
	status, _, body := e.do(request{path: endpointLogs, contentType: typeProtobuf, auth: s.bearer(), body: proto(t, q)})
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	ledger, frames := record.NewLedger(), e.stored(s.id)
	for i := range frames {
		ledger.Observe(&frames[i].Header)
	}
	if n := ledger.Totals(); len(frames) < 4 || n.Received != 40 || n.Missing != 0 {
		t.Errorf("%d frames, ledger %+v", len(frames), n)
	}
}

func FuzzFrames(f *testing.F) {
	id := record.ID{1}
	data, err := record.EncodeData(record.Header{Producer: record.ExporterProducer(id), Subject: id, Category: record.EventLog, Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1}}, First: 1}, []record.Record{{Name: "x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(append(append([]byte(nil), data...), data[:30]...))
	f.Add([]byte("NF"))
	cfg := DefaultConfig()
	cfg.MaxFrames = 16
	f.Fuzz(func(t *testing.T, body []byte) {
		h := &Handler{Options: Options{Config: cfg, Metrics: NewMetrics(), Now: time.Now}}
		v := h.split(body, registry.Principal{Server: &registry.Server{ID: id}})
		good := 0
		for p := range v.good {
			for i, fr := range v.good[p] {
				good++
				if _, err := record.CheckFrame(fr.Bytes); err != nil || v.results[v.index[p][i]].Status != "" {
					t.Errorf("a bad frame is taken: %v", err)
				}
				h.Metrics.Ingest.Out(fr.Records)
			}
		}
		refused := 0
		for _, r := range v.results {
			if r.Status == StatusRefused && r.Reason != "" {
				refused++
			}
		}
		if len(v.results) > cfg.MaxFrames+1 || good+refused != len(v.results) {
			t.Errorf("%d good and %d refused of %d", good, refused, len(v.results))
		}
		if n := h.Metrics.Ingest.Totals(); !n.Balanced() || n.Waiting != 0 {
			t.Errorf("stage %+v", n)
		}
	})
}

func FuzzLogs(f *testing.F) {
	f.Add(true, proto(f, export(2, nil)))
	b, err := export(2, nil).MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(false, b)
	f.Add(false, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{"values":[{}]}},"timeUnixNano":"-1"}]}]}]}`))
	f.Fuzz(func(t *testing.T, isProto bool, body []byte) {
		media := typeJSON
		if isProto {
			media = typeProtobuf
		}
		recs, _, err := decodeLogs(media, body)
		if err != nil || len(recs) == 0 || len(recs) > record.MaxCount {
			return
		}
		for i := range recs {
			if record.RecordSize(&recs[i]) > record.MaxRecord {
				return
			}
		}
		s := NewStandIn("b1", "otlp", time.Unix(1, 0))
		frames, err := s.Frames(record.ID{1}, record.EventLog, recs, 1)
		if err != nil {
			t.Fatalf("records that were taken cannot be framed: %v", err)
		}
		for _, fr := range frames {
			if d, err := record.DecodeFrame(fr.Bytes); err != nil || d.Stats.TextMended != 0 {
				t.Errorf("consumers would refuse or mend it: %v %+v", err, d.Stats)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add("gzip", packed(f, "gzip", []byte("hello")))
	f.Add("zstd", packed(f, "zstd", []byte("hello")))
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		const limit = 1 << 16
		out, err := unpack(encoding, body, limit)
		if err == nil && encoding != "" && encoding != "identity" && len(out) > limit {
			t.Errorf("%d bytes unpacked", len(out))
		}
	})
}
