package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const ownRule = `id: disk-own
name: DiskOwn
class: disk
severity: warning
expires: 1h
summary: "{{ .Server }}"
runbook: disk#own
servers: {site: bern}
match:
  provider: {matches: "di.*"}
  event_id: [7, 50-60]
  attrs: {event.data.size: {at_least: 5}}
  if: 'message.contains("bad") && data.param1 == "x"'
`

const ownStory = `-- in --
00:00 db7 labels site=bern
00:01 db7 event provider=disk id=55 data.size=9 data.param1=x text="bad block"
00:02 db7 event provider=disk id=55 data.size=9 text="bad block"
-- want --
00:01:00 firing db7 disk-own warning: disk 55: bad block
00:02:00 failed db7 disk-own warning: the condition cannot be evaluated: the record has no param1
`

func TestRules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := write("own.yml", ownRule)
	bad := write("bad.cfg", strings.Replace(ownRule, "message.contains", "mesage.contains", 1))
	risky := write("risky.yml", "id: own-risk\nname: OwnRisk\nclass: drive\nseverity: critical\nsummary: s\nrunbook: a#b\nrisk:\n  degraded: [raid-virtual-drive-degraded]\n  weak: [raid-drive-predicted, disk-owm, server-silent]\n")
	good := write("good.txtar", ownStory)
	wrong := write("wrong.story.txtar", strings.Replace(ownStory, "firing", "resolved", 1))
	broken := write("broken.txtar", "-- in --\n00:00 db7 dance\n")
	hit := write("hit.json", `{"body": "bad", "attrs": {"event.provider": "Disk", "event.id": 7, "event.data.size": "5", "event.data.param1": "x"}, "server": {"site": "Bern"}}`)
	miss := write("miss.json", `{"body": "fine", "attrs": {"event.provider": "ntfs", "event.id": 8}, "server": {"site": "zug"}}`)
	noRecord := write("no.json", `{"bodi": "x"}`)
	for name, c := range map[string]struct {
		args string
		want []string // in the output or in the error
		err  bool
	}{
		"check":                 {"rules check " + own, []string{"own.yml: 1 rule\n"}, false},
		"check folder":          {"rules check ../alerts/records", []string{"disk.yml: "}, false},
		"check mistakes":        {"rules check " + own + " " + bad, []string{"bad.cfg:13: if: character 1: undeclared reference to 'mesage'", "1 mistake, nothing"}, true},
		"check nothing":         {"rules check", []string{"name rule files", "wrong usage"}, true},
		"check nowhere":         {"rules check nowhere.yml", []string{"nowhere.yml"}, true},
		"check names":           {"rules check " + own + " " + risky, []string{`risky.yml:9: there is no rule "disk-owm": did you mean "disk-own"?`, `risky.yml:9: rule "server-silent" is of kind absent: name rules about devices`, "2 mistakes"}, true},
		"check empty":           {"rules check " + filepath.Join(dir, "..", filepath.Base(dir)) + "/own.yml -x", []string{"flag provided but not defined"}, true},
		"test":                  {"rules test " + own + " " + good, []string{"ok    ", "fired disk-own"}, false},
		"test wrong":            {"rules test " + own + " " + wrong, []string{"FAIL  ", "want differs", "1 of 1 story failed"}, true},
		"test broken":           {"rules test " + own + " " + good + " " + broken, []string{"line 1 of in: verb \"dance\"", "1 of 2 stories failed"}, true},
		"test no story":         {"rules test " + own, []string{"name stories"}, true},
		"test default":          {"rules test ../alerts/records/disk.txtar", []string{"ok    "}, false},
		"explain id":            {"rules explain disk-bad-block", []string{"DiskBadBlock (disk-bad-block", "Fires on"}, false},
		"explain near":          {"rules explain bad-block", []string{`there is no rule "bad-block"; there is disk-bad-block`}, true},
		"explain typo":          {"rules explain disk-bad-blok", []string{`there is disk-bad-block`}, true},
		"explain none":          {"rules explain xyz", []string{"there is no rule", "-config"}, true},
		"explain metric":        {"rules explain metric-part-down", []string{"Fires while VictoriaMetrics answers the query ", "from builtin/", "expr:", "runbook: ", "GET /api/v1/rules/metric-part-down"}, false},
		"explain metric typo":   {"rules explain metric-part-dow", []string{"there is metric-part-down"}, true},
		"explain metric none":   {"rules explain metric-xyz", []string{"name an id of the default rules"}, true},
		"explain metric record": {"rules explain -record " + hit + " metric-part-down", []string{"leave -record out"}, true},
		"explain nowhere":       {"rules explain nowhere.yml", []string{"nowhere.yml: file does not exist"}, true},
		"explain two":           {"rules explain a b", []string{"name one rule", "wrong usage"}, true},
		"explain file":          {"rules explain " + own, []string{"where provider fits di.*", "with id 7 or 50-60", "where event.data.size is at least 5", `if message.contains("bad")`}, false},
		"explain hit": {"rules explain " + own + " -record " + hit, []string{"  yes  site is bern", "  yes  provider fits di.*", "  yes  event_id is 7 or 50-60", `  yes  data.param1 == "x"`,
			"It leads to: firing"}, false},
		"explain miss": {"rules explain -record " + miss + " " + own, []string{`  no   site is bern: site is "zug" in the register`, `  no   provider fits di.*: it is "ntfs"`, `  no   event_id is 7 or 50-60: it is "8"`,
			"  no   event.data.size is at least 5: the record has no event.data.size", `  no   message.contains("bad"): it is false`,
			`  no   data.param1 == "x": the condition cannot be evaluated: the record has no param1`, "leads to nothing"}, false},
		"explain no record": {"rules explain -record " + noRecord + " " + own, []string{"unknown field", "write one object such as"}, true},
		"explain a state":   {"rules explain -record " + hit + " raid-drive-failed", []string{"not about single records"}, false},
		"unknown":           {"rules dance", []string{"rules check, rules test, rules explain"}, true},
	} {
		var out bytes.Buffer
		err := run(t.Context(), strings.Fields(c.args), &out, &out)
		text := out.String()
		if err != nil {
			text += err.Error()
		}
		if (err != nil) != c.err {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, text)
			}
		}
	}
	// -update writes down what happens.
	if err := run(t.Context(), []string{"rules", "test", "-update", own, wrong}, os.Stdout, os.Stderr); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(wrong); err != nil || string(data) != ownStory {
		t.Errorf("%v\n%s", err, data)
	}
}
