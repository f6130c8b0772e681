//go:build linux

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/stack"
	"nocturne/internal/record"
)

const (
	benchServers   = 100
	benchTime      = 20 * time.Second
	problemsPerSec = 10
	clockTicks     = 100 // of /proc/PID/stat per second, on every Linux that we build for
)

// BenchmarkLatency sends Windows events of 100 servers at a rate through the real bridge and ruler, ten of them a second
// a new problem each, and takes the time from the bridge's answer (the record is on disk) to the arrival of the alert at
// Alertmanager's place. The load and the two VictoriaMetrics servers share the machine.
func BenchmarkLatency(b *testing.B) {
	for _, rate := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("records/s=%d", rate), func(b *testing.B) {
			am := newAlertSink(b)
			n := newNocturne(b, "run")
			n.sendAlertsTo(am.URL)
			load := newLoad(b, n)
			for b.Loop() {
				load.run(b, am, rate)
			}
		})
	}
}

// BenchmarkStart starts everything on an empty folder (cold) and on one with a fleet in it (warm).
func BenchmarkStart(b *testing.B) {
	n := newNocturne(b, "run")
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			if err := os.RemoveAll(n.data); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			n.start()
			b.StopTimer()
			n.stop()
			b.StartTimer()
		}
	})
	n.start()
	newLoadOn(b, n).fire(b, 1000)
	n.stop()
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			n.start()
			b.StopTimer()
			n.stop()
			b.StartTimer()
		}
	})
}

