package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/config"
	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// testConfig is a bridge in a folder of its own on free ports, without stores.
func testConfig(dir string) config.Config {
	c := config.Default()
	c.Data = dir
	c.Ingest.Address, c.Ingest.Listen, c.Admin.Address, c.Stream.Address = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Stream.MaxBytes = 4 << 30
	c.VictoriaMetrics.URL, c.VictoriaLogs.URL = "", ""
	return c
}

// start builds and runs a bridge; stop drains and closes it.
func start(t testing.TB, c config.Config) (a *App, stop func()) {
	t.Helper()
	a, err := New(Options{Config: c, Version: "test", Log: slog.New(slog.DiscardHandler), TickPeriod: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(stop)
	return a, stop
}

// client speaks as one server over HTTP.
type client struct {
	t          testing.TB
	http       *http.Client
	url        string
	id         record.ID
	credential string
	epoch      record.Epoch
	seq        uint64
}

func (c *client) post(path, contentType string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+c.credential)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// frame makes the server's next frame.
func (c *client) frame(records int) []byte {
	c.t.Helper()
	recs := make([]record.Record, records)
	for i := range recs {
		recs[i] = record.Record{Time: time.Unix(1_800_000_000, 0), Name: record.NameJournal, Body: "a line of a journal"}
	}
	b, err := record.EncodeData(record.Header{Producer: record.ExporterProducer(c.id), Subject: c.id, Category: record.EventLog, Epoch: c.epoch, First: c.seq + 1, Sent: time.Now().UnixNano()}, recs)
	if err != nil {
		c.t.Fatal(err)
	}
	c.seq += uint64(records)
	return b
}

func (c *client) hello(last ...ingest.Place) ingest.HelloAnswer {
	c.t.Helper()
	b, err := json.Marshal(ingest.HelloRequest{Producer: record.ExporterProducer(c.id), Last: last})
	if err != nil {
		c.t.Fatal(err)
	}
	status, body, err := c.post("/nocturne/v1/hello", "application/json", b)
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("hello: %d %s %v", status, body, err)
	}
	return decode[ingest.HelloAnswer](c.t, body)
}

func (c *client) send(frames ...[]byte) []ingest.Result {
	c.t.Helper()
	status, body, err := c.post("/nocturne/v1/frames", ingest.FramesType, bytes.Join(frames, nil))
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("frames: %d %s %v", status, body, err)
	}
	return decode[ingest.FramesAnswer](c.t, body).Results
}

func decode[T any](t testing.TB, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// admin asks the admin listener.
func admin(t testing.TB, url, token, method, path, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// enrol lets a server join over HTTP, as an exporter does.
func enrol(t testing.TB, adminURL, adminToken, ingestURL, name string, hc *http.Client) *client {
	t.Helper()
	status, body := admin(t, adminURL, adminToken, "POST", "/admin/v1/tokens", `{"site":"hq","rack":"r1"}`)
	if status != http.StatusOK {
		t.Fatalf("token: %d %s", status, body)
	}
	c := &client{t: t, http: hc, url: ingestURL, epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 2}}}
	q, err := json.Marshal(registry.EnrolRequest{Token: decode[map[string]string](t, body)["token"], Name: name, OS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	status, body, err = c.post("/nocturne/v1/enrol", "application/json", q)
	if err != nil || status != http.StatusOK {
		t.Fatalf("enrol: %d %s %v", status, body, err)
	}
	a := decode[registry.EnrolAnswer](t, body)
	c.id, c.credential = a.ServerID, a.Credential
	return c
}

// pinned is a client that knows nothing but the CA's fingerprint, like an
// exporter that was given the line to paste.
func pinned(fingerprint string) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, cert := range cs.PeerCertificates {
				sum := sha256.Sum256(cert.Raw)
				if hex.EncodeToString(sum[:]) == fingerprint {
					pool := x509.NewCertPool()
					pool.AddCert(cert)
					_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, DNSName: cs.ServerName})
					return err
				}
			}
			return errors.New("the CA is not in the chain")
		},
	}}}
}

