package hardware

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"nocturne/exporter/source"
	"nocturne/exporter/source/hardware/smbios"
	"nocturne/internal/record"
)

// maxFile bounds what is read of a file of /sys or /proc.
const maxFile = 1 << 20

// linux reads a machine through its files below root.
type linux struct {
	root string
	// size asks a mounted file system for its size in bytes.
	size func(path string) (int64, error)
	// nicFirmware asks a network card's driver for the card's firmware; nil =
	// not asked.
	nicFirmware func(name string) string
}

func (l linux) path(parts ...string) string {
	return filepath.Join(append([]string{l.root}, parts...)...)
}

func (l linux) bytes(parts ...string) ([]byte, error) {
	f, err := os.Open(l.path(parts...))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// text returns a file's text without the spaces around it, "" when it cannot
// be read.
func (l linux) text(parts ...string) string {
	b, err := l.bytes(parts...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "\ufffd"))
}

func (l linux) number(parts ...string) int64 {
	n, err := strconv.ParseInt(l.text(parts...), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// link returns the last part of a symbolic link's target.
func (l linux) link(parts ...string) string {
	target, err := os.Readlink(l.path(parts...))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

func (l linux) exists(parts ...string) bool {
	_, err := os.Lstat(l.path(parts...))
	return err == nil
}

func (l linux) read(ctx context.Context, b *builder) error {
	err := l.firmware(b)
	l.disks(b)
	l.nics(b)
	l.pci(b)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.volumes(b)
	return err
}

// firmware reads the SMBIOS table, which root may, or else the words that the
// kernel shows to everybody: those hold neither serials nor memory.
func (l linux) firmware(b *builder) error {
	entry, err := l.bytes("sys/firmware/dmi/tables/smbios_entry_point")
	if err == nil {
		var table []byte
		if table, err = l.bytes("sys/firmware/dmi/tables/DMI"); err == nil {
			v, verr := smbios.EntryPoint(entry)
			if verr != nil {
				return verr
			}
			info, derr := smbios.Decode(table, v)
			if derr != nil && !errors.Is(derr, smbios.ErrTruncated) {
				return derr
			}
			b.firmware(info)
			return derr
		}
	}
	dmi := func(name string) string { return l.text("sys/class/dmi/id", name) }
	if l.exists("sys/class/dmi/id") {
		b.observed(record.DeviceSystem)
		b.add(record.DeviceSystem, "", dmi("product_serial"), said(record.FieldVendor, dmi("sys_vendor")), said(record.FieldModel, dmi("product_name")),
			said("version", dmi("product_version")), said("sku", dmi("product_sku")), said("family", dmi("product_family")), said("asset_tag", dmi("chassis_asset_tag")))
		b.observed(record.DeviceBIOS)
		b.add(record.DeviceBIOS, "", "", said(record.FieldVendor, dmi("bios_vendor")), said(record.FieldFirmware, dmi("bios_version")), said("date", dmi("bios_date")))
		b.observed(record.DeviceBoard)
		b.add(record.DeviceBoard, "", dmi("board_serial"), said(record.FieldVendor, dmi("board_vendor")), said(record.FieldModel, dmi("board_name")), said("version", dmi("board_version")))
	}
	l.processors(b)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // no firmware table on this machine, or not for us
	}
	return err
}

// processors reads /proc/cpuinfo where there is no table: one device for each
// package, as far as the architecture says which.
func (l linux) processors(b *builder) {
	type pkg struct {
		vendor, model string
		cores, cpus   int64
	}
	pkgs := map[string]*pkg{}
	for block := range strings.SplitSeq(l.text("proc/cpuinfo"), "\n\n") {
		vars := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			if k, v, ok := strings.Cut(line, ":"); ok {
				vars[strings.TrimSpace(k)] = strings.TrimSpace(v)
			}
		}
		if vars["processor"] == "" {
			continue
		}
		id := vars["physical id"]
		if id == "" {
			id = "0"
		}
		p := pkgs[id]
		if p == nil {
			p = &pkg{vendor: vars["vendor_id"], model: vars["model name"]}
			pkgs[id] = p
		}
		p.cpus++
		if n, err := strconv.ParseInt(vars["cpu cores"], 10, 32); err == nil {
			p.cores = n
		}
	}
	if len(pkgs) == 0 {
		return
	}
	b.observed(record.DeviceCPU)
	for id, p := range pkgs {
		b.add(record.DeviceCPU, id, "", said(record.FieldVendor, p.vendor), said(record.FieldModel, p.model), source.Count("cores", p.cores), source.Count("threads", p.cpus))
	}
}

// disks reads /sys/block: what has a device behind it and a size. The place is
// the path by which udev reaches it: names such as sda change hands at a boot.
func (l linux) disks(b *builder) {
	list, err := os.ReadDir(l.path("sys/block"))
	if err != nil {
		return
	}
	b.observed(record.DeviceDisk)
	places := l.byPath()
	for _, e := range list {
		name := e.Name()
		sectors := l.number("sys/block", name, "size") // always of 512 bytes, whatever the disk's
		if !l.exists("sys/block", name, "device") || sectors <= 0 || strings.HasPrefix(name, "sr") || strings.HasPrefix(name, "fd") {
			continue
		}
		place := places[name]
		if place == "" {
			place = name
		}
		dev := func(parts ...string) string {
			return l.text(append([]string{"sys/block", name}, parts...)...)
		}
		fields := []record.Attr{
			said(record.FieldVendor, vendorName(dev("device", "vendor"))), said(record.FieldModel, dev("device", "model")), source.Count(record.FieldSize, sectors<<9),
			source.Text("os_name", "/dev/"+name), source.Text("scsi_address", scsiAddress(l.link("sys/block", name, "device"))), source.Text("wwn", or(dev("device", "wwid"), dev("wwid"))), source.Text(record.FieldFirmware, or(dev("device", "firmware_rev"), dev("device", "rev"))),
		}
		if r := dev("queue", "rotational"); r == "1" || r == "0" {
			fields = append(fields, source.Text("media", map[string]string{"1": "HDD", "0": "SSD"}[r]))
		}
		b.add(record.DeviceDisk, place, l.diskSerial(name), fields...)
	}
}

// vendorName leaves out what names a protocol or a number instead of a vendor.
func vendorName(s string) string {
	if s == "ATA" || strings.HasPrefix(s, "0x") {
		return ""
	}
	return s
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// diskSerial looks where NVMe, virtio and SCSI keep it.
func (l linux) diskSerial(name string) string {
	for _, p := range []string{"device/serial", "serial"} {
		if s := l.text("sys/block", name, p); s != "" {
			return s
		}
	}
	// Vital product data, page 0x80 (SPC-4 7.8.15): four bytes of header.
	page, err := l.bytes("sys/block", name, "device/vpd_pg80")
	if err != nil || len(page) < 4 || page[1] != 0x80 {
		return ""
	}
	n := min(int(page[2])<<8|int(page[3]), len(page)-4)
	return strings.TrimSpace(strings.ToValidUTF8(string(page[4:4+n]), ""))
}

// byPath returns udev's name of the way to each disk.
func (l linux) byPath() map[string]string {
	out := map[string]string{}
	list, err := os.ReadDir(l.path("dev/disk/by-path"))
	if err != nil {
		return out
	}
	for _, e := range list {
		name := l.link("dev/disk/by-path", e.Name())
		// Newer versions of udev link a SATA disk as ata-1 and ata-1.0: the
		// shorter one is in all versions.
		if old := out[name]; name != "" && !strings.Contains(e.Name(), "-part") && (old == "" || len(e.Name()) < len(old)) {
			out[name] = e.Name()
		}
	}
	return out
}

// nics reads /sys/class/net: what has a device behind it.
func (l linux) nics(b *builder) {
	list, err := os.ReadDir(l.path("sys/class/net"))
	if err != nil {
		return
	}
	b.observed(record.DeviceNIC)
	for _, e := range list {
		name := e.Name()
		if !l.exists("sys/class/net", name, "device") {
			continue // a bridge, a bond, a tunnel, the loopback
		}
		nic := func(parts ...string) string {
			return l.text(append([]string{"sys/class/net", name}, parts...)...)
		}
		// A bond gives all its members one address; their own is kept apart.
		mac := or(nic("bonding_slave", "perm_hwaddr"), nic("address"))
		model := ""
		if vendor, device := nic("device", "vendor"), nic("device", "device"); vendor != "" && device != "" {
			model = strings.TrimPrefix(vendor, "0x") + ":" + strings.TrimPrefix(device, "0x")
		}
		firmware := ""
		if l.nicFirmware != nil {
			firmware = l.nicFirmware(name)
		}
		b.add(record.DeviceNIC, name, mac, source.Text(record.FieldState, nic("operstate")), source.Text(record.FieldModel, model), said(record.FieldFirmware, firmware),
			source.Count("speed_mbps", l.number("sys/class/net", name, "speed")), source.Text("driver", l.link("sys/class/net", name, "device/driver")), source.Text("bus_address", l.link("sys/class/net", name, "device")))
	}
}
