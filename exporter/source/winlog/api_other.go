//go:build !windows

package winlog

import (
	"errors"
	"fmt"
	"runtime"
)

func open() (EventAPI, error) {
	return nil, fmt.Errorf("event log of Windows on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
