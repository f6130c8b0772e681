package rabbittest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

const supported = true

// ownGroup makes the child the first of a process group, so that what it starts
// ends with it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // gone already, if it fails

func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

// killStrays ends what left the group: a node looks after its epmd every minute,
// and may start one anew at the moment when both are ended. They are known by
// a line of their environment.
func killStrays(env string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // a constant pattern
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !slices.ContainsFunc(bytes.Split(b, []byte{0}), func(line []byte) bool { return string(line) == env }) {
			continue // gone, another user's, or another program
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already, if it fails
		}
	}
}
