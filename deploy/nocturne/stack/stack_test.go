package stack

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nocturne/deploy/nocturne/supervise"
	"nocturne/ruler/config"
)

func TestPorts(t *testing.T) {
	p := DefaultPorts()
	if err := p.Set("ruler=8080,logs=9500"); err != nil {
		t.Fatal(err)
	}
	if p.Ruler != 8080 || p.Logs != 9500 || p.Metrics != 8428 {
		t.Errorf("ports %+v", p)
	}
	for text, want := range map[string]string{
		"web=1": `no port is called "web"`, "ruler=x": `"x" is no number`, "ruler=70000": "no number from 1", "ruler": `"" is no number`,
	} {
		if err := p.Set(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
	if err := p.Set("free"); err != nil {
		t.Fatal(err)
	}
	seen := map[int]string{}
	for name, port := range p.named() {
		if other, taken := seen[*port]; taken || *port == 0 {
			t.Errorf("port %s is %d, like %q", name, *port, other)
		}
		seen[*port] = name
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]Days{"180d": 180, "2w": 14, "2y": 730} {
		var d Days
		if err := d.Set(text); err != nil || d != want {
			t.Errorf("%s: %v, %v, want %v", text, d, err, want)
		}
	}
	for _, text := range []string{"", "d", "180", "0d", "1d", "-3d", "3m", "101y", "36501d", "99999999999d", "forever"} {
		var d Days
		if err := d.Set(text); err == nil {
			t.Errorf("%q is taken for %v", text, d)
		}
	}
}

func TestRetentionAndListenAreChecked(t *testing.T) {
	keepStream := func(text string) error { return new(Hours).Set(text) }
	for _, tt := range []struct {
		check     func(string) error
		good, bad []string
	}{
		{CheckKeepMetrics, []string{"13", "1", "400d", "2y", "26w"}, []string{"", "0", "forever", "-1", "13m", "1d", "1.5", "2000"}},
		{CheckLogDisk, []string{"50GiB", "500MB", "1TiB"}, []string{"", "50", "0GiB", "all", "-1GiB", "1 GiB"}},
		{keepStream, []string{"1h", "168h", "90m"}, []string{"", "7d", "59m", "-2h", "forever"}},
		{CheckListen, []string{"", "0.0.0.0:9471", ":9471", "[::]:9471", "db7:1"}, []string{"nonsense", "0.0.0.0", "0.0.0.0:", "db7:x", "db7:0", "db7:65536", "::1:9471:2"}},
	} {
		for _, text := range tt.good {
			if err := tt.check(text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		for _, text := range tt.bad {
			if tt.check(text) == nil {
				t.Errorf("%q is taken", text)
			}
		}
	}
}

func TestGeneratedFilesCanBeTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yml")
	for _, text := range []string{"a: 1\n", "a: 2\n"} {
		if err := writeGenerated(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != generated+text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	mine := []byte("a: mine\n")
	if err := os.WriteFile(path, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeGenerated(path, []byte("a: 3\n")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, mine) {
		t.Errorf("%q, %v: a start must not touch it", got, err)
	}
}

// Rules that a person puts into rules/ are read, whenever he took the ruler's
// configuration over.
func TestTakenOverBeforeThereAreRules(t *testing.T) {
	dir := t.TempDir()
	s := &stack{Options: Options{Mode: Run, Data: dir, Ports: DefaultPorts()}, Layout: Layout{dir}}
	if err := s.writeConfigs(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.Config("ruler"))
	if err != nil {
		t.Fatal(err)
	}
	var written struct{ Rules config.Rules }
	if err := yaml.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	written.Rules.Builtin = true // as it is unless somebody says otherwise
	before, err := written.Rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	rule := "id: own\nname: Own\nclass: own\nseverity: warning\nsummary: s\nrunbook: server#silent\nabsent: {category: heartbeat, after: 1h}\n"
	if err := os.WriteFile(filepath.Join(s.Rules(), "own.yml"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := written.Rules.Load(); err != nil || len(after) != len(before)+1 {
		t.Errorf("%d rules, %v, want one more than %d", len(after), err, len(before))
	}
}

func TestStateIsReadOnlyFromAStackThatRuns(t *testing.T) {
	dir := t.TempDir()
	want := State{Mode: Demo, PID: 7, Ports: DefaultPorts(), Parts: []supervise.Status{{Name: "ruler", PID: 8, Ready: true}}}
	if err := want.write(Layout{dir}.State()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a leftover: %v, want %v", err, ErrNotRunning)
	}
	lock, err := supervise.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadState(dir)
	if err != nil || got.Mode != Demo || got.Ports != want.Ports || got.Parts[0] != want.Parts[0] {
		t.Errorf("state %+v, %v", got, err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestStartNamesMissingPrograms(t *testing.T) {
	o := Options{Mode: Run, Data: t.TempDir(), Bin: t.TempDir(), Ports: DefaultPorts(), Keep: DefaultRetention(), Logger: slog.New(slog.DiscardHandler)}
	err := Start(context.Background(), o, func(State) { t.Error("ready") })
	if err == nil || !strings.Contains(err.Error(), "eventbridge ruler") || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v, want one that names the programs and how to build them", err)
	}
	if supervise.Locked(o.Data) {
		t.Error("the data folder is still locked")
	}
}

func TestOwnWarningsAreKept(t *testing.T) {
	path := Layout{t.TempDir()}.Log("nocturne")
	file, err := supervise.OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	var console bytes.Buffer
	also(slog.New(slog.NewTextHandler(&console, nil)), file).With("service", "ruler").Warn("service ended, starting it again")
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(path)
	for _, text := range []string{string(kept), console.String()} {
		if err != nil || !strings.Contains(text, `level=WARN msg="service ended, starting it again" service=ruler`) {
			t.Errorf("%q, %v", text, err)
		}
	}
}

func TestFindPrefersWhatRuns(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	if got, err := Find("given"); err != nil || got != "given" {
		t.Errorf("%q, %v", got, err)
	}
	run, err := DefaultDir(Run)
	if err != nil {
		t.Fatal(err)
	}
	demo, err := DefaultDir(Demo)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Find(""); err != nil || got != run {
		t.Errorf("nothing runs: %q, %v, want %q", got, err, run)
	}
	if _, _, err := Running(""); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "neither on "+run+" nor on "+demo+":") {
		t.Errorf("nothing runs: %v, want an error that names both folders", err)
	}
	given := t.TempDir()
	if _, _, err := Running(given); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), given) || strings.Contains(err.Error(), run) {
		t.Errorf("nothing runs: %v, want an error that names only %s", err, given)
	}
	lock, err := supervise.Lock(demo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if got, err := Find(""); err != nil || got != demo {
		t.Errorf("a demo runs: %q, %v, want %q", got, err, demo)
	}
}
