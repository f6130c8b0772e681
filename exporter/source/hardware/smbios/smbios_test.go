package smbios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nocturne/internal/corpus"
)

// block is one structure as dmidecode prints it.
type block map[string]string

// dmidecode reads the text that stands beside each dump: real dmidecode's.
func dmidecode(t *testing.T, path string) map[int][]block {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int][]block{}
	for part := range strings.SplitSeq(string(b), "\n\n") {
		lines := strings.Split(part, "\n")
		_, after, ok := strings.Cut(lines[0], "DMI type ")
		if !ok {
			continue
		}
		n, _, _ := strings.Cut(after, ",")
		typ, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("%s: %q", path, lines[0])
		}
		bl := block{}
		for _, l := range lines[1:] {
			if strings.HasPrefix(l, "\t\t") {
				continue
			}
			if k, v, ok := strings.Cut(strings.TrimSpace(l), ":"); ok {
				bl[k] = strings.TrimSpace(v)
			}
		}
		out[typ] = append(out[typ], bl)
	}
	return out
}

func TestDumpsAgainstDmidecode(t *testing.T) {
	dumps, _ := filepath.Glob(filepath.Join(corpus.Dir(t), "dmi", "u-root.u-root", "*.bin"))
	if len(dumps) != 9 {
		t.Fatalf("%d dumps in the corpus, want 9", len(dumps))
	}
	compared := 0
	for _, path := range dumps {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			info, err := Dump(b)
			if err != nil {
				t.Fatal(err)
			}
			want := dmidecode(t, strings.TrimSuffix(path, ".bin")+".orig.txt")
			compared += compare(t, info, want)
		})
	}
	if compared < 1000 {
		t.Errorf("%d fields compared, want at least 1000", compared)
	}
}

func compare(t *testing.T, info *Info, want map[int][]block) int {
	n := 0
	same := func(what string, want block, key, got string) {
		t.Helper()
		w, said := want[key]
		if !said {
			return
		}
		n++
		// What dmidecode says of an empty string, and of values we leave out.
		if w == got {
			return
		}
		if w == "Not Specified" || w == "Unknown" || w == "Other" || w == "<OUT OF SPEC>" || w == "Not Settable" || w == "Not Present" {
			w = ""
		}
		if got != w {
			t.Errorf("%s: %s is %q, dmidecode says %q", what, key, got, w)
		}
	}
	count := func(what string, typ, got int) {
		t.Helper()
		if got != len(want[typ]) {
			t.Fatalf("%d %s, dmidecode has %d", got, what, len(want[typ]))
		}
	}
	if w := want[0]; len(w) > 0 {
		same("bios", w[0], "Vendor", info.BIOS.Vendor)
		same("bios", w[0], "Version", info.BIOS.Version)
		same("bios", w[0], "Release Date", info.BIOS.Date)
	}
	if w := want[1]; len(w) > 0 {
		same("system", w[0], "Manufacturer", info.System.Manufacturer)
		same("system", w[0], "Product Name", info.System.Product)
		same("system", w[0], "Version", info.System.Version)
		same("system", w[0], "Serial Number", info.System.Serial)
		same("system", w[0], "UUID", info.System.UUID)
		same("system", w[0], "SKU Number", info.System.SKU)
		same("system", w[0], "Family", info.System.Family)
	}
	if w := want[3]; len(w) > 0 {
		same("chassis", w[0], "Manufacturer", info.Chassis.Manufacturer)
		same("chassis", w[0], "Type", info.Chassis.Type)
		same("chassis", w[0], "Serial Number", info.Chassis.Serial)
	}
	count("boards", 2, len(info.Boards))
	for i, b := range info.Boards {
		what := fmt.Sprintf("board %d", i)
		same(what, want[2][i], "Manufacturer", b.Manufacturer)
		same(what, want[2][i], "Product Name", b.Product)
		same(what, want[2][i], "Version", b.Version)
		same(what, want[2][i], "Serial Number", b.Serial)
		same(what, want[2][i], "Asset Tag", b.AssetTag)
		same(what, want[2][i], "Location In Chassis", b.Location)
	}
	count("processors", 4, len(info.CPUs))
	for i, c := range info.CPUs {
		what := fmt.Sprintf("cpu %d", i)
		same(what, want[4][i], "Socket Designation", c.Socket)
		same(what, want[4][i], "Manufacturer", c.Manufacturer)
		same(what, want[4][i], "Version", c.Version)
		same(what, want[4][i], "Serial Number", c.Serial)
		same(what, want[4][i], "Part Number", c.Part)
		same(what, want[4][i], "Core Count", number(c.Cores, ""))
		same(what, want[4][i], "Thread Count", number(c.Threads, ""))
		same(what, want[4][i], "Max Speed", number(c.MaxMHz, " MHz"))
		if got := strings.HasPrefix(want[4][i]["Status"], "Populated"); got != c.Populated {
			t.Errorf("%s: populated %t, dmidecode says %q", what, c.Populated, want[4][i]["Status"])
		}
	}
	count("memory sockets", 17, len(info.Memory))
	for i, m := range info.Memory {
		n += compareMemory(t, fmt.Sprintf("memory %d", i), m, want[17][i], same)
	}
	count("slots", 9, len(info.Slots))
	for i, s := range info.Slots {
		w, what := want[9][i], fmt.Sprintf("slot %d", i)
		same(what, w, "Designation", s.Name)
		if s.Type != "" && !strings.HasSuffix(w["Type"], s.Type) {
			t.Errorf("%s: type %q, dmidecode says %q", what, s.Type, w["Type"])
		}
		if s.InUse != (w["Current Usage"] == "In Use") {
			t.Errorf("%s: in use %t, dmidecode says %q", what, s.InUse, w["Current Usage"])
		}
		if a := w["Bus Address"]; a != s.Address && a != "0000:00:00.0" && !strings.HasSuffix(a, ":ff:1f.7") {
			t.Errorf("%s: address %q, dmidecode says %q", what, s.Address, a)
		}
	}
	count("devices on the board", 41, len(info.Onboard))
	for i, o := range info.Onboard {
		w, what := want[41][i], fmt.Sprintf("onboard %d", i)
		same(what, w, "Reference Designation", o.Name)
		if a := w["Bus Address"]; a != o.Address && a != "0000:00:00.0" && !strings.HasSuffix(a, ":ff:1f.7") {
			t.Errorf("%s: address %q, dmidecode says %q", what, o.Address, a)
		}
		if o.Enabled != (w["Status"] == "Enabled") {
			t.Errorf("%s: enabled %t, dmidecode says %q", what, o.Enabled, w["Status"])
		}
	}
	count("power supplies", 39, len(info.PowerSupplies))
	for i, p := range info.PowerSupplies {
		w, what := want[39][i], fmt.Sprintf("power supply %d", i)
		same(what, w, "Location", p.Location)
		same(what, w, "Name", p.Name)
		same(what, w, "Manufacturer", p.Manufacturer)
		same(what, w, "Serial Number", p.Serial)
		same(what, w, "Model Part Number", p.Part)
		same(what, w, "Max Power Capacity", number(p.Watts, " W"))
		if got := "Present, " + p.Status; p.Present && p.Status != "" && got != w["Status"] {
			t.Errorf("%s: %q, dmidecode says %q", what, got, w["Status"])
		}
	}
	return n
}

