package hardware

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nocturne/exporter/source/hardware/smbios"
	"nocturne/internal/corpus"
)

// dmidecode reads the words of a machine whose table is not at hand: dmidecode's
// text. The exporter never does; what is tested here are the names that boards
// give to their sockets.
func dmidecode(text string) *smbios.Info {
	info := &smbios.Info{}
	for part := range strings.SplitSeq(strings.ReplaceAll(text, "\r", ""), "\n\n") {
		head, body, _ := strings.Cut(part, "\n")
		_, after, ok := strings.Cut(head, "DMI type ")
		if !ok {
			continue
		}
		f := map[string]string{}
		for line := range strings.Lines(body) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(line, "\t\t") {
				f[k] = strings.TrimSpace(v)
			}
		}
		switch typ, _, _ := strings.Cut(after, ","); typ {
		case "0":
			info.BIOS = &smbios.BIOS{Vendor: f["Vendor"], Version: f["Version"]}
		case "1":
			info.System = &smbios.System{Manufacturer: f["Manufacturer"], Product: f["Product Name"], Serial: f["Serial Number"]}
		case "2":
			info.Boards = append(info.Boards, smbios.Board{Manufacturer: f["Manufacturer"], Product: f["Product Name"], Serial: f["Serial Number"], Location: f["Location In Chassis"]})
		case "4":
			info.CPUs = append(info.CPUs, smbios.CPU{Socket: f["Socket Designation"], Version: f["Version"], Populated: strings.HasPrefix(f["Status"], "Populated")})
		case "9":
			info.Slots = append(info.Slots, smbios.Slot{Name: f["Designation"], InUse: f["Current Usage"] == "In Use", Address: f["Bus Address"]})
		case "17":
			m := smbios.Memory{Locator: f["Locator"], Bank: f["Bank Locator"], Serial: f["Serial Number"], Part: f["Part Number"]}
			if size := strings.Fields(f["Size"]); len(size) == 2 {
				n, _ := strconv.ParseInt(size[0], 10, 64) // "No Module …" has more words
				m.Size = n << 20
			}
			info.Memory = append(info.Memory, m)
		case "39":
			info.PowerSupplies = append(info.PowerSupplies, smbios.PowerSupply{Location: f["Location"], Name: f["Name"], Manufacturer: f["Manufacturer"], Serial: f["Serial Number"],
				Part: f["Model Part Number"], Present: strings.HasPrefix(f["Status"], "Present")})
		}
	}
	return info
}

func placesOf(info *smbios.Info) map[string]bool {
	b := newBuilder()
	b.firmware(info)
	out := map[string]bool{}
	for _, d := range b.snapshot().Devices {
		out[d.Type+" "+d.Place] = true
	}
	return out
}

// Every text of the corpus becomes a snapshot whose places are unique, and
// stay where they are when a module or a processor is taken out.
func TestPlacesOfTheCorpus(t *testing.T) {
	var files []string
	for _, pattern := range []string{"dmi/linuxhw.DMI/*", "dmi/puppetlabs.facter/dmi_decode_*", "dmi/u-root.u-root/*.orig.txt", "hardware/metal-toolbox.ironlib/*dmidecode*"} {
		found, err := filepath.Glob(filepath.Join(corpus.Dir(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	total := map[string]int{}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info := dmidecode(string(b))
		bb := newBuilder()
		bb.firmware(info)
		devices := bb.snapshot().Devices
		all := placesOf(info)
		if len(all) != len(devices) {
			t.Errorf("%s: %d devices at %d places", filepath.Base(path), len(devices), len(all))
		}
		for _, d := range devices {
			total[d.Type]++
		}
		total["machines"]++
		for i, m := range info.Memory {
			if m.Size > 0 {
				without := *info
				without.Memory = slices.Clone(info.Memory)
				without.Memory[i].Size = 0
				staysAt(t, filepath.Base(path)+": memory "+m.Locator, all, placesOf(&without))
			}
		}
		for i, c := range info.CPUs {
			if c.Populated {
				without := *info
				without.CPUs = slices.Clone(info.CPUs)
				without.CPUs[i].Populated = false
				staysAt(t, filepath.Base(path)+": cpu "+c.Socket, all, placesOf(&without))
			}
		}
	}
	want := map[string]int{"machines": 35, "system": 33, "bios": 33, "board": 32, "cpu": 176, "memory": 216, "slot": 145, "power_supply": 14}
	for k, n := range want {
		if total[k] != n {
			t.Errorf("%d %s, want %d", total[k], k, n)
		}
	}
}

// staysAt holds that one place is gone and none is new.
func staysAt(t *testing.T, what string, before, after map[string]bool) {
	t.Helper()
	for p := range after {
		if !before[p] {
			t.Errorf("without %s there is a new place %s", what, p)
		}
	}
	if len(after) != len(before)-1 {
		t.Errorf("without %s: %d places, before %d", what, len(after), len(before))
	}
}
