package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"nocturne/internal/record"
)

var serverID = record.ID{0xab, 0xcd}

const credential = "noc1.abcd0000000000000000000000000000.secret"

// bridge is an eventbridge in memory that takes everything. It runs a ledger,
// as every consumer does.
type bridge struct {
	mu      sync.Mutex
	ledger  *record.Ledger
	records []got
	byID    map[string]string
	entry   uint64
	series  []int
	strange []string
	down    bool
	says    record.ID     // who hello says that the exporter is
	others  []record.ID   // it may speak for these too
	changed chan struct{} // closed and renewed with every record
}

type got struct {
	name, body string
	category   record.Category
	epoch      record.EpochRef
	subject    record.ID
}

func newBridge(t *testing.T) (*bridge, string) {
	b := &bridge{ledger: record.NewLedger(), byID: map[string]string{}, changed: make(chan struct{})}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	return b, srv.URL
}

// enrolled writes what an enrolment leaves in a data folder.
func enrolled(t *testing.T, dir, url string) {
	t.Helper()
	for name, text := range map[string]string{
		"enrolment.json": `{"server_id":"` + serverID.String() + `","server":"db7","url":"` + url + `"}`,
		"credential":     credential + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if b.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+credential {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/nocturne/v1/hello":
		a := map[string]any{"bridge": "b", "incarnation": "i", "partition": 1, "head": 1000000}
		if !b.says.IsZero() {
			a["server_id"], a["server"] = b.says, "old-name"
		}
		_ = json.NewEncoder(w).Encode(a)
	case "/nocturne/v1/frames":
		b.frames(w, body)
	case "/nocturne/v1/metrics":
		raw, err := snappy.Decode(nil, body)
		var q prompb.WriteRequest
		if err == nil {
			err = q.Unmarshal(raw)
		}
		if err != nil {
			b.strange = append(b.strange, err.Error())
		}
		b.series = append(b.series, len(q.Timeseries))
		w.WriteHeader(http.StatusNoContent)
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bridge) frames(w http.ResponseWriter, body []byte) {
	type result struct {
		Status      string `json:"status"`
		Incarnation string `json:"incarnation"`
		Partition   int    `json:"partition"`
		Entry       uint64 `json:"entry"`
	}
	var results []result
	b.entry++
	for len(body) > 0 {
		_, n, err := record.DecodeHeader(body)
		if err != nil {
			b.strange = append(b.strange, err.Error())
			break
		}
		f, err := record.DecodeFrame(body[:n])
		body = body[n:]
		if err != nil || f.Subject != serverID && !slices.Contains(b.others, f.Subject) {
			b.strange = append(b.strange, "frame")
		}
		b.ledger.Observe(&f.Header)
		for i, rec := range f.Records {
			id := record.RecordID(&f.Header, f.First+uint64(i))
			if old, ok := b.byID[id]; ok {
				if old != rec.Body {
					b.strange = append(b.strange, "record "+id+" was "+old+" and is "+rec.Body)
				}
				continue
			}
			b.byID[id] = rec.Body
			b.records = append(b.records, got{rec.Name, rec.Body, f.Category, f.Epoch.EpochRef, f.Subject})
		}
		results = append(results, result{"stored", "i", 1, b.entry})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

// await waits until a condition about the bridge holds.
func (b *bridge) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for {
		b.mu.Lock()
		done, changed := ok(), b.changed
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: %v", what, t.Context().Err())
		}
	}
}
