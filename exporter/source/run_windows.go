package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// tree is a program and its descendants: a job object that ends them all when
// it is closed, also when this program dies.
type tree struct{ job windows.Handle }

func prepare(cmd *exec.Cmd, account string) (*tree, error) {
	if account != "" {
		return nil, fmt.Errorf("run as %s: %w", account, errors.ErrUnsupported)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NO_WINDOW}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return &tree{}, nil
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		_ = windows.CloseHandle(job)
		return &tree{}, nil
	}
	return &tree{job: job}, nil
}

// started puts the program into the job. What it starts before that, in its
// first microseconds, is outside: tools and interpreters take longer to begin.
func (t *tree) started(p *os.Process) {
	if t.job == 0 {
		return
	}
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(p.Pid))
	if err != nil {
		return
	}
	defer func() { _ = windows.CloseHandle(h) }()
	_ = windows.AssignProcessToJobObject(t.job, h) // without the job, Wait's own kill is left
}

func (t *tree) kill(*os.Process) {
	if t.job != 0 {
		_ = windows.TerminateJobObject(t.job, 1)
	}
}

// killStrays has nothing to do: no process can leave the job.
func (t *tree) killStrays() {}

func (t *tree) close() {
	if t.job != 0 {
		_ = windows.CloseHandle(t.job)
		t.job = 0
	}
}