// sendAlertsTo takes the ruler's configuration over and names another Alertmanager, which shows when alerts come.
func (n *nocturne) sendAlertsTo(url string) {
	n.t.Helper()
	n.start()
	n.stop()
	path := stack.Layout{Dir: n.data}.Config("ruler")
	text, err := os.ReadFile(path)
	if err != nil {
		n.t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		n.t.Fatal(err)
	}
	config["alertmanager"] = map[string]any{"urls": []string{url}}
	if text, err = yaml.Marshal(config); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// alertSink stands where Alertmanager does and notes when it first hears of each problem.
type alertSink struct {
	*httptest.Server
	mu    sync.Mutex
	heard map[string]time.Time // by device
}

func newAlertSink(t testing.TB) *alertSink {
	s := &alertSink{heard: map[string]time.Time{}}
	started := time.Now()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if r.Method == http.MethodGet { // the sender asks whether it was started again
			_ = json.NewEncoder(w).Encode(map[string]any{"uptime": started})
			return
		}
		var alerts []struct{ Labels map[string]string }
		if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil {
			t.Errorf("alerts: %v", err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, a := range alerts {
			if _, known := s.heard[a.Labels["device"]]; !known {
				s.heard[a.Labels["device"]] = now
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// load is a fleet that only sends events.
type load struct {
	ingest  string
	bridge  func() (pid int)
	ruler   func() (pid int)
	servers []*loadServer

	mu     sync.Mutex
	stored map[string]time.Time // when a problem was on disk, by device
	sent   int
}

type loadServer struct {
	id         record.ID
	credential string
	epoch      record.EpochRef
	seq        uint64
}

func newLoad(b *testing.B, n *nocturne) *load {
	b.Helper()
	n.start()
	return newLoadOn(b, n)
}

func newLoadOn(b *testing.B, n *nocturne) *load {
	b.Helper()
	l := &load{ingest: stack.URL(n.ports.Ingest), stored: map[string]time.Time{}}
	l.bridge, l.ruler = func() int { return n.pid("eventbridge") }, func() int { return n.pid("ruler") }
	token, err := n.bridge().CreateToken(b.Context(), admin.TokenRequest{Uses: benchServers, TTLS: 600})
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchServers {
		name := fmt.Sprintf("load-%03d", i)
		body := map[string]any{"token": token.Token, "name": name, "os": "windows", "exporter_version": "bench", "evidence": map[string]string{"machine_id": name}}
		var answer struct {
			ServerID   record.ID `json:"server_id"`
			Credential string
		}
		if err := postJSON(l.ingest+"/nocturne/v1/enrol", body, &answer); err != nil {
			b.Fatal(err)
		}
		l.servers = append(l.servers, &loadServer{id: answer.ServerID, credential: answer.Credential, epoch: record.EpochRef{Start: time.Now().UnixNano(), Random: rand.Uint64()}})
	}
	return l
}

// run sends for benchTime, waits until all problems were told, and reports.
func (l *load) run(b *testing.B, am *alertSink, rate int) {
	b.Helper()
	bridge, ruler := cpuSeconds(b, l.bridge()), cpuSeconds(b, l.ruler())
	took := l.fire(b, rate)
	delays := l.delays(b, am)
	b.ReportMetric(float64(l.sent)/took.Seconds(), "records/s")
	b.ReportMetric(percentile(delays, 50).Seconds()*1000, "p50-ms")
	b.ReportMetric(percentile(delays, 99).Seconds()*1000, "p99-ms")
	b.ReportMetric(float64(len(delays)), "problems")
	b.ReportMetric(float64(l.sent)/(cpuSeconds(b, l.bridge())-bridge), "records/bridge-cpu-s")
	b.ReportMetric(float64(l.sent)/(cpuSeconds(b, l.ruler())-ruler), "records/ruler-cpu-s")
}

// fire sends for benchTime.
func (l *load) fire(b *testing.B, rate int) time.Duration {
	b.Helper()
	began := time.Now()
	var sending errgroup.Group
	for i, s := range l.servers {
		sending.Go(func() error { return l.send(s, i, max(rate/benchServers, 1), began) })
	}
	if err := sending.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// send sends one frame a second, spread over the second by the server's number; some frames end in a problem.
func (l *load) send(s *loadServer, number, records int, began time.Time) error {
	offset := time.Duration(number) * time.Second / benchServers
	for second := 0; time.Duration(second)*time.Second < benchTime; second++ {
		timer := time.NewTimer(time.Until(began.Add(offset + time.Duration(second)*time.Second)))
		<-timer.C
		problem := ""
		if (number+second)%(benchServers/problemsPerSec) == 0 {
			problem = fmt.Sprintf(`\Device\Harddisk%d\DR%d`, number, rand.Uint32())
		}
		if err := l.sendFrame(s, records, problem); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) sendFrame(s *loadServer, records int, problem string) error {
	now := time.Now()
	recs := make([]record.Record, records)
	for i := range recs {
		recs[i] = event(now, "Service Control Manager", 7036, "The Windows Update service entered the running state.", "Windows Update")
	}
	if problem != "" {
		recs[records-1] = event(now, "disk", 7, "The device has a bad block.", problem)
	}
	frame, err := record.EncodeData(record.Header{
		Kind: record.FrameData, Producer: record.ExporterProducer(s.id), Subject: s.id, Category: record.EventLog,
		Epoch: record.Epoch{EpochRef: s.epoch}, First: s.seq + 1, Last: s.seq + uint64(records), Sent: now.UnixNano(),
	}, recs)
	if err != nil {
		return err
	}
	s.seq += uint64(records)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, l.ingest+"/nocturne/v1/frames", bytes.NewReader(frame))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-nocturne-frames")
	req.Header.Set("Authorization", "Bearer "+s.credential)
	var answer struct {
		Results []struct{ Status, Error string }
	}
	if err := doJSON(req, &answer); err != nil {
		return err
	}
	if len(answer.Results) != 1 || answer.Results[0].Status != "stored" {
		return fmt.Errorf("frame: %+v", answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += records
	if problem != "" {
		l.stored["disk "+problem] = time.Now()
	}
	return nil
}

func event(at time.Time, provider string, id int64, text, param string) record.Record {
	return record.Record{
		Time: at, Observed: at, Severity: record.Info, Name: record.NameWindowsEvent, Body: text,
		Attrs: []record.Attr{
			{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(provider)},
			{Key: record.AttrEventID, Value: record.Int(id)}, {Key: record.AttrLevel, Value: record.String("info")},
			{Key: record.AttrData + "param1", Value: record.String(param)}, {Key: record.AttrData + "param2", Value: record.String("running")},
		},
	}
}

// delays waits until every problem was heard of.
func (l *load) delays(b *testing.B, am *alertSink) []time.Duration {
	b.Helper()
	var delays []time.Duration
	wait(b, seeLimit, "every problem to be told", func() error {
		am.mu.Lock()
		defer am.mu.Unlock()
		delays = delays[:0]
		missing := ""
		for device, at := range l.stored {
			heard, ok := am.heard[device]
			if !ok {
				missing = device
				continue
			}
			delays = append(delays, heard.Sub(at))
		}
		if missing != "" {
			return fmt.Errorf("%d of %d problems told, not %q", len(delays), len(l.stored), missing)
		}
		return nil
	})
	slices.Sort(delays)
	return delays
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// cpuSeconds is what a process has used.
func cpuSeconds(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var sum float64
	for _, i := range []int{11, 12} { // utime, stime
		ticks, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += ticks
	}
	return sum / clockTicks
}

func postJSON(url string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return doJSON(req, into)
}

func doJSON(req *http.Request, into any) error {
	res, err := loadClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status + ": " + string(text))
	}
	return json.Unmarshal(text, into)
}

// loadClient keeps a connection per server, as exporters do.
var loadClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: benchServers}}
