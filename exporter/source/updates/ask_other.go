//go:build !windows

package updates

import (
	"errors"
	"fmt"
)

func ask(bool) (*answer, error) {
	return nil, fmt.Errorf("ask the Windows Update Agent: %w", errors.ErrUnsupported)
}
