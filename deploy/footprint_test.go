//go:build linux

package deploy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nocturne/internal/record"
)

const (
	footprintWarm  = 15 * time.Second  // before anything is measured
	footprintIdle  = 120 * time.Second // two pushes, a heartbeat
	footprintLoad  = 60 * time.Second
	footprintDrain = 60 * time.Second // after the last event, at most

	maxExporterSize = 25_000_000
)

// BenchmarkExporterSize builds the exporter as `make build` and `make windows` do and weighs it.
func BenchmarkExporterSize(b *testing.B) {
	for _, goos := range []string{"linux", "windows"} {
		b.Run(goos, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "exporter")
			for b.Loop() {
				buildRelease(b, path, "../exporter", goos)
			}
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			if info.Size() > maxExporterSize {
				b.Errorf("%d bytes, at most %d are promised", info.Size(), maxExporterSize)
			}
			b.ReportMetric(float64(info.Size())/1e6, "MB")
		})
	}
}

// BenchmarkExporterIdle leaves three programs alone at the same time: the exporter without and with the collectors of the
// operating system, with its other defaults, and node_exporter with its own, asked once a minute.
func BenchmarkExporterIdle(b *testing.B) {
	dir := b.TempDir()
	exporter, node := filepath.Join(dir, "exporter"), filepath.Join(dir, "node_exporter")
	buildRelease(b, exporter, "../exporter", "linux")
	buildRelease(b, node, "github.com/prometheus/node_exporter", "linux")
	for b.Loop() {
		without := startExporter(b, exporter, newCountingBridge(b), "metrics: {listen: '127.0.0.1:0', machine: false}\n")
		with := startExporter(b, exporter, newCountingBridge(b), "metrics: {listen: '127.0.0.1:0'}\n")
		address := freeAddress(b)
		peer := startMeasured(b, exec.Command(node, "--web.listen-address="+address, "--log.level=error"))
		time.Sleep(footprintWarm)
		all := map[string]*measured{"exporter": without, "exporter-with-machine": with, "node_exporter": peer}
		for _, m := range all {
			m.begin(b)
		}
		for range footprintIdle / time.Minute {
			scrape(b, "http://"+address+"/metrics")
			time.Sleep(time.Minute)
		}
		for name, m := range all {
			b.ReportMetric(m.resident(b), name+"-MB")
			b.ReportMetric(m.cpuPercent(b), name+"-cpu%")
			m.stop(b)
		}
	}
}

// BenchmarkExporterLoad lets the exporter read events at a rate from a stand-in for journalctl (deploy/fakejournalctl), keep
// them in its spool and send them to a stand-in for a bridge in this process, which shares the machine. It fails when one is
// missing. The event log of Windows is another way in: BenchmarkBurst of exporter/source/winlog measures that without Windows.
func BenchmarkExporterLoad(b *testing.B) {
	dir := b.TempDir()
	exporter, journalctl := filepath.Join(dir, "exporter"), filepath.Join(dir, "journalctl")
	buildRelease(b, exporter, "../exporter", "linux")
	buildRelease(b, journalctl, "./fakejournalctl", "linux")
	for _, rate := range []int{2000, 10000} {
		b.Run(fmt.Sprintf("events/s=%d", rate), func(b *testing.B) {
			for b.Loop() {
				loadExporter(b, exporter, journalctl, rate)
			}
		})
	}
}

func loadExporter(b *testing.B, exporter, journalctl string, rate int) {
	bridge, begin := newCountingBridge(b), filepath.Join(b.TempDir(), "begin")
	events := rate * int(footprintLoad/time.Second)
	m := startExporter(b, exporter, bridge, fmt.Sprintf("metrics: {listen: '127.0.0.1:0'}\njournal: {command: [%s, %s, '%d', '%d']}\n", journalctl, begin, rate, events))
	time.Sleep(footprintWarm)
	writeFile(b, begin, "")
	m.begin(b)
	began, most := time.Now(), 0.
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for bridge.events() < events && time.Since(began) < footprintLoad+footprintDrain {
		<-tick.C
		most = max(most, m.resident(b))
	}
	took := time.Since(began)
	cpu := m.cpuPercent(b)
	m.stop(b)
	lost, totals := events-bridge.events(), bridge.totals()
	if lost != 0 || totals.Missing+totals.Declared != 0 {
		b.Errorf("%d of %d events did not arrive within %s; the ledger: %+v", lost, events, took, totals)
	}
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(totals.Duplicate), "repeated")
	b.ReportMetric(float64(events-lost)/took.Seconds(), "events/s")
	b.ReportMetric((took - footprintLoad).Seconds(), "s-behind")
	b.ReportMetric(most, "peak-MB")
	b.ReportMetric(cpu, "cpu%")
}

