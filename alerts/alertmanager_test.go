package alerts_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/template"

	"nocturne/alerts"
	"nocturne/ruler/notify"
)

// `amtool check-config` reads a file with config.LoadFile and its templates with
// template.FromGlobs; so does this, for the file as it is and for the file with
// its examples in force.
func TestAlertmanagerTakesIt(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"alertmanager.yml", "nocturne.tmpl"} {
		b, err := alerts.Files().ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if secret := regexp.MustCompile(`(?im)^\s*[^#]*(password|secret|token|key):\s*\S`).Find(text); secret != nil {
		t.Errorf("a secret stands in the file: %s", secret)
	}
	examples := regexp.MustCompile(`(?m)^  #   `).ReplaceAllString(string(text), "    ")
	for name, doc := range map[string]string{"as it is": string(text), "with its examples": dedup(examples)} {
		path := filepath.Join(dir, "check.yml")
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.LoadFile(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tmpl, err := template.FromGlobs(c.Templates)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tmpl.ExternalURL = &url.URL{}
		if _, err := tmpl.ExecuteTextString(`{{ template "nocturne.title" . }}`, message(notify.Firing)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// dedup keeps the examples of receivers that have a webhook already apart from it.
func dedup(s string) string {
	out, skip := []string{}, false
	receiver := ""
	has := map[string]bool{}
	for _, line := range strings.Split(s, "\n") {
		if m := regexp.MustCompile(`^  - name: (\S+)`).FindStringSubmatch(line); m != nil {
			receiver, has = m[1], map[string]bool{}
		}
		if m := regexp.MustCompile(`^    (\w+_configs):`).FindStringSubmatch(line); m != nil {
			skip = has[m[1]] || receiver == ""
			has[m[1]] = true
		} else if strings.HasPrefix(line, "  -") || line == "" || strings.HasPrefix(line, "  #") {
			skip = false
		}
		if !skip {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func message(state notify.State) *template.Data {
	a := template.Alert{
		Status: string(state), StartsAt: time.Date(2026, 11, 20, 23, 5, 0, 0, time.UTC), GeneratorURL: "http://console/notifications/0123456789abcdef",
		Labels: template.KV{notify.LabelAlertname: "RaidDriveFailed", notify.LabelServer: "db7", notify.LabelSite: "bern", notify.LabelDevice: "physical_drive c0/e252/s4", notify.LabelSeverity: "critical"},
		Annotations: template.KV{
			notify.AnnotationSummary: "db7: drive c0/e252/s4 is Failed", notify.AnnotationReason: "state is Failed", notify.AnnotationSeverityNow: "critical",
			notify.AnnotationRunbook: "raid#drive-failed", notify.AnnotationParts: "virtual_drive c0/v0: state is Dgrd (firing since 23:05:00)",
		},
	}
	return &template.Data{Status: string(state), Alerts: template.Alerts{a}}
}

func TestMessages(t *testing.T) {
	dir := t.TempDir()
	b, err := alerts.Files().ReadFile("nocturne.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "nocturne.tmpl")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, err := template.FromGlobs([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	tmpl.ExternalURL = &url.URL{}
	f := func(state notify.State, name, want string) {
		t.Helper()
		got, err := tmpl.ExecuteTextString(`{{ template "`+name+`" . }}`, message(state))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s when %s:\n%s\nwant:\n%s", name, state, got, want)
		}
	}
	f(notify.Firing, "nocturne.title", "[CRITICAL] db7: drive c0/e252/s4 is Failed")
	f(notify.Resolved, "nocturne.title", "[over] db7: drive c0/e252/s4 is Failed")
	f(notify.Firing, "nocturne.text", `db7: drive c0/e252/s4 is Failed

Why:    state is Failed
Server: db7 (bern)
Part:   physical_drive c0/e252/s4
Since:  2026-11-20 23:05 UTC
To do:  runbook raid#drive-failed
Look:   http://console/notifications/0123456789abcdef

Also:
virtual_drive c0/v0: state is Dgrd (firing since 23:05:00)
`)
}
