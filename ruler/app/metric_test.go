package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
)

const fullRule = `groups:
  - name: disks
    interval: 1s
    rules:
      - alert: OwnDiskFull
        expr: full
        annotations: {device: "volume C:"}
`

// A metric rule is switched off: its problem ends, it is not asked for any more,
// its file stays as it is, and so it remains when files are read anew and after a restart.
func TestMetricRuleIsSwitchedOff(t *testing.T) {
	am := newAlertmanager(t)
	var asked atomic.Int64
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/query" && r.PostFormValue("query") == "full" {
			asked.Add(1)
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"server":"db7"},"value":[1700000000,"0.04"]}]}}`)
	}))
	t.Cleanup(metrics.Close)
	file := filepath.Join(t.TempDir(), "disks.yml")
	if err := os.WriteFile(file, []byte(fullRule), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Alertmanager.URLs, cfg.Metrics.URL = t.TempDir(), "127.0.0.1:0", []string{am.URL}, metrics.URL
	cfg.Rules.Metrics = []string{file}
	log := streamtest.New(time.Now())
	hangup := make(chan os.Signal)
	start := func() (string, func()) {
		pack, err := cfg.Rules.LoadMetrics()
		if err != nil {
			t.Fatal(err)
		}
		a, err := app.New(app.Options{Config: cfg, Stream: log, Hangup: hangup, Metrics: pack, ReloadMetrics: cfg.Rules.LoadMetrics})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		return "http://" + a.Addr() + "/api/v1", func() {
			t.Helper()
			cancel()
			if err := errors.Join(<-done, a.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	url, stop := start()
	turn := func(on bool, version int) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/rules/metric-own-disk-full/enabled", strings.NewReader(fmt.Sprintf(`{"enabled":%t,"version":%d,"comment":"noisy"}`, on, version)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	isOff := func(what string) {
		t.Helper()
		var d struct {
			Rule struct {
				Enabled bool
				OffKind string `json:"off_kind"`
			}
			Metric []any
		}
		if err := json.Unmarshal([]byte(get(t, url+"/rules/metric-own-disk-full")), &d); err != nil || d.Rule.Enabled || d.Rule.OffKind != "switched" || len(d.Metric) != 0 {
			t.Errorf("%s: %+v, %v", what, d, err)
		}
	}
	const device = "volume C:"
	id := am.next(t, device)["labels"].(map[string]any)["notification_id"].(string)
	if code := turn(false, 0); code != http.StatusOK {
		t.Fatalf("switch off: %d", code)
	}
	for {
		ends, err := time.Parse(time.RFC3339, am.next(t, device)["endsAt"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if ends.Before(time.Now().Add(time.Minute)) {
			break
		}
	}
	if text := get(t, url+"/notifications/"+id); !strings.Contains(text, "the rule metric-own-disk-full was switched off by ") {
		t.Errorf("ended without saying why: %s", text)
	}
	if text := get(t, url+"/audit?action=rules.disable"); !strings.Contains(text, `"subject":"metric-own-disk-full"`) {
		t.Errorf("audit log %s", text)
	}
	isOff("switched off")
	if code := turn(false, 0); code != http.StatusConflict {
		t.Errorf("switch off what somebody switched off since: %d", code)
	}
	hangup <- syscall.SIGHUP
	stop()
	before := asked.Load()
	url, stop = start()
	isOff("after a restart")
	if b, err := os.ReadFile(file); err != nil || string(b) != fullRule {
		t.Errorf("the file says %q, %v", b, err)
	}
	if n := asked.Load(); n > before {
		t.Errorf("asked %d times while it was off", n-before)
	}
	if code := turn(true, 1); code != http.StatusOK {
		t.Fatalf("switch on: %d", code)
	}
	for {
		if next := am.next(t, device)["labels"].(map[string]any)["notification_id"].(string); next != id {
			break // a problem of its own
		}
	}
	stop()
}
