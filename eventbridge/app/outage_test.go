package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/eventbridge/ingest"
	"nocturne/internal/freeport"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// The stream goes away under a bridge and comes back: meanwhile the bridge
// says busy, afterwards it stores again, by itself.
func TestStreamGoesAndComesBack(t *testing.T) {
	dir := t.TempDir()
	port, err := freeport.Find(1) // for the stream, before and after
	if err != nil {
		t.Fatal(err)
	}
	hostConfig := testConfig(dir)
	hostConfig.Stream.Address = fmt.Sprintf("127.0.0.1:%d", port[0])
	host, stopHost := start(t, hostConfig)
	cfg := testConfig(t.TempDir())
	cfg.Stream.URL, cfg.Stream.TokenFile = host.StreamURL(), host.StreamTokenFile(stream.RoleBridge)
	cfg.Ingest.Limits.AppendTimeout = 2 * time.Second // more than a busy disk takes
	b, _ := start(t, cfg)
	c := enrol(t, b.AdminURL(), b.AdminToken(), b.IngestURL(), "db7", http.DefaultClient)
	first := c.send(c.frame(1))[0]
	stopHost()

	lost := c.frame(2)
	status, body, err := c.post("/nocturne/v1/frames", ingest.FramesType, lost)
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(body), "busy") {
		t.Fatalf("without a stream: %d %s %v", status, body, err)
	}
	if status, body, err := c.post("/nocturne/v1/hello", "application/json", []byte(`{"producer":"`+record.ExporterProducer(c.id)+`"}`)); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("hello without a stream: %d %s %v", status, body, err)
	}
	if status, body := admin(t, b.AdminURL(), b.AdminToken(), "POST", "/admin/v1/servers/"+c.id.String()+"/revoke", ""); status != http.StatusServiceUnavailable {
		t.Errorf("revoke without a stream: %d %s", status, body)
	}
	if s := b.Status(t.Context()); len(s.Errors) == 0 {
		t.Error("the status says nothing of the stream")
	}

	host, _ = start(t, hostConfig)
	eventually(t, func() bool {
		status, body, err := c.post("/nocturne/v1/frames", ingest.FramesType, lost)
		if err != nil || status != http.StatusOK {
			return false
		}
		r := decode[ingest.FramesAnswer](t, body).Results[0]
		return r.Status == ingest.StatusStored && r.Incarnation == first.Incarnation && r.Entry > first.Entry
	})
	ledger := record.NewLedger()
	for _, h := range headers(t, b.conn, stream.Partition(c.id)) {
		if h.Subject == c.id && h.Category == record.EventLog {
			ledger.Observe(&h)
		}
	}
	if n := ledger.Totals(); n.Received != 3 || n.Missing != 0 {
		t.Errorf("ledger %+v", n)
	}
	if s := b.edge.Append.Totals(); !s.Balanced() || s.Waiting != 0 || s.Dropped["busy"] < 2 {
		t.Errorf("append stage %+v", s)
	}
	// What the other bridge changes is heard again, too.
	if status, body := admin(t, host.AdminURL(), host.AdminToken(), "POST", "/admin/v1/servers/"+c.id.String()+"/revoke", ""); status != http.StatusOK {
		t.Fatalf("revoke: %d %s", status, body)
	}
	eventually(t, func() bool {
		status, _, err := c.post("/nocturne/v1/hello", "application/json", []byte("{}"))
		return err == nil && status == http.StatusForbidden
	})
}

// A bridge that stops answers what it has taken; what it does not take any
// more is not answered as stored.
func TestStopUnderLoad(t *testing.T) {
	dir := t.TempDir()
	a, stop := start(t, testConfig(dir))
	const servers = 8
	clients := make([]*client, servers)
	for i := range clients {
		clients[i] = enrol(t, a.AdminURL(), a.AdminToken(), a.IngestURL(), "s", &http.Client{})
	}
	stored := make([]uint64, servers)
	var wg sync.WaitGroup
	under := make(chan struct{}, servers*10000)
	for i, c := range clients {
		wg.Go(func() {
			for range 10000 {
				frame := c.frame(1)
				status, body, err := c.post("/nocturne/v1/frames", ingest.FramesType, frame)
				if err != nil || status != http.StatusOK {
					return
				}
				var answer ingest.FramesAnswer
				if json.Unmarshal(body, &answer) != nil || answer.Results[0].Status != ingest.StatusStored {
					return
				}
				stored[i] = c.seq
				under <- struct{}{}
			}
		})
	}
	for range 200 {
		<-under
	}
	stop()
	wg.Wait()
	if n := a.edge.Append.Totals(); !n.Balanced() || n.Waiting != 0 {
		t.Errorf("append stage %+v", n)
	}
	a, _ = start(t, testConfig(dir))
	for i, c := range clients {
		var got uint64
		for _, h := range headers(t, a.conn, stream.Partition(c.id)) {
			if h.Subject == c.id && h.Category == record.EventLog {
				got = max(got, h.Last)
			}
		}
		if stored[i] == 0 || got < stored[i] {
			t.Errorf("server %d: answered up to %d, stream has %d", i, stored[i], got)
		}
	}
}

func TestStreamVerdict(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	f := func(since time.Duration, free uint64, full, end bool, why string) {
		t.Helper()
		from := time.Time{}
		if since > 0 {
			from = now.Add(-since)
		}
		gotFull, err := streamVerdict(now, from, free)
		if gotFull != full || (err != nil) != end {
			t.Errorf("%s: full %v, %v", why, gotFull, err)
		}
	}
	f(0, 1<<40, false, false, "all is well")
	f(0, 0, false, false, "a full disk that nothing failed on")
	f(5*time.Second, 1<<40, false, false, "a hiccup")
	f(time.Minute, 1<<40, false, true, "stuck although there is space")
	f(time.Hour, 1<<20, true, false, "the disk is full: opening again does not help")
}

// A part that fails ends the whole, in order and with its reason.
func TestPartFails(t *testing.T) {
	a, err := New(Options{Config: testConfig(t.TempDir()), TickPeriod: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(t.Context()) }()
	eventually(t, a.prober.OK)
	for _, l := range a.listeners {
		if l.name == "admin" {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "admin: ") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still running without its admin listener")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
