package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/eventbridge/sink/sinktest"
	"nocturne/internal/record"
)

// TestMain uses the shared packer and unpacker once: their channels must not be
// made inside a synctest bubble.
func TestMain(m *testing.M) {
	h := record.Header{Producer: "warm", Subject: record.ID{1}, Category: record.Heartbeat, Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 1}}, First: 1, Last: 1, Sent: 1}
	b, err := record.EncodeData(h, []record.Record{{Observed: began, Name: record.NameHeartbeat, Body: strings.Repeat("long enough to be packed ", 99)}})
	if err == nil {
		_, err = record.DecodeFrame(b)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// fakeBridge takes what exporters send and runs the ledger over it.
type fakeBridge struct {
	mu      sync.Mutex
	ids     map[string]record.ID
	ledger  *record.Ledger
	frames  [][]byte
	entries uint64
	pushes  int
	hellos  int
	fail    func() (status int, after bool) // of a request; after: it was stored first
	rewind  bool
}

func newFakeBridge() *fakeBridge {
	return &fakeBridge{ids: map[string]record.ID{}, ledger: record.NewLedger(), fail: func() (int, bool) { return 0, false }}
}

// RoundTrip answers without a network, so that virtual time can pass.
func (b *fakeBridge) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	if w.Code == 599 {
		return nil, io.ErrUnexpectedEOF
	}
	return w.Result(), nil
}

func (b *fakeBridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(599)
		return
	}
	status, after := b.fail()
	if status != 0 && !after {
		w.WriteHeader(status)
		return
	}
	var answer any
	if r.URL.Path != "/nocturne/v1/enrol" && b.ids[r.Header.Get("Authorization")].IsZero() {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/nocturne/v1/enrol":
		var q struct{ Token, Name string }
		if json.Unmarshal(body, &q) != nil || q.Token != "token of "+q.Name {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		id := record.ID{0xee, byte(len(b.ids)), 15: 1}
		b.ids["Bearer c-"+q.Name] = id
		answer = map[string]any{"server_id": id, "credential": "c-" + q.Name, "server": q.Name}
	case "/nocturne/v1/hello":
		b.hellos++
		answer = map[string]any{"rewind": b.rewind}
		b.rewind = false
	case "/nocturne/v1/frames":
		answer = b.take(body, b.ids[r.Header.Get("Authorization")])
	case "/nocturne/v1/metrics":
		b.pushes++
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // a recorder never fails
}

func (b *fakeBridge) take(body []byte, from record.ID) any {
	var results []map[string]any
	for len(body) > 0 {
		h, n, err := record.DecodeHeader(body)
		if err != nil {
			results = append(results, map[string]any{"status": "refused", "reason": err.Error()})
			break
		}
		if _, err := record.DecodeFrame(body[:n]); err != nil || h.Subject != from || h.Producer != record.ExporterProducer(from) {
			results = append(results, map[string]any{"status": "refused", "reason": fmt.Sprint(err)})
		} else {
			b.entries++
			b.ledger.Observe(&h)
			b.frames = append(b.frames, bytes.Clone(body[:n]))
			results = append(results, map[string]any{"status": "stored", "incarnation": "i", "partition": 0, "entry": b.entries})
		}
		body = body[n:]
	}
	return map[string]any{"results": results}
}

func (b *fakeBridge) totals() record.Totals {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.Totals()
}

func config(b *fakeBridge, dir string) Config {
	return Config{
		Bridge: "http://bridge", Client: &http.Client{Transport: b}, Dir: dir, Servers: 10, Seed: 3, Control: "none", Settings: fast, Metrics: -1,
		JoinToken: func(_ context.Context, s Spec) (string, error) { return "token of " + s.Name, nil },
	}
}

// play runs a fleet in virtual time and returns it once it said goodbye.
func play(t *testing.T, cfg Config, d time.Duration) *Sim {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	time.Sleep(d) // virtual
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFleetPlays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBridge()
		cfg := config(b, t.TempDir())
		cfg.Metrics = 15 * time.Second
		cfg.Accounting = filepath.Join(t.TempDir(), "accounting.jsonl")
		cfg.Plan = []Planned{{After: time.Minute, Kind: KindDrive}, {After: 5 * time.Minute, Kind: KindRack, Server: Fleet(3, 1)[0].Name}, {After: 8 * time.Minute, Kind: KindReboot}}
		s := play(t, cfg, 20*time.Minute)
		l := b.totals()
		if sent := s.Totals(); l.Missing != 0 || l.Duplicate != 0 || sent.Sent != l.Received || sent.Acked != sent.Sent || sent.Refused != 0 {
			t.Errorf("ledger %+v, sent %+v", l, sent)
		}
		if l.Received < 10*20*6 {
			t.Errorf("only %d records in 20 minutes", l.Received)
		}
		if b.pushes < 10*20*3 {
			t.Errorf("%d pushes of metrics", b.pushes)
		}
		checkAccounting(t, cfg.Accounting, l.Received)
	})
}

