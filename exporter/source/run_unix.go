//go:build !windows

package source

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// tree is a program and its descendants: a process group of its own, and a
// mark in their environment by which those that left the group are found.
type tree struct{ mark string }

const markName = "NOCTURNE_RUN="

func prepare(cmd *exec.Cmd, account string) (tree, error) {
	t := tree{mark: markName + rand.Text()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], t.mark)
	if account == "" {
		return t, nil
	}
	var err error
	cmd.SysProcAttr.Credential, err = credential(account)
	return t, err
}

// credential returns the ids of an account, for a program that runs as root.
func credential(account string) (*syscall.Credential, error) {
	u, err := user.Lookup(account)
	if err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", account, err)
	}
	number := func(s string) uint32 {
		n, nerr := strconv.ParseUint(s, 10, 32)
		err = errors.Join(err, nerr)
		return uint32(n)
	}
	c := &syscall.Credential{Uid: number(u.Uid), Gid: number(u.Gid)}
	for _, id := range ids {
		c.Groups = append(c.Groups, number(id))
	}
	if err == nil && os.Geteuid() != 0 && int(c.Uid) != os.Geteuid() {
		err = fmt.Errorf("run as %s: only an exporter that runs as root can", account)
	}
	if os.Geteuid() != 0 {
		c.NoSetGroups = true
	}
	return c, err
}

func (tree) started(*os.Process) {}

// killStrays ends descendants that made a session of their own, in rounds until
// none is found: one may start another while we look. It needs /proc; a program
// that clears its environment escapes.
func (t tree) killStrays() {
	for range 8 {
		files, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil || len(files) == 0 {
			return
		}
		found := false
		for _, f := range files {
			env, err := os.ReadFile(f)
			if err != nil || !bytes.Contains(env, []byte(t.mark)) { // gone, or of another account
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err == nil && pid > 1 && pid != os.Getpid() {
				found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
			}
		}
		if !found {
			return
		}
	}
}

// kill ends the group of p, also when p itself has ended. The group's id is
// not given to another process while a member lives.
func (tree) kill(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // ESRCH: nobody left
}

func (tree) close() {}

// checkOwner refuses a file that others could replace.
func checkOwner(path string, info os.FileInfo, _ place) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return &os.PathError{Op: "trust", Path: path, Err: errForeign}
	}
	sticky := info.IsDir() && info.Mode()&os.ModeSticky != 0
	if info.Mode().Perm()&0o002 != 0 && !sticky || info.Mode().Perm()&0o020 != 0 && !sticky && !ownGroup(int(st.Gid)) {
		return &os.PathError{Op: "trust", Path: path, Err: errWritable}
	}
	return nil
}

// ownGroup tells whether a group has no rights beyond our own: root's, or for a
// program without root's rights the one that it runs in.
func ownGroup(gid int) bool {
	return gid == 0 || os.Geteuid() != 0 && gid == os.Getegid()
}