func buildRelease(b *testing.B, out, pkg, goos string) {
	b.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
}

// measured is a program with its children.
type measured struct {
	cmd   *exec.Cmd
	ended chan error
	at    time.Time
	cpu   float64
}

func startMeasured(b *testing.B, cmd *exec.Cmd) *measured {
	b.Helper()
	cmd.Stderr = b.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	m := &measured{cmd: cmd, ended: make(chan error, 1)}
	go func() { m.ended <- cmd.Wait() }()
	b.Cleanup(func() { _ = cmd.Process.Kill() })
	return m
}

// startExporter starts one that is enrolled at a bridge.
func startExporter(b *testing.B, exe string, bridge *countingBridge, config string) *measured {
	b.Helper()
	dir := b.TempDir()
	id := strings.Repeat("5e", 16)
	writeFile(b, filepath.Join(dir, "enrolment.json"), fmt.Sprintf(`{"server_id":%q,"server":"db7","url":%q}`, id, bridge.URL))
	writeFile(b, filepath.Join(dir, "credential"), "noc1."+id+".secret")
	path := filepath.Join(dir, "exporter.yml")
	writeFile(b, path, "data: "+dir+"\nlog_level: warn\n"+config)
	return startMeasured(b, exec.Command(exe, "run", "--config", path))
}

// stop ends the program and waits for it.
func (m *measured) stop(b *testing.B) {
	b.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Error(err)
	}
	if err := <-m.ended; err != nil && !strings.Contains(err.Error(), "signal: terminated") { // node_exporter's end
		b.Error(err)
	}
}

// processes are the program and what it started, but for the stand-in for journalctl.
func (m *measured) processes(b *testing.B) []int {
	b.Helper()
	pid := m.cmd.Process.Pid
	pids := []int{pid}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that ended
		}
		for _, f := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			if name, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); err == nil && filepath.Base(name) != "journalctl" {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// resident is the memory of all its processes, in MB; pages that they share count in each.
func (m *measured) resident(b *testing.B) float64 {
	b.Helper()
	var sum float64
	for _, pid := range m.processes(b) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "VmRSS:")
		var kib float64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			b.Fatalf("VmRSS of process %d: %v", pid, err)
		}
		sum += kib * 1024 / 1e6
	}
	return sum
}

func (m *measured) cpuOfAll(b *testing.B) float64 {
	b.Helper()
	var sum float64
	for _, pid := range m.processes(b) {
		sum += cpuSeconds(b, pid)
	}
	return sum
}

func (m *measured) begin(b *testing.B) { m.at, m.cpu = time.Now(), m.cpuOfAll(b) }

// cpuPercent is the share of one core since begin.
func (m *measured) cpuPercent(b *testing.B) float64 {
	return 100 * (m.cpuOfAll(b) - m.cpu) / time.Since(m.at).Seconds()
}

func scrape(b *testing.B, url string) {
	b.Helper()
	res, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK || n < 1000 {
		b.Fatalf("%s: %s, %d bytes, %v", url, res.Status, n, err)
	}
}

// countingBridge answers like an eventbridge that stores everything, and keeps only the ledger.
type countingBridge struct {
	*httptest.Server
	mu     sync.Mutex
	ledger *record.Ledger
	fresh  int // records of category eventlog, each once
}

func newCountingBridge(b *testing.B) *countingBridge {
	c := &countingBridge{ledger: record.NewLedger()}
	c.Server = httptest.NewServer(c)
	b.Cleanup(c.Close)
	return c
}

func (c *countingBridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/nocturne/v1/hello":
		_, _ = io.WriteString(w, `{"bridge":"b","incarnation":"i","partition":1,"head":1000000}`)
	case "/nocturne/v1/frames":
		var results []map[string]any
		c.mu.Lock()
		for len(body) > 0 {
			h, n, err := record.DecodeHeader(body)
			if err != nil {
				break
			}
			o := c.ledger.Observe(&h)
			if h.Category == record.EventLog && h.Kind == record.FrameData {
				for _, r := range o.Fresh {
					c.fresh += int(r.Len())
				}
			}
			body = body[n:]
			results = append(results, map[string]any{"status": "stored", "incarnation": "i", "partition": 1, "entry": 1})
		}
		c.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (c *countingBridge) events() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh
}

func (c *countingBridge) totals() record.Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.Totals()
}
