//go:build !windows

package source

import (
	"os"
	"os/exec"
	"syscall"
)

// tree is a program and its descendants: a process group of its own.
type tree struct{}

func prepare(cmd *exec.Cmd) tree {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return tree{}
}

func (tree) started(*os.Process) {}

// kill ends the group of p, also when p itself has ended. The group's id is
// not given to another process while a member lives.
func (tree) kill(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // ESRCH: nobody left
}

func (tree) close() {}

// checkOwner refuses a file that others could replace.
func checkOwner(path string, info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return &os.PathError{Op: "trust", Path: path, Err: errForeign}
	}
	sticky := info.IsDir() && info.Mode()&os.ModeSticky != 0
	if info.Mode().Perm()&0o002 != 0 && !sticky {
		return &os.PathError{Op: "trust", Path: path, Err: errWritable}
	}
	return nil
}
