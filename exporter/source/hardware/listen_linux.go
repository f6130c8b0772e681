package hardware

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Listen implements source.Listener with the kernel's own messages about
// devices, so that no udev has to run.
func (r *Reader) Listen(ctx context.Context, ring func()) error {
	if r.o.Root != "/" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("open the kernel's messages about devices: %w", err)
	}
	f := os.NewFile(uintptr(fd), "uevent")
	defer func() { _ = f.Close() }() // only read
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return fmt.Errorf("hear the kernel's messages about devices: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	buf := make([]byte, maxUevent)
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			ring() // messages were lost: one of them may have been a reason
		case err != nil:
			return fmt.Errorf("read the kernel's messages about devices: %w", err)
		case ueventWakes(buf[:n]):
			ring()
		}
	}
}