func TestApp(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	// Stores that nobody answers for: sinks wait, ingest goes on.
	cfg.VictoriaMetrics.URL, cfg.VictoriaLogs.URL = "http://127.0.0.1:1", "http://127.0.0.1:1"
	a, stop := start(t, cfg)
	c := enrol(t, a.AdminURL(), a.AdminToken(), a.ListenURL(), "db7", pinned(a.Fingerprint()))
	for i, r := range c.send(c.frame(3), c.frame(2)) {
		if r.Status != ingest.StatusStored {
			t.Errorf("frame %d: %+v", i, r)
		}
	}
	local := *c
	local.http, local.url = http.DefaultClient, a.IngestURL()
	last := local.send(local.frame(1))[0]
	if h := local.hello(ingest.Place{Incarnation: last.Incarnation, Partition: last.Partition, Entry: last.Entry}); h.Rewind || h.Bridge != a.BridgeID() {
		t.Errorf("hello %+v", h)
	}
	var s Status
	eventually(t, func() bool {
		status, body := admin(t, a.AdminURL(), a.AdminToken(), "GET", "/admin/v1/status", "")
		if status != http.StatusOK {
			t.Fatalf("status: %d %s", status, body)
		}
		s = decode[Status](t, body)
		return s.Probe.OK && s.Stream[0].Head > 0
	})
	if s.Stages["ingest"].Out != 6 || s.Stages["append"].Out != 7 || len(s.Stream) != stream.Partitions || len(s.Sinks) != 2 || s.Registry.Servers[registry.Active] != 1 || s.Fingerprint != a.Fingerprint() {
		t.Errorf("status %+v", s)
	}
	for name, stage := range s.Stages {
		if !stage.Balanced() {
			t.Errorf("stage %s: %+v", name, stage)
		}
	}
	if status, body := admin(t, a.AdminURL(), "wrong", "GET", "/admin/v1/status", ""); status != http.StatusUnauthorized || !strings.Contains(string(body), "hint") {
		t.Errorf("wrong admin token: %d %s", status, body)
	}
	if status, _ := admin(t, a.AdminURL(), c.credential, "GET", "/admin/v1/servers", ""); status != http.StatusUnauthorized {
		t.Errorf("a server's credential opens the admin listener: %d", status)
	}
	for _, url := range []string{a.AdminURL(), a.IngestURL()} {
		if status, body := admin(t, url, "", "GET", "/metrics", ""); status != http.StatusOK || !strings.Contains(string(body), "eventbridge_append_records_out_total 7") {
			t.Errorf("%s/metrics: %d", url, status)
		}
	}
	resp, err := c.http.Get(a.ListenURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("the network sees /metrics: %d", resp.StatusCode)
	}
	if runtime.GOOS != "windows" {
		for _, f := range []string{"admin.token", "ca.key", "bridge.id", "stream/bridge.token", "stream/ruler.token"} {
			info, err := os.Stat(filepath.Join(dir, f))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f, info, err)
			}
		}
	}

	// A clean stop and start: same bridge, same CA, same servers, nothing to rewind.
	id, fingerprint := a.BridgeID(), a.Fingerprint()
	stop()
	a, _ = start(t, cfg)
	local.url = a.IngestURL()
	if h := local.hello(ingest.Place{Incarnation: last.Incarnation, Partition: last.Partition, Entry: last.Entry}); h.Rewind || a.BridgeID() != id || a.Fingerprint() != fingerprint {
		t.Errorf("after a restart: %+v", h)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen within a minute")
		}
	}
}

// The volume of the stream is lost: the fleet keeps its credentials, is told
// to rewind, and is stated to the new stream.
func TestVolumeLost(t *testing.T) {
	dir := t.TempDir()
	a, stop := start(t, testConfig(dir))
	c := enrol(t, a.AdminURL(), a.AdminToken(), a.IngestURL(), "db7", http.DefaultClient)
	last := c.send(c.frame(1))[0]
	stop()
	if err := os.RemoveAll(filepath.Join(dir, "stream")); err != nil {
		t.Fatal(err)
	}
	a, _ = start(t, testConfig(dir))
	c.url = a.IngestURL()
	h := c.hello(ingest.Place{Incarnation: last.Incarnation, Partition: last.Partition, Entry: last.Entry})
	if !h.Rewind || h.Pace == 0 {
		t.Errorf("hello %+v", h)
	}
	again := c.send(c.frame(1))[0]
	if again.Incarnation == last.Incarnation || again.Status != ingest.StatusStored {
		t.Errorf("result %+v", again)
	}
	eventually(t, func() bool {
		return agentRecords(t, a, c.id) > 0
	})
}

