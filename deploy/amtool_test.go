package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The programs that people have take the files that we give them: amtool, built
// from the module that Alertmanager is embedded from, and promtool where there
// is one. (Its SDKs of service discovery cost two minutes of processor time to
// build, and its checksums are not among ours; package alerts checks the metric
// rules and their unit tests with Prometheus' own packages in every run.)
func TestAmtoolAndPromtoolAcceptTheAlerts(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	run := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run(root, "make", "bin/amtool")
	amtool := filepath.Join(root, "bin", "amtool")
	alerts := filepath.Join(root, "alerts")
	if out := run(alerts, amtool, "check-config", "alertmanager.yml"); !strings.Contains(out, "SUCCESS") || !strings.Contains(out, "1 templates") {
		t.Errorf("amtool says:\n%s", out)
	}
	// What amtool accepts is no proof unless it refuses as well.
	text, err := os.ReadFile(filepath.Join(alerts, "alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.yml")
	if err := os.WriteFile(broken, regexp.MustCompile(`receiver: critical`).ReplaceAll(text, []byte("receiver: nobody")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(amtool, "check-config", broken).CombinedOutput(); err == nil || !strings.Contains(string(out), "nobody") {
		t.Errorf("amtool takes a receiver that does not exist: %v\n%s", err, out)
	}
	for _, c := range [][2]string{{"critical", "severity=critical"}, {"demo", "simulated=true severity=critical"}, {"watchdog", "alertname=Watchdog severity=none"}} {
		args := append([]string{"config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=" + c[0]}, strings.Fields(c[1])...)
		run(alerts, amtool, args...)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not on the PATH: the metric rules were checked by Prometheus' packages alone")
		return
	}
	rules, _ := filepath.Glob(filepath.Join(alerts, "metrics", "*.yml"))
	tests, _ := filepath.Glob(filepath.Join(alerts, "metrics", "tests", "*.yml"))
	run(alerts, promtool, append([]string{"check", "rules"}, rules...)...)
	run(alerts, promtool, append([]string{"test", "rules"}, tests...)...)
}