// checkAccounting adds up what the accounting log says.
func checkAccounting(t *testing.T, path string, records uint64) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sent, acked, began, over, byes := uint64(0), uint64(0), map[string]int{}, map[string]int{}, 0
	for _, text := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		switch l.What {
		case "sent":
			sent += l.Last - l.First + 1
		case "acked":
			acked += l.Last - l.First + 1
		case "incident":
			began[l.Kind] += max(1, len(l.Expect))
		case "step":
			if l.Over {
				over[l.Kind]++
			}
		case "enrolled":
			byes++
		}
	}
	if sent != records || acked != records || byes != 10 {
		t.Errorf("accounted %d sent, %d acked, %d enrolled; the ledger has %d", sent, acked, byes, records)
	}
	// A drive and its array, a rack and its five servers, nothing for a reboot.
	if fmt.Sprint(began) != "map[drive:2 rack:6 reboot:1]" || fmt.Sprint(over) != "map[drive:1 rack:5 reboot:1]" {
		t.Errorf("incidents %v, over %v", began, over)
	}
}

func TestSilenceThenBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBridge()
		cfg := config(b, t.TempDir())
		cfg.Servers = 1
		cfg.Plan = []Planned{{After: time.Minute, Kind: KindSilence}}
		play(t, cfg, 5*time.Minute)
		var last, gap, at int64
		for _, f := range b.frames {
			h, _, err := record.DecodeHeader(f)
			if err != nil {
				t.Fatal(err)
			}
			if h.Category != record.Heartbeat {
				continue
			}
			if d := h.Sent - last; last > 0 && d > gap {
				gap, at = d, last
			}
			last = h.Sent
		}
		if g := time.Duration(gap); g < 70*time.Second || g > 90*time.Second {
			t.Errorf("longest silence %s after %s", g, time.Unix(0, at))
		}
		if l := b.totals(); l.Missing != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

// TestKilledAtRandom copies the journals in mid-flight and goes on from the
// copy, as after kill -9, while the bridge fails now and then.
func TestKilledAtRandom(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd, luck := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 3))
				b := newFakeBridge()
				b.fail = func() (int, bool) { // called under the bridge's lock
					switch luck.IntN(12) {
					case 0:
						return 503, false
					case 1:
						return 599, false
					case 2:
						return 599, true // stored, but the answer is lost
					}
					return 0, false
				}
				dir := t.TempDir()
				for life := range 6 {
					s, err := New(config(b, dir))
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(context.Background())
					done := make(chan error, 1)
					go func() { done <- s.Run(ctx) }()
					time.Sleep(time.Duration(20+rnd.IntN(60)) * time.Second) // virtual
					if life%2 == 1 {
						if _, err := s.Incident(KindReboot, s.agents[rnd.IntN(10)].spec.Name); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Duration(rnd.IntN(60)) * time.Second) // virtual
					}
					// Whatever it still does, the next life must not see it.
					b.mu.Lock()
					next := t.TempDir()
					if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					old := b.fail
					b.fail = func() (int, bool) { return 599, false }
					b.mu.Unlock()
					cancel()
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					b.fail, dir = old, next
				}
				b.fail = func() (int, bool) { return 0, false }
				play(t, config(b, dir), time.Minute)
				if l := b.totals(); l.Missing != 0 || l.Received == 0 {
					t.Errorf("ledger %+v", l)
				}
			})
		})
	}
}

func TestRewind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBridge()
		cfg := config(b, t.TempDir())
		cfg.Servers = 1
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(2 * time.Minute) // virtual
		b.mu.Lock()
		b.ledger, b.rewind = record.NewLedger(), true // the volume was lost
		broken := 3
		b.fail = func() (int, bool) {
			if broken--; broken > 0 {
				return 599, false
			}
			return 0, false
		}
		b.mu.Unlock()
		time.Sleep(time.Minute) // virtual
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if l := b.totals(); l.Missing != 0 || l.Received != s.Totals().Sent {
			t.Errorf("ledger %+v after a rewind, %d were sent", l, s.Totals().Sent)
		}
	})
}

