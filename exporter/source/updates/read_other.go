//go:build !windows

package updates

import (
	"context"
	"os"
)

// environment makes tools speak English.
func environment() []string { return append(os.Environ(), "LC_ALL=C.UTF-8", "LANGUAGE=") }

func (r *Reader) read(ctx context.Context) (*Report, error) { return r.readLinux(ctx) }
