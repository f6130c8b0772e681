package limit

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

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

// Process bounds this process' memory and its processor time, 0 = no limit; one
// that goes beyond that is killed.
func Process(memory int64, processor time.Duration) error {
	if err := Memory(memory); err != nil || processor == 0 {
		return err
	}
	seconds := uint64(max(processor, time.Second) / time.Second)
	return unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: seconds, Max: seconds})
}

// Hide ties the child's life to this process.
func Hide(cmd *exec.Cmd) { cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} }
