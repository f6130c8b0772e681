package ingest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
)

// cpu reports CPU per record beside the time: figures are per core second.
func cpu(b *testing.B, records int64, before time.Duration) {
	b.Helper()
	used := processCPU() - before
	if used > 0 {
		b.ReportMetric(float64(records)/used.Seconds(), "records/cpu-s")
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkIngest measures HTTP request → stream on disk, for frames of some
// records, with 64 servers that each wait for their answer. Client, bridge and
// JetStream share the process: its CPU is that of all three.
func BenchmarkIngest(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("records=%d", size), func(b *testing.B) {
			e := newEdge(b, edgeOptions{cfg: func(c *Config) { c.QueueWait = 10 * time.Second }})
			e.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
			servers := make(chan *server, 64)
			for i := range cap(servers) {
				servers <- e.enrol(fmt.Sprintf("s%d", i))
			}
			s := <-servers
			servers <- s
			raw := s.payload(size)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			b.SetParallelism(32) // × GOMAXPROCS requests at once
			var sent atomic.Int64
			before := processCPU()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s := <-servers
					frame, err := record.EncodeRaw(s.header(record.EventLog, size), raw, size)
					if err != nil {
						b.Error(err)
						return
					}
					if !s.post(frame) {
						b.Error("not stored")
						return
					}
					sent.Add(int64(size))
					servers <- s
				}
			})
			cpu(b, sent.Load(), before)
			n := e.metrics.Append.Totals()
			b.ReportMetric(float64(n.Out)/max(1, value(b, e.metrics.appends["stored"])), "records/entry")
		})
	}
}

// BenchmarkGatherer is the same without HTTP: checked frame → stream on disk.
func BenchmarkGatherer(b *testing.B) {
	for _, size := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("records=%d", size), func(b *testing.B) {
			e := newEdge(b, edgeOptions{cfg: func(c *Config) { c.QueueWait = 10 * time.Second }})
			s := e.enrol("s")
			raw := s.payload(size)
			frame, err := record.EncodeRaw(s.header(record.EventLog, size), raw, size)
			if err != nil {
				b.Fatal(err)
			}
			var next, sent atomic.Int64
			b.SetParallelism(32)
			before := processCPU()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, err := e.gatherer.Submit(context.Background(), int(next.Add(1))%16, []Frame{{Bytes: frame, Records: uint64(size)}})
					if err != nil {
						b.Error(err)
						return
					}
					sent.Add(int64(size))
				}
			})
			cpu(b, sent.Load(), before)
		})
	}
}

// BenchmarkSplit is what the bridge does to each frame before the queue.
func BenchmarkSplit(b *testing.B) {
	e := newEdge(b, edgeOptions{})
	s := e.enrol("s")
	frame := s.frame(record.EventLog, 100, 600)
	body := bytes.Repeat(frame, 10)
	p := registry.Principal{Server: &registry.Server{ID: s.id}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if v := e.handler.split(body, p); len(v.results) != 10 || v.results[9].Status != "" {
			b.Fatal(v.results)
		}
	}
}

// BenchmarkAuthenticate is the check of a credential.
func BenchmarkAuthenticate(b *testing.B) {
	e := newEdge(b, edgeOptions{})
	s := e.enrol("s")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.registry.Authenticate(b.Context(), s.bearer()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLogs decodes plain OTLP and frames it.
func BenchmarkLogs(b *testing.B) {
	body := proto(b, export(100, nil))
	s := NewStandIn("b1", "otlp", time.Unix(1, 0))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	before := processCPU()
	var n int64
	for b.Loop() {
		recs, _, err := decodeLogs(typeProtobuf, body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Frames(record.ID{1}, record.EventLog, recs, 1); err != nil {
			b.Fatal(err)
		}
		n += int64(len(recs))
	}
	cpu(b, n, before)
}

// payload is n records of a journal, some 600 bytes each as text that packs
// about as well as real event logs do (5 to 8 times).
func (s *server) payload(n int) []byte {
	recs := make([]record.Record, n)
	for i := range recs {
		recs[i] = record.Record{
			Time: s.e.now.Add(time.Duration(i) * time.Millisecond), Observed: s.e.now, Severity: record.Info, Name: record.NameWindowsEvent,
			Body: fmt.Sprintf("An account was successfully logged on. Subject: S-1-5-18 Account Name: SRV%05d$ Logon Type: 3 New Logon: user%d "+
				"Source Network Address: 10.%d.%d.%d Source Port: %d %s", i*7919%650, i*31%977, i%250, i*7%250, i*13%250, 40000+i*17%20000, noise(40, uint64(i))),
			Attrs: []record.Attr{
				{Key: record.AttrChannel, Value: record.String("Security")}, {Key: record.AttrProvider, Value: record.String("Microsoft-Windows-Security-Auditing")},
				{Key: record.AttrEventID, Value: record.Int(4624)}, {Key: record.AttrLevel, Value: record.String("audit_success")}, {Key: record.AttrRecordID, Value: record.Int(int64(1000000 + i))},
			},
		}
	}
	return record.AppendRecords(nil, recs)
}

// post sends one frame and tells whether it was stored.
func (s *server) post(frame []byte) bool {
	status, _, body := s.e.do(request{auth: s.bearer(), body: frame})
	return status == http.StatusOK && bytes.Contains(body, []byte(`"status":"stored"`))
}
