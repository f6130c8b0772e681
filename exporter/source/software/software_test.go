package software

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source/sourcetest"
	"nocturne/internal/record"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func expect(t *testing.T, in inventory, sections string, want ...string) {
	t.Helper()
	rec := in.record(noon)
	var got, secs []string
	for _, s := range rec.Snapshot.Sections {
		secs = append(secs, s.Type)
	}
	for _, d := range rec.Snapshot.Devices {
		parts := []string{d.Type, d.Place}
		for _, f := range d.Fields {
			parts = append(parts, f.Key+"="+f.Value.Text())
		}
		got = append(got, strings.Join(parts, "|"))
	}
	if strings.Join(secs, " ") != sections || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\n%s\nwant %s\n%s", secs, strings.Join(got, "\n"), sections, strings.Join(want, "\n"))
	}
}

// Constructed from documentation (sysfs): a module that drives two devices, one
// that drives none, a driver that is built in.
func linuxTree(t *testing.T) string {
	return sourcetest.Tree(t, map[string]string{
		"var/lib/dpkg/status":                           "",
		"sys/bus/pci/drivers/megaraid_sas/module":       "->../../../../module/megaraid_sas",
		"sys/bus/pci/drivers/megaraid_sas/0000:03:00.0": "->../../../../devices/x",
		"sys/bus/pci/drivers/megaraid_sas/0000:04:00.0": "->../../../../devices/y",
		"sys/bus/pci/drivers/megaraid_sas/bind":         "",
		"sys/module/megaraid_sas/version":               "07.719.03.00-rc1\n",
		"sys/module/megaraid_sas/srcversion":            "ABCDEF\n",
		"sys/module/megaraid_sas/taint":                 "OE\n",
		"sys/bus/pci/drivers/idle/module":               "->../../../../module/idle",
		"sys/bus/pci/drivers/ahci/0000:00:1f.2":         "->../../../../devices/z",
		"sys/bus/empty/uevent":                          "",
	})
}

func TestLinux(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links")
	}
	r := NewReader(Options{Config: DefaultConfig(), Root: linuxTree(t), Run: func(_ context.Context, name string, _ ...string) ([]byte, error) {
		if filepath.Base(name) != "dpkg-query" {
			return nil, fmt.Errorf("asked for %s", name)
		}
		return []byte("bash\t5.2.15-2+b8\tinstalled\nlibc6:amd64\t2.36\tinstalled\nold\t1\tconfig-files\nhalf\t2\thalf-configured\nbroken line\n\t1\tinstalled\n"), nil
	}})
	in, err := r.readLinux(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, in, "driver program",
		"driver|megaraid_sas|version=07.719.03.00-rc1|bus=pci|source_version=ABCDEF|taint=out of tree, unsigned|devices_count=2",
		"program|bash|version=5.2.15-2+b8", "program|half|version=2", "program|libc6:amd64|version=2.36")
}

func TestRPM(t *testing.T) {
	list := parseRPM([]byte("bash\tx86_64\t0\t5.1.8-9.el9\tRocky\t1700000000\nperl\tnoarch\t4\t5.32-1\tRocky\t1700000000\nstorcli\tx86_64\t(none)\t1.0-1\tBroadcom\t0\ngpg-pubkey\t(none)\t0\tabc-1\t(none)\t1\n"))
	expect(t, inventory{programs: list, programsKnown: true}, "program",
		"program|bash.x86_64|version=5.1.8-9.el9|vendor=Rocky|installed=2023-11-14",
		"program|gpg-pubkey|version=abc-1|installed=1970-01-01",
		"program|perl|version=4:5.32-1|vendor=Rocky|installed=2023-11-14",
		"program|storcli.x86_64|version=1.0-1|vendor=Broadcom")
	if list = parseRPM([]byte("a\tnoarch\t0\t1\tRocky\t0\nb\tnoarch\t0\t1\tRocky\t0\nc\tnoarch\t0\t1\tOther\t0\n")); list[0].Publisher != "" || list[2].Publisher != "Other" {
		t.Errorf("%+v: the distribution's own name is repeated", list)
	}
}

