package app

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"context"

	"nocturne/exporter/config"
	"nocturne/exporter/output"
	"nocturne/exporter/output/file"
	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// An output whose receiver hangs keeps nobody else waiting, and loses nothing:
// each output has its own position.
func TestOneOutputHangs(t *testing.T) {
	const records = 300
	b, _ := newBridge(t)
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			b.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	defer stuck.Close()
	o := options(t)
	enrolled(t, o.Config.Data, stuck.URL)
	path := filepath.Join(t.TempDir(), "records.jsonl")
	fast := config.Output{Name: "fast", Type: config.TypeFile, File: file.DefaultConfig(), Config: output.DefaultConfig()}
	fast.File.Path = path
	o.Config.Outputs = []config.Output{{Name: "stuck", Type: config.TypeOTLP, Config: output.DefaultConfig()}, fast}
	o.Config.Metrics.Push = false
	many := &fake{name: "events", category: record.EventLog}
	for i := range records {
		many.bodies = append(many.bodies, fmt.Sprint("event ", i))
	}
	o.Sources = []source.Source{many}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	awaitMetrics(t, a, `exporter_spool_records_out_total{output="fast"} 300`, `exporter_spool_records_out_total{output="stuck"} 0`, `exporter_spool_records_waiting{output="stuck"} 300`)
	if text, err := os.ReadFile(path); err != nil || bytes.Count(text, []byte("\n")) != records {
		t.Errorf("%d lines in the file, %v", bytes.Count(text, []byte("\n")), err)
	}
	close(release)
	awaitMetrics(t, a, `exporter_spool_records_out_total{output="stuck"} 300`, `exporter_spool_records_waiting{output="stuck"} 0`)
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	if l := b.ledger.Totals(); l.Received != records+1 || l.Missing != 0 || l.Duplicate != 0 { // and the goodbye
		t.Errorf("ledger %+v", l)
	}
}
