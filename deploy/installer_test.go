//go:build linux

package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/deploy/nocturne/stack"
	"nocturne/internal/corpus"
	"nocturne/internal/freeport"
	"nocturne/ruler/api"
)

const (
	wineServer  = "wine-server"
	serviceName = "NocturneExporter"
	exporterExe = `C:\Program Files\Nocturne\exporter.exe`
)

// freeAddress is an address that nobody listens on now.
func freeAddress(t testing.TB) string {
	t.Helper()
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	return stack.Addr(ports[0])
}

// lane is a server under Wine with the exporter that its installer brought, and a whole Nocturne beside it.
type lane struct {
	*chain
	w       *wine
	metrics string // address of the exporter's /metrics
	server  string
	fp      string // of the bridge's CA
	token   string
	id      string
	began   time.Time
}

// step says how long the one before took.
func (l *lane) step(what string) {
	l.t.Logf("%4.0f s: %s", time.Since(l.began).Seconds(), what)
}

// TestExporterUnderWine is the Windows package from installation to removal: MSI, service, enrolment over TLS, a RAID
// tool, stop, kill, power loss, upgrade. It shows nothing of the event log, of recovery actions (Wine accepts and never
// executes them: the test starts the service again itself), of access rights or of real hardware; the steps for those
// are in docs/windows-acceptance.md.
func TestExporterUnderWine(t *testing.T) {
	needTools(t, "wixl", "msibuild", "osslsigncode")
	raid := filepath.Join(corpus.Dir(t), "raid", "scality.raidmgmt")
	n := newNocturne(t, "run", "--listen", freeAddress(t))
	l := &lane{w: newWine(t), chain: &chain{nocturne: n, dir: t.TempDir()}, began: time.Now(), metrics: freeAddress(t)}
	l.step("packages")
	first, second := packages(t, l.dir, "1.0.0", "msi"), packages(t, l.dir, "1.1.0", "msi")
	l.step("bridge, token")
	l.start()
	l.invite()
	l.configure(raid)

	l.step("install while the bridge is down")
	l.stop() // the bridge: an installation must not need it
	l.w.boot()
	l.refuse(first)
	l.install(first)
	l.step("enrol when it is up")
	l.start()
	l.expectUp("1.0.0")
	l.expectNoToken()
	l.expectEvents(l.w.t, `reported.site:="attic" reported.owner:="ops team" name:="nocturne.server.enrolled"`, 1)
	l.expectRAID()

	l.step("stop and start")
	l.w.must(exporterExe, "stop")
	l.expectGoodbyes(1)
	l.w.must(exporterExe, "start")
	l.expectUp("1.0.0")

	l.step("remove and install again")
	l.remove(first)
	l.expectGoodbyes(2)
	l.mustInstall(first)
	l.expectUp("1.0.0")

	l.step("kill the service while records wait for the bridge")
	l.stop()
	l.setRAID("before")
	l.expectWaiting(3)
	l.kill()
	l.step("cut the power")
	l.w.powerOff()
	if registry := l.w.registry(); l.hasToken([]byte(registry)) || !strings.Contains(registry, serviceName) {
		t.Error("the token is in the registry, or the registry is not where it was looked for")
	}
	l.w.boot()
	l.start()
	l.expectUp("1.0.0")
	l.expectDrive("UGood", "Onln")

	l.step("upgrade")
	l.mustInstall(second)
	l.expectUp("1.1.0")
	l.expectGoodbyes(3)
	l.step("ledger")
	l.expectNothingMissing()
	l.step("stop and remove")
	l.w.must(exporterExe, "stop")
	l.expectNoProcess()
	l.remove(second)
	l.step("end")
}

// invite makes the line to paste and takes it apart.
func (l *lane) invite() {
	l.t.Helper()
	words := strings.Fields(joinArgs(l.w.t, l.nocturne, "--site", "cellar"))
	for i := 0; i+1 < len(words); i += 2 {
		switch words[i] {
		case "--server":
			l.server = words[i+1]
		case "--ca-fingerprint":
			l.fp = words[i+1]
		case "--token":
			l.token = words[i+1]
		}
	}
	if !strings.HasPrefix(l.server, "https://") || l.fp == "" || l.token == "" {
		l.t.Fatalf("line to paste: %q", words)
	}
}

