//go:build linux

package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packages builds packages of one version into a folder and returns the path that was printed.
func packages(t *testing.T, dir, version, kind string) string {
	t.Helper()
	cmd := exec.Command("./package", kind)
	cmd.Env = append(os.Environ(), "OUT="+dir, "VERSION="+version)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("deploy/package %s: %v\n%s%s", kind, err, out, errs.String())
	}
	return strings.TrimSpace(string(out))
}

func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			need(t, "needs "+name)
		}
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestWindowsPackage looks at what Wine takes no notice of: the tables that deploy/windows/patch fills, the version
// resource and the signatures.
func TestWindowsPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a package: not in short mode")
	}
	needTools(t, "wixl", "msibuild", "msiinfo", "msiextract", "osslsigncode")
	dir := t.TempDir()
	msi := packages(t, dir, "1.2.3-4-gabcdef0", "msi")
	if want := filepath.Join(dir, "nocturne-exporter-1.2.3-4-gabcdef0-x64.msi"); msi != want {
		t.Fatalf("built %s, want %s", msi, want)
	}
	for table, rows := range map[string][]string{
		"Property": {"MsiHiddenProperties\tTOKEN", "ProductVersion\t1.2.3", "ALLUSERS\t1", "REBOOT\tReallySuppress",
			"SecureCustomProperties\tWIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED;SERVER;TOKEN;TOKENFILE;CAFINGERPRINT;"},
		"File":         {"ExporterExe\tExporter\texporter.exe\t", "\t1.2.3.4\t1033\t"},
		"Component":    {"\tINSTALLDIR\t256\t\tExporterExe", "\tDATADIR\t400\t\tConfigFile"},
		"CustomAction": {"SetService\t3090\tExporterExe\tinstall\t", "KeepToken\t11282\tExporterExe\tenrol --later ", "ForgetToken\t51\tTOKEN\t"},
		"InstallExecuteSequence": {"RemoveExistingProducts\t\t1501", "InstallServices\tVersionNT\t5800", "SetService\tNOT REMOVE\t5840",
			"KeepToken\t(TOKEN OR TOKENFILE) AND NOT REMOVE\t5850", "StartServices\tVersionNT\t5900"},
		"Upgrade":        {"\t1.2.3\t\t513\t\tWIX_UPGRADE_DETECTED", "\t1.2.3\t\t\t2\t\tWIX_DOWNGRADE_DETECTED"},
		"ServiceInstall": {"\tNocturneExporter\tNocturne exporter\t16\t2\t1\t", "\trun --service\t"},
	} {
		text := strings.ReplaceAll(output(t, "msiinfo", "export", msi, table), "\r", "")
		for _, row := range rows {
			if !strings.Contains(text, row) {
				t.Errorf("table %s has no %q:\n%s", table, row, text)
			}
		}
	}
	hashes := output(t, "msiinfo", "export", msi, "MsiFileHash")
	if strings.Contains(hashes, "ExporterExe") {
		t.Errorf("a file with a version has a hash too: Windows takes no version then\n%s", hashes)
	}
	output(t, "msiextract", "-C", dir, msi)
	exe := filepath.Join(dir, "Nocturne", "exporter.exe")
	for _, signed := range []string{exe, msi} {
		expectSigned(t, signed, filepath.Join(dir, "test-certificate.pem"))
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FileDescription", "Nocturne exporter", "1.2.3.4"} {
		if !bytes.Contains(text, utf16(want)) {
			t.Errorf("no %q in the version resource", want)
		}
	}
}

func utf16(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}

