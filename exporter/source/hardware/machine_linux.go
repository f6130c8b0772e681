package hardware

import (
	"context"

	"golang.org/x/sys/unix"
)

func readMachine(ctx context.Context, root string, b *builder) error {
	return linux{root: root, size: fileSystemSize}.read(ctx, b)
}

func fileSystemSize(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks) * st.Bsize, nil
}