// agentRecords counts the registry's frames about a server in the stream.
func agentRecords(t testing.TB, a *App, id record.ID) (n int) {
	t.Helper()
	for _, h := range headers(t, a.conn, stream.Partition(id)) {
		if h.Subject == id && h.Category == record.Agent {
			n++
		}
	}
	return n
}

// headers returns the headers of all frames that a partition holds.
func headers(t testing.TB, l stream.Log, p int) (out []record.Header) {
	t.Helper()
	head, err := l.Head(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if head.Entry == 0 {
		return nil
	}
	enough := errors.New("enough")
	err = l.Read(t.Context(), p, stream.Position{}, func(m stream.Message) error {
		e, err := stream.DecodeEntry(m.Data)
		if err != nil {
			return err
		}
		for _, f := range e.Frames {
			h, err := record.CheckFrame(f.Frame)
			if err != nil {
				return err
			}
			out = append(out, h)
		}
		if m.Position.Entry >= head.Entry {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	return out
}

// Two bridges on one stream share the register.
func TestTwoBridges(t *testing.T) {
	a, _ := start(t, testConfig(t.TempDir()))
	cfg := testConfig(t.TempDir())
	cfg.Stream.URL, cfg.Stream.TokenFile = a.StreamURL(), a.StreamTokenFile(stream.RoleBridge)
	b, _ := start(t, cfg)
	if a.BridgeID() == b.BridgeID() {
		t.Fatal("two bridges with one id")
	}
	c := enrol(t, a.AdminURL(), a.AdminToken(), a.IngestURL(), "db7", http.DefaultClient)
	first := c.send(c.frame(1))[0]
	c.url = b.IngestURL() // at once: the other bridge asks the bucket
	second := c.send(c.frame(1))[0]
	if second.Status != ingest.StatusStored || second.Incarnation != first.Incarnation || second.Entry <= first.Entry {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if status, body := admin(t, b.AdminURL(), b.AdminToken(), "POST", "/admin/v1/servers/"+c.id.String()+"/revoke", ""); status != http.StatusOK {
		t.Fatalf("revoke: %d %s", status, body)
	}
	c.url = a.IngestURL()
	eventually(t, func() bool {
		status, _, err := c.post("/nocturne/v1/hello", "application/json", []byte("{}"))
		return err == nil && status == http.StatusForbidden
	})
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	a, _ := start(t, testConfig(dir))
	if _, err := New(Options{Config: testConfig(dir)}); err == nil || !strings.Contains(err.Error(), "in use by another eventbridge") {
		t.Errorf("same folder twice: %v", err)
	}
	taken := testConfig(t.TempDir())
	taken.Admin.Address = strings.TrimPrefix(a.AdminURL(), "http://")
	if _, err := New(Options{Config: taken}); err == nil || !strings.Contains(err.Error(), "is another program using the port?") {
		t.Errorf("port taken: %v", err)
	}
	taken = testConfig(t.TempDir())
	taken.Stream.Address = strings.TrimPrefix(a.StreamURL(), "nats://")
	if _, err := New(Options{Config: taken}); err == nil || !strings.Contains(err.Error(), "stream.address") {
		t.Errorf("stream port taken: %v", err)
	}
	// What failed left nothing behind: the same folder opens.
	taken.Stream.Address = "127.0.0.1:0"
	if b, err := New(Options{Config: taken}); err != nil {
		t.Errorf("after a failure: %v", err)
	} else if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestAuthority(t *testing.T) {
	dir := t.TempDir()
	ca, err := openAuthority(dir, "192.0.2.5:9471", []string{"bridge.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := openAuthority(dir, "", nil)
	if err != nil || again.fingerprint() != ca.fingerprint() || len(ca.fingerprint()) != 64 {
		t.Errorf("the CA changed: %v", err)
	}
	now := time.Now()
	first, err := ca.certificate(now)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := ca.certificate(now.Add(time.Hour)); same != first {
		t.Error("made anew for every handshake")
	}
	later := now.Add(61 * 24 * time.Hour)
	renewed, err := ca.certificate(later)
	if err != nil || renewed == first {
		t.Errorf("not renewed before it expires: %v", err)
	}
	leaf, err := x509.ParseCertificate(renewed.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for _, name := range []string{"localhost", "127.0.0.1", "192.0.2.5", "bridge.example.org"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: later}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "elsewhere.example.org"}); err == nil {
		t.Error("valid for any name")
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAuthority(dir, "", nil); err == nil {
		t.Error("a broken key passes")
	}
}

// An address that this machine gets later is in the certificate soon after.
// A key that cannot be written leaves no certificate behind: no later start could
// use it.
func TestAuthorityWithoutItsKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ca.key"), 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	if _, err := openAuthority(dir, "", nil); err == nil {
		t.Fatal("it has no key and says nothing")
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := openAuthority(dir, "", nil); err != nil {
		t.Error(err)
	}
}

func TestCertificateFollowsAddresses(t *testing.T) {
	ca, err := openAuthority(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var addrs []net.Addr
	var failed error
	ca.addrs = func() ([]net.Addr, error) { return addrs, failed }
	now := time.Now()
	f := func(at time.Time, name string, want bool) *tls.Certificate {
		t.Helper()
		c, err := ca.certificate(at)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := leaf.VerifyHostname(name); (err == nil) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		return c
	}
	f(now, "198.51.100.7", false)
	addrs = []net.Addr{&net.IPNet{IP: net.IPv4(198, 51, 100, 7), Mask: net.CIDRMask(24, 32)}}
	f(now.Add(lookEvery-1), "198.51.100.7", false) // nobody looks at every handshake
	got := f(now.Add(lookEvery), "198.51.100.7", true)
	if again := f(now.Add(3*lookEvery), "198.51.100.7", true); again != got {
		t.Error("made anew although no address changed")
	}
	addrs, failed = nil, errors.New("no list")
	if again := f(now.Add(5*lookEvery), "198.51.100.7", true); again != got {
		t.Error("made anew because the addresses could not be read")
	}
}

// An expired certificate makes ticks say so: nobody is judged by them.
func TestTicksTellWhatTheProbeFound(t *testing.T) {
	a, _ := start(t, testConfig(t.TempDir()))
	said := func(want bool) func() bool {
		return func() bool {
			head, err := a.conn.Head(t.Context(), 3)
			if err != nil || head.Entry == 0 {
				return false
			}
			var last stream.Tick
			enough := errors.New("enough")
			head.Entry--
			err = a.conn.Read(t.Context(), 3, head, func(m stream.Message) error {
				e, err := stream.DecodeEntry(m.Data)
				last = e.Tick
				return errors.Join(err, enough)
			})
			return errors.Is(err, enough) && last.Wall != 0 && last.ProbeOK == want
		}
	}
	eventually(t, said(true))
	// The certificate expires and nobody renews it.
	now := time.Now()
	a.ca.mu.Lock()
	a.ca.leaf = nil
	a.ca.mu.Unlock()
	if _, err := a.ca.certificate(now.Add(-2 * leafValid)); err != nil {
		t.Fatal(err)
	}
	a.ca.mu.Lock()
	a.ca.renew = now.Add(time.Hour)
	a.ca.mu.Unlock()
	eventually(t, said(false))
	if s := a.Status(t.Context()); s.Probe.OK || s.Probe.Error == "" {
		t.Errorf("status says %+v", s.Probe)
	}
	a.ca.mu.Lock()
	a.ca.leaf = nil
	a.ca.mu.Unlock()
	eventually(t, said(true))
}
