package captures

import (
	"strconv"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// machine reads dmidecode's words of a machine, which the exporter never does:
// it reads the table itself, and of these machines the words are all there is.
func machine(t *testing.T, name string) *record.Snapshot {
	t.Helper()
	s := &record.Snapshot{Sections: []record.Section{{Type: record.DeviceBIOS}, {Type: record.DeviceCPU}, {Type: record.DeviceMemory}}}
	for part := range strings.SplitSeq(string(read(t, name)), "\n\n") {
		head, body, _ := strings.Cut(part, "\n")
		f := map[string]string{}
		for line := range strings.Lines(body) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(line, "\t\t") {
				f[k] = strings.TrimSpace(v)
			}
		}
		text := func(key, name string) record.Attr { return record.Attr{Key: key, Value: record.String(f[name])} }
		_, kind, _ := strings.Cut(head, "DMI type ")
		switch kind, _, _ = strings.Cut(kind, ","); kind {
		case "0":
			s.Devices = append(s.Devices, record.Device{Type: record.DeviceBIOS, Place: "bios", Fields: []record.Attr{text(record.FieldVendor, "Vendor"), text(record.FieldFirmware, "Version")}})
		case "4":
			if strings.HasPrefix(f["Status"], "Populated") {
				s.Devices = append(s.Devices, record.Device{Type: record.DeviceCPU, Place: f["Socket Designation"], Fields: []record.Attr{{Key: record.FieldModel, Value: record.String(strings.Join(strings.Fields(f["Version"]), " "))}}})
			}
		case "17":
			number, unit, _ := strings.Cut(f["Size"], " ")
			if n, err := strconv.ParseInt(number, 10, 64); err == nil && unit == "GB" {
				// The collection took the serial numbers out: who sits there is not known.
				s.Devices = append(s.Devices, record.Device{Type: record.DeviceMemory, Place: f["Locator"], Occupant: f["Serial Number"], Fields: []record.Attr{text(record.FieldVendor, "Manufacturer"), {Key: record.FieldSize, Value: record.Int(n << 30)}}})
			}
		}
	}
	if len(s.Devices) < 4 {
		t.Fatalf("%s: %d parts", name, len(s.Devices))
	}
	return s
}

// Three machines of one model with other parts, played as one machine in which
// the parts were exchanged.
func TestMachinesOfOneModel(t *testing.T) {
	const dell = "dmi/linuxhw.DMI/Server__Dell__PowerEdge__PowerEdge_1950__"
	d := newDesk(t)
	var machines []*record.Snapshot
	for _, name := range []string{"12946989497B", "7D3E387CFF5B", "9FAD7399F359"} {
		machines = append(machines, machine(t, dell+name))
	}
	compare(t, "changes", `field bios bios: firmware 1.3.7 to 2.2.6
		field cpu CPU1: model Intel(R) Xeon(R) CPU E5345 @ 2.33GHz to Intel(R) Xeon(R) CPU 5160 @ 3.00GHz
		removed cpu CPU2
		field memory DIMM1: size_bytes 2147483648 to 4294967296
		field memory DIMM1: vendor 80AD808980AD to 000080B3802C
		field memory DIMM2: size_bytes 2147483648 to 4294967296
		field memory DIMM2: vendor 80AD808980AD to 000080B3802C
		removed memory DIMM3
		removed memory DIMM4
		removed memory DIMM5
		removed memory DIMM6
		removed memory DIMM7
		removed memory DIMM8
		field cpu CPU1: model Intel(R) Xeon(R) CPU 5160 @ 3.00GHz to Intel(R) Xeon(R) CPU X5355 @ 2.66GHz
		added cpu CPU2
		field memory DIMM1: size_bytes 4294967296 to 2147483648
		field memory DIMM1: vendor 000080B3802C to 80CE7FB380CE
		field memory DIMM2: size_bytes 4294967296 to 2147483648
		field memory DIMM2: vendor 000080B3802C to 80CE7FB380CE
		added memory DIMM3
		added memory DIMM4
		added memory DIMM5
		added memory DIMM6
		added memory DIMM7
		added memory DIMM8`, d.play(record.Hardware, machines...))
	compare(t, "told", `opened memory-changed memory DIMM1
		opened memory-changed memory DIMM2
		opened memory-changed memory DIMM3
		opened memory-changed memory DIMM4
		opened memory-changed memory DIMM5
		opened memory-changed memory DIMM6
		opened memory-changed memory DIMM7
		opened memory-changed memory DIMM8
		opened cpu-changed cpu CPU1
		opened cpu-changed cpu CPU2
		joined memory-changed memory DIMM1
		joined memory-changed memory DIMM2
		joined cpu-changed cpu CPU1`, d.told)
}
