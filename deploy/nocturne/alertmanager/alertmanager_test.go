package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const waitLimit = 60 * time.Second

// message is what the webhook receiver gets, as far as the tests look at it.
type message struct {
	Status string `json:"status"`
	Alerts []struct {
		Status string            `json:"status"`
		Labels map[string]string `json:"labels"`
	} `json:"alerts"`
}

func (m message) String() string { return m.Status + " " + m.Alerts[0].Labels["alertname"] }

// webhook is a receiver that hands each message to the test; gate, when set, holds each one back before the answer.
type webhook struct {
	*httptest.Server
	messages chan message
	gate     chan struct{}
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{messages: make(chan message, 100)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("webhook body: %v", err)
			return
		}
		w.messages <- m
		if w.gate != nil {
			<-w.gate
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *webhook) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case m := <-w.messages:
		if m.String() != want {
			t.Fatalf("message %q, want %q", m, want)
		}
	case <-time.After(waitLimit):
		t.Fatalf("no message within %s, want %q", waitLimit, want)
	}
}

func (w *webhook) expectNone(t *testing.T) {
	t.Helper()
	select {
	case m := <-w.messages:
		t.Fatalf("message %q, want none", m)
	default:
	}
}

// writeConfig groups by alertname and sends at once.
func writeConfig(t *testing.T, dir, url string) string {
	t.Helper()
	file := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf(`
route: {receiver: test, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}
receivers: [{name: test, webhook_configs: [{url: "%s", send_resolved: true}]}]
`, url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// start runs an App in this process; the returned stop is idempotent.
func start(t *testing.T, dir, config string) (*App, func()) {
	t.Helper()
	a, err := New(Options{ConfigFile: config, DataDir: dir, Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop := func() {
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

func postAlert(t *testing.T, addr, name string, ends time.Duration) {
	t.Helper()
	now := time.Now()
	post(t, "http://"+addr+"/api/v2/alerts", []any{map[string]any{
		"labels": map[string]string{"alertname": name}, "startsAt": now.Add(-time.Minute), "endsAt": now.Add(ends),
	}})
}

func post(t *testing.T, url string, body any) []byte {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(url, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, url, res)
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, url, res)
}

func readAll(t *testing.T, url string, res *http.Response) []byte {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, res.Status, text)
	}
	return text
}

// metric reads one sample of /metrics, 0 when it is not there.
func metric(t *testing.T, addr, series string) float64 {
	t.Helper()
	for line := range strings.Lines(string(get(t, "http://"+addr+"/metrics"))) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestDeliversOnceAcrossAStop(t *testing.T) {
	w, dir := newWebhook(t), t.TempDir()
	config := writeConfig(t, dir, w.URL)

	a, stop := start(t, dir, config)
	postAlert(t, a.Addr(), "DriveFailed", time.Hour)
	w.expect(t, "firing DriveFailed")
	postAlert(t, a.Addr(), "DriveFailed", time.Hour)
	stop()

	a, _ = start(t, dir, config)
	postAlert(t, a.Addr(), "DriveFailed", time.Hour)
	postAlert(t, a.Addr(), "Marker", time.Hour)
	w.expect(t, "firing Marker")
	waitForFlushes(t, a.Addr(), 2)
	w.expectNone(t)

	postAlert(t, a.Addr(), "DriveFailed", -time.Second)
	w.expect(t, "resolved DriveFailed")
}

// waitForFlushes waits until n flushes asked the notification log whether to send.
func waitForFlushes(t *testing.T, addr string, n float64) {
	t.Helper()
	waitFor(t, waitLimit, "flushes", func() bool { return metric(t, addr, "alertmanager_nflog_queries_total") >= n })
}

func TestStopLetsAMessageArrive(t *testing.T) {
	w, dir := newWebhook(t), t.TempDir()
	w.gate = make(chan struct{})
	config := writeConfig(t, dir, w.URL)

	a, stop := start(t, dir, config)
	postAlert(t, a.Addr(), "DriveFailed", time.Hour)
	w.expect(t, "firing DriveFailed") // and the receiver has not answered yet
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	waitFor(t, waitLimit, "the listener to close", func() bool {
		res, err := http.Get("http://" + a.Addr() + "/-/ready")
		if err == nil {
			_ = res.Body.Close()
		}
		return err != nil
	})
	close(w.gate)
	<-stopped

	a, _ = start(t, dir, config)
	postAlert(t, a.Addr(), "DriveFailed", time.Hour)
	waitForFlushes(t, a.Addr(), 1)
	postAlert(t, a.Addr(), "Marker", time.Hour)
	w.expect(t, "firing Marker")
}

func TestDrainCutsOffWhatNeverArrives(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan error, 1)
	d := newDrain(stageFunc(func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _, err := d.Exec(ctx, nil)
		ended <- err
	}()
	<-entered
	cancel() // the dispatcher stops; the message goes on
	if cut := d.wait(time.Millisecond); cut != 1 {
		t.Errorf("cut off %d groups, want 1", cut)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("pipeline ended with %v, want cancelled", err)
	}
	if _, _, err := d.Exec(context.Background(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("work after the drain: %v, want cancelled", err)
	}
}

func TestSilencesAreKept(t *testing.T) {
	w, dir := newWebhook(t), t.TempDir()
	config := writeConfig(t, dir, w.URL)
	a, _ := start(t, dir, config)
	before := time.Now()
	post(t, "http://"+a.Addr()+"/api/v2/silences", map[string]any{
		"matchers":  []any{map[string]any{"name": "alertname", "value": "DriveFailed", "isRegex": false, "isEqual": true}},
		"startsAt":  before,
		"endsAt":    before.Add(time.Hour),
		"createdBy": "test", "comment": "maintenance",
	})
	waitFor(t, waitLimit, "silence on disk", func() bool {
		return metric(t, a.Addr(), `nocturne_alertmanager_snapshots_total{state="silences"}`) >= 1
	})

	// A second one on a copy of the folder sees what a killed one would have left.
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, copied, config)
	if text := get(t, "http://"+b.Addr()+"/api/v2/silences"); !bytes.Contains(text, []byte("maintenance")) {
		t.Fatalf("silences after a restart: %s", text)
	}
	postAlert(t, b.Addr(), "DriveFailed", time.Hour)
	postAlert(t, b.Addr(), "Marker", time.Hour)
	w.expect(t, "firing Marker")
	waitFor(t, waitLimit, "the alert to be suppressed", func() bool {
		return bytes.Contains(get(t, "http://"+b.Addr()+"/api/v2/alerts?filter=alertname=DriveFailed"), []byte(`"state":"suppressed"`))
	})
	w.expectNone(t)
}

func TestReload(t *testing.T) {
	first, second, dir := newWebhook(t), newWebhook(t), t.TempDir()
	config := writeConfig(t, dir, first.URL)
	a, _ := start(t, dir, config)

	writeConfig(t, dir, second.URL)
	post(t, "http://"+a.Addr()+"/-/reload", nil)
	postAlert(t, a.Addr(), "AfterReload", time.Hour)
	second.expect(t, "firing AfterReload")

	if err := os.WriteFile(config, []byte("route: {receiver: nobody}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("reload of a bad file: %v, want an error that names the receiver", err)
	}
	postAlert(t, a.Addr(), "AfterBadReload", time.Hour)
	second.expect(t, "firing AfterBadReload")
	first.expectNone(t)
}

func TestSlowRequestBodiesAreGivenUp(t *testing.T) {
	dir := t.TempDir()
	a, stop := start(t, dir, writeConfig(t, dir, newWebhook(t).URL))
	defer stop()
	if s := a.server; s.ReadTimeout <= 0 || s.ReadTimeout > 30*time.Second || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Errorf("a request may take %s to arrive, %s to be answered, %s to follow: want limits", s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	_, err := New(Options{ConfigFile: filepath.Join(dir, "missing.yml"), DataDir: dir, Listen: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "missing.yml") {
		t.Errorf("error %v, want one that names the file", err)
	}
}
