//go:build !windows

package winlog

import (
	"errors"
	"fmt"
	"runtime"
)

func open() (EventAPI, error) {
	return nil, fmt.Errorf("Windows' event log on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
