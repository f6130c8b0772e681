package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
	"nocturne/ruler/rulebook"
)

// alertmanager records what it is told.
type alertmanager struct {
	*httptest.Server
	told chan map[string]any
}

func newAlertmanager(t *testing.T) *alertmanager {
	a := &alertmanager{told: make(chan map[string]any, 100)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, "{}")
			return
		}
		var alerts []map[string]any
		if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil {
			t.Errorf("alerts: %v", err)
		}
		for _, v := range alerts {
			a.told <- v
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// next waits for an alert about a device.
func (a *alertmanager) next(t *testing.T, device string) map[string]any {
	t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for {
		select {
		case v := <-a.told:
			if labels, ok := v["labels"].(map[string]any); ok && labels["device"] == device {
				return v
			}
		case <-end.C:
			t.Fatalf("nothing told about %q within a minute", device)
		}
	}
}

// fleet writes what a bridge would.
type fleet struct {
	t    *testing.T
	conn *stream.Conn
	id   record.ID
	seq  map[string]uint64
}

func (f *fleet) send(producer string, c record.Category, rec record.Record) {
	f.t.Helper()
	now := time.Now()
	rec.Time, rec.Observed = now, now
	f.seq[producer+c.String()]++
	frame, err := record.EncodeData(record.Header{Producer: producer, Subject: f.id, Category: c, Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 2}}, First: f.seq[producer+c.String()], Sent: now.UnixNano()}, []record.Record{rec})
	if err != nil {
		f.t.Fatal(err)
	}
	entry, err := stream.AppendEntry(nil, &stream.Entry{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Received: now.UnixNano(), Frame: frame}}})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.conn.Append(f.t.Context(), stream.Partition(f.id), entry); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) drive(state string) {
	f.send(record.ExporterProducer(f.id), record.RAID, record.Record{Name: record.NameSnapshot, Snapshot: &record.Snapshot{
		Sections: []record.Section{{Type: record.DevicePhysicalDrive}},
		Devices:  []record.Device{{Type: record.DevicePhysicalDrive, Place: "c0/e252/s1", Occupant: "S1", Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}}}}})
}

// begin runs a ruler; it returns the address of its page, and what stops it.
func begin(t *testing.T, o app.Options) (page string, stop func()) {
	t.Helper()
	a, err := app.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return "http://" + a.Addr(), func() {
		t.Helper()
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFromStreamToAlertmanager: a drive fails, a person is told, the API knows
// why; the ruler restarts; the drive is well again, and the same notification ends.
func TestFromStreamToAlertmanager(t *testing.T) {
	_, conn := streamtest.Server(t)
	if err := conn.CreateStreams(t.Context(), stream.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	am := newAlertmanager(t)
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Alertmanager.URLs = t.TempDir(), "127.0.0.1:0", []string{am.URL}
	hangup := make(chan os.Signal)
	reloads := make(chan struct{}, 1)
	start := func() (string, func()) {
		return begin(t, app.Options{Config: cfg, Stream: conn, Hangup: hangup, Rules: func() (rulebook.Files, error) {
			select {
			case reloads <- struct{}{}:
			default: // the start reads them too
			}
			return cfg.Rules.Files()
		}})
	}
	f := &fleet{t: t, conn: conn, id: record.ID{1, 2, 3}, seq: map[string]uint64{}}
	url, stop := start()
	f.send("bridge/b1/registry", record.Agent, record.Record{Name: record.NameEnrolled, Attrs: []record.Attr{{Key: record.AttrServer, Value: record.String("db7")}, {Key: record.AttrSite, Value: record.String("fra")}}})
	f.send(record.ExporterProducer(f.id), record.Heartbeat, record.Record{Name: record.NameHeartbeat})
	f.drive("Onln")
	f.drive("Failed")
	const device = "physical_drive c0/e252/s1"
	fired := am.next(t, device)
	labels := fired["labels"].(map[string]any)
	if labels["server"] != "db7" || labels["site"] != "fra" || labels["server_id"] != f.id.String() {
		t.Errorf("labels %v", labels)
	}
	id := labels["notification_id"].(string)
	if text := get(t, url+"/api/v1/notifications/"+id); !strings.Contains(text, `"state":"firing"`) || !strings.Contains(text, "device.state") {
		t.Errorf("notification %s", text)
	}
	if text := get(t, url+"/metrics"); !strings.Contains(text, "ruler_engine_records_in_total 4") {
		t.Errorf("metrics lack the records:\n%.2000s", text)
	}
	for len(reloads) > 0 {
		<-reloads // of the starts
	}
	hangup <- syscall.SIGHUP
	<-reloads
	stop()
	url, stop = start()
	f.drive("Onln")
	for {
		v := am.next(t, device)
		ends, err := time.Parse(time.RFC3339, v["endsAt"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if ends.After(time.Now().Add(time.Minute)) {
			continue // told once more that it fires
		}
		if got := v["labels"].(map[string]any)["notification_id"]; got != id {
			t.Errorf("ended %v, want %s", got, id)
		}
		break
	}
	if text := get(t, url+"/healthz"); text != "ok\n" {
		t.Errorf("healthz %q", text)
	}
	if text := get(t, url+"/"); !strings.Contains(text, "<html") {
		t.Errorf("page %.200s", text)
	}
	stop()
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", url, res.Status, b, err)
	}
	return string(b)
}

// A second ruler on the same address, or the same data, stops before it takes anything.
func TestSecondRulerStops(t *testing.T) {
	log := streamtest.New(time.Now())
	cfg := config.Default()
	cfg.Data, cfg.Listen = t.TempDir(), "127.0.0.1:0"
	a, err := app.New(app.Options{Config: cfg, Stream: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := app.New(app.Options{Config: cfg, Stream: log}); err == nil || !strings.Contains(err.Error(), "in use by another ruler") {
		t.Fatalf("on the same data: got %v", err)
	}
	cfg.Listen, cfg.Data = a.Addr(), t.TempDir()
	if _, err := app.New(app.Options{Config: cfg, Stream: log}); err == nil || !strings.Contains(err.Error(), "another ruler") {
		t.Fatalf("got %v", err)
	}
}
