//go:build !linux && !windows

package limit

import (
	"os/exec"
	"runtime/debug"
	"time"
)

// Memory: only the collector's own limit, elsewhere.
func Memory(limit int64) error {
	debug.SetMemoryLimit(limit)
	return nil
}

// Process: as Memory, elsewhere.
func Process(memory int64, _ time.Duration) error { return Memory(memory) }

func Hide(*exec.Cmd) {}
