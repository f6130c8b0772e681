package smbios

import "fmt"

// Slot is a slot for a card (type 9).
type Slot struct {
	Name, Type string
	InUse      bool
	// Address is that of the card, "0000:3b:00.0"; "" = not said.
	Address string
}

// Onboard is a device on the board (type 41).
type Onboard struct {
	Name    string
	Enabled bool
	Address string
}

// PowerSupply is a power supply (type 39).
type PowerSupply struct {
	Location, Name, Manufacturer, Serial, Part, Revision string
	Present, HotReplaceable                              bool
	// Status is the firmware's judgement, "" = it has none: OK, Non-critical,
	// Critical.
	Status string
	Watts  int // 0 = not said
}

// TPM is a trusted platform module (type 43).
type TPM struct{ Vendor, Spec, Firmware, Description string }

func slot(s Structure) Slot {
	out := Slot{Name: s.text(4), Type: name(slotTypes, int(s.byteAt(5))), InUse: s.byteAt(7) == 4}
	if out.Type == "" {
		out.Type = name(pciTypes, int(s.byteAt(5))-0xa5)
	}
	if len(s.Data) >= 0x11 {
		out.Address = address(s.word(0x0d), s.byteAt(0x0f), s.byteAt(0x10))
	}
	return out
}

func onboard(s Structure) Onboard {
	return Onboard{Name: s.text(4), Enabled: s.byteAt(5)&0x80 != 0, Address: address(s.word(7), s.byteAt(9), s.byteAt(10))}
}

// address is how Linux writes where a PCI device is; all ones mean that there
// is none, and so do all zeros: that is the processor's own bridge.
func address(segment uint16, bus, function byte) string {
	if segment == 0xffff || bus == 0xff && function == 0xff || segment == 0 && bus == 0 && function == 0 {
		return ""
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", segment, bus, function>>3, function&7)
}

func powerSupply(s Structure) PowerSupply {
	flags := s.word(0x0e)
	p := PowerSupply{
		Location: s.text(5), Name: s.text(6), Manufacturer: s.text(7), Serial: s.text(8), Part: s.text(0x0a), Revision: s.text(0x0b),
		Present: flags&2 != 0, HotReplaceable: flags&1 != 0, Status: name(powerStates, int(flags>>7&7)),
	}
	if w := s.word(0x0c); w != 0x8000 {
		p.Watts = int(w)
	}
	return p
}

func tpm(s Structure) TPM {
	t := TPM{Description: s.text(0x12)}
	if len(s.Data) < 0x12 {
		return t
	}
	for _, b := range s.Data[4:8] {
		if b > ' ' && b < 0x7f {
			t.Vendor += string(rune(b))
		}
	}
	t.Spec = fmt.Sprintf("%d.%d", s.Data[8], s.Data[9])
	if v := s.dword(0x0a); s.Data[8] == 2 && v != 0 {
		t.Firmware = fmt.Sprintf("%d.%d", v>>16, v&0xffff)
	}
	return t
}

var powerStates = []string{3: "OK", 4: "Non-critical", 5: "Critical"}

// The names are dmidecode's, without the width of the bus.
var slotTypes = []string{
	0x03: "ISA", 0x04: "MCA", 0x05: "EISA", 0x06: "PCI", 0x07: "PC Card (PCMCIA)", 0x0f: "AGP", 0x10: "AGP 2x", 0x11: "AGP 4x", 0x12: "PCI-X", 0x13: "AGP 8x",
	0x14: "M.2 Socket 1-DP", 0x15: "M.2 Socket 1-SD", 0x16: "M.2 Socket 2", 0x17: "M.2 Socket 3", 0x1f: "PCI Express 2 SFF-8639 (U.2)", 0x20: "PCI Express 3 SFF-8639 (U.2)",
	0x24: "PCI Express 4 SFF-8639 (U.2)",
}

// pciTypes begin at 0xa5.
var pciTypes = []string{
	"PCI Express", "PCI Express x1", "PCI Express x2", "PCI Express x4", "PCI Express x8", "PCI Express x16", "PCI Express 2", "PCI Express 2 x1", "PCI Express 2 x2",
	"PCI Express 2 x4", "PCI Express 2 x8", "PCI Express 2 x16", "PCI Express 3", "PCI Express 3 x1", "PCI Express 3 x2", "PCI Express 3 x4", "PCI Express 3 x8", "PCI Express 3 x16", "",
	"PCI Express 4", "PCI Express 4 x1", "PCI Express 4 x2", "PCI Express 4 x4", "PCI Express 4 x8", "PCI Express 4 x16", "PCI Express 5", "PCI Express 5 x1", "PCI Express 5 x2",
	"PCI Express 5 x4", "PCI Express 5 x8", "PCI Express 5 x16",
}
