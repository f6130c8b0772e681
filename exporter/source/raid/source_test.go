package raid

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// tool answers like storcli64 with the captures of one machine.
func tool(t *testing.T, answers map[string]string, asked *[]string) source.Runner {
	return func(_ context.Context, _ string, args ...string) ([]byte, error) {
		*asked = append(*asked, strings.Join(args, " "))
		name, ok := answers[args[0]]
		if !ok {
			return nil, errors.New("no answer")
		}
		return scality(t, name), nil
	}
}

func trusted(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "storcli64")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

func TestCollect(t *testing.T) {
	var asked []string
	cfg := DefaultConfig()
	cfg.Command = trusted(t)
	answers := map[string]string{"/call": "controllers__c0.json", "/call/eall/sall": "physicaldrives__show__all.json", "/call/vall": "logicalvolumes__show__all.json", "/call/cv": "controllers__c5_invalid.json"}
	r := NewReader(Options{Config: cfg, Run: tool(t, answers, &asked)})
	collect := func() record.Record {
		t.Helper()
		recs, err := r.Collect(t.Context())
		if err != nil || len(recs) != 1 {
			t.Fatal(recs, err)
		}
		return recs[0]
	}
	rec := collect()
	want := []string{"/call show all J", "/call/eall/sall show all J", "/call/vall show all J", "/call/cv show all J"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if rec.Name != record.NameSnapshot || rec.Snapshot == nil || rec.Body != "RAID: 1 controllers, 12 virtual drives, 12 physical drives; 1 problems, the first: c5: Controller 5 not found" {
		t.Errorf("record: %+v", rec)
	}
	if raw := rec.Attr(record.AttrRaw).Str(); !strings.Contains(raw, "ZVT1ZB580000C2372XE4") || len(raw) > MaxRaw {
		t.Errorf("the raw document has %d bytes", len(raw))
	}
	if got := rec.Attr(AttrProblems).List(); len(got) != 1 || got[0].Str() != "c5: Controller 5 not found" {
		t.Errorf("problems: %v", got)
	}
	if !hasSection(rec.Snapshot, record.DeviceController, "") {
		t.Error("every controller answered: they were observed everywhere")
	}
	if n := record.RecordSize(&rec); n > record.MaxRecord {
		t.Errorf("a record of %d bytes", n)
	}
	if second := collect(); !second.Attr(record.AttrRaw).IsNull() {
		t.Error("nothing changed, and the raw document came again")
	}
	answers["/call"] = "controllers__c0_s12_UGood.json"
	answers["/call/vall"] = "logicalvolumes__show__all_NOv228.json"
	if third := collect(); third.Attr(record.AttrRaw).IsNull() {
		t.Error("a volume is gone, and the raw document is not there as evidence")
	}
}

func TestCollectPartly(t *testing.T) {
	var asked []string
	cfg := DefaultConfig()
	cfg.Command = trusted(t)
	r := NewReader(Options{Config: cfg, Run: tool(t, map[string]string{"/call": "controllers__c0.json"}, &asked)})
	recs, err := r.Collect(t.Context())
	if err == nil || len(recs) != 1 || len(recs[0].Snapshot.Devices) != 27 {
		t.Errorf("%d records, error %v: want the controller's own reply and the error about the others", len(recs), err)
	}
}

func TestCollectWithoutTool(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Command = []string{filepath.Join(t.TempDir(), "absent")}
	if _, err := NewReader(Options{Config: cfg}).Collect(t.Context()); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a configured tool that is missing: %v; want not exist, and to be asked again", err)
	}
}

// A child that storcli started, and that holds its output open, must not keep
// the round from ending: the real runner against a script made for this test.
func TestRunnerKillsTheTree(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh on this system")
	}
	cmd := trusted(t)
	if err := os.WriteFile(cmd[0], []byte("#!/bin/sh\necho '{\"Controllers\":[]}'\nsleep 600 &\necho $! > \"$0.child\"\nsleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Command = cmd
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := NewReader(Options{Config: cfg}).Collect(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Command = []string{"storcli64"} }, `raid command "storcli64": write the absolute path of storcli64 or perccli64`)
	f(func(c *Config) { c.Args = []string{"show"} }, `raid args ["show"]: one of them must hold {path}, such as ["{path}", show, all, J]`)
	f(func(c *Config) { c.Deadline = 2 * c.Period }, "raid: deadline 2m0s: write more than 0s and at most the period 1m0s")
}

func TestRawIsCut(t *testing.T) {
	long := []byte(`{"a": "` + strings.Repeat("é", MaxRaw) + `"}`)
	got := Raw(long, []byte("text"))
	if len(got) > MaxRaw || !strings.Contains(got, "… cut here: 131072 of 262157 bytes") {
		t.Errorf("%d bytes, end %q", len(got), got[max(0, len(got)-60):])
	}
}
