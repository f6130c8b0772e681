package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

// tape is an Appender that remembers what it was given.
type tape struct {
	mu          sync.Mutex
	incarnation string
	frames      []record.Frame
	fail        error // returned instead of storing
	forget      bool  // store, and then say that it failed
}

func (a *tape) AppendFrames(_ context.Context, subject record.ID, frames ...[]byte) (stream.Position, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil && !a.forget {
		return stream.Position{}, a.fail
	}
	for _, b := range frames {
		f, err := record.DecodeFrame(b)
		if err != nil {
			return stream.Position{}, err
		}
		if f.Subject != subject {
			return stream.Position{}, errors.New("subject differs")
		}
		a.frames = append(a.frames, f)
	}
	return stream.Position{Incarnation: a.incarnation, Entry: uint64(len(a.frames))}, a.fail
}

func (a *tape) Incarnation(context.Context, record.ID) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.incarnation, nil
}

// about returns the names of the records about a server, oldest first.
func (a *tape) about(id record.ID) (names []string, last record.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.frames {
		if f.Subject == id {
			names, last = append(names, f.Records[0].Name), f.Records[0]
		}
	}
	return names, last
}

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func bucket(t testing.TB, js jetstream.JetStream, name string) jetstream.KeyValue {
	t.Helper()
	kv, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, History: 1, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func open(t testing.TB, o Options) *Registry {
	t.Helper()
	if o.Config.Succession == "" {
		o.Config = DefaultConfig()
	}
	o.Log = slog.New(slog.DiscardHandler)
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start returns a registry over a real JetStream, with its parts.
func start(t testing.TB, cfg Config) (*Registry, *tape, *clock, jetstream.KeyValue) {
	t.Helper()
	_, conn := streamtest.Server(t)
	kv := bucket(t, conn.JetStream(), Bucket)
	a, c := &tape{incarnation: "first"}, &clock{now: time.Unix(1_800_000_000, 0)}
	return open(t, Options{Config: cfg, BridgeID: "b1", KV: kv, Append: a, Now: c.Now}), a, c, kv
}

func token(t testing.TB, r *Registry, q TokenRequest) string {
	t.Helper()
	text, _, err := r.CreateToken(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const address = "192.0.2.10:1234"

func enrol(t testing.TB, r *Registry, token, name string, e Evidence) EnrolAnswer {
	t.Helper()
	a, err := r.Enrol(t.Context(), address, EnrolRequest{Token: token, Name: name, OS: "linux", ExporterVersion: "1", Evidence: e})
	if err != nil {
		t.Fatalf("enrol %s: %v", name, err)
	}
	return a
}

// denied returns why an error refuses, "" when it does not.
func denied(err error) Reason {
	var d *Denied
	if errors.As(err, &d) {
		return d.Reason
	}
	return ""
}

func auth(t testing.TB, r *Registry, credential string) (Principal, error) {
	t.Helper()
	return r.Authenticate(t.Context(), "Bearer "+credential)
}

var machine = Evidence{MachineID: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", SMBIOSUUID: "4C4C4544-0042-3510-8053-B4C04F4D3132", Serial: "B5SM12"}
