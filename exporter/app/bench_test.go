//go:build unix

package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// flood emits n records of the size of Windows events, 256 at a time.
type flood struct{ n int }

func (f *flood) Name() string              { return "flood" }
func (f *flood) Category() record.Category { return record.EventLog }

func (f *flood) Run(ctx context.Context, emit source.Emit) error {
	raw := "<Event>" + strings.Repeat("<Data>x</Data>", 60) + "</Event>"
	for i := 0; i < f.n; i += 256 {
		recs := make([]record.Record, min(256, f.n-i))
		for j := range recs {
			recs[j] = record.Record{Name: record.NameWindowsEvent, Body: "The driver detected a controller error.", Attrs: []record.Attr{
				{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrRecordID, Value: record.Int(int64(i + j))}, {Key: record.AttrRaw, Value: record.String(raw)},
			}}
		}
		if err := emit(ctx, recs, []byte("position")); err != nil {
			return err
		}
	}
	return nil
}

// counter answers like an eventbridge that stores everything, and only counts.
func counter(taken *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/nocturne/v1/hello" {
			_, _ = io.WriteString(w, `{"bridge":"b","incarnation":"i","partition":1,"head":1}`)
			return
		}
		var results []map[string]any
		for len(body) > 0 {
			h, n, err := record.DecodeHeader(body)
			if err != nil {
				break
			}
			taken.Add(int64(h.Count))
			body = body[n:]
			results = append(results, map[string]any{"status": "stored", "incarnation": "i", "partition": 1, "entry": 1})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
	})
}

// optionsTo returns options of an exporter that is enrolled at url.
func optionsTo(b *testing.B, url string) Options {
	b.Helper()
	c := optionsIn(b.TempDir())
	for name, text := range map[string]string{
		"enrolment.json": `{"server_id":"` + serverID.String() + `","server":"db7","url":"` + url + `"}`, "credential": credential,
	} {
		if err := os.WriteFile(filepath.Join(c.Config.Data, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c.Config.Metrics.Push = false
	return c
}

// spent is the processor time of a process.
func spent(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkThrough takes records from a source to the answer of a bridge in
// the same process: numbering, one sync for 256 records, packing, HTTP.
func BenchmarkThrough(b *testing.B) {
	var taken atomic.Int64
	srv := httptest.NewServer(counter(&taken))
	defer srv.Close()
	c := optionsTo(b, srv.URL)
	c.Sources = []source.Source{&flood{n: b.N}}
	a, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	go func() { ended <- a.Run(ctx) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for taken.Load() < int64(b.N) {
		<-tick.C
	}
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	cpu := spent(&after) - spent(&before)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(b.N)/cpu.Seconds(), "records/cpu-s")
}
