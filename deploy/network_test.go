//go:build linux

package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/api"
)

// The two hosts of TestTwoHosts: namespaces that this test makes and removes.
const (
	hostA, hostB = "10.213.77.1", "10.213.77.2"
	insideEnv    = "NOCTURNE_TEST_NAMESPACES" // "A,B": the test runs in A
)

// TestTwoHosts adds a second server over the network with the line that
// `nocturne token create` prints: TLS, fingerprint, credential, revocation.
// Both hosts are network namespaces on this machine.
func TestTwoHosts(t *testing.T) {
	programs(t)
	if inside := os.Getenv(insideEnv); inside != "" {
		twoHosts(t, strings.Split(inside, ",")[1])
		return
	}
	if os.Geteuid() != 0 {
		need(t, "network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		need(t, "network namespaces need ip (iproute2)")
	}
	a, b := fmt.Sprintf("noctA%d", os.Getpid()), fmt.Sprintf("noctB%d", os.Getpid())
	veth := fmt.Sprintf("nv%d", os.Getpid()%100000)
	t.Cleanup(func() { // removing a namespace removes its end of the cable
		_ = exec.Command("ip", "netns", "del", a).Run()
		_ = exec.Command("ip", "netns", "del", b).Run()
	})
	for _, args := range [][]string{
		{"netns", "add", a}, {"netns", "add", b},
		{"link", "add", veth + "a", "netns", a, "type", "veth", "peer", "name", veth + "b", "netns", b},
		{"-n", a, "addr", "add", hostA + "/24", "dev", veth + "a"}, {"-n", b, "addr", "add", hostB + "/24", "dev", veth + "b"},
		{"-n", a, "link", "set", veth + "a", "up"}, {"-n", b, "link", "set", veth + "b", "up"},
		{"-n", a, "link", "set", "lo", "up"}, {"-n", b, "link", "set", "lo", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			need(t, fmt.Sprintf("ip %s: %v: %s", strings.Join(args, " "), err, out))
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", a, self, "-test.run=^TestTwoHosts$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), insideEnv+"="+a+","+b)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	t.Logf("on host A:\n%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestTwoHosts")) {
		t.Errorf("host A: %v", err)
	}
}

// other is the second host.
type other struct {
	t   *testing.T
	ns  string
	dir string // its exporter's data
	bin string
}

// sh runs a shell line on the other host.
func (o other) sh(line string) (string, error) {
	out, err := exec.Command("ip", "netns", "exec", o.ns, "sh", "-c", line).CombinedOutput()
	return string(out), err
}

// runExporter starts an exporter on the other host; stop ends it and returns what it said.
func (o other) runExporter(dir, metrics string) (stop func() string) {
	o.t.Helper()
	config := filepath.Join(dir, "exporter.yml")
	writeFile(o.t, config, "heartbeat: {interval: 2s}\nmetrics: {listen: \"127.0.0.1:"+metrics+"\"}\n")
	cmd := exec.Command("ip", "netns", "exec", o.ns, filepath.Join(o.bin, "exporter"), "run", "--config", config, "--data", dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	done := false
	stop = func() string {
		if !done {
			done = true
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		}
		return said.String()
	}
	o.t.Cleanup(func() { stop() })
	return stop
}

var enrolLine = regexp.MustCompile(`(?m)^\s*(?:sudo )?\./exporter enrol (--server \S+.*)$`)

// joinArgs makes a token and returns what stands behind "exporter enrol" in the line to paste.
func joinArgs(t *testing.T, n *nocturne, args ...string) string {
	t.Helper()
	out, err := n.command(append([]string{"token", "create", "--data", n.data}, args...)...)
	if err != nil {
		t.Fatalf("token create: %v\n%s", err, out)
	}
	m := enrolLine.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no line to paste in:\n%s", out)
	}
	line, _, _ := strings.Cut(m[1], "&&")
	return strings.TrimSpace(line)
}