// configure puts the administrator's configuration there before the exporter is: the installer must leave it alone.
func (l *lane) configure(raid string) {
	l.t.Helper()
	tool := filepath.Join(l.dir, "storcli64.exe")
	goBuild(l.w.t, tool, "./fakestorcli", "windows")
	l.setRAID("before")
	writeFile(l.t, l.w.drive("ProgramData", "Nocturne", "exporter.yml"), fmt.Sprintf(`
# written by the administrator
metrics: {listen: %q, interval: 1s}
heartbeat: {interval: 1s}
raid: {command: ['%s', '%s', '%s'], period: 20s, deadline: 20s, jitter: 0s}
`, l.metrics, l.w.path(tool), l.w.path(raid), l.w.path(l.raidState())))
}

func (l *lane) mustInstall(msi string, properties ...string) string {
	l.t.Helper()
	log, err := l.w.msiexec("/i", msi, properties...)
	if err != nil {
		l.t.Fatal(err)
	}
	return log
}

// refuse wants a mistake in the properties to fail the installation, and to leave nothing. The token is not the real
// one: Wine 8 hides no property, and lists them all in the log of what failed, before ForgetToken's turn.
func (l *lane) refuse(msi string) {
	l.t.Helper()
	for why, properties := range map[string][]string{
		"no scheme":         {"SERVER=bridge:9471", "CAFINGERPRINT=" + l.fp},
		"no server":         nil,
		"short fingerprint": {"SERVER=" + l.server, "CAFINGERPRINT=3f1e"},
		"two tokens":        {"SERVER=" + l.server, "TOKENFILE=C:\\token", "CAFINGERPRINT=" + l.fp},
	} {
		if log, err := l.w.msiexec("/i", msi, append(properties, "TOKEN=nocj1.mistaken")...); err == nil {
			l.t.Fatalf("%s: it was installed\n%s", why, log)
		}
		l.expectGone()
	}
}

// install is the silent installation of a group policy.
func (l *lane) install(msi string) {
	l.t.Helper()
	log := l.mustInstall(msi, "SERVER="+l.server, "TOKEN="+l.token, "CAFINGERPRINT="+l.fp, "NAME="+wineServer, "SITE=attic", "OWNER=ops team")
	if l.hasToken([]byte(log)) {
		l.t.Error("the token is in the installer's log")
	}
	if !strings.Contains(log, l.server) { // or the check above shows nothing
		l.t.Errorf("no properties in the installer's log:\n%s", log)
	}
	if out, err := l.w.run(exporterExe, "status"); err == nil || !strings.Contains(out, "the service tries it at "+l.server) {
		l.t.Errorf("status of a service that waits: %v\n%s", err, out)
	}
	wait(l.t, seeLimit, "the service to try to enrol", func() error {
		text, err := os.ReadFile(l.w.drive("ProgramData", "Nocturne", "exporter", "exporter.log"))
		if err == nil && !bytes.Contains(text, []byte("enrolment failed, it is tried again")) {
			err = fmt.Errorf("its log says %s", text)
		}
		return err
	})
}

// expectUp waits until the service runs that version: /metrics says so to Linux, the ruler to everybody.
func (l *lane) expectUp(version string) {
	l.t.Helper()
	wait(l.t, seeLimit, "/metrics of version "+version, func() error {
		text, err := l.scrape()
		if err == nil && !strings.Contains(text, `version="`+version+`"`) {
			err = fmt.Errorf("%.500s", text)
		}
		return err
	})
	wait(l.t, seeLimit, "the server in the API", func() error {
		var list api.ServerList
		if err := l.api("servers?search="+wineServer, &list); err != nil {
			return err
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("%d servers: %+v", len(list.Items), list.Items)
		}
		s := list.Items[0]
		if s.State != "up" || s.OSType != "windows" || s.Site != "cellar" || s.ExporterVersion != version || s.Clone {
			return fmt.Errorf("server %+v, want it up with version %s, Windows, at site cellar", s, version)
		}
		if l.id != "" && l.id != s.ID {
			l.t.Fatalf("it is server %s now, was %s", s.ID, l.id)
		}
		l.id = s.ID
		return nil
	})
}

// expectRAID sees the drives of the fake tool and a change of one.
func (l *lane) expectRAID() {
	l.t.Helper()
	l.expectSeries(l.w.t, fmt.Sprintf(`nocturne_raid_physical_drive_info{server=%q}`, wineServer), 12)
	l.expectSeries(l.w.t, fmt.Sprintf(`exporter_source_success{server=%q,source="raid"} == 1`, wineServer), 1)
	l.setRAID("after")
	l.expectDrive("Onln", "UGood")
}

func (l *lane) expectDrive(before, after string) {
	l.t.Helper()
	l.expectChange(l.w.t, change{Kind: "field", DeviceType: "physical_drive", Place: slot12, Field: "state", Before: before, After: after})
}

