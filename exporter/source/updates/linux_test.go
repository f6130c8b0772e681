package updates

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source/sourcetest"
	"nocturne/internal/record"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Subcommand {
		os.Exit(Child(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func line(d record.Device) string {
	parts := []string{d.Type, d.Place}
	for _, f := range d.Fields {
		parts = append(parts, f.Key+"="+f.Value.Text())
	}
	return strings.Join(parts, "|")
}

func expect(t *testing.T, r *Report, limit int, now time.Time, want ...string) {
	t.Helper()
	rec := r.record(limit, now)
	got := []string{"sections"}
	for _, s := range rec.Snapshot.Sections {
		got[0] += " " + strings.TrimSuffix(s.Type+":"+s.Scope, ":")
	}
	for _, d := range rec.Snapshot.Devices {
		got = append(got, line(d))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkRecord holds what every snapshot promises: places are unique, limits
// are kept, and the record can be encoded.
func checkRecord(t *testing.T, r *Report) {
	t.Helper()
	rec := r.record(200, noon)
	seen := map[string]bool{}
	for _, d := range rec.Snapshot.Devices {
		if k := d.Type + " " + d.Place; seen[k] {
			t.Fatalf("two devices at %q", k)
		} else {
			seen[k] = true
		}
	}
	if len(rec.Snapshot.Sections) > record.MaxSections || len(rec.Snapshot.Devices) > record.MaxDevices {
		t.Fatal("too much")
	}
}

// Our own, in apt's format.
const aptText = `NOTE: This is only a simulation!
Inst libgcrypt20-dev [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []
Inst base-files [12.4] (12.5 Debian:12.15/oldstable [amd64])
Inst linux-image-6.1.0-40-amd64 (6.1.153-1 Debian-Security:12/oldstable-security [amd64])
Conf base-files (12.5 Debian:12.15/oldstable [amd64])
Inst
Inst broken
Remv old [1.0]
`

const historyText = `
Start-Date: 2026-11-20  06:11:01
Commandline: /usr/bin/unattended-upgrade
Upgrade: openssl:amd64 (3.0.1, 3.0.2), libssl3:amd64 (3.0.1, 3.0.2)
End-Date: 2026-11-20  06:11:31

Start-Date: 2026-11-21  10:00:00
Commandline: apt install nginx
Install: nginx:amd64 (1.22)
Error: Sub-process /usr/bin/dpkg returned an error code (1)
End-Date: 2026-11-21  10:00:04

Start-Date: someday
`

func TestAPT(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{
		"usr/bin/apt-get": "", "var/lib/dpkg/status": "", "var/log/apt/history.log": historyText,
		"var/log/apt/history.log.1.gz": packed("Start-Date: 2026-10-01  01:00:00\nRemove: telnet:amd64 (0.17)\nEnd-Date: 2026-10-01  01:00:01\n"),
		"run/reboot-required":          "", "run/reboot-required.pkgs": "linux-image-6.1.0-40-amd64\nlinux-base\nlinux-base\n", "var/lib/apt/lists/x": "",
	})
	stamp := time.Date(2026, 11, 28, 5, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(root, "var/lib/apt/lists"), stamp, stamp); err != nil {
		t.Fatal(err)
	}
	r := NewReader(Options{Config: DefaultConfig(), Root: root, Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch filepath.Base(name) + " " + args[len(args)-1] {
		case "apt-get dist-upgrade":
			return []byte(aptText), nil
		case "apt-config APT::Periodic":
			return []byte("APT::Periodic \"\";\nAPT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n"), nil
		}
		return nil, fmt.Errorf("asked for %s %v", name, args)
	}})
	report, err := r.readLinux(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range report.Installed { // the machine's zone is not the test's subject
		at := report.Installed[i].When
		report.Installed[i].When = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	}
	report.Status.LastSuccess, report.Status.LastErrorTime = time.Time{}, time.Time{}
	successes(report)
	expect(t, report, 200, noon,
		"sections update_status update_pending update_installed:2026-12 update_installed:2026-11",
		"update_installed|2026-10/apt 2026-10-01 01:00:00|state=succeeded|title=packagekit or another program|operation=remove|date=2026-10-01T01:00:00Z|packages=remove: telnet:amd64 (0.17)|attempt_count=1",
		"update_installed|2026-11/apt 2026-11-20 06:11:01|state=succeeded|title=/usr/bin/unattended-upgrade|operation=upgrade|date=2026-11-20T06:11:01Z|packages=upgrade: openssl:amd64 (3.0.1, 3.0.2), libssl3:amd64 (3.0.1, 3.0.2)|attempt_count=1",
		"update_installed|2026-11/apt 2026-11-21 10:00:00|state=failed|title=apt install nginx|operation=install|date=2026-11-21T10:00:00Z|error=Sub-process /usr/bin/dpkg returned an error code (1)|packages=install: nginx:amd64 (1.22)|attempt_count=1",
		"update_pending|base-files|title=base-files 12.5|category=update|version=12.5|installed_version=12.4|security=false|mandatory=false",
		"update_pending|libgcrypt20-dev|title=libgcrypt20-dev 1.10.1-3+deb12u1|category=security|version=1.10.1-3+deb12u1|installed_version=1.10.1-3|security=true|mandatory=false",
		"update_pending|linux-image-6.1.0-40-amd64|title=linux-image-6.1.0-40-amd64 6.1.153-1|category=new|version=6.1.153-1|security=true|mandatory=false",
		"update_status||state=reboot_required|source=apt|automatic=install|reboot_required=true|reboot_reasons=linux-image-6.1.0-40-amd64, linux-base|last_search=2026-11-28T05:00:00Z|last_search_seconds=1795842000|"+
			"last_success=2026-11-20T06:11:01Z|last_success_seconds=1795155061|last_error=Sub-process /usr/bin/dpkg returned an error code (1) apt install nginx|last_error_at=2026-11-21T10:00:00Z|"+
			"pending_count=3|pending_security_count=2|pending_definitions_count=0",
	)
}

func packed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // to memory
	_ = z.Close()
	return b.String()
}

func TestNoPackageManager(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig(), Root: t.TempDir()})
	if _, err := r.readLinux(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// A list that could not be asked for is not an empty list.
func TestAPTThatFails(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{"usr/bin/apt-get": "", "var/lib/dpkg/status": "", "var/log/apt/history.log": ""})
	r := NewReader(Options{Config: DefaultConfig(), Root: root, Run: func(context.Context, string, ...string) ([]byte, error) {
		return nil, errors.New("broken dependencies")
	}})
	report, err := r.readLinux(t.Context())
	if err == nil || report.PendingKnown || !report.InstalledKnown {
		t.Error(report, err)
	}
	expect(t, &Report{Status: Status{Source: "apt"}}, 200, noon, "sections update_status", "update_status||state=unknown|source=apt")
}

// Our own, in dnf's formats.
const (
	dnfText = `
bash.x86_64                      5.1.8-9.el9                     baseos
a-package-with-a-very-long-name.noarch
                                 2:1.0-1.el9                     appstream
Obsoleting Packages
old.x86_64                       1-1                             appstream
    bash.x86_64                  5.1.8-6.el9                     @baseos
`
	adviceText = `RHSA-2026:1 Moderate/Sec. bash-5.1.8-9.el9.x86_64
RHSA-2026:2 Important/Sec. bash-5.1.8-9.el9.x86_64
RHBA-2026:3 bugfix         a-package-with-a-very-long-name-1.0-1.el9.noarch
`
	advice5Text = `Name        Type     Severity  Package                    Issued
FEDORA-2026-1 security Critical  bash-5.1.8-9.el9.x86_64  2026-11-01 10:00:00
`
	dnfHistory = `ID     | Command line             | Date and time    | Action(s)      | Altered
-------------------------------------------------------------------------------
    12 | upgrade -y               | 2026-11-20 06:11 | I, U           |   14 EE
    11 | install nginx            | 2026-11-01 06:11 | Install        |    3 *<
`
	dnf5History = `ID Command line             Date and time       Action(s) Altered
 4 dnf upgrade -y            2026-11-20 06:11:40 Upgrade        7
`
)

func TestDNF(t *testing.T) {
	root := sourcetest.Tree(t, map[string]string{"usr/bin/dnf": "", "etc/systemd/system/timers.target.wants/dnf-automatic.timer": ""})
	hundred := exec.Command("/bin/sh", "-c", "exit 100").Run()
	r := NewReader(Options{Config: DefaultConfig(), Root: root, Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
		switch strings.Join(args, " ") {
		case "-q -C check-update":
			return []byte(dnfText), fmt.Errorf("run dnf: %w", hundred)
		case "-q -C updateinfo list --updates":
			return []byte(adviceText), nil
		case "-q history list":
			return []byte(dnfHistory), nil
		case "-q -C needs-restarting -r":
			return []byte("Core libraries or services have been updated since boot-up:\n  * kernel\n\nReboot is required to fully utilize these updates.\n"), errors.New("exit status 1")
		}
		return nil, fmt.Errorf("asked for %v", args)
	}})
	if runtime.GOOS == "windows" {
		t.Skip("needs a program that ends with 100")
	}
	report, err := r.readLinux(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range report.Pending {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%t", p.ID, p.Version, p.Category, p.Severity, p.Security))
	}
	want := "bash.x86_64|5.1.8-9.el9|security|Important|true a-package-with-a-very-long-name.noarch|2:1.0-1.el9|bugfix||false"
	if strings.Join(got, " ") != want {
		t.Errorf("%q", got)
	}
	if len(report.Installed) != 2 || report.Installed[0].Operation != "upgrade" || report.Installed[1].State != StateAborted || report.Status.LastSuccess.IsZero() {
		t.Errorf("%+v", report.Installed)
	}
	if !*report.Status.Reboot || report.Status.Automatic != "install" {
		t.Errorf("%+v", report.Status)
	}
	if h := parseDNFHistory([]byte(dnf5History), time.UTC); len(h) != 1 || h[0].Title != "dnf upgrade -y" || h[0].Operation != "upgrade" {
		t.Errorf("%+v", h)
	}
	if a := parseAdvisories([]byte(advice5Text)); len(a) != 1 || a[0].severity != "Critical" || a[0].kind != "security" {
		t.Errorf("%+v", a)
	}
}

// The window moves and nothing looks removed: see window.
func TestWindow(t *testing.T) {
	at := func(s string) Installed {
		w, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return Installed{ID: s, When: w}
	}
	scopes := func(all []Installed, limit int) (int, string) {
		kept, months := window(all, limit, noon)
		var s []string
		for _, m := range months {
			s = append(s, m.Scope)
		}
		return len(kept), strings.Join(s, " ")
	}
	for name, c := range map[string]struct {
		all   []Installed
		limit int
		kept  int
		want  string
	}{
		"a new machine":           {[]Installed{at("2026-11-20")}, 200, 1, "2026-12 2026-11"},
		"the oldest month":        {[]Installed{at("2026-11-20"), at("2026-09-20")}, 200, 2, "2026-12 2026-11 2026-10"},
		"cut off":                 {[]Installed{at("2026-11-20"), at("2026-10-20"), at("2026-10-10")}, 2, 2, "2026-12 2026-11"},
		"all of the present one":  {[]Installed{at("2026-11-20"), at("2026-11-19"), at("2026-11-18"), at("2026-10-10")}, 1, 3, "2026-12"},
		"nothing was ever done":   {nil, 200, 0, "2026-12 2026-11"},
		"clock was in the future": {[]Installed{at("2030-01-01")}, 200, 1, ""},
	} {
		if n, s := scopes(c.all, c.limit); n != c.kept || s != c.want {
			t.Errorf("%s: %d kept, months %q, want %d, %q", name, n, s, c.kept, c.want)
		}
	}
	var busy []Installed
	for i := range MaxHistory + 10 {
		busy = append(busy, Installed{ID: fmt.Sprint(i), When: noon})
	}
	if n, s := scopes(busy, 200); n != MaxHistory || s != "2026-12" {
		t.Errorf("%d kept, months %q", n, s)
	}
}

// The machine this runs on, when it has apt: the real tool's words.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat("/usr/bin/apt-get"); err != nil {
		t.Skip("no apt here")
	}
	r := NewReader(Options{Config: DefaultConfig()})
	report, err := r.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.tool(t.Context(), "/usr/bin/apt-get", "-s", "-q", "-o", "Debug::NoLocking=1", "-o", "Dir::Log::Planner=/dev/null", "dist-upgrade")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count("\n"+string(out), "\nInst "); n != len(report.Pending) || !report.PendingKnown || !report.InstalledKnown || report.Status.LastSearch.IsZero() {
		t.Errorf("%d wait, apt says %d; %+v", len(report.Pending), n, report.Status)
	}
	checkRecord(t, report)
	t.Log(report.summary(), len(report.Installed), "transactions")
}

