package hardware

import (
	"os"
	"strconv"
	"strings"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// pciDevice is a device of the PCI bus, as Linux or Windows tells of it.
type pciDevice struct {
	address                   string // 0000:3b:00.0
	class                     uint32 // 24 bits
	vendor, device, subsystem string // 1000:005d
	revision, driver, name    string
}

// pciKinds are what is stated: controllers of disks, networks, screens and
// computing, and of Fibre Channel. Bridges and the processor's own devices are
// hundreds on a server, and say nothing that the board does not.
func pciKind(class uint32) string {
	switch class >> 16 {
	case 0x01:
		if class>>8 == 0x0108 {
			return "nvme"
		}
		return "storage"
	case 0x02:
		return "network"
	case 0x03:
		return "display"
	case 0x0b:
		return "processor"
	case 0x12:
		return "accelerator"
	}
	switch class >> 8 {
	case 0x0c04:
		return "fibre_channel"
	case 0x0c06:
		return "infiniband"
	}
	return ""
}

func (b *builder) pci(d pciDevice) {
	kind := pciKind(d.class)
	if kind == "" || d.address == "" {
		return
	}
	location := b.located[d.address]
	if location == "" { // the slot is named at the first function of the card
		if card, _, ok := strings.Cut(d.address, "."); ok {
			location = b.located[card+".0"]
		}
	}
	b.add(record.DevicePCI, d.address, "", source.Text("kind", kind), source.Text("slot", location), source.Text(record.FieldModel, d.name), source.Text("pci_id", d.vendor+":"+d.device),
		source.Text("subsystem_id", d.subsystem), source.Text("revision", d.revision), source.Text("driver", d.driver))
}

// pci reads /sys/bus/pci.
func (l linux) pci(b *builder) {
	list, err := os.ReadDir(l.path("sys/bus/pci/devices"))
	if err != nil {
		return
	}
	b.observed(record.DevicePCI)
	for _, e := range list {
		word := func(name string) string {
			return strings.TrimPrefix(l.text("sys/bus/pci/devices", e.Name(), name), "0x")
		}
		class, err := strconv.ParseUint(word("class"), 16, 24)
		if err != nil {
			continue
		}
		d := pciDevice{
			address: e.Name(), class: uint32(class), vendor: word("vendor"), device: word("device"), revision: word("revision"),
			driver: l.link("sys/bus/pci/devices", e.Name(), "driver"), name: source.Serial(word("label")),
		}
		if v, s := word("subsystem_vendor"), word("subsystem_device"); v != "" && v != "0000" {
			d.subsystem = v + ":" + s
		}
		b.pci(d)
	}
}

// scsiAddress returns host:channel:target:lun, or "" for a disk that is not
// reached by SCSI.
func scsiAddress(s string) string {
	parts := strings.Split(s, ":")
	if len(parts) != 4 {
		return ""
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 64); err != nil {
			return ""
		}
	}
	return s
}

// identify reads the names that Windows has for a device, the most exact first.
// The class stands in the less exact ones.
func identify(ids []string) pciDevice {
	var d pciDevice
	for _, id := range ids {
		var one pciDevice
		if !one.hardwareID(id) {
			continue
		}
		if d.vendor == "" {
			d = one
		}
		d.class = max(d.class, one.class)
	}
	return d
}

// hardwareID reads "PCI\\VEN_1000&DEV_005D&SUBSYS_93631000&REV_02" of Windows.
func (d *pciDevice) hardwareID(s string) bool {
	s = strings.ToUpper(s)
	rest, ok := strings.CutPrefix(s, `PCI\`)
	if !ok {
		return false
	}
	for part := range strings.SplitSeq(rest, "&") {
		key, value, _ := strings.Cut(part, "_")
		value = strings.ToLower(value)
		switch key {
		case "VEN":
			d.vendor = value
		case "DEV":
			d.device = value
		case "REV":
			d.revision = value
		case "SUBSYS":
			if len(value) == 8 && value != "00000000" { // device, then vendor
				d.subsystem = value[4:] + ":" + value[:4]
			}
		case "CC":
			if n, err := strconv.ParseUint(value, 16, 24); err == nil && len(value) >= 4 {
				d.class = uint32(n) << (4 * (6 - len(value)))
			}
		}
	}
	return d.vendor != "" && d.device != ""
}
