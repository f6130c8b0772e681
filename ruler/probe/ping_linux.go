package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// pinger returns a function that sends one echo request and waits for the reply
// until ctx ends; nil when the kernel does not let this user
// (net.ipv4.ping_group_range).
func pinger(addr netip.Addr) func(ctx context.Context) bool {
	family, proto, request, reply := syscall.AF_INET, syscall.IPPROTO_ICMP, byte(8), byte(0)
	if addr.Is6() {
		family, proto, request, reply = syscall.AF_INET6, syscall.IPPROTO_ICMPV6, 128, 129
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "ping")
	conn, err := net.FilePacketConn(f)
	_ = f.Close() // conn has a copy
	if err != nil {
		return nil
	}
	return func(ctx context.Context) bool {
		defer func() { _ = conn.Close() }() // it has answered, or not
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
		defer stop()
		// The kernel fills in the identifier and the checksum.
		msg := append([]byte{request, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 16)...)
		if _, err := rand.Read(msg[8:]); err != nil {
			return false
		}
		if _, err := conn.WriteTo(msg, &net.UDPAddr{IP: addr.AsSlice()}); err != nil {
			return false
		}
		buf := make([]byte, 256)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return false
			}
			if n >= len(msg) && buf[0] == reply && bytes.Equal(buf[8:len(msg)], msg[8:]) {
				return true
			}
		}
	}
}
