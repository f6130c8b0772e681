package heartbeat

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source/sourcetest"
	"nocturne/internal/record"
)

func attrs(r record.Record) string {
	var parts []string
	for _, a := range r.Attrs {
		parts = append(parts, a.Key+"="+a.Value.Text())
	}
	return strings.Join(parts, "|")
}

// The tree is constructed from documentation: os-release(5), proc(5), sysfs.
func TestBeatOnLinux(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{
		"proc/sys/kernel/hostname": "db7.example.org\n", "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
		"etc/os-release":                "# comment\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n",
		"proc/stat":                     "cpu  1 2 3\nbtime 1700000000\nprocesses 1\n",
		"etc/machine-id":                "3d1219c7c4c5404aaa1f6d2a48adfda4\n",
		"sys/class/dmi/id/product_uuid": "4C4C4544-0051-3510-8052-B4C04F4B3433\n",
		"sys/class/dmi/id/sys_vendor":   "Dell Inc.\n",
		"sys/class/dmi/id/product_name": "PowerEdge R740\n",
		"proc/cpuinfo":                  "processor\t: 0\nflags\t\t: fpu vme sse2\n",
	})
	b := NewBeat(Options{Config: DefaultConfig(), Root: root, Version: "0.1", Spool: func() (uint64, uint64) { return 7, 4096 }})
	b.read = func() (Facts, error) { return linuxFacts(root) }
	recs, err := b.Collect(t.Context())
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	want := "reported.name=db7.example.org|os.type=" + runtime.GOOS + "|os.name=Debian GNU/Linux 12 (bookworm)|os.version=12|os.build_id=6.1.0-18-amd64|host.boot_time=1700000000000000000|host.virtual=false|" +
		"reported.machine_id=3d1219c7c4c5404aaa1f6d2a48adfda4|reported.smbios_uuid=4c4c4544-0051-3510-8052-b4c04f4b3433|exporter.version=0.1|heartbeat.interval_ms=120000|spool.records=7|spool.bytes=4096"
	if got := attrs(recs[0]); got != want || recs[0].Name != record.NameHeartbeat || recs[0].Body != "alive: db7.example.org, Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%s %q\n%s\nwant\n%s", recs[0].Name, recs[0].Body, got, want)
	}
}

// A beat is a beat, also on a machine that says nothing.
func TestBeatWithoutFacts(t *testing.T) {
	b := NewBeat(Options{Config: DefaultConfig(), Version: "0.1"})
	b.read = func() (Facts, error) { return linuxFacts(t.TempDir()) }
	recs, err := b.Collect(t.Context())
	if !errors.Is(err, errNoRelease) || len(recs) != 1 || attrs(recs[0]) != "os.type="+runtime.GOOS+"|exporter.version=0.1|heartbeat.interval_ms=120000" {
		t.Errorf("%v %+v", err, recs)
	}
}

func TestBootTimeStands(t *testing.T) {
	b := NewBeat(Options{})
	at := time.Unix(1700000000, 0)
	said := func(boot time.Time) int64 {
		r := b.record(Facts{BootTime: boot}, at)
		n, _ := r.Attr(record.AttrBootTime).Int()
		return n
	}
	first := said(at)
	if said(at.Add(3*time.Second)) != first || said(at.Add(-9*time.Second)) != first {
		t.Error("the clock is being corrected, and the boot time moves with it")
	}
	if said(at.Add(time.Minute)) == first {
		t.Error("another boot time is another boot")
	}
}

func TestVirtual(t *testing.T) {
	f := func(vendor, product, cpuinfo, want string) {
		t.Helper()
		got := "unknown"
		if v := virtual(vendor, product, cpuinfo); v != nil {
			got = map[bool]string{true: "yes", false: "no"}[*v]
		}
		if got != want {
			t.Errorf("%s %s: %s, want %s", vendor, product, got, want)
		}
	}
	f("VMware, Inc.", "VMware Virtual Platform", "", "yes")
	f("Microsoft Corporation", "Virtual Machine", "", "yes")
	f("Microsoft Corporation", "Surface", "", "no")
	f("QEMU", "Standard PC (Q35 + ICH9, 2009)", "", "yes")
	f("", "", "flags\t: fpu hypervisor lahf_lm", "yes")
	f("", "", "flags\t: fpu hypervisors", "no")
	f("HPE", "ProLiant DL380 Gen10", "", "no")
	f("", "", "Features : fp asimd", "unknown")
}

// Values of ProductName, CurrentBuild and UBR as Windows documents them.
func TestWindowsVersion(t *testing.T) {
	f := func(v windowsVersion, name, version, build string) {
		t.Helper()
		n, ve, b := v.facts()
		if n != name || ve != version || b != build {
			t.Errorf("%+v: %s, %s, %s; want %s, %s, %s", v, n, ve, b, name, version, build)
		}
	}
	f(windowsVersion{product: "Windows Server 2022 Standard", major: 10, build: 20348, revision: 2340}, "Windows Server 2022 Standard", "10.0.20348", "20348.2340")
	f(windowsVersion{product: "Windows 10 Pro", major: 10, build: 22631, revision: 3007, workstation: true}, "Windows 11 Pro", "10.0.22631", "22631.3007")
	f(windowsVersion{product: "Windows 10 Pro", major: 10, build: 19045, workstation: true}, "Windows 10 Pro", "10.0.19045", "19045")
}

func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skip("facts are read on Linux and Windows only")
	}
	f, err := Read("")
	if err != nil || f.Name == "" || f.OSName == "" || f.BootTime.IsZero() || f.BootTime.After(time.Now().Add(time.Minute)) {
		t.Errorf("%+v %v", f, err)
	}
	t.Logf("%+v", f)
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{Interval: 2 * time.Hour}).Validate(); err == nil || err.Error() != "heartbeat interval 2h0m0s: write a time from 1s to 1h" {
		t.Errorf("error %v", err)
	}
}

func FuzzLinuxTexts(f *testing.F) {
	f.Add("PRETTY_NAME=\"x\"\nbtime 12\nflags : hypervisor")
	f.Fuzz(func(_ *testing.T, text string) {
		osRelease(text) // must return
		btime(text)
		virtual(text, text, text)
	})
}
