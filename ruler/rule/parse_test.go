package rule_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

var update = flag.Bool("update", false, "rewrite what the invalid files want")

// Every testdata/invalid-*.yml is one mistake, and its *.want the exact message.
func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = rule.Parse(filepath.Base(file), data)
			if err == nil {
				t.Fatal("no error")
			}
			golden := strings.TrimSuffix(file, ".yml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, rerr := os.ReadFile(golden)
			if rerr != nil {
				t.Fatal(rerr)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// A form marks its field by the path of a mistake.
func TestPathOfMistake(t *testing.T) {
	head := "id: a\nname: A\nclass: a\nseverity: info\nsummary: x\nrunbook: a#b\n"
	f := func(text string, want ...string) {
		t.Helper()
		_, err := rule.Parse("rules.yml", []byte(text))
		var errs rule.Errors
		errors.As(err, &errs)
		var got []string
		for _, e := range errs {
			got = append(got, e.Path)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n%q, want %q", err, got, want)
		}
	}
	event := "expires: 1h\nmatch: {provider: disk, event_id: 7, clear: {provider: disk}}\n"
	f(strings.Replace(head, "id: a", "id: A a", 1)+event, "id")
	f(strings.Replace(head, "summary: x", `summary: ""`, 1)+event, "summary")
	f(strings.Replace(head, "class: a\n", "", 1)+event, "class")
	f("rules:\n  - "+strings.ReplaceAll(strings.TrimSuffix(strings.Replace(head, "info", "grave", 1)+event, "\n"), "\n", "\n    "), "severity")
	f(head+strings.Replace(event, "event_id: 7", "event_id: seven", 1), "match.event_id")
	f(head+strings.Replace(event, "clear: {provider", "clear: {povider", 1), "match.clear.povider")
	f(head+"match: {provider: disk}\n", "expires")
	f(head+"expires: 1h\nmatch: {event_id: 7, level: error, device: {type: Disk, attr: a}}\n", "match.device.type", "match.provider")
	f(head+"state: {field: state, ok: [Optl], clear: 3}\n", "state.device", "state.clear")
	f(head+"state: {device: virtual_drive, field: state}\n", "state")
	f(head+"absent: {category: raid, after: soon, while: shutdown}\n", "absent.after", "absent.category")
	f(head, "")
}

const good = `
rules:
  - id: disk-bad-block
    name: DiskBadBlock
    class: disk
    severity: warning
    expires: 1d12h
    summary: "{{ .Server }}: {{ if .Device }}{{ .Device }}{{ else }}a disk{{ end }}"
    description: "{{ .Message }}"
    runbook: disk#bad-block
    retell: true
    servers: {site: [bern, zug], role: db}
    match:
      channel: System
      provider: [Disk, iaStorA]
      event_id: [7, 11]
      level: error
      attrs: {event.data.b: x, event.data.a: [1, 2]}
      device: {type: disk, attr: event.data.param1}
      clear: {provider: disk, event_id: 9}
  - id: vd
    name: Vd
    class: vd
    severity: critical
    for: 90s
    summary: s
    runbook: raid#vd
    state: {device: virtual_drive, field: state, ok: [Optl]}
  - {id: mem, name: Mem, class: hw, severity: info, expires: 7d, summary: s, runbook: a#b, change: {device: memory, kinds: [removed, field], ignore: [speed]}}
  - {id: silent, name: Silent, class: silence, severity: critical, summary: s, runbook: a#b, absent: {category: raid, after: 1h, goodbye: 10m, while: heartbeat}}
  - {id: clone, name: Clone, class: identity, severity: critical, summary: s, runbook: a#b, clone: {}}
`

func parse(t *testing.T, text string) []*rule.Rule {
	t.Helper()
	rules, err := rule.Parse("good.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestParse(t *testing.T) {
	rules := parse(t, good)
	if len(rules) != 5 {
		t.Fatalf("%d rules", len(rules))
	}
	want := []rule.Spec{
		&rule.Match{
			Where: rule.Conditions{Channel: []string{"System"}, Provider: []string{"disk", "iastora"}, EventID: []int64{7, 11}, Level: []string{"error"},
				Attrs: []rule.AttrCondition{{Key: "event.data.a", Values: []string{"1", "2"}}, {Key: "event.data.b", Values: []string{"x"}}}},
			Device: rule.DeviceRef{Type: "disk", Attr: "event.data.param1"},
			Clear:  &rule.Conditions{Provider: []string{"disk"}, EventID: []int64{9}},
		},
		&rule.State{Device: "virtual_drive", Field: "state", OK: []string{"Optl"}},
		&rule.Change{Devices: []string{"memory"}, Kinds: []string{"removed", "field"}, Ignore: []string{"speed"}},
		&rule.Absent{Category: record.RAID, After: time.Hour, Goodbye: rule.Goodbye{Stop: 10 * time.Minute, Restart: 10 * time.Minute, Shutdown: 10 * time.Minute}, While: rule.WhileHeartbeat},
		&rule.Clone{Quiet: rule.DefaultQuiet},
	}
	for i, r := range rules {
		if !reflect.DeepEqual(r.Spec, want[i]) {
			t.Errorf("%s: %+v, want %+v", r.ID, r.Spec, want[i])
		}
	}
	r := rules[0]
	if r.Expires != 36*time.Hour || rules[1].For != 90*time.Second || r.Kind != "match" || r.Line != 3 || r.File != "good.yml" || !r.Retell ||
		!reflect.DeepEqual(r.Servers, rule.Selector{"site": {In: []string{"bern", "zug"}}, "role": {In: []string{"db"}}}) {
		t.Errorf("%+v", r)
	}
}

func TestExplain(t *testing.T) {
	want := []string{
		"DiskBadBlock (disk-bad-block, problem class disk, severity warning)\nFires on an event from provider disk or iastora with id 7 or 11 in channel System of level error where event.data.a is 1 or 2 where event.data.b is x, once per disk named by event.data.param1; clears on an event from provider disk with id 9, at the latest 36h after the last one.\nOnly for servers with site bern or zug and role db.",
		"Vd (vd, problem class vd, severity critical)\nFires while the state of a virtual_drive is known and not Optl for at least 1m30s; clears by itself, or when the device is gone.",
		"Mem (mem, problem class hw, severity info)\nFires when a memory is removed or field, of the fields not speed; is shown for 7d.",
		"Silent (silent, problem class silence, severity critical)\nFires when a server that sent raid records before has sent none for 1h although its heartbeats arrive; after a goodbye it has 10m to come back; clears with the next one.",
		"Clone (clone, problem class identity, severity critical)\nFires when heartbeats of two exporter starts arrive in turns under one identity; clears when only one was heard for 15m.",
	}
	for i, r := range parse(t, good) {
		if got := rule.Explain(r); got != want[i] {
			t.Errorf("got:  %s\nwant: %s", got, want[i])
		}
	}
}

// Text and severity leave the shape alone, so that the state survives an edit.
func TestShape(t *testing.T) {
	base := parse(t, good)
	f := func(what, old, repl string, sameShape bool) {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%s: %q does not occur", what, old)
		}
		changed := parse(t, strings.Replace(good, old, repl, 1))
		if (changed[0].Shape == base[0].Shape) != sameShape {
			t.Errorf("%s: same shape = %t, want %t", what, !sameShape, sameShape)
		}
		if changed[0].Version == base[0].Version {
			t.Errorf("%s: the version is the same", what)
		}
	}
	f("severity", "severity: warning", "severity: critical", true)
	f("name", "name: DiskBadBlock", "name: Bad", true)
	f("summary", "a disk", "some disk", true)
	f("runbook", "disk#bad-block", "disk#bad", true)
	f("retell", "retell: true", "retell: false", true)
	f("event id", "[7, 11]", "[7, 12]", false)
	f("expiry", "1d12h", "1d", false)
	f("servers", "bern", "basel", false)
	f("class", "class: disk", "class: storage", false)
	f("device", "event.data.param1", "event.data.param2", false)
}

func TestParseFS(t *testing.T) {
	one := "{id: %, name: A, class: c, severity: info, expires: 1h, summary: s, runbook: a#b, match: {provider: p}}"
	file := func(id string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.Replace(one, "%", id, 1))}
	}
	rules, err := rule.ParseFS(fstest.MapFS{"r/b.yml": file("b"), "r/a.yml": file("a"), "r/a.txtar": file("x"), "r/sub/c.yml": file("c")}, "r")
	if err != nil || len(rules) != 2 || rules[0].ID != "a" || rules[0].File != "r/a.yml" {
		t.Errorf("%v, %v", rules, err)
	}
	_, err = rule.ParseFS(fstest.MapFS{"r/b.yml": file("b"), "r/a.yml": file("b"), "r/c.yml": {Data: []byte("x: 1\ny: 2")}}, "r")
	var all rule.Errors
	if !errors.As(err, &all) || len(all) != 3 {
		t.Fatalf("%v", err)
	}
	if got := all[2].Error(); got != `r/b.yml:1: id "b" is taken: r/a.yml:1 has it; ids never change and are never used again` {
		t.Error(got)
	}
	var first *rule.Error
	if !errors.As(err, &first) || first.Line != 1 {
		t.Errorf("%+v", first)
	}
	if _, err := rule.ParseFS(fstest.MapFS{}, "nowhere"); err == nil {
		t.Error("a directory that is not there")
	}
	if _, err := rule.Parse("big.yml", make([]byte, rule.MaxFile+1)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
}

func TestManyErrorsAreBounded(t *testing.T) {
	_, err := rule.Parse("x.yml", []byte("rules:\n"+strings.Repeat("  - {x: 1}\n", 5000)))
	var all rule.Errors
	if !errors.As(err, &all) || len(all) != 20 {
		t.Errorf("%d errors", len(all))
	}
}

func TestOverrides(t *testing.T) {
	str := func(s string) *string { return &s }
	no := false
	rules := parse(t, good)
	got, err := rule.Overrides{
		"silent":         {After: str("30s"), Goodbye: &rule.GoodbyeOverride{All: "5m"}},
		"disk-bad-block": {Severity: str("critical"), Expires: str("1h")},
		"vd":             {For: str("1s"), OK: []string{"Optl", "Rec"}},
		"clone":          {Quiet: str("1m")},
		"mem":            {Enabled: &no},
	}.Apply(rules)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d rules, %v", len(got), err)
	}
	a := got[2].Spec.(*rule.Absent)
	if a.After != 30*time.Second || a.Goodbye != (rule.Goodbye{Stop: 5 * time.Minute, Restart: 5 * time.Minute, Shutdown: 5 * time.Minute}) || got[0].Severity != "critical" || got[0].Expires != time.Hour || got[1].For != time.Second ||
		len(got[1].Spec.(*rule.State).OK) != 2 || got[3].Spec.(*rule.Clone).Quiet != time.Minute {
		t.Errorf("%+v", got)
	}
	if rules[3].Spec.(*rule.Absent).After != time.Hour || rules[0].Severity != "warning" {
		t.Error("the rules given were changed")
	}
	if got[2].Shape == rules[3].Shape {
		t.Error("another deadline has the same shape")
	}
	for want, o := range map[string]rule.Overrides{
		`there is no rule "x" in the rule files: take an id from there; a rule that was made over the API is changed and switched off there`: {"x": {}},
		`silent: a rule of kind absent has no "for"`:                         {"silent": {For: str("1m")}},
		`silent: a rule of kind absent has no "expires"`:                     {"silent": {Expires: str("1m")}},
		`vd: a rule of kind state has no "after"`:                            {"vd": {After: str("1m")}},
		`vd: a rule of kind state has no "goodbye"`:                          {"vd": {Goodbye: &rule.GoodbyeOverride{All: "1m"}}},
		`vd: a rule of kind state has no "quiet"`:                            {"vd": {Quiet: str("1m")}},
		`mem: a rule of kind change has no "ok"`:                             {"mem": {OK: []string{"x"}}},
		`silent: after: "soon" is not a time span`:                           {"silent": {After: str("soon")}},
		`silent: goodbye: "0s" is not between 1s and 366d in whole seconds`:  {"silent": {Goodbye: &rule.GoodbyeOverride{All: "0s"}}},
		`clone: quiet: "x" is not a time span`:                               {"clone": {Quiet: str("x")}},
		`vd: for: "x" is not a time span`:                                    {"vd": {For: str("x")}},
		`mem: expires: "x" is not a time span`:                               {"mem": {Expires: str("x")}},
		`vd: severity "bad" is not known: known are critical, warning, info`: {"vd": {Severity: str("bad")}},
	} {
		if _, err := o.Apply(rules); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"1s": time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "1d1h": 25 * time.Hour} {
		if got, err := rule.ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "0s", "-5m", "5", "1.5s", "367d", "d", "1d-1h", "99999999999h", "-1d", "1dd"} {
		if got, err := rule.ParseDuration(in); err == nil {
			t.Errorf("%q: %s, want an error", in, got)
		}
	}
}

