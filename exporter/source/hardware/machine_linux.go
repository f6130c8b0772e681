package hardware

import (
	"context"

	"golang.org/x/sys/unix"
)

func readMachine(ctx context.Context, root string, b *builder) error {
	l := linux{root: root, size: fileSystemSize}
	if root == "/" {
		l.nicFirmware = nicFirmware
	}
	return l.read(ctx, b)
}

func fileSystemSize(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks) * st.Bsize, nil
}

// nicFirmware asks the driver; a virtual card has none to tell of.
func nicFirmware(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }() // nothing was sent
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Fw_version[:])
}
