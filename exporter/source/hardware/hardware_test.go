package hardware

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"nocturne/exporter/source/hardware/smbios"
	"nocturne/exporter/source/sourcetest"
	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// line renders a device: type, place, serial and fields.
func line(d record.Device) string {
	parts := []string{d.Type, d.Place, d.Occupant}
	for _, f := range d.Fields {
		parts = append(parts, f.Key+"="+f.Value.Text())
	}
	return strings.Join(parts, "|")
}

func expect(t *testing.T, b *builder, sections string, want ...string) {
	t.Helper()
	s := b.snapshot()
	var got, secs []string
	for _, d := range s.Devices {
		got = append(got, line(d))
	}
	for _, sec := range s.Sections {
		secs = append(secs, sec.Type)
	}
	if strings.Join(secs, " ") != sections {
		t.Errorf("sections %q, want %q", secs, sections)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("devices\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func newBuilder() *builder { return &builder{seen: map[[2]string]bool{}} }

// The tree is constructed from documentation (sysfs ABI, mounts(5), SPC-4): a
// SATA disk behind udev, an NVMe disk, a disk without a serial, what is no
// disk; a card, a bond's member and what is no card; mounts of all kinds.
func TestLinux(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{
		"sys/block/sda/size": "7814037168\n", "sys/block/sda/queue/rotational": "1\n",
		"sys/block/sda/device/vendor": "ATA     \n", "sys/block/sda/device/model": "WDC WD4000FYYZ-0\n", "sys/block/sda/device/rev": "1K02\n",
		"sys/block/sda/device/vpd_pg80": "\x00\x80\x00\x14     WD-WCC131234567", "sys/block/sda/device/wwid": "naa.50014ee2b1234567\n",
		"dev/disk/by-path/pci-0000:00:1f.2-ata-1.0": "->../../sda", "dev/disk/by-path/pci-0000:00:1f.2-ata-1": "->../../sda", "dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1": "->../../sda1",
		"sys/block/nvme0n1/size": "1953525168", "sys/block/nvme0n1/queue/rotational": "0", "sys/block/nvme0n1/device/model": "SAMSUNG MZVL21T0HCLR-00B00               ",
		"sys/block/nvme0n1/device/serial": "S676NX0R123456      ", "sys/block/nvme0n1/device/firmware_rev": "GXA7401Q", "sys/block/nvme0n1/wwid": "eui.002538b111b01234",
		"sys/block/vda/size": "41943040", "sys/block/vda/device/vendor": "0x1af4", "sys/block/vda/serial": "00000000",
		"sys/block/sr0/size": "2097151", "sys/block/sr0/device/model": "DVD", "sys/block/loop0/size": "8", "sys/block/dm-0/size": "800", "sys/block/sdb/size": "0", "sys/block/sdb/device/model": "Card Reader",

		"sys/class/net/eno1/address": "3c:ec:ef:00:11:22\n", "sys/class/net/eno1/operstate": "up\n", "sys/class/net/eno1/device": "->../../../devices/pci0000:00/0000:3b:00.0",
		"sys/devices/pci0000:00/0000:3b:00.0/vendor": "0x8086", "sys/devices/pci0000:00/0000:3b:00.0/device": "0x1572", "sys/devices/pci0000:00/0000:3b:00.0/driver": "->../../../bus/pci/drivers/i40e",
		"sys/class/net/eno2/address": "3c:ec:ef:00:11:22\n", "sys/class/net/eno2/bonding_slave/perm_hwaddr": "3c:ec:ef:00:11:23\n", "sys/class/net/eno2/operstate": "down", "sys/class/net/eno2/device/vendor": "",
		"sys/class/net/lo/address": "00:00:00:00:00:00", "sys/class/net/bond0/address": "3c:ec:ef:00:11:22",

		"proc/self/mounts": "proc /proc proc rw 0 0\n/dev/sda1 / ext4 rw,relatime 0 0\n/dev/sda2 /my\\040data xfs ro,noatime 0 0\n/dev/loop3 /snap/core/1 squashfs ro 0 0\nnfs:/x /mnt nfs4 rw 0 0\ntank/a /tank zfs rw 0 0\n/dev/sda3 /var/lib/kubelet/pods/x ext4 rw 0 0\n/dev/sdc1 / btrfs rw 0 0\nbroken\n",
		"proc/cpuinfo":     "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nphysical id\t: 0\ncpu cores\t: 2\n\nprocessor\t: 1\nphysical id\t: 0\ncpu cores\t: 2\n\nprocessor\t: 2\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nphysical id\t: 1\ncpu cores\t: 2\n",
	})
	asked := map[string]bool{}
	b := newBuilder()
	l := linux{root: root, size: func(path string) (int64, error) {
		asked[strings.TrimPrefix(path, root)] = true
		if strings.HasSuffix(path, "tank") {
			return 0, errors.New("gone")
		}
		return 1 << 40, nil
	}}
	if err := l.read(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "cpu disk nic volume",
		"cpu|0||vendor=GenuineIntel|model=Xeon|cores=2|threads=2",
		"cpu|1||vendor=GenuineIntel|model=Xeon|cores=2|threads=1",
		"disk|nvme0n1|S676NX0R123456|model=SAMSUNG MZVL21T0HCLR-00B00|size_bytes=1000204886016|os_name=/dev/nvme0n1|wwn=eui.002538b111b01234|firmware=GXA7401Q|media=SSD",
		"disk|pci-0000:00:1f.2-ata-1|WD-WCC131234567|model=WDC WD4000FYYZ-0|size_bytes=4000787030016|os_name=/dev/sda|wwn=naa.50014ee2b1234567|firmware=1K02|media=HDD",
		"disk|vda||size_bytes=21474836480|os_name=/dev/vda",
		"nic|eno1|3c:ec:ef:00:11:22|state=up|model=8086:1572|driver=i40e|bus_address=0000:3b:00.0",
		"nic|eno2|3c:ec:ef:00:11:23|state=down",
		"volume|/||filesystem=btrfs|device=/dev/sdc1|size_bytes=1099511627776|read_only=false",
		"volume|/my data||filesystem=xfs|device=/dev/sda2|size_bytes=1099511627776|read_only=true",
		"volume|/tank||filesystem=zfs|device=tank/a|read_only=false",
	)
	if asked["/mnt"] {
		t.Error("a network mount was asked for its size: that may hang")
	}
}

// A real table as the kernel shows it to root: the entry point and the table
// in two files.
func TestFirmwareOfACapture(t *testing.T) {
	dump, err := os.ReadFile(corpus.File(t, "dmi", "u-root.u-root", "SuperMicro-X9DBL.bin"))
	if err != nil {
		t.Fatal(err)
	}
	at := binary.LittleEndian.Uint32(dump[24:])
	root := sourcetest.Tree(t, map[string]string{"sys/firmware/dmi/tables/smbios_entry_point": string(dump[:31]), "sys/firmware/dmi/tables/DMI": string(dump[at:])})
	b := newBuilder()
	if err := (linux{root: root}).read(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "bios board cpu memory power_supply slot system",
		"bios|||vendor=American Megatrends Inc.|firmware=3.00|date=12/06/2013",
		"board||VM147S018307|vendor=Supermicro|model=X9DBL-3F/X9DBL-iF",
		"cpu|SOCKET 0||vendor=Intel|model=Intel(R) Xeon(R) CPU E5-2403 v2 @ 1.80GHz|cores=4|threads=4|max_mhz=4000",
		"cpu|SOCKET 1||vendor=Intel|model=Intel(R) Xeon(R) CPU E5-2403 v2 @ 1.80GHz|cores=4|threads=4|max_mhz=4000",
		"memory|P1-DIMM1A|AEEE0705|model=AL12P72A8BLK0M|size_bytes=4294967296|memory_type=DDR3|form=DIMM|speed_mts=1333|configured_mts=1333",
		"memory|P1-DIMM1B|ADEE0705|model=AL12P72A8BLK0M|size_bytes=4294967296|memory_type=DDR3|form=DIMM|speed_mts=1333|configured_mts=1333",
		"memory|P1-DIMM1C|15C774EF|vendor=Micron|model=36KSF2G72PZ-1G6N1|size_bytes=17179869184|memory_type=DDR3|form=DIMM|speed_mts=1333|configured_mts=1333",
		"memory|P2-DIMM1D|5F730705|model=AL12P72A8BLK0M|size_bytes=4294967296|memory_type=DDR3|form=DIMM|speed_mts=1333|configured_mts=1333",
		"memory|P2-DIMM1E|32730705|model=AL12P72A8BLK0M|size_bytes=4294967296|memory_type=DDR3|form=DIMM|speed_mts=1333|configured_mts=1333",
		"memory|P2-DIMM1F|15C774EB|vendor=Micron|model=36KSF2G72PZ-1G6N1|size_bytes=17179869184|memory_type=DDR3|form=DIMM|speed_mts=1333|configured_mts=1333",
		"slot|CPU1 SLOT6 PCI-E 3.0 X16||state=in_use|kind=PCI Express 3 x16",
		"slot|CPU2 SLOT4 PCI-E 3.0 X8||state=in_use|kind=PCI Express 3 x8|bus_address=0000:03:00.0",
		"slot|SLOT1 PCI 33MHZ||state=available|kind=PCI|bus_address=0000:02:00.0",
		"system||9000116105|vendor=Thomas-Krenn.AG|model=X9DBL-3F/X9DBL-iF|uuid=00000000-0000-0000-0000-0cc47a133878|chassis_type=Main Server Chassis",
	)
}

// Every dump becomes a snapshot whose places are unique.
func TestFirmwareOfAllCaptures(t *testing.T) {
	dumps, _ := filepath.Glob(corpus.File(t, "dmi", "u-root.u-root", "*.bin"))
	for _, path := range dumps {
		dump, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := smbios.Dump(dump)
		if err != nil {
			t.Fatal(err)
		}
		b := newBuilder()
		b.firmware(info)
		seen := map[string]bool{}
		for _, d := range b.snapshot().Devices {
			if seen[d.Type+" "+d.Place] {
				t.Errorf("%s: two devices at %s %q", filepath.Base(path), d.Type, d.Place)
			}
			seen[d.Type+" "+d.Place] = true
		}
		t.Logf("%s: %d devices", filepath.Base(path), len(seen))
	}
}

func TestWithoutRoot(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{
		"sys/class/dmi/id/sys_vendor": "Dell Inc.", "sys/class/dmi/id/product_name": "PowerEdge R740", "sys/class/dmi/id/bios_version": "2.19.1", "sys/class/dmi/id/board_name": "06WXJT",
	})
	b := newBuilder()
	if err := (linux{root: root}).read(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "bios board system",
		"bios|||firmware=2.19.1", "board|||model=06WXJT", "system|||vendor=Dell Inc.|model=PowerEdge R740")
}

func TestBrokenTableIsSaid(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{"sys/firmware/dmi/tables/smbios_entry_point": "_SM3_\x00\x18\x03\x01\x00\x01\x00\x00\x10\x00\x00\x18\x00\x00\x00\x00\x00\x00\x00", "sys/firmware/dmi/tables/DMI": "\x01\x1b"})
	b := newBuilder()
	if err := (linux{root: root}).read(t.Context(), b); err == nil {
		t.Error("a table of two bytes was read")
	}
}

