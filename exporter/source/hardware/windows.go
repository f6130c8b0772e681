package hardware

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode/utf16"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// storageDescriptor is what is used of Windows' STORAGE_DEVICE_DESCRIPTOR
// (winioctl.h): offsets into the same buffer, 0 = not there.
type storageDescriptor struct {
	vendor, product, revision, serial string
	bus, address                      string
	removable                         bool
}

func parseStorageDescriptor(b []byte) (storageDescriptor, error) {
	if len(b) < 36 {
		return storageDescriptor{}, fmt.Errorf("storage descriptor of %d bytes: want at least 36", len(b))
	}
	if n := binary.LittleEndian.Uint32(b[4:]); int64(n) < int64(len(b)) && n >= 36 {
		b = b[:n]
	}
	text := func(at int) string {
		off := binary.LittleEndian.Uint32(b[at:])
		if off == 0 || int64(off) >= int64(len(b)) {
			return ""
		}
		s := b[off:]
		if i := bytes.IndexByte(s, 0); i >= 0 {
			s = s[:i]
		}
		return strings.TrimSpace(strings.ToValidUTF8(string(s), ""))
	}
	d := storageDescriptor{removable: b[10] != 0, vendor: text(12), product: text(16), revision: text(20), serial: text(24)}
	if bus := binary.LittleEndian.Uint32(b[28:]); int64(bus) < int64(len(busNames)) {
		d.bus = busNames[bus]
	}
	return d, nil
}

// busNames are those of STORAGE_BUS_TYPE.
var busNames = []string{
	1: "SCSI", 2: "ATAPI", 3: "ATA", 4: "1394", 5: "SSA", 6: "FC", 7: "USB", 8: "RAID", 9: "iSCSI", 10: "SAS", 11: "SATA", 12: "SD", 13: "MMC",
	14: "Virtual", 15: "VHD", 16: "Spaces", 17: "NVMe", 18: "SCM", 19: "UFS",
}

// parseGeometry reads the disk's size of DISK_GEOMETRY_EX, behind the geometry
// of 24 bytes.
func parseGeometry(b []byte) int64 {
	if len(b) < 32 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b[24:]))
}

func (b *builder) windowsDisk(number int, d storageDescriptor, size int64) {
	place := fmt.Sprintf("PhysicalDrive%d", number)
	b.add(record.DeviceDisk, place, d.serial, said(record.FieldVendor, d.vendor), said(record.FieldModel, d.product), said(record.FieldFirmware, d.revision),
		source.Count(record.FieldSize, size), source.Text("interface", d.bus), source.Text("scsi_address", d.address), source.Yes("removable", d.removable))
}

// adapter is what is used of IP_ADAPTER_ADDRESSES.
type adapter struct {
	name, description string
	mac               []byte
	kind, status      uint32
	speed             uint64 // bits per second; all ones = not known
}

// Values of IfType and OperStatus (ifdef.h).
const (
	ifEthernet = 6
	ifWireless = 71
)

var operStates = []string{1: "up", 2: "down", 3: "testing", 4: "unknown", 5: "dormant", 6: "notpresent", 7: "lowerlayerdown"}

func (b *builder) windowsNIC(a adapter) {
	if (a.kind != ifEthernet && a.kind != ifWireless) || len(a.mac) == 0 {
		return
	}
	state := ""
	if int64(a.status) < int64(len(operStates)) {
		state = operStates[a.status]
	}
	b.add(record.DeviceNIC, a.name, net.HardwareAddr(a.mac).String(), source.Text(record.FieldState, state), source.Text(record.FieldModel, a.description), source.Count("speed_mbps", mbps(a.speed)))
}

// mbps returns a card's speed; one that is not connected says all ones.
func mbps(speed uint64) int64 {
	if speed > 1<<50 {
		return 0
	}
	return int64(speed / 1e6)
}

// parseSCSIAddress reads SCSI_ADDRESS (ntddscsi.h): its length, then port, path,
// target and lun.
func parseSCSIAddress(b []byte) string {
	if len(b) < 8 || binary.LittleEndian.Uint32(b) < 8 {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d:%d", b[4], b[5], b[6], b[7])
}

// parseExtents reads VOLUME_DISK_EXTENTS (winioctl.h): a count, then for each
// extent the disk's number, where it begins and how long it is.
func parseExtents(b []byte) string {
	if len(b) < 8 {
		return ""
	}
	n := binary.LittleEndian.Uint32(b)
	var out []string
	for i := range min(int64(n), int64(len(b)-8)/24) {
		name := fmt.Sprintf("PhysicalDrive%d", binary.LittleEndian.Uint32(b[8+24*i:]))
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// volumeGUID returns what stands between the braces of \\?\Volume{…}\.
func volumeGUID(name string) string {
	_, rest, ok := strings.Cut(name, "{")
	if !ok {
		return ""
	}
	guid, _, _ := strings.Cut(rest, "}")
	return guid
}

// folderOf returns where a volume is mounted that has no drive letter, of the
// list of texts that end with a zero each.
func folderOf(paths []uint16) string {
	folder := ""
	for len(paths) > 0 {
		end := slices.Index(paths, 0)
		if end <= 0 {
			break
		}
		path := strings.TrimSuffix(string(utf16.Decode(paths[:end])), `\`)
		if len(path) <= 2 {
			return "" // C: is stated already
		}
		if folder == "" || path < folder {
			folder = path
		}
		paths = paths[end+1:]
	}
	return folder
}

// pciAddress is where a device is: Windows numbers segments above the bus, and
// keeps device and function in the halves of the address.
func pciAddress(bus, address uint32) string {
	return fmt.Sprintf("%04x:%02x:%02x.%x", bus>>8, bus&0xff, address>>16&0x1f, address&7)
}
