//go:build linux

package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/stack"
	"nocturne/deploy/wineshim"
	"nocturne/internal/corpus"
)

const (
	wineServer    = "wine-server"
	wineStopLimit = 20 * time.Second
)

// wine is a Wine prefix of a test's own, in which Go programs start.
type wine struct {
	t   *testing.T
	env []string
}

func newWine(t *testing.T) *wine {
	t.Helper()
	if _, err := exec.LookPath("wine"); err != nil {
		t.Skip("no wine here: exporter.exe is only built, not started")
	}
	if testing.Short() {
		t.Skip("makes a Wine prefix: not in short mode")
	}
	prefix := filepath.Join(t.TempDir(), "prefix")
	w := &wine{t: t, env: append(os.Environ(), "WINEPREFIX="+prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=")}
	t.Cleanup(func() { _ = w.command("wineserver", "-k").Run() }) // ends only what runs in this prefix
	for _, args := range [][]string{{"wineboot", "-i"}, {"wineserver", "-w"}} {
		if out, err := w.command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	system := filepath.Join(prefix, "drive_c", "windows", "system32")
	if err := os.WriteFile(filepath.Join(system, "bcryptprimitives.dll"), wineshim.BCryptPrimitives(), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = w.env
	return cmd
}

// path is a path of this machine as Windows programs write it.
func (w *wine) path(p string) string { return `Z:` + strings.ReplaceAll(p, "/", `\`) }

// TestExporterUnderWine starts the real exporter.exe. It shows that the Windows build starts, keeps its spool, runs a
// RAID tool and delivers to a bridge. It shows nothing of the event log, of services or of real hardware: Wine has none.
func TestExporterUnderWine(t *testing.T) {
	raid := filepath.Join(corpus.Dir(t), "raid", "scality.raidmgmt")
	n := newNocturne(t, "run")
	w := newWine(t)
	dir := t.TempDir()
	exe, tool, state := filepath.Join(dir, "exporter.exe"), filepath.Join(dir, "storcli64.exe"), filepath.Join(dir, "raid-state")
	goBuild(t, exe, "../exporter", "windows")
	goBuild(t, tool, "./fakestorcli", "windows")
	writeFile(t, state, "before")
	n.start()

	config := filepath.Join(dir, "exporter.yml")
	writeFile(t, config, fmt.Sprintf(`
data: 'C:\nocturne'
metrics: {listen: "", interval: 1s}
heartbeat: {interval: 5s}
raid: {command: ['%s', '%s', '%s'], period: 5s, deadline: 5s, jitter: 0s}
`, w.path(tool), w.path(raid), w.path(state)))
	token, err := n.bridge().CreateToken(t.Context(), admin.TokenRequest{Uses: 1, TTLS: 60, Site: "wine"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.command("wine", exe, "enrol", "--config", w.path(config), "--server", stack.URL(n.ports.Ingest), "--token", token.Token, "--name", wineServer).CombinedOutput()
	if err != nil {
		t.Fatalf("exporter.exe enrol: %v\n%s", err, out)
	}

	agent := w.command("wine", exe, "run", "--config", w.path(config))
	agent.Stdout, agent.Stderr = t.Output(), t.Output()
	agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	t.Cleanup(func() { _ = agent.Process.Kill() })

	c := &chain{nocturne: n}
	wait(t, seeLimit, "a Windows server in the API", func() error {
		var answer struct {
			Items []struct {
				Name, State, Site string
				OSType            string `json:"os_type"`
			}
		}
		if err := n.api("servers?search="+wineServer, &answer); err != nil {
			return err
		}
		if len(answer.Items) != 1 || answer.Items[0].State != "up" || answer.Items[0].OSType != "windows" || answer.Items[0].Site != "wine" {
			return fmt.Errorf("servers %+v, want %s that is up, runs Windows and stands at site wine", answer.Items, wineServer)
		}
		return nil
	})
	c.expectSeries(t, fmt.Sprintf(`nocturne_raid_physical_drive_info{server=%q}`, wineServer), 12)
	c.expectSeries(t, fmt.Sprintf(`exporter_source_success{server=%q,source="raid"} == 1`, wineServer), 1)
	writeFile(t, state, "after")
	c.expectChange(t, change{Kind: "field", DeviceType: "physical_drive", Place: slot12, Field: "state", Before: "Onln", After: "UGood"})

	if err := agent.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Logf("exporter.exe ended after Ctrl-C: %v", err)
	case <-time.After(wineStopLimit):
		t.Errorf("exporter.exe still there %s after Ctrl-C", wineStopLimit)
	}
	c.expectEvents(t, fmt.Sprintf(`name:="nocturne.goodbye" server:=%q`, wineServer), 1)
}
