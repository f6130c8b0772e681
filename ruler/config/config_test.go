package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/rule"
)

func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(f, ".yml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(f)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.TrimPrefix(err.Error(), "config "+f+": "); got != strings.TrimSuffix(string(want), "\n") {
				t.Errorf("message\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestValid(t *testing.T) {
	c, err := Load("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "0.0.0.0:9480" || len(c.Alertmanager.URLs) != 2 || !c.Rules.Builtin || c.Store.Retention != 365*24*time.Hour || c.API.ExporterPort != 9490 {
		t.Errorf("read %+v", c)
	}
	if n := c.Notify(); len(n.Targets) != 2 || n.ConsoleURL != "https://nocturne.example.org" {
		t.Errorf("sender %+v", n)
	}
	if c.TLS.KeyFile != "/etc/nocturne/page.key" || c.Scheme() != "https" {
		t.Errorf("TLS %+v", c.TLS)
	}
	if c, err = Load(""); err != nil || c.Listen != "127.0.0.1:9480" {
		t.Errorf("no file: %v, %+v", err, c)
	}
	if _, err := Load("testdata/missing.yml"); err == nil || !strings.Contains(err.Error(), "missing.yml") {
		t.Errorf("missing file: %v", err)
	}
}

// Nobody but this machine hears passwords in plain text, unless it is meant so.
func TestPlainOnTheNetwork(t *testing.T) {
	for listen, plain := range map[string]bool{
		"127.0.0.1:9480": true, "127.9.9.9:9480": true, "[::1]:9480": true, "localhost:9480": true, "127.0.0.1:0": true,
		"0.0.0.0:9480": false, ":9480": false, "[::]:9480": false, "10.0.0.5:9480": false, "ruler.example.org:9480": false,
	} {
		c := Default()
		c.Listen = listen
		if err := c.Validate(); (err == nil) != plain {
			t.Errorf("%s: %v", listen, err)
		}
		c.TLS.Plain = true
		if err := c.Validate(); err != nil || c.Scheme() != "http" {
			t.Errorf("%s, on purpose: %v", listen, err)
		}
		c.TLS.Plain, c.TLS.CertFile, c.TLS.KeyFile = false, "page.pem", "page.key"
		if err := c.Validate(); err != nil || !strings.HasPrefix(c.PageURL(), "https://") {
			t.Errorf("%s with TLS: %s %v", listen, c.PageURL(), err)
		}
	}
}

func TestRules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	packs := Rules{Packs: []string{"hpe"}}
	if rules, err := packs.Load(); err != nil || len(rules) != 2 || rules[0].ID != "hpe-agent-error" {
		t.Errorf("a pack alone: %d rules, %v", len(rules), err)
	}
	builtin := Rules{Builtin: true}
	all, err := builtin.Load()
	if err != nil || len(all) < 5 {
		t.Fatalf("%d rules, %v", len(all), err)
	}
	c := Default()
	if err := c.Decode([]byte("rules: {overrides: {server-silent: {enabled: false}}}")); err != nil {
		t.Fatal(err)
	}
	if some, err := c.Rules.Load(); err != nil || len(some) != len(all)-1 {
		t.Errorf("%d rules, %v; want one less than %d", len(some), err, len(all))
	}
	write("own.yml", "id: own-silent\nname: OwnSilent\nclass: own\nseverity: warning\nsummary: \"{{ .Server }} is silent\"\nrunbook: server#silent\nabsent: {category: heartbeat, after: 1h}\n")
	with := Rules{Builtin: true, Dirs: []string{dir}}
	if more, err := with.Load(); err != nil || len(more) != len(all)+1 {
		t.Errorf("%d rules, %v; want one more than %d", len(more), err, len(all))
	}
	write("twice.yml", "id: server-silent\nname: Twice\nclass: own\nseverity: warning\nsummary: \"x\"\nrunbook: server#silent\nabsent: {category: heartbeat, after: 1h}\n")
	if _, err := with.Load(); err == nil || !strings.Contains(err.Error(), "server-silent") {
		t.Errorf("an id that occurs twice: %v", err)
	}
	write("twice.yml", "id: own-risk\nname: OwnRisk\nclass: drive\nseverity: critical\nsummary: s\nrunbook: a#b\nrisk:\n  degraded: [raid-virtual-drive-degraded]\n  weak: [made-over-the-api]\n")
	if _, err := with.Load(); err == nil || !strings.HasSuffix(err.Error(), `/twice.yml:9: there is no rule "made-over-the-api": name one of the rules that are read together with this one`) {
		t.Errorf("a rule that names one which is not there: %v", err)
	}
	// Of a rule of the store nothing is known here, and who may change it can do so there.
	stored := Rules{Builtin: true, Overrides: rule.Overrides{"made-over-the-api": {}}}
	if _, err := stored.Load(); err == nil || !strings.Contains(err.Error(), `there is no rule "made-over-the-api" in the rule files: take an id from there; a rule that was made over the API is changed and switched off there`) {
		t.Errorf("an override of a rule of the store: %v", err)
	}
	gone := Rules{Dirs: []string{filepath.Join(dir, "gone")}}
	if _, err := gone.Load(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "twice.yml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "own.yml")); err != nil {
		t.Fatal(err)
	}
	empty := Rules{Dirs: []string{dir}}
	if _, err := empty.Load(); err == nil {
		t.Error("no rules at all were accepted")
	}
}
