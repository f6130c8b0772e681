package lifecycle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	table := Builtin()
	f := func(osType, name, version, release, end string) {
		t.Helper()
		r, ok := table.Find(osType, name, version)
		if got := r.End.Format(time.DateOnly); ok != (release != "") || ok && (r.Name != release || got != end || r.Source == "") {
			t.Errorf("%s %q %s: %+v", osType, name, version, r)
		}
	}
	f("windows", "Windows Server 2022 Standard", "10.0.20348", "Windows Server 2022", "2031-10-14")
	f("windows", "Windows Server 2019 Datacenter", "10.0.17763", "Windows Server 2019", "2029-01-09")
	f("windows", "Windows Server Datacenter", "10.0.17763", "Windows Server, version 1809", "2020-11-10")
	f("windows", "Microsoft Windows Server 2012 R2 Standard", "6.3.9600", "Windows Server 2012 R2", "2023-10-10")
	f("windows", "Windows 11 Pro", "10.0.22631", "Windows 11, version 23H2", "2025-11-11")
	f("windows", "Windows 11 Enterprise", "10.0.22631", "Windows 11, version 23H2 (Enterprise, Education)", "2026-11-10")
	f("windows", "Windows 10 Enterprise LTSC 2019", "10.0.17763", "Windows 10 LTSC 2019", "2029-01-09")
	f("windows", "Windows 10 Enterprise", "10.0.17763", "Windows 10, version 1809 (Enterprise, Education)", "2021-05-11")
	f("windows", "Windows 10 IoT Enterprise LTSC 2021", "10.0.19044", "Windows 10 IoT LTSC 2021", "2032-01-13")
	f("windows", "Windows Server 2025 Datacenter", "10.0.26100", "Windows Server 2025", "2034-11-14")
	f("windows", "Windows Server 2031", "10.0.99999", "", "")
	f("linux", "Debian GNU/Linux 12 (bookworm)", "12", "Debian 12 (bookworm)", "2028-06-30")
	f("linux", "Debian GNU/Linux 1", "1", "", "")
	f("linux", "Ubuntu 22.04.5 LTS", "22.04", "Ubuntu 22.04 LTS", "2027-06-01")
	f("linux", "Red Hat Enterprise Linux 9.4 (Plow)", "9.4", "RHEL 9", "2032-05-31")
	f("linux", "AlmaLinux 8.10 (Cerulean Leopard)", "8.10", "AlmaLinux 8", "2029-05-31")
	f("linux", "Rocky Linux 9.3 (Blue Onyx)", "9.3", "Rocky Linux 9", "2032-05-31")
	f("linux", "SUSE Linux Enterprise Server 15 SP5", "15.5", "SLES 15 SP5", "2024-12-31")
	f("linux", "SUSE Linux Enterprise Server 15", "15", "SLES 15", "2019-12-31")
	f("linux", "CentOS Stream 8", "8", "CentOS Stream 8", "2024-05-31")
	f("linux", "Arch Linux", "", "", "")
	f("", "", "", "", "")
}

func TestMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	const head = "version: 1\nfamilies:\n  - {family: X, source: s, match: {os_type: linux}, releases: ["
	f("", "write version: 1")
	f("version: 2", "version: 2")
	f("version: 1\nfamilie: []", "familie")
	f("version: 1\nfamilies: [{family: X}]", "say family, source")
	f(head+"{release: a, version: b}]}", "say release, version and end")
	f(head+"{release: a, version: b, end: soon}]}", "line 3: \"soon\" is no date")
	f(head+"{release: a, version: b, end: 2020-01-01, paid_end: 2019-01-01}]}", "paid_end")
	f(head+"{release: a, version: b, name: '(', end: 2020-01-01}]}", "name:")
	f(strings.Repeat("#", maxFile+1), "larger")
}

func TestOwnFileIsAskedFirstAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifecycle.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const own = "version: 1\nfamilies:\n  - {family: Ours, source: contract 7, match: {os_type: linux, name: debian}, releases: [{release: Debian by contract, version: '12', end: %s}]}\n"
	write(strings.ReplaceAll(own, "%s", "2040-01-01"))
	s, err := NewSource(path)
	if err != nil {
		t.Fatal(err)
	}
	end := func(now time.Time) string {
		table, _ := s.Table(now)
		r, _ := table.Find("linux", "Debian 12", "12")
		return r.End.Format(time.DateOnly)
	}
	t0 := time.Unix(1_800_000_000, 0)
	if got := end(t0); got != "2040-01-01" {
		t.Errorf("own file: %s", got)
	}
	write(strings.ReplaceAll(own, "%s", "2041-01-01") + "\n")
	if got := end(t0.Add(time.Second)); got != "2040-01-01" {
		t.Errorf("looked again after a second: %s", got)
	}
	if got := end(t0.Add(time.Minute)); got != "2041-01-01" {
		t.Errorf("after a minute: %s", got)
	}
	write("version: 9")
	if got := end(t0.Add(2 * time.Minute)); got != "2041-01-01" {
		t.Errorf("a wrong file took the table away: %s", got)
	}
	if _, err := s.Table(t0.Add(2 * time.Minute)); err == nil {
		t.Error("a wrong file goes unnoticed")
	}
	if _, err := NewSource(path); err == nil {
		t.Error("a wrong file at the start goes unnoticed")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(builtin)
	f.Add([]byte("version: 1\nfamilies: [{family: X, source: s, match: {os_type: linux}, releases: [{release: a, version: b, end: 2020-01-01}]}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Parse(b)
		if err == nil {
			table.Find("linux", "Debian", "12")
		}
	})
}
