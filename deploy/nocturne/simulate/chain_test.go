package simulate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/simulate"
	"nocturne/eventbridge/app"
	"nocturne/eventbridge/config"
	"nocturne/eventbridge/sink/sinktest"
)

// startBridge runs a real eventbridge that writes to real stores.
func startBridge(t *testing.T, vm, vl string) *app.App {
	t.Helper()
	c := config.Default()
	c.Data = t.TempDir()
	c.Ingest.Address, c.Admin.Address, c.Stream.Address = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.VictoriaMetrics.URL, c.VictoriaLogs.URL = vm, vl
	a, err := app.New(app.Options{Config: c, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// get asks a store, after it made visible what it has.
func get(base, path string, q url.Values) (string, error) {
	var out string
	for _, u := range []string{base + "/internal/force_flush", base + path + "?" + q.Encode()} {
		resp, err := http.Get(u)
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("%s: %s %s %w", path, resp.Status, b, err)
		}
		out = string(b)
	}
	return out, nil
}

// promql returns the value of the only series of an answer, 0 for none.
func promql(base, query string) (float64, error) {
	out, err := get(base, "/api/v1/query", url.Values{"query": {query}, "nocache": {"1"}})
	if err != nil {
		return 0, err
	}
	var a struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil || len(a.Data.Result) != 1 {
		return 0, err
	}
	s, _ := a.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(s, 64)
}

// TestThroughTheRealBridge plays eight servers through a real eventbridge into
// real stores, breaks a drive, and finds all of it by PromQL and LogsQL.
func TestThroughTheRealBridge(t *testing.T) {
	vm, vl := sinktest.StartMetrics(t), sinktest.StartLogs(t)
	a := startBridge(t, vm.URL, vl.URL)
	token := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(token, []byte(a.AdminToken()), 0o600); err != nil {
		t.Fatal(err)
	}
	sim, err := simulate.New(simulate.Config{
		Bridge: a.IngestURL(), Dir: t.TempDir(), Servers: 8, Seed: 5, Control: "127.0.0.1:0", Metrics: time.Second,
		JoinToken: simulate.AdminTokens(admin.Client{URL: a.AdminURL(), TokenFile: token}),
		Settings:  simulate.Settings{Heartbeat: time.Second, RAID: time.Second, Events: 60, Pace: 0.05},
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()

	deadline, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var begun simulate.Begun
	if err := sinktest.Poll(deadline, func() (err error) {
		begun, err = sim.Incident(simulate.KindDrive, sim.Servers()[3].Name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	name := begun.Servers[0]
	f := func(why, query string, want float64) {
		t.Helper()
		if err := sinktest.Poll(deadline, func() error {
			got, err := promql(vm.URL, query)
			if err == nil && got != want {
				err = fmt.Errorf("%s is %v, want %v", query, got, want)
			}
			return err
		}); err != nil {
			t.Errorf("%s: %v", why, err)
		}
	}
	f("every server is there, marked simulated", `count(nocturne_server_info{simulated="true",site!="",rack!="",role!="",os=~"Microsoft Windows.*"})`, 8)
	f("one drive failed", `count(count_over_time(nocturne_raid_physical_drive_state{state="Failed",server="`+name+`"}[5m]))`, 1)
	f("its array was degraded", `count(count_over_time(nocturne_raid_virtual_drive_state{state=~"Dgrd|Pdgd",server="`+name+`"}[5m]))`, 1)
	f("another serial came", `count(last_over_time(nocturne_raid_physical_drive_info{server="`+name+`"}[5m])) - count(nocturne_raid_physical_drive_state{server="`+name+`"})`, 1)
	f("all is well in the end, and nothing of before is left", `count(nocturne_raid_physical_drive_state{state!="Onln"}) or vector(0)`, 0)
	f("metrics are pushed under the right name", `count(count by (server) (windows_cpu_time_total))`, 8)
	f("as many series as a real server sends, and those of its parts", `(count({server="`+name+`"}) > bool 100) * (count({server="`+name+`"}) < bool 240)`, 1)

	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sent := sim.Totals()
	if sent.Sent != sent.Acked || sent.Refused != 0 {
		t.Errorf("%+v", sent)
	}
	deadline, stop = context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	want := fmt.Sprintf(`{"rows":"%d","ids":"%d"}`, sent.Sent, sent.Sent)
	if err := sinktest.Poll(deadline, func() error {
		out, err := get(vl.URL, "/select/logsql/query", url.Values{"query": {`category:!=agent | stats count() rows, count_uniq(record_id) ids`}})
		if err == nil && strings.TrimSpace(out) != want {
			err = fmt.Errorf("got %s, want %s", strings.TrimSpace(out), want)
		}
		return err
	}); err != nil {
		t.Errorf("every record is a row once: %v", err)
	}
	out, err := get(vl.URL, "/select/logsql/query", url.Values{"query": {`provider:=MR_MONITOR event_id:=251 server:="` + name + `"`}})
	if err != nil || !strings.Contains(out, "VD is now DEGRADED") || !strings.Contains(out, `"simulated":"true"`) {
		t.Errorf("the event of the degraded array: %s %v", out, err)
	}
}
