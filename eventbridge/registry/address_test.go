package registry

import (
	"testing"
	"time"

	"nocturne/internal/record"
)

// The address of a server's last connection is stated to the stream when it is
// another one, at most once an hour.
func TestAddressIsStated(t *testing.T) {
	r, a, c, _ := start(t, Config{})
	s := enrol(t, r, token(t, r, TokenRequest{}), "db7", machine)
	step := func(remote string, later time.Duration, records int, want string) {
		t.Helper()
		c.add(later)
		r.SeenFrom(s.ServerID, remote)
		r.moved(t.Context())
		names, last := a.about(s.ServerID)
		if got := last.Attr(record.AttrAddress).Str(); len(names) != records || got != want {
			t.Errorf("from %s: %d records, the last with address %q; want %d and %q", remote, len(names), got, records, want)
		}
	}
	step("127.0.0.1:4711", 0, 1, "")
	step("[fe80::1%eth0]:4711", 0, 1, "")
	step("nonsense", 0, 1, "")
	step("192.0.2.7:4711", time.Minute, 2, "192.0.2.7")
	step("192.0.2.7:4712", time.Minute, 2, "192.0.2.7")
	step("[::ffff:192.0.2.7]:4712", time.Minute, 2, "192.0.2.7")
	step("[2001:db8::7]:4711", 59*time.Minute, 3, "2001:db8::7")
	step("192.0.2.7:4713", time.Minute, 3, "2001:db8::7") // to and fro
	step("192.0.2.8:4713", time.Minute, 3, "2001:db8::7")
	r.moved(t.Context())
	step("192.0.2.8:4713", time.Hour, 4, "192.0.2.8")
	if v, err := r.Server(s.ServerID); err != nil || !v.Changed.Equal(v.Created) {
		t.Errorf("changed %s, created %s: nobody changed it", v.Changed, v.Created)
	}
}
