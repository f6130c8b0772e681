//go:build !linux && !windows

package hardware

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

func readMachine(context.Context, string, *builder) error {
	return fmt.Errorf("hardware on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
