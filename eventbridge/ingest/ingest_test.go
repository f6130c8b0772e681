package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

func TestFramesStored(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	s.e.now = s.e.now.Add(-3 * time.Second) // the server's clock is behind
	sent := [][]byte{s.frame(record.Heartbeat, 1, 10), s.frame(record.EventLog, 20, 100), nil, nil}
	gap := s.header(record.RAID, 4)
	gap.Kind, gap.Last, gap.Reason = record.FrameGap, gap.First+3, record.GapOverflow
	base := s.header(record.SMART, 0)
	base.Kind = record.FrameBase
	for i, h := range []record.Header{gap, base} {
		b, err := record.EncodeBare(h)
		if err != nil {
			t.Fatal(err)
		}
		sent[2+i] = b
	}
	e.now = e.now.Add(3 * time.Second)
	results := s.send(sent...)
	if len(results) != 4 {
		t.Fatalf("%d results", len(results))
	}
	for i, r := range results {
		if r.Status != StatusStored || r.Incarnation == "" || r.Entry == 0 || r.Partition != stream.Partition(s.id) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	got := e.frames(s.id)
	if len(got) != 4 {
		t.Fatalf("%d frames in the stream", len(got))
	}
	for i := range got {
		if !bytes.Equal(got[i].Frame, sent[i]) || got[i].Received != e.now.UnixNano() || got[i].Skew != int64(3*time.Second) {
			t.Errorf("frame %d: received %d, skew %d", i, got[i].Received, got[i].Skew)
		}
	}
	e.balanced()
	if n := e.metrics.Ingest.Totals(); n.In != 21 || n.Out != 21 {
		t.Errorf("records %+v, want 21 in and out", n)
	}
	if e.registry.LastSeen(s.id).IsZero() {
		t.Error("the server does not count as heard")
	}
}

// What is wrong is refused with an error, a hint and a counter; the rest is kept.
func TestBadRequests(t *testing.T) {
	e := newEdge(t, edgeOptions{cfg: func(c *Config) { c.MaxFrames = 8 }})
	s, other := e.enrol("db7"), e.enrol("db8")
	ok := s.frame(record.EventLog, 1, 10)
	revoked := e.enrol("gone")
	if _, err := e.registry.Revoke(t.Context(), revoked.id, ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		q      request
		status int
		reason string
	}{
		{"no credential", request{body: ok}, 401, reasonCredential},
		{"wrong credential", request{auth: s.bearer()[:len(s.bearer())-2] + "AA", body: ok}, 401, reasonCredential},
		{"revoked", request{auth: revoked.bearer(), body: ok}, 403, reasonCredential},
		{"another server's name", request{auth: other.bearer(), body: ok}, 403, reasonIdentity},
		{"method", request{method: "GET", auth: s.bearer()}, 405, reasonMethod},
		{"content type", request{contentType: "text/plain", auth: s.bearer(), body: ok}, 415, reasonContentType},
		{"no content type", request{contentType: ";", auth: s.bearer(), body: ok}, 415, reasonContentType},
		{"packed body", request{encoding: "gzip", auth: s.bearer(), body: ok}, 415, reasonEncoding},
		{"empty", request{auth: s.bearer()}, 400, reasonEmpty},
		{"too large", request{auth: s.bearer(), body: make([]byte, 8<<20+1)}, 413, reasonTooLarge},
		{"too large, in chunks", request{auth: s.bearer(), reader: io.LimitReader(zeros{}, 9<<20)}, 413, reasonTooLarge},
		{"hello that is not JSON", request{path: endpointHello, contentType: "application/json", auth: s.bearer(), body: []byte("{")}, 400, reasonDecode},
		{"hello of another", request{path: endpointHello, contentType: "application/json", auth: s.bearer(), body: []byte(`{"producer":"exporter/` + other.id.String() + `"}`)}, 403, reasonIdentity},
		{"hello too large", request{path: endpointHello, contentType: "application/json", auth: s.bearer(), body: make([]byte, maxJSON+1)}, 413, reasonTooLarge},
		{"enrol with a bad token", request{path: endpointEnrol, contentType: "application/json", body: []byte(`{"token":"x","name":"y"}`)}, 403, reasonCredential},
		{"logs of nonsense", request{path: endpointLogs, contentType: typeProtobuf, auth: s.bearer(), body: []byte("nonsense")}, 400, reasonDecode},
		{"logs packed as nobody packs", request{path: endpointLogs, contentType: typeProtobuf, encoding: "br", auth: s.bearer(), body: []byte("x")}, 415, reasonEncoding},
		{"logs not packed", request{path: endpointLogs, contentType: typeProtobuf, encoding: "gzip", auth: s.bearer(), body: []byte("x")}, 400, reasonUnpack},
		{"metrics without a store", request{path: endpointMetrics, auth: s.bearer(), body: ok}, 404, reasonNoStore},
		{"metrics without a credential", request{path: endpointMetrics, body: ok}, 401, reasonCredential},
		{"logs as frames", request{path: endpointLogs, auth: s.bearer(), body: ok}, 415, reasonContentType},
	} {
		before := value(t, e.metrics.refused[c.reason])
		status, header, body := e.do(c.q)
		v := decode[map[string]string](t, body)
		if status != c.status || v["reason"] != c.reason || v["error"] == "" || v["hint"] == "" {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, body, c.status, c.reason)
		}
		if n := value(t, e.metrics.refused[c.reason]); n != before+1 {
			t.Errorf("%s: counter %s at %v, want %v", c.name, c.reason, n, before+1)
		}
		if status == 401 && header.Get("WWW-Authenticate") == "" || status == 405 && header.Get("Allow") == "" {
			t.Errorf("%s: headers %v", c.name, header)
		}
	}
	if got := e.frames(s.id); len(got) != 0 {
		t.Errorf("%d frames in the stream, want none", len(got))
	}
	e.balanced()
	status, _, body := e.do(request{path: "/nowhere", auth: s.bearer()})
	if v := decode[map[string]string](t, body); status != 404 || v["error"] == "" || v["hint"] == "" {
		t.Errorf("unknown path: %d %s", status, body)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestBadFramesAmongGoodOnes(t *testing.T) {
	e := newEdge(t, edgeOptions{cfg: func(c *Config) { c.MaxFrames = 8 }})
	s, other := e.enrol("db7"), e.enrol("db8")
	good := func() []byte { return s.frame(record.EventLog, 2, 50) }
	flip := func(at int) []byte {
		b := good()
		b[(len(b)+at)%len(b)] ^= 0xff
		return b
	}
	foreign := other.frame(record.EventLog, 3, 10)
	h := s.header(record.EventLog, 1)
	h.Producer = "bridge/b1/registry"
	forged, err := record.EncodeData(h, []record.Record{{Name: record.NameDecommissioned}})
	if err != nil {
		t.Fatal(err)
	}
	torn := good()
	many := make([][]byte, 10)
	for i := range many {
		many[i] = good()
	}
	for _, c := range []struct {
		name   string
		frames [][]byte
		want   []string // status or reason of each
	}{
		{"checksum", [][]byte{good(), flip(-1), good()}, []string{"stored", "checksum", "stored"}},
		{"another server's", [][]byte{foreign, good()}, []string{"identity", "stored"}},
		{"the registry's name", [][]byte{good(), forged, good()}, []string{"stored", "identity", "stored"}},
		{"torn", [][]byte{good(), torn[:len(torn)-3]}, []string{"stored", "torn"}},
		{"torn header", [][]byte{good(), torn[:20]}, []string{"stored", "torn"}},
		{"not a frame", [][]byte{good(), []byte("hello, this is not a frame at all, whatever its length may be.........................................."), good()}, []string{"stored", "magic"}},
		{"another version", [][]byte{good(), flip(2 - len(torn)), good()}, []string{"stored", "version"}},
		{"too many", many, []string{"stored", "stored", "stored", "stored", "stored", "stored", "stored", "stored", "busy"}}, // the exporter sends it again
	} {
		if c.name == "another version" {
			b := good()
			b[2] = 9
			c.frames[1] = b
		}
		before := len(e.frames(s.id))
		results := s.send(c.frames...)
		got := make([]string, len(results))
		stored := 0
		for i, r := range results {
			if got[i] = r.Status; r.Status == StatusRefused {
				got[i] = r.Reason
				if r.Error == "" {
					t.Errorf("%s: refused without an error", c.name)
				}
			} else if r.Status == StatusStored {
				stored++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if n := len(e.frames(s.id)) - before; n != stored {
			t.Errorf("%s: %d frames in the stream, answered %d", c.name, n, stored)
		}
	}
	if got := e.frames(other.id); len(got) != 0 {
		t.Error("a foreign frame is in the stream")
	}
	e.balanced()
}

// Strangers who send slowly keep no known server from sending.
func TestSlowStrangers(t *testing.T) {
	e := newEdge(t, edgeOptions{cfg: func(c *Config) { c.MaxRequests = maxStrangers }})
	s := e.enrol("db7")
	addr := strings.TrimPrefix(e.url, "http://")
	for range 2 * maxStrangers {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", endpointEnrol); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(20 * time.Second)
	for e.handler.strangers.TryAcquire(1) { // until they have taken all their places
		e.handler.strangers.Release(1)
		select {
		case <-deadline:
			t.Fatal("the strangers did not take their places")
		default:
			runtime.Gosched()
		}
	}
	start := time.Now()
	if r := s.send(s.frame(record.Heartbeat, 1, 10)); r[0].Status != StatusStored {
		t.Errorf("%+v", r)
	}
	if took := time.Since(start); took >= strangerTimeout {
		t.Errorf("a known server waited %s", took)
	}
}

// Clocks a year off are measured, not refused.
func TestSkew(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	year := 365 * 24 * time.Hour
	for _, off := range []time.Duration{year, -year, 0} {
		e.now = e.now.Add(-off)
		b := s.frame(record.Heartbeat, 1, 10)
		e.now = e.now.Add(off)
		if r := s.send(b); r[0].Status != StatusStored {
			t.Errorf("clock %s off: %+v", off, r)
		}
		if got := e.frames(s.id); time.Duration(got[len(got)-1].Skew) != off {
			t.Errorf("clock %s off: skew %s", off, time.Duration(got[len(got)-1].Skew))
		}
	}
	f := func(received, sent, want int64, why string) {
		t.Helper()
		if got := Skew(received, sent); got != want {
			t.Errorf("%s: %d, want %d", why, got, want)
		}
	}
	f(5, 3, 2, "plain")
	f(5, 0, 0, "send time not said")
	f(1<<62, -1<<63, 1<<63-1, "does not fit")
	f(-1<<62, 1<<63-1, -1<<63, "does not fit the other way")
}

func TestHello(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	s := e.enrol("db7")
	stored := s.send(s.frame(record.Heartbeat, 1, 10))[0]
	part := stream.Partition(s.id)
	for _, c := range []struct {
		name   string
		last   []Place
		rewind bool
		reason string
	}{
		{"nothing stored yet", nil, false, ""},
		{"all there", []Place{{stored.Incarnation, part, stored.Entry}}, false, ""},
		{"another incarnation", []Place{{"another", part, 1}}, true, rewindIncarnation},
		{"past the head", []Place{{stored.Incarnation, part, stored.Entry + 1000}}, true, rewindHead},
		{"of another partition, under an old id", []Place{{"another", (part + 1) % stream.Partitions, 5}}, false, ""},
	} {
		q := HelloRequest{Producer: record.ExporterProducer(s.id), Last: c.last}
		body, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		status, _, answer := e.do(request{path: endpointHello, contentType: "application/json; charset=utf-8", auth: s.bearer(), body: body})
		a := decode[HelloAnswer](t, answer)
		if status != 200 || a.Rewind != c.rewind || a.Reason != c.reason || a.Bridge != "b1" || a.Incarnation != stored.Incarnation ||
			a.Head < stored.Entry || a.Pace != 200 || a.ServerID != s.id || a.Server != "db7" {
			t.Errorf("%s: %d %+v", c.name, status, a)
		}
	}
	if n := value(t, e.metrics.rewinds); n != 2 {
		t.Errorf("%v rewinds counted", n)
	}
}

// After a succession was approved the server's credential speaks for both ids.
func TestMergedServerSpeaksForBothIDs(t *testing.T) {
	e := newEdge(t, edgeOptions{})
	machine := registry.Evidence{MachineID: "0f1e2d3c4b5a6978", SMBIOSUUID: "4C4C4544-0042-3510-8053-B4C04F4D3132"}
	text, _, err := e.registry.CreateToken(t.Context(), registry.TokenRequest{Uses: 2})
	if err != nil {
		t.Fatal(err)
	}
	var both [2]*server
	for i, name := range []string{"old", "new"} {
		a, err := e.registry.Enrol(t.Context(), "192.0.2.1:1", registry.EnrolRequest{Token: text, Name: name, Evidence: machine})
		if err != nil {
			t.Fatal(err)
		}
		both[i] = &server{e: e, id: a.ServerID, credential: a.Credential, seq: map[record.Category]uint64{}, epoch: record.Epoch{EpochRef: record.EpochRef{Start: int64(i) + 1}}}
	}
	older, newer := both[0], both[1]
	if _, err := e.registry.ApproveSuccession(t.Context(), newer.id, ""); err != nil {
		t.Fatal(err)
	}
	spooled := newer.frame(record.Heartbeat, 1, 10)
	older.credential = newer.credential
	results := newer.send(spooled, older.frame(record.Heartbeat, 1, 10))
	if results[0].Status != StatusStored || results[1].Status != StatusStored {
		t.Errorf("results %+v", results)
	}
	if len(e.frames(older.id)) != 1 || len(e.frames(newer.id)) != 1 {
		t.Error("frames are not under the ids they name")
	}
}

// Many servers at once, several requests each: nothing lost, nothing twice.
func TestConcurrency(t *testing.T) {
	e := newEdge(t, edgeOptions{tick: 50 * time.Millisecond, cfg: func(c *Config) { c.QueueWait, c.MaxRequests = 20*time.Second, 16 }})
	const servers, requests = 32, 20
	all := make([]*server, servers)
	for i := range all {
		all[i] = e.enrol(fmt.Sprintf("s%d", i))
	}
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() {
			for range requests {
				for i, r := range s.send(s.frame(record.Heartbeat, 1, 20), s.frame(record.EventLog, 5, 200)) {
					if r.Status != StatusStored {
						t.Errorf("frame %d: %+v", i, r)
					}
				}
			}
		})
	}
	wg.Wait()
	ledger, frames, ticks := record.NewLedger(), 0, uint64(0)
	for p := range stream.Partitions {
		var accepted uint64
		for _, entry := range e.entries(p) {
			accepted += entry.Tick.Accepted
			for _, f := range entry.Frames {
				h, err := record.CheckFrame(f.Frame)
				if err != nil {
					t.Fatal(err)
				}
				frames++
				ledger.Observe(&h)
			}
		}
		ticks = max(ticks, accepted)
	}
	want := uint64(servers * requests * 6)
	n := ledger.Totals()
	if n.Received != want+servers || n.Missing != 0 || n.Duplicate != 0 || n.Late != 0 {
		t.Errorf("ledger %+v, want %d records of servers and %d of the registry", n, want, servers)
	}
	if frames != servers*(2*requests+1) || ticks > servers*requests*2 {
		t.Errorf("%d frames, ticks tell of %d", frames, ticks)
	}
	e.balanced()
}

func TestEverySetIsAtZeroFromTheStart(t *testing.T) {
	m := NewMetrics()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(m)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{
		"eventbridge_ingest_requests_refused_total": len(refusedReasons()),
		"eventbridge_ingest_frames_refused_total":   len(frameReasons()),
		"eventbridge_ingest_frames_total":           3,
		"eventbridge_append_records_dropped_total":  1,
		"eventbridge_ingest_records_dropped_total":  len(frameReasons()) + 1,
	} {
		if series[name] != want {
			t.Errorf("%s: %d series, want %d", name, series[name], want)
		}
	}
}
