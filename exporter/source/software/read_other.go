//go:build !windows

package software

import "context"

func (r *Reader) read(ctx context.Context) (inventory, error) { return r.readLinux(ctx) }
