package smbios

import "fmt"

// Info is what the table says. A part that the table does not mention is nil
// or absent.
type Info struct {
	Version Version
	BIOS    *BIOS
	System  *System
	Chassis *Chassis
	Boards  []Board
	CPUs    []CPU
	Memory  []Memory

	Slots         []Slot
	Onboard       []Onboard
	PowerSupplies []PowerSupply
	TPMs          []TPM
}

// BIOS is the firmware (type 0).
type BIOS struct{ Vendor, Version, Date string }

// System is the machine (type 1).
type System struct {
	Manufacturer, Product, Version, Serial, SKU, Family string
	// UUID is in the usual form; "" when it is not set (all zeros or all ones).
	UUID string
}

// Chassis is the first enclosure (type 3).
type Chassis struct{ Manufacturer, Type, Version, Serial, AssetTag string }

// Board is a base board (type 2); blades and risers are boards too.
type Board struct{ Manufacturer, Product, Version, Serial, AssetTag, Location string }

// CPU is a processor socket (type 4).
type CPU struct {
	Socket, Manufacturer, Version, Serial, Part string
	Populated                                   bool
	MaxMHz, Cores, Threads                      int
}

// Memory is a memory socket (type 17).
type Memory struct {
	Locator, Bank, Manufacturer, Serial, Part, Type, Form string
	// Size is in bytes; 0 = empty. SizeUnknown when the firmware does not know.
	Size        int64
	SizeUnknown bool
	// Speed is in MT/s; 0 = not said. Configured is what it runs at.
	Speed, Configured int
}

// Decode reads a table. With ErrTruncated it returns what came before.
func Decode(table []byte, v Version) (*Info, error) {
	structures, err := Walk(table)
	info := &Info{Version: v}
	for _, s := range structures {
		switch s.Type {
		case 0:
			if info.BIOS == nil {
				info.BIOS = &BIOS{Vendor: s.text(4), Version: s.text(5), Date: s.text(8)}
			}
		case 1:
			if info.System == nil {
				info.System = system(s, v)
			}
		case 2:
			info.Boards = append(info.Boards, Board{Manufacturer: s.text(4), Product: s.text(5), Version: s.text(6), Serial: s.text(7), AssetTag: s.text(8), Location: s.text(0x0a)})
		case 3:
			if info.Chassis == nil {
				info.Chassis = &Chassis{Manufacturer: s.text(4), Type: name(chassisTypes, int(s.byteAt(5)&0x7f)), Version: s.text(6), Serial: s.text(7), AssetTag: s.text(8)}
			}
		case 4:
			info.CPUs = append(info.CPUs, cpu(s))
		case 9:
			info.Slots = append(info.Slots, slot(s))
		case 17:
			info.Memory = append(info.Memory, memory(s))
		case 39:
			info.PowerSupplies = append(info.PowerSupplies, powerSupply(s))
		case 41:
			info.Onboard = append(info.Onboard, onboard(s))
		case 43:
			info.TPMs = append(info.TPMs, tpm(s))
		}
	}
	if len(structures) == 0 && err == nil {
		err = fmt.Errorf("SMBIOS table of %d bytes holds nothing", len(table))
	}
	return info, err
}

func system(s Structure, v Version) *System {
	return &System{
		Manufacturer: s.text(4), Product: s.text(5), Version: s.text(6), Serial: s.text(7),
		UUID: uuid(s, v), SKU: s.text(0x19), Family: s.text(0x1a),
	}
}

