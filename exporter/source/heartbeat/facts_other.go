//go:build !windows

package heartbeat

import (
	"errors"
	"fmt"
	"runtime"
)

func readFacts(root string) (Facts, error) {
	if runtime.GOOS != "linux" {
		return Facts{}, fmt.Errorf("heartbeat on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	return linuxFacts(root)
}