func TestWakes(t *testing.T) {
	r := NewReader(Options{Config: DefaultConfig()})
	rec := record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String("microsoft-windows-windowsupdateclient")}, {Key: record.AttrEventID, Value: record.Int(19)}}}
	if !r.Wakes(&rec) {
		t.Error("an installation does not wake it")
	}
	rec.Attrs[1].Value = record.Int(44)
	if r.Wakes(&rec) {
		t.Error("a download wakes it")
	}
	rec = record.Record{Name: record.NameJournal, Attrs: []record.Attr{{Key: record.AttrUnit, Value: record.String("apt-daily-upgrade.service")}}}
	if !r.Wakes(&rec) {
		t.Error("unattended-upgrades does not wake it")
	}
}

func FuzzLinux(f *testing.F) {
	for _, s := range []string{aptText, historyText, dnfText, adviceText, advice5Text, dnfHistory, dnf5History} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Report{Status: Status{Automatic: parseAPTConfig(b)}, PendingKnown: true, InstalledKnown: true}
		r.Pending = append(parseAPT(b), parseDNF(b)...)
		addAdvisories(parseDNF(b), parseAdvisories(b))
		r.Installed = append(parseAPTHistory(b, time.UTC), parseDNFHistory(b, time.UTC)...)
		newestFirst(r.Installed)
		successes(r)
		checkRecord(t, r)
	})
}
