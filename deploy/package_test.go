//go:build linux

package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
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
		"Property": {"MsiHiddenProperties\tTOKEN", "ProductVersion\t1.2.3", "ALLUSERS\t1",
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
