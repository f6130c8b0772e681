package alertmanager

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
)

// childDir tells the test binary to be an Alertmanager on that folder instead of running tests.
const childDir = "NOCTURNE_TEST_ALERTMANAGER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, runChild(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func runChild(dir string) error {
	a, err := New(Options{ConfigFile: dir + "/alertmanager.yml", DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	fmt.Println("addr", a.Addr())
	return a.Run(context.Background())
}

// startChild runs an Alertmanager as a process of its own; kill ends it with -9.
func startChild(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // "signal: killed" is what we asked for
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "addr ")), kill
}

func TestKilledOneRemembersWhatItSent(t *testing.T) {
	w, dir := newWebhook(t), t.TempDir()
	writeConfig(t, dir, w.URL)

	addr, kill := startChild(t, dir)
	postAlert(t, addr, "DriveFailed", time.Hour)
	w.expect(t, "firing DriveFailed")
	waitFor(t, 2*time.Second, "notification log on disk", func() bool {
		return metric(t, addr, `nocturne_alertmanager_snapshots_total{state="nflog"}`) >= 1
	})
	kill()

	addr, kill = startChild(t, dir)
	postAlert(t, addr, "DriveFailed", time.Hour) // what the ruler does every minute
	waitForFlushes(t, addr, 1)
	kill()

	// The problem ended while nothing ran: the ruler still says so, and only that is sent.
	addr, _ = startChild(t, dir)
	postAlert(t, addr, "DriveFailed", -time.Second)
	w.expect(t, "resolved DriveFailed")
	w.expectNone(t)
}

// stageFunc is a pipeline for the tests of drain.
type stageFunc func(ctx context.Context) error

var _ notify.Stage = stageFunc(nil)

func (f stageFunc) Exec(ctx context.Context, _ *slog.Logger, alerts ...*alert.Alert) (context.Context, []*alert.Alert, error) {
	return ctx, alerts, f(ctx)
}