func TestUninstall(t *testing.T) {
	var list []Program
	for _, u := range []uninstall{
		{name: "7-Zip 23.01 (x64)", version: "23.01", publisher: "Igor Pavlov", date: "20260131"},
		{name: "Agent", version: "2", bits32: true}, {name: "Agent", version: "1", bits32: true},
		{name: "Part of Windows", system: true}, {name: "Its update", parent: "Agent"}, {name: "Fix", release: "Hotfix"}, {name: "  "},
		{name: "Odd\r\nname", date: "31.01.2026"},
	} {
		if p, ok := u.program(); ok {
			list = append(list, p)
		}
	}
	expect(t, inventory{programs: list, programsKnown: true}, "program",
		"program|7-Zip 23.01 (x64)|version=23.01|vendor=Igor Pavlov|installed=2026-01-31",
		"program|Agent [32-bit]|version=1", "program|Agent [32-bit]#2|version=2",
		"program|Odd  name|installed=2026-01-31")
}

func TestInstallDate(t *testing.T) {
	for s, want := range map[string]string{
		"20260131": "2026-01-31", "2026-01-31": "2026-01-31", "2026/01/31": "2026-01-31", "31.1.2026": "2026-01-31", "1/31/2026": "2026-01-31", "31/1/2026": "2026-01-31",
		"02/02/2026": "2026-02-02", // both ways the same
		"02/03/2026": "",           // February or March
		"yesterday":  "", "": "", "20261301": "",
	} {
		if got := installDate(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestDriverDate(t *testing.T) {
	data := binary.LittleEndian.AppendUint64(nil, 0x01d9a3a0b2c1c000) // 2023-06-20
	if got := driverDate(data, "1-1-2000"); got != "2023-06-20" {
		t.Error(got)
	}
	if got := driverDate(nil, "6-21-2006"); got != "2006-06-21" {
		t.Error(got)
	}
	if got := driverDate([]byte{1}, "?"); got != "" {
		t.Error(got)
	}
}

func TestSigner(t *testing.T) {
	var b [signerInfoSize]byte
	for i, c := range "Microsoft Windows" {
		b[4+2*maxPath+2*i] = byte(c)
	}
	if got := parseSigner(b[:]); got != "Microsoft Windows" {
		t.Errorf("%q", got)
	}
	if got := parseSigner(b[:100]); got != "" {
		t.Errorf("%q", got)
	}
}

func TestSignerIsAskedOnce(t *testing.T) {
	r, asked := NewReader(Options{Config: DefaultConfig()}), 0
	ask := func(string) string { asked++; return "Contoso" }
	for _, d := range []Driver{{File: "oem1.inf", Version: "1"}, {File: "OEM1.inf", Version: "1"}, {File: "oem1.inf", Version: "2"}, {Version: "3"}} {
		if got := r.signer(d, ask); (got == "Contoso") != (d.File != "") {
			t.Errorf("%+v: %q", d, got)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}

func TestDriversOfManyDevices(t *testing.T) {
	d := Driver{Name: "Intel(R) X710", Version: "1.2", Date: "2023-06-20", Provider: "Intel", File: "oem3.inf", Signer: "Microsoft Windows Hardware Compatibility Publisher"}
	other := d
	other.Version = "1.1"
	expect(t, inventory{drivers: []Driver{d, d, other}, driversKnown: true}, "driver",
		"driver|Intel(R) X710|version=1.1|date=2023-06-20|vendor=Intel|signer=Microsoft Windows Hardware Compatibility Publisher|file=oem3.inf|devices_count=1",
		"driver|Intel(R) X710#2|version=1.2|date=2023-06-20|vendor=Intel|signer=Microsoft Windows Hardware Compatibility Publisher|file=oem3.inf|devices_count=2")
}

// It states when something changed, and once a day.
func TestStatesSeldom(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("reads a tree of Linux")
	}
	now, version := noon, "1"
	r := NewReader(Options{Config: DefaultConfig(), Root: linuxTree(t), Now: func() time.Time { return now }, Run: func(context.Context, string, ...string) ([]byte, error) {
		return []byte("bash\t" + version + "\tinstalled\n"), nil
	}})
	look := func(want int, why string) {
		t.Helper()
		recs, err := r.Collect(t.Context())
		if err != nil || len(recs) != want {
			t.Errorf("%s: %d records, %v, want %d", why, len(recs), err, want)
		}
	}
	look(1, "the first")
	now = now.Add(15 * time.Minute)
	look(0, "nothing changed")
	version = "2"
	look(1, "another version")
	now = now.Add(24 * time.Hour)
	look(1, "a day later")
	now = now.Add(-48 * time.Hour)
	look(1, "the clock was set back")
}

// More than a record holds is cut off, and what is missing is not gone.
func TestTooMuch(t *testing.T) {
	var list []Program
	for i := range record.MaxDevices + 100 {
		list = append(list, Program{Name: fmt.Sprintf("package-%05d", i), Version: strings.Repeat("1", 40)})
	}
	rec := (&inventory{programs: list, programsKnown: true, driversKnown: true}).record(noon)
	if n := record.RecordSize(&rec); n > record.MaxRecord || len(rec.Snapshot.Devices) > record.MaxDevices {
		t.Errorf("%d bytes, %d devices", n, len(rec.Snapshot.Devices))
	}
	if len(rec.Snapshot.Sections) != 1 || rec.Snapshot.Sections[0].Type != record.DeviceDriver || !strings.Contains(rec.Body, "left out") {
		t.Errorf("%v %s", rec.Snapshot.Sections, rec.Body)
	}
	t.Log(rec.Body)
}

func TestNothingToAsk(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the registry is always there")
	}
	r := NewReader(Options{Config: DefaultConfig(), Root: t.TempDir()})
	if recs, err := r.Collect(t.Context()); err == nil || recs != nil {
		t.Error(recs, err)
	}
	r = NewReader(Options{Config: DefaultConfig(), Root: sourcetest.Tree(t, map[string]string{"var/lib/dpkg/status": ""}), Run: func(context.Context, string, ...string) ([]byte, error) { return nil, errors.New("locked") }})
	if recs, err := r.Collect(t.Context()); err == nil || recs != nil {
		t.Error(recs, err)
	}
}

// The machine this runs on: whatever it has, twice the same.
func TestThisMachine(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig()})
	recs, err := r.Collect(t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	t.Log(recs[0].Body, record.RecordSize(&recs[0]), "bytes")
	if again, err := r.Collect(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("the second look: %v, %v", again, err)
	}
}

func TestWakes(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig()})
	for _, c := range []struct {
		provider string
		id       int64
		want     bool
	}{{"MsiInstaller", 1033, true}, {"msiinstaller", 1040, false}, {"Microsoft-Windows-UserPnp", 20001, true}, {"disk", 1033, false}} {
		rec := record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(c.provider)}, {Key: record.AttrEventID, Value: record.Int(c.id)}}}
		if r.Wakes(&rec) != c.want {
			t.Errorf("%s %d wakes: %t", c.provider, c.id, !c.want)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("bash\t5\tinstalled\n"), "20260131", "x")
	f.Add([]byte("bash\tx86_64\t0\t5\tRocky\t1700000000\n"), "1/31/2026", "\x00\x00")
	f.Fuzz(func(t *testing.T, b []byte, date, name string) {
		in := inventory{programs: append(parseDPKG(b), parseRPM(b)...), programsKnown: true, driversKnown: true}
		if p, ok := (uninstall{name: name, date: date, version: string(b)}).program(); ok {
			in.programs = append(in.programs, p)
		}
		in.drivers = []Driver{{Name: name, Date: driverDate(b, date), Signer: parseSigner(b)}}
		seen := map[string]bool{}
		for _, d := range in.record(noon).Snapshot.Devices {
			if seen[d.Type+d.Place] {
				t.Fatalf("two devices at %s %q", d.Type, d.Place)
			}
			seen[d.Type+d.Place] = true
		}
	})
}
