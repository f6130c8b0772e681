//go:build linux

package deploy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"nocturne/deploy/wineshim"
)

// wine is a Wine prefix of a test's own, in which Go programs start: a small Windows.
type wine struct {
	t      *testing.T
	prefix string
	env    []string
	keeper *exec.Cmd
	in     io.Closer // the keeper lives until its input ends
}

// newWine makes the prefix; boot starts it.
func newWine(t *testing.T) *wine {
	t.Helper()
	if _, err := exec.LookPath("wine"); err != nil {
		t.Skip("no wine here: exporter.exe is only built, not started")
	}
	if testing.Short() {
		t.Skip("makes a Wine prefix: not in short mode")
	}
	prefix := filepath.Join(t.TempDir(), "prefix")
	w := &wine{t: t, prefix: prefix, env: append(os.Environ(), "WINEPREFIX="+prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=")}
	t.Cleanup(w.powerOff)
	w.makePrefix()
	if err := os.WriteFile(w.drive("windows", "system32", "bcryptprimitives.dll"), wineshim.BCryptPrimitives(), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// makePrefix makes the prefix, anew where Wine failed: now and then its first program, wineboot itself, is looked for
// before the prefix has it, and ends with "Application could not be started".
func (w *wine) makePrefix() {
	w.t.Helper()
	for try := 1; ; try++ {
		out, err := w.command("wineboot", "-i").CombinedOutput()
		if werr := w.command("wineserver", "-w").Run(); werr != nil {
			w.t.Fatalf("wineserver -w: %v", werr)
		}
		if err == nil {
			return
		}
		if try == 3 {
			w.t.Fatalf("wineboot -i failed %d times: %v\n%s", try, err, out)
		}
		w.t.Logf("wineboot -i, try %d: %v\n%s", try, err, out)
		if err := os.RemoveAll(w.prefix); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *wine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = w.env
	return cmd
}

// boot starts the services. Wine's service manager lives as long as a program of a user does, so one waits for input.
func (w *wine) boot() {
	w.t.Helper()
	w.keeper = w.command("wine", "cmd", "/k", "echo on")
	w.keeper.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := w.keeper.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.keeper.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.keeper.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.in = in
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		w.t.Fatalf("wine does not start: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the keeper
}

// powerOff ends everything that runs in the prefix, and nothing else, without asking it.
func (w *wine) powerOff() {
	_ = w.command("wineserver", "-k").Run()
	_ = w.command("wineserver", "-w").Run()
	if w.keeper != nil {
		_ = w.in.Close()
		_ = w.keeper.Process.Kill()
		_ = w.keeper.Wait()
		w.keeper = nil
	}
}

// path is a path of this machine as Windows programs write it.
func (w *wine) path(p string) string { return `Z:` + strings.ReplaceAll(p, "/", `\`) }

// drive is a path of the prefix's drive C as this machine writes it.
func (w *wine) drive(name ...string) string {
	return filepath.Join(append([]string{w.prefix, "drive_c"}, name...)...)
}

// run runs a Windows command line and returns what it printed.
func (w *wine) run(args ...string) (string, error) {
	out, err := w.command("wine", args...).CombinedOutput()
	return string(out), err
}

func (w *wine) must(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// msiexec installs or removes without a question and returns the full log.
func (w *wine) msiexec(verb, msi string, properties ...string) (string, error) {
	w.t.Helper()
	log := filepath.Join(w.t.TempDir(), "msi.log")
	args := append([]string{"msiexec", verb, w.path(msi), "/qn", "/l*v", w.path(log)}, properties...)
	out, err := w.run(args...)
	text, rerr := os.ReadFile(log)
	if rerr != nil {
		w.t.Fatalf("msiexec %s left no log: %v\n%s", verb, rerr, out)
	}
	if err != nil {
		err = fmt.Errorf("msiexec %s %s: %w\n%s", verb, filepath.Base(msi), err, out)
	}
	return string(text) + out, err
}

// process finds a process of the prefix by a part of its command line.
func (w *wine) process(part string) (pid int, ok bool) {
	w.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), part) {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !bytes.Contains(env, []byte("WINEPREFIX="+w.prefix+"\x00")) {
			continue
		}
		if pid, err = strconv.Atoi(filepath.Base(dir)); err == nil {
			return pid, true
		}
	}
	return 0, false
}

// registry is what is written down of it; Wine writes it when it ends and every half minute.
func (w *wine) registry() string {
	w.t.Helper()
	var all strings.Builder
	for _, name := range []string{"system.reg", "user.reg", "userdef.reg"} {
		text, err := os.ReadFile(filepath.Join(w.prefix, name))
		if err != nil {
			w.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