func TestSameLocators(t *testing.T) {
	b := newBuilder()
	b.memory([]smbios.Memory{{Locator: "DIMM 0", Bank: "A", Size: 1}, {Locator: "DIMM 0", Bank: "B", Size: 1}, {Locator: "DIMM 0", Bank: "B", Size: 1}, {Locator: "DIMM 1"}, {Locator: "", Size: 1}, {Locator: "X", SizeUnknown: true}})
	expect(t, b, "memory", "memory|4||size_bytes=1", "memory|A/DIMM 0||size_bytes=1", "memory|B/DIMM 0||size_bytes=1", "memory|B/DIMM 0#2||size_bytes=1", "memory|X|")
}

// The real machine this runs on: whatever it is, the snapshot is whole, and the
// same at the second look.
func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skip("hardware is read on Linux and Windows only")
	}
	r := NewReader(Options{Config: DefaultConfig()})
	recs, err := r.Collect(t.Context())
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	for _, d := range recs[0].Snapshot.Devices {
		t.Log(line(d))
	}
	again, err := r.Collect(t.Context())
	if err != nil || !reflect.DeepEqual(again[0].Snapshot.Sections, recs[0].Snapshot.Sections) {
		t.Errorf("the second look saw %+v, %v", again, err)
	}
}

// Constructed from documentation (winioctl.h, STORAGE_DEVICE_DESCRIPTOR).
func TestStorageDescriptor(t *testing.T) {
	b := make([]byte, 100)
	binary.LittleEndian.PutUint32(b[4:], 90)
	for at, text := range map[int]string{12: "ATA     \x00", 16: "Samsung SSD 870\x00", 20: "SVT02\x00", 24: "  S6PTNM0R\x00"} {
		off := map[int]int{12: 36, 16: 46, 20: 64, 24: 72}[at]
		binary.LittleEndian.PutUint32(b[at:], uint32(off))
		copy(b[off:], text)
	}
	binary.LittleEndian.PutUint32(b[28:], 11)
	d, err := parseStorageDescriptor(b)
	want := storageDescriptor{vendor: "ATA", product: "Samsung SSD 870", revision: "SVT02", serial: "S6PTNM0R", bus: "SATA"}
	if err != nil || d != want {
		t.Errorf("%+v %v, want %+v", d, err, want)
	}
	if _, err := parseStorageDescriptor(b[:35]); err == nil {
		t.Error("35 bytes were read")
	}
	if got := parseGeometry(append(make([]byte, 24), 0, 0, 0, 0, 1, 0, 0, 0)); got != 1<<32 {
		t.Errorf("size %d, want 2^32", got)
	}
	bb := newBuilder()
	bb.windowsNIC(adapter{name: "Ethernet", description: "Intel X710", mac: []byte{1, 2, 3, 4, 5, 6}, kind: ifEthernet, status: 1, speed: 25e9})
	bb.windowsNIC(adapter{name: "Loopback", kind: 24})
	bb.windowsDisk(0, want, 5)
	expect(t, bb, "", "disk|PhysicalDrive0|S6PTNM0R|vendor=ATA|model=Samsung SSD 870|firmware=SVT02|size_bytes=5|interface=SATA|removable=false",
		"nic|Ethernet|01:02:03:04:05:06|state=up|model=Intel X710|speed_mbps=25000")
}