// expectWaiting waits until so many records are on the server's disk and nowhere else.
func (l *lane) expectWaiting(records int) {
	l.t.Helper()
	wait(l.t, seeLimit, "records in the spool", func() error {
		text, err := l.scrape()
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(text, "\nexporter_spool_records_waiting{output=\"bridge\"} ")
		var n int
		if _, err := fmt.Sscan(rest, &n); err != nil {
			return fmt.Errorf("records that wait: %w", err)
		}
		if n < records {
			return fmt.Errorf("%d records wait, want %d", n, records)
		}
		return nil
	})
}

// scrape reads /metrics of the exporter from Linux.
func (l *lane) scrape() (string, error) {
	res, err := http.Get("http://" + l.metrics + "/metrics")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.500s", res.Status, text)
	}
	return string(text), err
}

func (l *lane) expectGoodbyes(n int) {
	l.t.Helper()
	l.expectEvents(l.w.t, fmt.Sprintf(`name:="nocturne.goodbye" server:=%q`, wineServer), n)
}

// expectNoToken looks for the token on the whole drive: it was used, so it is nowhere.
func (l *lane) expectNoToken() {
	l.t.Helper()
	err := filepath.WalkDir(l.w.drive(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), "sys") { // system32, syswow64: Wine's own 600 MB
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil && l.hasToken(text) {
			l.t.Errorf("the token is in %s", path)
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
}

// hasToken finds the token in text of either width.
func (l *lane) hasToken(text []byte) bool {
	return bytes.Contains(bytes.ReplaceAll(text, []byte{0}, nil), []byte(l.token))
}

// remove is an uninstallation: everything goes but the configuration and the data.
func (l *lane) remove(msi string) {
	l.t.Helper()
	log, err := l.w.msiexec("/x", msi)
	if err != nil {
		l.t.Fatal(err)
	}
	l.expectGone()
	if l.t.Failed() {
		l.t.Logf("the installer said %s", log)
	}
}

// expectGone wants nothing of the program, and all of the configuration.
func (l *lane) expectGone() {
	l.t.Helper()
	if left, err := os.ReadDir(l.w.drive("Program Files", "Nocturne")); !errors.Is(err, fs.ErrNotExist) {
		l.t.Errorf("its program folder is still there, with %v: %v", left, err)
	}
	if out, err := l.w.run("net", "start", serviceName); err == nil {
		l.t.Errorf("the service is still there: %s", out)
	}
	for _, key := range []string{
		`HKLM\System\CurrentControlSet\Services\` + serviceName,
		`HKLM\System\CurrentControlSet\Services\EventLog\Application\Nocturne Exporter`,
	} {
		if out, err := l.w.run("reg", "query", key); err == nil {
			l.t.Errorf("still in the registry: %s", out)
		}
	}
	text, err := os.ReadFile(l.w.drive("ProgramData", "Nocturne", "exporter.yml"))
	if err != nil || !bytes.Contains(text, []byte("written by the administrator")) {
		l.t.Errorf("the configuration was not kept: %v\n%s", err, text)
	}
}

// kill ends the service's process. A real Windows would start it again; Wine leaves it, so the next boot does.
func (l *lane) kill() {
	l.t.Helper()
	pid, ok := l.w.process("exporter.exe run --service")
	if !ok {
		l.t.Fatal("no process of the service")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	wait(l.t, seeLimit, "the end of the process", func() error {
		if _, ok := l.w.process("exporter.exe run --service"); ok {
			return errors.New("it is still there")
		}
		return nil
	})
}

// expectNoProcess wants the service and its children gone: a program that runs cannot be deleted.
func (l *lane) expectNoProcess() {
	l.t.Helper()
	wait(l.t, seeLimit, "the end of every process", func() error {
		if pid, ok := l.w.process("exporter.exe"); ok {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}

// expectNothingMissing is what all of it is for.
func (l *lane) expectNothingMissing() {
	l.t.Helper()
	l.expectCleanLedgerOf(l.w.t, 30)
	var ledger api.ServerLedger
	if err := l.api("servers/"+l.id+"/ledger", &ledger); err != nil {
		l.t.Fatal(err)
	}
	for _, s := range ledger.Sequences {
		l.t.Logf("%-10s received %d, missing %d, duplicates %d, declared lost %d, late %d", s.Category, s.Received, s.Missing, s.Duplicate, s.Declared, s.Late)
		if s.Missing+s.Declared+s.Rejected != 0 {
			l.t.Errorf("%+v, want nothing missing", s)
		}
	}
}