func TestState(t *testing.T) {
	five := 5.0
	f := func(s rule.State, text string, n float64, isNumber, want bool) {
		t.Helper()
		if got := s.IsBad(text, n, isNumber); got != want {
			t.Errorf("%+v of %q: %t", s, text, got)
		}
	}
	f(rule.State{OK: []string{"Optl"}}, "optl", 0, false, false) // tools write it either way
	f(rule.State{OK: []string{"Optl"}}, "Dgrd", 0, false, true)
	f(rule.State{Bad: []string{"Dgrd"}}, "DGRD", 0, false, true)
	f(rule.State{Bad: []string{"Dgrd"}}, "Optl", 0, false, false)
	f(rule.State{Above: &five}, "6", 6, true, true)
	f(rule.State{Above: &five}, "5", 5, true, false)
	f(rule.State{Above: &five}, "N/A", 0, false, false)
	f(rule.State{Below: &five}, "4", 4, true, true)
	f(rule.State{}, "x", 0, false, false)
}

func TestChangeCounts(t *testing.T) {
	f := func(c rule.Change, ch diff.Change, want bool) {
		t.Helper()
		if got := c.Counts(&ch); got != want {
			t.Errorf("%+v of %+v: %t", c, ch, got)
		}
	}
	all := rule.Change{Devices: []string{"disk"}, Kinds: []string{"field", "removed"}}
	f(all, diff.Change{Type: "disk", Kind: diff.Removed}, true)
	f(all, diff.Change{Type: "memory", Kind: diff.Removed}, false)
	f(all, diff.Change{Type: "disk", Kind: diff.Added}, false)
	f(all, diff.Change{Type: "disk", Kind: diff.Field, Field: "firmware"}, true)
	f(all, diff.Change{Type: "disk", Kind: diff.Field, Field: "temperature_celsius", Class: diff.Volatile}, false)
	f(all, diff.Change{Type: "disk", Kind: diff.Field, Field: "state", Class: diff.Status}, false) // a state rule's business
	named := all
	named.Fields = []string{"state"}
	f(named, diff.Change{Type: "disk", Kind: diff.Field, Field: "state", Class: diff.Status}, true)
	f(named, diff.Change{Type: "disk", Kind: diff.Field, Field: "firmware"}, false)
	ignoring := all
	ignoring.Ignore = []string{"firmware"}
	f(ignoring, diff.Change{Type: "disk", Kind: diff.Field, Field: "firmware"}, false)
	f(ignoring, diff.Change{Type: "disk", Kind: diff.Field, Field: "model"}, true)
}

func TestSeverities(t *testing.T) {
	s := rule.Severities()
	for i := range s {
		for j := range s {
			if rule.Worse(s[i], s[j]) != (i < j) {
				t.Errorf("Worse(%s, %s)", s[i], s[j])
			}
		}
		if !rule.Worse(s[i], "none") {
			t.Errorf("%s is not worse than an unknown one", s[i])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := rule.Parse("x.yml", data)
		if err != nil && len(rules) > 0 {
			t.Fatalf("%d rules and %v", len(rules), err)
		}
		for _, r := range rules {
			if r.ID == "" || r.Spec == nil || r.Summary == nil || r.Shape == "" {
				t.Fatalf("an incomplete rule passed: %+v", r)
			}
			if rule.Explain(r) == "" {
				t.Fatal("no explanation")
			}
		}
	})
}
