package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"nocturne/eventbridge/ingest"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// childFolder makes the test binary run a bridge on a folder, to be killed.
const childFolder = "NOCTURNE_TEST_BRIDGE_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// where is what the child says of itself.
type where struct{ Ingest, Admin, Token string }

func child(dir string) error {
	a, err := New(Options{Config: testConfig(dir), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), TickPeriod: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(where{a.IngestURL(), a.AdminURL(), a.AdminToken()}); err != nil {
		return err
	}
	return a.Run(context.Background())
}

// spawn starts a bridge as a process of its own and waits until it serves.
func spawn(t *testing.T, dir string) (*exec.Cmd, where) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var w where
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &w) != nil {
		_ = cmd.Process.Kill()
		t.Fatalf("bridge did not start: %v %q\n%s", err, line, cmd.Wait())
	}
	eventually(t, func() bool {
		resp, err := http.Get(w.Ingest + "/healthz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return cmd, w
}

// TestKill kills the bridge with SIGKILL under load, again and again: what was
// answered "stored" is in the stream, and what is sent again makes the ledger
// whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	const servers, rounds = 8, 4
	var clients []*client
	acked := make([]uint64, servers)   // last seq answered as stored
	sent := make([][][]byte, servers)  // frames not yet answered
	upTo := make([][]uint64, servers)  // their last seqs
	enrolled := map[record.ID]string{} // credentials, which must survive
	last := make([]ingest.Place, servers)
	for round := range rounds {
		cmd, w := spawn(t, dir)
		for i := len(clients); i < servers; i++ {
			c := enrol(t, w.Admin, w.Token, w.Ingest, fmt.Sprintf("s%d", i), &http.Client{})
			clients = append(clients, c)
			enrolled[c.id] = c.credential
		}
		var wg sync.WaitGroup
		total := make(chan struct{}, servers*10000)
		for i, c := range clients {
			c.url = w.Ingest
			if h := c.hello(last[i]); h.Rewind {
				t.Errorf("round %d: server %d is told to rewind: %+v, last %+v", round, i, h, last[i])
			}
			wg.Go(func() {
				for range 10000 {
					if len(sent[i]) == 0 {
						sent[i] = append(sent[i], c.frame(1), c.frame(3))
						upTo[i] = append(upTo[i], c.seq-3, c.seq)
					}
					status, body, err := c.post("/nocturne/v1/frames", ingest.FramesType, bytes.Join(sent[i], nil))
					if err != nil {
						return // killed
					}
					if status != http.StatusOK {
						continue
					}
					var a ingest.FramesAnswer
					if json.Unmarshal(body, &a) != nil {
						return
					}
					for len(a.Results) > 0 && a.Results[0].Status == ingest.StatusStored {
						r := a.Results[0]
						acked[i], last[i] = upTo[i][0], ingest.Place{Incarnation: r.Incarnation, Partition: r.Partition, Entry: r.Entry}
						a.Results, sent[i], upTo[i] = a.Results[1:], sent[i][1:], upTo[i][1:]
						total <- struct{}{}
					}
				}
			})
		}
		for range 400 { // frames stored, then it dies in the middle of it
			<-total
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed: an error by design
		wg.Wait()
	}

	a, _ := start(t, testConfig(dir))
	for i, c := range clients {
		c.url = a.IngestURL()
		if len(sent[i]) > 0 { // the exporter sends what was not answered once more
			for k, r := range c.send(sent[i]...) {
				if r.Status != ingest.StatusStored {
					t.Errorf("server %d frame %d: %+v", i, k, r)
				}
			}
		}
	}
	for i, c := range clients {
		ledger := record.NewLedger()
		for _, h := range headers(t, a.conn, stream.Partition(c.id)) {
			if h.Subject == c.id && h.Category == record.EventLog {
				ledger.Observe(&h)
			}
		}
		n := ledger.Totals()
		if n.Received != c.seq || n.Missing != 0 || acked[i] == 0 || acked[i] > n.Received {
			t.Errorf("server %d: sent %d, answered up to %d, ledger %+v", i, c.seq, acked[i], n)
		}
		if agentRecords(t, a, c.id) == 0 {
			t.Errorf("server %d: the stream does not know that it exists", i)
		}
	}
}