func twoHosts(t *testing.T, ns string) {
	n := newNocturne(t, "run", "--listen", hostA+":9471")
	n.start()
	o := other{t: t, ns: ns, dir: filepath.Join(t.TempDir(), "b"), bin: n.bin}

	args := joinArgs(t, n, "--site", "cellar", "--rack", "r7")
	if !strings.Contains(args, "https://"+hostA+":9471") || !strings.Contains(args, "--ca-fingerprint") {
		t.Fatalf("line to paste: %s", args)
	}

	// Another CA than the line says: refused before the token is shown.
	forged := regexp.MustCompile(`--ca-fingerprint \S+`).ReplaceAllString(args, "--ca-fingerprint "+strings.Repeat("ab", 32))
	if out, err := o.sh(o.bin + "/exporter enrol --data " + o.dir + " --name bee " + forged); err == nil || !strings.Contains(out, "fingerprint") {
		t.Errorf("enrolled at a server with another CA: %v\n%s", err, out)
	}
	if out, err := o.sh(o.bin + "/exporter enrol --data " + o.dir + " --name bee " + args); err != nil {
		t.Fatalf("enrol: %v\n%s", err, out)
	}
	// The token was good for one server.
	if out, err := o.sh(o.bin + "/exporter enrol --data " + o.dir + "2 --name cee " + args); err == nil || strings.Contains(out, "enrolled as") {
		t.Errorf("a token for one server took in two: %v\n%s", err, out)
	}
	private(t, o.dir)

	stop := o.runExporter(o.dir, "9490")
	var bee api.Server
	wait(t, seeLimit, "server bee in the API", func() error {
		var list api.ServerList
		if err := n.api("servers?search=bee", &list); err != nil {
			return err
		}
		for _, s := range list.Items {
			if s.Name == "bee" && s.State == "up" {
				bee = s
				return nil
			}
		}
		return fmt.Errorf("%d servers, bee is not up: %+v", list.Total, list.Items)
	})
	if bee.Site != "cellar" || bee.Rack != "r7" || bee.Simulated {
		t.Errorf("bee is %+v, want site cellar and rack r7 from the token", bee)
	}
	wait(t, seeLimit, "bee's heartbeat as a series", func() error {
		found, err := n.series(`nocturne_heartbeat_timestamp_seconds{server="bee",server_id="` + bee.ID + `"}`)
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d series", len(found))
		}
		return err
	})

	speaksForItself(t, n, o, bee)
	cloned(t, n, o, bee)

	// Revoked: the exporter is refused and says so; the page shows it.
	if out, err := n.command("servers", "revoke", "--data", n.data, bee.ID); err != nil {
		t.Fatalf("revoke: %v\n%s", err, out)
	}
	wait(t, seeLimit, "bee to be revoked", func() error {
		var d api.ServerDetail
		if err := n.api("servers/"+bee.ID, &d); err != nil {
			return err
		}
		if d.Server.State != "revoked" {
			return errors.New("state " + d.Server.State)
		}
		return nil
	})
	credential, err := os.ReadFile(filepath.Join(o.dir, "credential"))
	if err != nil {
		t.Fatal(err)
	}
	if code := o.postFrame(n, strings.TrimSpace(string(credential)), bee.ID); code != http.StatusForbidden && code != http.StatusUnauthorized {
		t.Errorf("a revoked credential gets %d", code)
	}
	stop()
	out, err := n.command("servers", "list", "--data", n.data)
	if err != nil || !strings.Contains(out, "bee") || !strings.Contains(out, "revoked") {
		t.Errorf("servers list: %v\n%s", err, out)
	}
}

// private checks that nobody but the owner can read the credential.
func private(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "credential"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("credential has mode %v", info.Mode())
	}
}

// postFrame sends one record in the name of a server, over TLS from the other
// host, and returns the status.
func (o other) postFrame(n *nocturne, credential, subject string) int {
	o.t.Helper()
	id, err := record.ParseID(subject)
	if err != nil {
		o.t.Fatal(err)
	}
	now := time.Now()
	frame, err := record.EncodeData(record.Header{
		Producer: record.ExporterProducer(id), Subject: id, Category: record.EventLog, First: 1,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: now.UnixNano(), Random: 99}}, Sent: now.UnixNano(),
	}, []record.Record{{Time: now, Observed: now, Name: record.NameJournal, Body: "in another's name"}})
	if err != nil {
		o.t.Fatal(err)
	}
	path := filepath.Join(o.t.TempDir(), "frame")
	if err := os.WriteFile(path, frame, 0o600); err != nil {
		o.t.Fatal(err)
	}
	ca := filepath.Join(o.dir, "ca.pem")
	out, err := o.sh(fmt.Sprintf("curl -s -o %s.answer -w '%%{http_code}' --cacert %s -H 'Authorization: Bearer %s' -H 'Content-Type: application/x-nocturne-frames' --data-binary @%s https://%s:9471/nocturne/v1/frames",
		path, ca, credential, path, hostA))
	if err != nil {
		o.t.Fatalf("curl: %v %s", err, out)
	}
	var code int
	if _, err := fmt.Sscan(out, &code); err != nil {
		o.t.Fatalf("curl: %q: %v", out, err)
	}
	if code == http.StatusOK { // each frame has a status of its own
		text, err := os.ReadFile(path + ".answer")
		if err != nil {
			o.t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(`"stored"`)) {
			return http.StatusForbidden
		}
	}
	return code
}

// speaksForItself tries bee's credential for this machine's server.
func speaksForItself(t *testing.T, n *nocturne, o other, bee api.Server) {
	t.Helper()
	var list api.ServerList
	if err := n.api("servers", &list); err != nil {
		t.Fatal(err)
	}
	credential, err := os.ReadFile(filepath.Join(o.dir, "credential"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, s := range list.Items {
		if s.ID == bee.ID {
			continue
		}
		tried++
		if code := o.postFrame(n, strings.TrimSpace(string(credential)), s.ID); code != http.StatusForbidden {
			t.Errorf("bee's credential speaks for %s: %d", s.Name, code)
		}
	}
	if tried == 0 {
		t.Errorf("this machine's own server is not in the list: %+v", list.Items)
	}
}

// cloned copies bee's disk while it runs and starts the copy: two live machines
// under one identity are told apart.
func cloned(t *testing.T, n *nocturne, o other, bee api.Server) {
	t.Helper()
	copied := o.dir + "-copy"
	if out, err := o.sh("cp -a " + o.dir + " " + copied + " && rm -f " + copied + "/*.lock " + copied + "/lock"); err != nil {
		t.Fatalf("copy the disk: %v %s", err, out)
	}
	stop := o.runExporter(copied, "9491")
	defer stop()
	wait(t, 3*time.Minute, "bee to be flagged as cloned", func() error {
		var d api.ServerDetail
		if err := n.api("servers/"+bee.ID, &d); err != nil {
			return err
		}
		if !d.Server.Clone || len(d.Lines) != 1 {
			return fmt.Errorf("clone %v, %d other lines", d.Server.Clone, len(d.Lines))
		}
		return nil
	})
}