// expectSigned wants a signature that one flipped bit makes worthless.
func expectSigned(t *testing.T, path, ca string) {
	t.Helper()
	output(t, "osslsigncode", "verify", "-CAfile", ca, "-in", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	flipped := path + ".flipped"
	if err := os.WriteFile(flipped, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("osslsigncode", "verify", "-CAfile", ca, "-in", flipped).CombinedOutput(); err == nil || !strings.Contains(string(out), "MISMATCH") {
		t.Errorf("%s with a flipped bit: %v\n%s", filepath.Base(path), err, out)
	}
}

// TestPackageVersions wants a version that no package could carry to be refused before anything is built.
func TestPackageVersions(t *testing.T) {
	for _, version := range []string{"1.2", "one", "1.2.3.4", "256x.0.0", "1.0.123456"} {
		cmd := exec.Command("./package", "msi")
		cmd.Env = append(os.Environ(), "OUT="+t.TempDir(), "VERSION="+version)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "want X.Y.Z") {
			t.Errorf("version %s: %v\n%s", version, err, out)
		}
	}
}

// scratch is a root folder that a package is installed into, with a systemctl that only writes down what it is told.
type scratch struct {
	t         *testing.T
	root, bin string
}

func newScratch(t *testing.T) *scratch {
	t.Helper()
	s := &scratch{t: t, root: filepath.Join(t.TempDir(), "root"), bin: t.TempDir()}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"} {
		if err := os.MkdirAll(filepath.Join(s.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(s.root, "var/lib/dpkg/status"), "")
	writeFile(t, filepath.Join(s.bin, "systemctl"), "#!/bin/sh\necho \"$*\" >>"+s.bin+"/told\n")
	if err := os.Chmod(filepath.Join(s.bin, "systemctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a command that finds the stand-in, and returns what it printed and what systemctl was told.
func (s *scratch) run(name string, args ...string) (out, told string) {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+s.bin+":"+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
	b, _ := os.ReadFile(filepath.Join(s.bin, "told")) // absent = nothing
	_ = os.Remove(filepath.Join(s.bin, "told"))
	return string(text), strings.Join(strings.Split(strings.TrimSpace(string(b)), "\n"), "; ")
}

func (s *scratch) dpkg(args ...string) (out, told string) {
	s.t.Helper()
	return s.run("dpkg", append([]string{"--root=" + s.root, "--force-script-chrootless", "--log=/dev/null"}, args...)...)
}

func (s *scratch) path(name string) string { return filepath.Join(s.root, name) }

// expectFiles wants exactly these of the package's files, in their modes.
func (s *scratch) expectFiles(want map[string]os.FileMode) {
	s.t.Helper()
	for name, mode := range want {
		info, err := os.Stat(s.path(name))
		switch {
		case mode == 0 && !os.IsNotExist(err):
			s.t.Errorf("%s is there: %v", name, err)
		case mode != 0 && (err != nil || info.Mode().Perm() != mode):
			s.t.Errorf("%s: %v, want mode %v", name, err, mode)
		}
	}
}

// verifyUnit lets systemd read the unit, beside the units of this machine.
func (s *scratch) verifyUnit() {
	s.t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		s.t.Log("systemd-analyze is not here: the unit was not checked")
		return
	}
	text, err := os.ReadFile(s.path(linuxUnit))
	if err != nil {
		s.t.Fatal(err)
	}
	unit := filepath.Join(s.t.TempDir(), filepath.Base(linuxUnit))
	writeFile(s.t, unit, strings.ReplaceAll(string(text), "/"+linuxExe, s.path(linuxExe)))
	output(s.t, "systemd-analyze", "verify", "--man=no", unit)
}

// TestServiceOfTheWholeStack lets systemd read the unit of nocturne run, and nocturne its flags.
func TestServiceOfTheWholeStack(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("linux", "nocturne.service"))
	if err != nil {
		t.Fatal(err)
	}
	n := newNocturne(t, "run")
	_, line, _ := strings.Cut(string(text), "\nExecStart=")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if words[0] != "/opt/nocturne/nocturne" {
		t.Fatalf("ExecStart=%s", line)
	}
	// A flag that it knows and one that it does not: only the second is complained of.
	out, err := n.command(append(words[1:], "--no-such-flag")...)
	if err == nil || !strings.Contains(out, "no-such-flag") {
		t.Errorf("%s --no-such-flag: %v\n%s", line, err, out)
	}
	needTools(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "nocturne.service")
	writeFile(t, unit, strings.ReplaceAll(string(text), words[0], n.bin+"/nocturne"))
	output(t, "systemd-analyze", "verify", "--man=no", unit)
}

const (
	linuxExe  = "usr/bin/nocturne-exporter"
	linuxUnit = "usr/lib/systemd/system/nocturne-exporter.service"
	linuxConf = "etc/nocturne/exporter.yml"
)

// TestDebPackage installs, upgrades, removes and purges the package in a scratch root.
func TestDebPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a package: not in short mode")
	}
	needTools(t, "dpkg")
	if os.Geteuid() != 0 {
		need(t, "dpkg --root needs root")
	}
	dir := t.TempDir()
	first, second := packages(t, dir, "1.2.3-rc1", "deb"), packages(t, dir, "1.2.3", "deb")
	s := newScratch(t)

	out, told := s.dpkg("-i", first)
	if want := "daemon-reload; enable --quiet nocturne-exporter.service; start nocturne-exporter.service"; told != want {
		t.Errorf("installation told systemd %q, want %q", told, want)
	}
	if !strings.Contains(out, "sudo nocturne-exporter enrol --server") {
		t.Errorf("nobody was asked to enrol: %s", out)
	}
	installed := map[string]os.FileMode{linuxExe: 0o755, linuxUnit: 0o644, linuxConf: 0o644, "usr/share/doc/nocturne-exporter/copyright": 0o644, "etc/nocturne/checks.d": 0o755}
	s.expectFiles(installed)
	if version := strings.TrimSpace(output(t, s.path(linuxExe), "version")); version != "1.2.3-rc1" {
		t.Errorf("exporter version says %q", version)
	}
	output(t, s.path(linuxExe), "check-config", "--config", s.path(linuxConf))
	s.verifyUnit()

	writeFile(t, s.path(linuxConf), "# the administrator's\n")
	writeFile(t, s.path("var/lib/nocturne/exporter/enrolment.json"), "{}")
	if _, told = s.dpkg("-i", second); told != "daemon-reload; try-restart nocturne-exporter.service" {
		t.Errorf("upgrade told systemd %q", told)
	}
	if text, err := os.ReadFile(s.path(linuxConf)); err != nil || string(text) != "# the administrator's\n" {
		t.Errorf("the configuration after an upgrade: %q, %v", text, err)
	}
	if _, told = s.dpkg("-r", "nocturne-exporter"); told != "disable --now --quiet nocturne-exporter.service; daemon-reload" {
		t.Errorf("removal told systemd %q", told)
	}
	s.expectFiles(map[string]os.FileMode{linuxExe: 0, linuxUnit: 0, linuxConf: 0o644, "var/lib/nocturne/exporter/enrolment.json": 0o600})
	s.dpkg("-P", "nocturne-exporter")
	s.expectFiles(map[string]os.FileMode{"etc/nocturne": 0, "var/lib/nocturne": 0})

	// Where Nocturne itself runs as root, its own exporter has that folder.
	s.dpkg("-i", second)
	writeFile(t, s.path("var/lib/nocturne/eventbridge/id"), "x")
	writeFile(t, s.path("var/lib/nocturne/exporter/enrolment.json"), "{}")
	s.dpkg("-P", "nocturne-exporter")
	s.expectFiles(map[string]os.FileMode{linuxExe: 0, "var/lib/nocturne/exporter/enrolment.json": 0o600})
}

// TestRPMPackage looks into the package, and runs its scripts as rpm does: with the number of installed versions.
func TestRPMPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a package: not in short mode")
	}
	needTools(t, "rpm")
	rpm := packages(t, t.TempDir(), "1.2.3-4-gabcdef0", "rpm")
	query := func(what ...string) []string {
		return strings.Fields(output(t, "rpm", append(append([]string{"-qp"}, what...), rpm)...))
	}
	if got, want := query("-l"), []string{"/etc/nocturne/checks.d", "/" + linuxConf, "/" + linuxExe, "/" + linuxUnit, "/usr/share/doc/nocturne-exporter/copyright"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if got := query("--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\\n]"); !slices.Contains(got, "cn") || got[slices.Index(got, "cn")-1] != "/"+linuxConf {
		t.Errorf("%q, want the configuration alone to be one that is never replaced (cn)", got)
	}
	if got := query("--qf", "%{VERSION} %{ARCH}"); !slices.Equal(got, []string{"1.2.3+4.gabcdef0", "x86_64"}) {
		t.Errorf("version, architecture: %q", got)
	}
	output(t, "rpm", "-Kv", "--nosignature", rpm)
	s := newScratch(t)
	for _, c := range []struct{ script, arg, told string }{
		{"postinstall", "1", "daemon-reload; enable --quiet nocturne-exporter.service; start nocturne-exporter.service"},
		{"postinstall", "2", "daemon-reload; try-restart nocturne-exporter.service"},
		{"preremove", "1", ""}, // an upgrade
		{"preremove", "0", "disable --now --quiet nocturne-exporter.service"},
		{"postremove", "1", ""},
		{"postremove", "0", "daemon-reload"},
	} {
		if _, told := s.run("linux/"+c.script, c.arg); told != c.told {
			t.Errorf("%s %s told systemd %q, want %q", c.script, c.arg, told, c.told)
		}
	}
}