func compareMemory(t *testing.T, what string, m Memory, w block, same func(what string, want block, key, got string)) int {
	t.Helper()
	same(what, w, "Locator", m.Locator)
	same(what, w, "Bank Locator", m.Bank)
	same(what, w, "Manufacturer", m.Manufacturer)
	same(what, w, "Serial Number", m.Serial)
	same(what, w, "Part Number", m.Part)
	same(what, w, "Type", m.Type)
	same(what, w, "Form Factor", m.Form)
	same(what, w, "Speed", number(m.Speed, " MT/s"))
	same(what, w, "Configured Memory Speed", number(m.Configured, " MT/s"))
	want := int64(0)
	if f := strings.Fields(w["Size"]); len(f) == 2 && f[1] != "Module" {
		n, err := strconv.ParseInt(f[0], 10, 64)
		shift, ok := map[string]int{"kB": 10, "MB": 20, "GB": 30, "TB": 40}[f[1]]
		if err != nil || !ok {
			t.Fatalf("%s: size %q", what, w["Size"])
		}
		want = n << shift
	}
	if m.Size != want {
		t.Errorf("%s: size %d, dmidecode says %q", what, m.Size, w["Size"])
	}
	return 1
}

func number(n int, unit string) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n) + unit
}

func TestWalkBroken(t *testing.T) {
	f := func(why string, table string, want int, truncated bool) {
		t.Helper()
		got, err := Walk([]byte(table))
		if len(got) != want || errors.Is(err, ErrTruncated) != truncated {
			t.Errorf("%s: %d structures, error %v; want %d, truncated %t", why, len(got), err, want, truncated)
		}
	}
	f("empty", "", 0, false)
	f("three bytes of rest after the last structure", "\x00\x04\x01\x00\x00\x00abc", 1, false)
	f("a length shorter than the header", "\x00\x03\x01\x00\x00\x00", 0, true)
	f("a length past the end", "\x00\xff\x01\x00\x00\x00", 0, true)
	f("no end of the strings", "\x00\x04\x01\x00abc", 1, true)
	f("the last structure without zeros", "\x7f\x04\x01\x00", 1, false)
	f("nothing after the last structure is read", "\x7f\x04\x01\x00\x00\x00\x00\xff\x01\x00", 1, false)
	if _, err := Walk(make([]byte, MaxTable+1)); err == nil {
		t.Error("a table above the limit was read")
	}
}

func TestUUIDOrder(t *testing.T) {
	data := append([]byte{1, 25, 0, 0, 0, 0, 0, 0}, []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0}...)
	f := func(v Version, want string) {
		t.Helper()
		if got := uuid(Structure{Data: data}, v); got != want {
			t.Errorf("SMBIOS %d.%d: %s, want %s", v.Major, v.Minor, got, want)
		}
	}
	f(Version{2, 5}, "33221100-5544-7766-8899-aabbccddeeff")
	f(Version{2, 6}, "00112233-4455-6677-8899-aabbccddeeff")
	f(Version{3, 0}, "00112233-4455-6677-8899-aabbccddeeff")
}

func FuzzDump(f *testing.F) {
	f.Add([]byte("_SM3_\x00\x18\x03\x01\x00\x01\x00\x00\x10\x00\x00\x18\x00\x00\x00\x00\x00\x00\x00\x01\x1b\x01\x00"))
	f.Add([]byte("_DMI_\x00\x10\x00\x00\x00\x00\x00\x00\x00\x24\x11\x20\x11\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = Dump(b) // must return
		_, _ = Raw(b)
	})
}