// Constructed from documentation (ntddscsi.h, winioctl.h, setupapi.h).
func TestWindowsAddresses(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(parseSCSIAddress([]byte{8, 0, 0, 0, 2, 0, 5, 1}), "2:0:5:1")
	f(parseSCSIAddress([]byte{8, 0, 0}), "")
	extents := make([]byte, 8+2*24)
	extents[0], extents[8], extents[32] = 2, 1, 3
	f(parseExtents(extents), "PhysicalDrive1, PhysicalDrive3")
	extents[0] = 255 // more than it brought
	f(parseExtents(extents), "PhysicalDrive1, PhysicalDrive3")
	f(volumeGUID(`\\?\Volume{4c1b02c1-d990-11dc-99ae-806e6f6e6963}\`), "4c1b02c1-d990-11dc-99ae-806e6f6e6963")
	f(volumeGUID("C:"), "")
	f(folderOf(utf16.Encode([]rune("C:\\data\\\x00\x00"))), `C:\data`)
	f(folderOf(utf16.Encode([]rune("C:\\data\\\x00D:\\\x00\x00"))), "") // D: is the drive
	f(folderOf(nil), "")
	f(pciAddress(0x3b, 0x00000001), "0000:3b:00.1")
	f(pciAddress(0x103, 0x00020000), "0001:03:02.0")
	if mbps(1<<64-1) != 0 || mbps(1e9) != 1000 {
		t.Error("speed")
	}
}

func FuzzStorageDescriptor(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseStorageDescriptor(b) // must return
		parseGeometry(b)
		parseSCSIAddress(b)
		parseExtents(b)
		volumeGUID(string(b))
		folderOf(utf16.Encode([]rune(string(b))))
	})
}
