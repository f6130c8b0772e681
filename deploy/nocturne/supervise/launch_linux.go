package supervise

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// launcher forks all children from one thread that lives as long as the launcher: the kernel sends the parent-death
// signal when the thread that forked ends, not when the process does, and Go ends threads when it likes.
type launcher struct {
	requests chan launch
	done     chan struct{}
}

type launch struct {
	cmd *exec.Cmd
	err chan error
}

func newLauncher() (*launcher, error) {
	l := &launcher{requests: make(chan launch), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for r := range l.requests {
			r.err <- r.cmd.Start()
		}
	}()
	return l, nil
}

// start starts cmd in a process group of its own, so that Ctrl-C in a terminal reaches only us and we keep the order.
func (l *launcher) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r := launch{cmd, make(chan error, 1)}
	l.requests <- r
	return <-r.err
}

func (l *launcher) close() {
	close(l.requests)
	<-l.done
}

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
