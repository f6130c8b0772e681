package hardware

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"nocturne/internal/record"
)

func uevent(head string, vars ...string) []byte {
	return []byte(head + "\x00" + strings.Join(vars, "\x00") + "\x00")
}

// Messages as the kernel's documentation shows them.
func TestUeventWakes(t *testing.T) {
	f := func(why string, want bool, message []byte) {
		t.Helper()
		if ueventWakes(message) != want {
			t.Errorf("%s: wakes %t", why, !want)
		}
	}
	const disk = "/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
	f("a disk came", true, uevent("add@"+disk, "ACTION=add", "DEVPATH="+disk, "SUBSYSTEM=block", "DEVTYPE=disk", "SEQNUM=1"))
	f("a partition came", false, uevent("add@"+disk+"/sda1", "ACTION=add", "DEVPATH="+disk+"/sda1", "SUBSYSTEM=block", "DEVTYPE=partition"))
	f("a disk grew", true, uevent("change@"+disk, "ACTION=change", "DEVPATH="+disk, "SUBSYSTEM=block", "DEVTYPE=disk", "RESIZE=1"))
	f("something about a disk", false, uevent("change@"+disk, "ACTION=change", "DEVPATH="+disk, "SUBSYSTEM=block", "DEVTYPE=disk"))
	f("a container's interface", false, uevent("add@/devices/virtual/net/veth1", "ACTION=add", "DEVPATH=/devices/virtual/net/veth1", "SUBSYSTEM=net"))
	f("a card went", true, uevent("remove@/devices/pci0000:00/0000:00:03.0/net/eth0", "ACTION=remove", "DEVPATH=/devices/pci0000:00/0000:00:03.0/net/eth0", "SUBSYSTEM=net"))
	f("udev's own message", false, uevent("libudev", "ACTION=add", "SUBSYSTEM=net"))
	f("nothing", false, nil)
}

func FuzzUevent(f *testing.F) {
	f.Add(uevent("add@/devices/x", "ACTION=add", "DEVPATH=/devices/x", "SUBSYSTEM=pci"))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		ueventWakes(b) // must return
		var d pciDevice
		d.hardwareID(string(b))
		scsiAddress(string(b))
	})
}

// It hears the real kernel's silence, and ends with its context.
func TestListenEnds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel of Linux")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- NewReader(Options{Config: DefaultConfig()}).Listen(ctx, func() {}) }()
	cancel()
	if err := <-ended; err != nil {
		t.Skip(err) // no such socket in this sandbox
	}
}

func TestWakes(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig()})
	for _, c := range []struct {
		provider string
		id       int64
		want     bool
	}{{"disk", 157, true}, {"Disk", 157, true}, {"disk", 7, false}, {"Microsoft-Windows-UserPnp", 20001, true}, {"Microsoft-Windows-Kernel-Boot", 157, false}} {
		rec := record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(c.provider)}, {Key: record.AttrEventID, Value: record.Int(c.id)}}}
		if r.Wakes(&rec) != c.want {
			t.Errorf("%s %d wakes: %t", c.provider, c.id, !c.want)
		}
	}
}

func TestHardwareID(t *testing.T) {
	d := identify([]string{`PCI\VEN_1000&DEV_005D&SUBSYS_93631000&REV_02`, `PCI\VEN_1000&DEV_005D&CC_010400`, `PCI\VEN_1000&DEV_005D&CC_0104`, `PCI\VEN_1000`, `PCI\CC_0104`})
	want := pciDevice{vendor: "1000", device: "005d", subsystem: "1000:9363", revision: "02", class: 0x010400}
	if d != want {
		t.Errorf("%+v, want %+v", d, want)
	}
	if d = (pciDevice{}); !d.hardwareID(`PCI\VEN_8086&DEV_1572&CC_0200`) || d.class != 0x020000 {
		t.Errorf("%+v", d)
	}
	if d.hardwareID(`USB\VID_1`) {
		t.Error("no PCI device was read")
	}
}