// uuid follows DSP0134 7.2.1: since 2.6 the first three fields are
// little-endian, before that the order was not said and is taken as written.
func uuid(s Structure, v Version) string {
	if len(s.Data) < 24 {
		return ""
	}
	u := [16]byte(s.Data[8:24])
	if u == ([16]byte{}) || u == allOnes {
		return ""
	}
	if v.atLeast(2, 6) {
		u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
		u[4], u[5] = u[5], u[4]
		u[6], u[7] = u[7], u[6]
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

var allOnes = [16]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

func cpu(s Structure) CPU {
	c := CPU{
		Socket: s.text(4), Manufacturer: s.text(7), Version: s.text(0x10), Serial: s.text(0x20), Part: s.text(0x22),
		Populated: s.byteAt(0x18)&0x40 != 0, MaxMHz: int(s.word(0x14)),
		Cores: int(s.byteAt(0x23)), Threads: int(s.byteAt(0x25)),
	}
	// 0xff means: see the wide field.
	if n := int(s.word(0x2a)); c.Cores == 0xff && n != 0 {
		c.Cores = n
	}
	if n := int(s.word(0x2e)); c.Threads == 0xff && n != 0 {
		c.Threads = n
	}
	return c
}

func memory(s Structure) Memory {
	m := Memory{
		Locator: s.text(0x10), Bank: s.text(0x11), Manufacturer: s.text(0x17), Serial: s.text(0x18), Part: s.text(0x1a),
		Type: name(memoryTypes, int(s.byteAt(0x12))), Form: name(memoryForms, int(s.byteAt(0x0e))),
		Speed: speed(s, 0x15, 0x54), Configured: speed(s, 0x20, 0x58),
	}
	switch size := s.word(0x0c); {
	case size == 0xffff:
		m.SizeUnknown = true
	case size == 0x7fff && len(s.Data) >= 0x20:
		m.Size = int64(s.dword(0x1c)&0x7fffffff) << 20
	case size&0x8000 != 0:
		m.Size = int64(size&0x7fff) << 10
	default:
		m.Size = int64(size) << 20
	}
	return m
}

// speed reads a 16-bit speed, or the 32-bit one that replaces it at 0xffff.
func speed(s Structure, off, wide int) int {
	v := s.word(off)
	if v == 0xffff {
		return int(s.dword(wide) & 0x7fffffff)
	}
	return int(v)
}

func name(names []string, i int) string {
	if i >= 0 && i < len(names) {
		return names[i]
	}
	return ""
}

// The names are dmidecode's; an empty one is "other", "unknown" or not defined.
var memoryTypes = []string{
	0x03: "DRAM", 0x04: "EDRAM", 0x05: "VRAM", 0x06: "SRAM", 0x07: "RAM", 0x08: "ROM", 0x09: "Flash", 0x0a: "EEPROM", 0x0b: "FEPROM",
	0x0c: "EPROM", 0x0d: "CDRAM", 0x0e: "3DRAM", 0x0f: "SDRAM", 0x10: "SGRAM", 0x11: "RDRAM", 0x12: "DDR", 0x13: "DDR2", 0x14: "DDR2 FB-DIMM",
	0x18: "DDR3", 0x19: "FBD2", 0x1a: "DDR4", 0x1b: "LPDDR", 0x1c: "LPDDR2", 0x1d: "LPDDR3", 0x1e: "LPDDR4", 0x1f: "Logical non-volatile device",
	0x20: "HBM", 0x21: "HBM2", 0x22: "DDR5", 0x23: "LPDDR5", 0x24: "HBM3",
}

var memoryForms = []string{
	0x03: "SIMM", 0x04: "SIP", 0x05: "Chip", 0x06: "DIP", 0x07: "ZIP", 0x08: "Proprietary Card", 0x09: "DIMM", 0x0a: "TSOP", 0x0b: "Row Of Chips",
	0x0c: "RIMM", 0x0d: "SODIMM", 0x0e: "SRIMM", 0x0f: "FB-DIMM", 0x10: "Die",
}

var chassisTypes = []string{
	0x03: "Desktop", 0x04: "Low Profile Desktop", 0x05: "Pizza Box", 0x06: "Mini Tower", 0x07: "Tower", 0x08: "Portable", 0x09: "Laptop", 0x0a: "Notebook",
	0x0b: "Hand Held", 0x0c: "Docking Station", 0x0d: "All In One", 0x0e: "Sub Notebook", 0x0f: "Space-saving", 0x10: "Lunch Box", 0x11: "Main Server Chassis",
	0x12: "Expansion Chassis", 0x13: "Sub Chassis", 0x14: "Bus Expansion Chassis", 0x15: "Peripheral Chassis", 0x16: "RAID Chassis", 0x17: "Rack Mount Chassis",
	0x18: "Sealed-case PC", 0x19: "Multi-system", 0x1a: "CompactPCI", 0x1b: "AdvancedTCA", 0x1c: "Blade", 0x1d: "Blade Enclosing", 0x1e: "Tablet",
	0x1f: "Convertible", 0x20: "Detachable", 0x21: "IoT Gateway", 0x22: "Embedded PC", 0x23: "Mini PC", 0x24: "Stick PC",
}
