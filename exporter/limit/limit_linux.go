package limit

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory bounds this process' address space to what it has now and the
// limit: Go's runtime reserves far more than it uses when it starts.
func Memory(limit int64) error {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(b), " ")
	pages, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	total := uint64(pages*int64(os.Getpagesize()) + limit)
	return unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: total, Max: total})
}

// Hide ties the child's life to this process.
func Hide(cmd *exec.Cmd) { cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} }
