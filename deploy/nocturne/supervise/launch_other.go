//go:build !linux && !windows

package supervise

import (
	"os"
	"os/exec"
	"syscall"
)

// launcher starts children in groups of their own. Without a parent-death signal, children of a killed parent live on
// until the next start finds their ports taken and names them.
type launcher struct{}

func newLauncher() (*launcher, error) { return &launcher{}, nil }

func (l *launcher) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}

func (l *launcher) close() {}

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