// TestBridgeForgot: the bridge's folder was deleted, the simulator's was not.
func TestBridgeForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBridge()
		dir := t.TempDir()
		play(t, config(b, dir), time.Minute)
		fresh := newFakeBridge()
		for range 3 {
			fresh.ids[fmt.Sprint(len(fresh.ids))] = record.ID{} // other ids than before
		}
		play(t, config(fresh, dir), time.Minute)
		if l := fresh.totals(); l.Missing != 0 || l.Received < 10*6 || len(fresh.ids) != 13 {
			t.Errorf("ledger %+v, %d enrolled", l, len(fresh.ids)-3)
		}
	})
}

func TestControl(t *testing.T) {
	b := newFakeBridge()
	cfg := config(b, t.TempDir())
	cfg.Control = "127.0.0.1:0"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	url := "http://" + s.Addr()
	name := s.agents[2].spec.Name
	if err := sinktest.Poll(t.Context(), func() error {
		for _, v := range s.Servers() {
			if v.State != "running" {
				return fmt.Errorf("%s is %s", v.Name, v.State)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f := func(why string, code int, typ, body, want string) {
		t.Helper()
		resp, err := http.Post(url+"/incident", typ, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != code || !strings.Contains(string(got), want) {
			t.Errorf("%s: %d %s %v, want %d with %q", why, resp.StatusCode, got, err, code, want)
		}
	}
	second := config(newFakeBridge(), t.TempDir())
	second.Control = s.Addr()
	if _, err := New(second); err == nil || !strings.Contains(err.Error(), "a simulator runs already on "+s.Addr()+", with 10 servers") {
		t.Errorf("second simulator: %v", err)
	}
	foreign, err := http.NewRequest(http.MethodPost, url+"/incident", strings.NewReader(`{"kind":"drive","server":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	foreign.Host = "evil.example"
	foreign.Header.Set("Content-Type", "application/json")
	refused, err := http.DefaultClient.Do(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if err := refused.Body.Close(); err != nil || refused.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a page under a name of its own: %d, %v, want 421", refused.StatusCode, err)
	}
	f("not JSON", 415, "text/plain", `{}`, "hint")
	f("torn", 400, "application/json", `{`, "hint")
	f("unknown server", 404, "application/json", `{"kind":"drive","server":"dc1"}`, "nocturne servers list")
	f("unknown kind", 400, "application/json", `{"kind":"fire","server":"`+name+`"}`, "drive, failure, replace, silence")
	f("a drive", 202, "application/json", `{"kind":"drive","server":"`+name+`"}`, `"text":"Simulated: a drive`)
	f("one at a time", 409, "application/json", `{"kind":"reboot","server":"`+name+`"}`, "in the middle")
	resp, err := http.Get(url + "/servers")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Servers []Server `json:"servers"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Servers) != 10 {
		t.Fatalf("%d servers, %v", len(list.Servers), err)
	}
	if v := list.Servers[2]; v.Name != name || !v.Simulated || v.Incident == nil || v.Incident.Kind != KindDrive || v.ServerID == "" || v.State != "running" {
		t.Errorf("server %+v", v)
	}
	f("by id", 202, "application/json", `{"kind":"reboot","server":"`+list.Servers[3].ServerID+`"}`, list.Servers[3].Name)
}

func TestFleetSizeIsChecked(t *testing.T) {
	for _, n := range []int{-3, MaxServers + 1} {
		cfg := config(newFakeBridge(), t.TempDir())
		cfg.Servers = n
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "want 1 to 5000") {
			t.Errorf("%d servers: %v, want an error that says how many", n, err)
		}
	}
}

func TestSeedIsKept(t *testing.T) {
	dir := t.TempDir()
	b := newFakeBridge()
	for _, seed := range []uint64{3, 99} {
		cfg := config(b, dir)
		cfg.Seed = seed
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if s.agents[0].spec != Fleet(3, 1)[0] {
			t.Error("a folder gave other servers to another seed")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	j.add(entryState, []byte(`{"a":1}`))
	j.add(entryFrame, []byte("one"))
	j.add(entryFrame, []byte("two"))
	if err := j.commit(); err != nil {
		t.Fatal(err)
	}
	j.add(entryAcked, appendUvarint(1))
	j.add(entryState, []byte(`{"a":2}`))
	if err := j.commit(); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j, state, frames, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if n == len(whole) && (string(state) != `{"a":2}` || len(frames) != 1 || string(frames[0]) != "two") {
			t.Errorf("state %s, frames %q", state, frames)
		}
		// What is written after mending is read.
		j.add(entryFrame, []byte("three"))
		if err := j.commit(); err != nil {
			t.Fatal(err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		j, _, frames, err = openJournal(path)
		if err != nil || len(frames) == 0 || string(frames[len(frames)-1]) != "three" {
			t.Fatalf("cut at %d: %q, %v", n, frames, err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
	}
}
