package notify_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

const pack = `rules:
  - {id: predicted, name: Predicted, class: drive, severity: warning, summary: "{{ .Place }} will fail", runbook: raid#p, state: {device: physical_drive, field: p, above: 0}}
  - {id: failed, name: Failed, class: drive, severity: critical, summary: "{{ .Place }} failed, serial {{ .Serial }}", description: "was {{ .Before }}", runbook: raid#f, state: {device: physical_drive, field: state, bad: [Failed]}}
  - {id: degraded, name: Degraded, class: array, severity: critical, summary: "{{ .Place }} degraded", runbook: raid#d, state: {device: virtual_drive, field: state, bad: [Dgrd]}}
  - {id: offline, name: Offline, class: array, severity: critical, retell: true, summary: "{{ .Place }} offline", runbook: raid#o, state: {device: virtual_drive, field: state, bad: [OfLn]}}
  - {id: replaced, name: Replaced, class: drive, severity: info, expires: 1h, summary: "{{ .Place }} replaced", runbook: raid#r, change: {device: physical_drive, kinds: [replaced]}}
  - {id: event, name: Event, class: log, severity: warning, expires: 1h, summary: "{{ .Message }} {{ .Provider }} {{ .EventID }} {{ .Channel }}", runbook: a#e, match: {provider: disk}}
`

func packRules(t testing.TB, text string) []*rule.Rule {
	t.Helper()
	r, err := rule.Parse("pack.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// desk is a table with a clock.
type desk struct {
	t     *testing.T
	rules map[string]*rule.Rule
	table *notify.Table
	at    notify.At
	facts operator.ServerFacts
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, rules: map[string]*rule.Rule{}, facts: operator.ServerFacts{ID: record.ID{1}, Name: "db7", Site: "bern"},
		at: notify.At{Time: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), Incarnation: "i"}}
	all := packRules(t, pack)
	for _, r := range all {
		d.rules[r.ID] = r
	}
	d.table = notify.NewTable(all)
	return d
}

// pass moves the clock and the stream on.
func (d *desk) pass() {
	d.at.Time = d.at.Time.Add(time.Minute)
	d.at.Entry++
}

func (d *desk) verdict(kind operator.VerdictKind, id, device, group string) operator.Verdict {
	r := d.rules[id]
	return operator.Verdict{RuleID: id, Server: d.facts.ID, Device: device, Class: r.Class, Kind: kind, Severity: r.Severity, At: d.at.Time, Group: group,
		Reason: id + " " + kind.String(), RecordID: fmt.Sprintf("rec-%d", d.at.Entry), Momentary: r.Kind == "change", Before: "Onln", After: id,
		Fields: []record.Attr{{Key: operator.FieldSerial, Value: record.String("Z1")}}}
}

func (d *desk) fire(id, device, group string) notify.Transition {
	return d.table.Apply(d.verdict(operator.Firing, id, device, group), d.facts, d.at)
}

func (d *desk) resolve(id, device, group string) notify.Transition {
	return d.table.Apply(d.verdict(operator.Resolved, id, device, group), d.facts, d.at)
}

const (
	pd4 = "physical_drive c0/e252/s4"
	pd5 = "physical_drive c0/e252/s5"
	vd0 = "virtual_drive c0/v0"
	vd1 = "virtual_drive c0/v1"
)

func want(t *testing.T, tr notify.Transition, effect notify.Effect, id string) {
	t.Helper()
	if tr.Effect != effect || tr.Notification.ID != id {
		t.Errorf("%s of %q, want %s of %q (%s)", tr.Effect, tr.Notification.ID, effect, id, tr.Reason)
	}
}

func TestLifeCycle(t *testing.T) {
	d := newDesk(t)
	open := d.fire("failed", pd4, "c0/dg0")
	n := open.Notification
	if open.Effect != notify.Opened || !open.Deliver || len(n.ID) != 16 || n.State != notify.Firing || n.Severity != "critical" || n.Title != "c0/e252/s4 failed, serial Z1" || n.Version != 1 {
		t.Fatalf("%+v", open)
	}
	wantLabels := map[string]string{"alertname": "Failed", "rule_id": "failed", "server_id": d.facts.ID.String(), "server": "db7", "device": pd4, "severity": "critical",
		"site": "bern", "notification_id": n.ID}
	if !reflect.DeepEqual(n.Labels, wantLabels) {
		t.Errorf("labels %v", n.Labels)
	}
	wantAnnotations := map[string]string{"summary": "c0/e252/s4 failed, serial Z1", "description": "was Onln", "runbook": "raid#f", "reason": "failed firing", "severity_now": "critical", "evidence": "rec-0"}
	if !reflect.DeepEqual(n.Annotations, wantAnnotations) {
		t.Errorf("annotations %v", n.Annotations)
	}
	if p := n.Parts[0]; p.RuleVersion != d.rules["failed"].Version || p.Shape == "" || p.RecordID != "rec-0" || p.Count != 1 || p.Before != "Onln" {
		t.Errorf("part %+v", p)
	}
	d.pass()
	again := d.fire("failed", pd4, "c0/dg0")
	want(t, again, notify.Repeated, n.ID)
	if again.Deliver || again.Notification.Parts[0].Count != 2 || !again.Notification.Opened.Equal(n.Opened) {
		t.Errorf("%+v", again)
	}
	d.facts.Name, d.facts.Site = "renamed", "zug"
	d.pass()
	end := d.resolve("failed", pd4, "c0/dg0")
	want(t, end, notify.Closed, n.ID)
	if e := end.Notification; !end.Deliver || e.State != notify.Resolved || !e.Resolved.Equal(d.at.Time) || !reflect.DeepEqual(e.Labels, wantLabels) || e.Annotations["reason"] != "failed resolved (open for 2m0s)" {
		t.Errorf("%+v", end.Notification)
	}
	want(t, d.resolve("failed", pd4, "c0/dg0"), notify.Ignored, "")
	d.pass()
	if tr := d.fire("failed", pd4, "c0/dg0"); tr.Effect != notify.Opened || tr.Notification.ID == n.ID {
		t.Errorf("reopened as %s %s", tr.Effect, tr.Notification.ID)
	}
	if d.table.Len() != 1 || len(d.table.Open(d.facts.ID)) != 1 {
		t.Error("open")
	}
}

// A replay of the same entries gives the same id; another entry, another one.
func TestIDIsMadeOfWhatOpened(t *testing.T) {
	a, b, c := newDesk(t), newDesk(t), newDesk(t)
	c.pass()
	if x, y := a.fire("failed", pd4, ""), b.fire("failed", pd4, ""); x.Notification.ID != y.Notification.ID {
		t.Error("a replay has another id")
	}
	if x, y := a.table.Open(a.facts.ID)[0], c.fire("failed", pd4, ""); x.ID == y.Notification.ID {
		t.Error("another entry has the same id")
	}
}

func TestEscalation(t *testing.T) {
	d := newDesk(t)
	n := d.fire("predicted", pd4, "c0").Notification
	d.pass()
	up := d.fire("failed", pd4, "c0")
	want(t, up, notify.Escalated, n.ID)
	e := up.Notification
	if !reflect.DeepEqual(e.Labels, n.Labels) || e.Labels["severity"] != "warning" || len(e.Escalations) != 1 || e.Severity != "critical" || e.Title != "c0/e252/s4 failed, serial Z1" {
		t.Fatalf("%+v", e)
	}
	if l := e.Escalations[0].Labels; l["severity"] != "critical" || l["alertname"] != "Failed" || l["notification_id"] != n.ID || l["rule_id"] != "failed" {
		t.Errorf("%v", l)
	}
	d.pass()
	eased := d.resolve("failed", pd4, "c0")
	want(t, eased, notify.Eased, n.ID)
	if r := eased.Notification.Reason; r != "predicted firing" || eased.Notification.Annotations["reason"] != r || eased.Reason != "failed resolved" {
		t.Errorf("a part that is over speaks for what fires: %q, %q", r, eased.Reason)
	}
	d.pass()
	down := d.fire("predicted", pd4, "c0")
	if len(down.Notification.Escalations) != 1 || down.Notification.Severity != "critical" || down.Notification.Annotations["severity_now"] != "warning" {
		t.Errorf("it got better: %+v", down.Notification)
	}
	d.pass()
	last := d.resolve("predicted", pd4, "c0")
	want(t, last, notify.Closed, n.ID)
	if last.Notification.Reason != "predicted resolved" {
		t.Errorf("once resolved the reason is %q", last.Notification.Reason)
	}
}

// The reason is that of the worst part that fires, the cause before its equals.
func TestReasonIsOfTheWorstThatFires(t *testing.T) {
	d := newDesk(t)
	reason := func(tr notify.Transition, want string) {
		t.Helper()
		if tr.Notification.Reason != want || tr.Notification.Annotations["reason"] != want {
			t.Errorf("reason %q, annotation %q, want %q", tr.Notification.Reason, tr.Notification.Annotations["reason"], want)
		}
		d.pass()
	}
	reason(d.fire("predicted", pd4, "c0/dg0"), "predicted firing")
	reason(d.fire("degraded", vd0, "c0/dg0"), vd0+": degraded firing")
	reason(d.fire("failed", pd4, "c0/dg0"), "failed firing")
	reason(d.fire("replaced", pd4, "c0/dg0"), "failed firing")
	reason(d.resolve("failed", pd4, "c0/dg0"), vd0+": degraded firing")
	reason(d.resolve("degraded", vd0, "c0/dg0"), "predicted firing")
}

func TestEscalatedState(t *testing.T) {
	for s, n := range map[notify.State]int{notify.EscalatedState(12): 12, notify.Firing: 0, notify.Resolved: 0, "escalated-": 0, "escalated--1": 0, "escalated-x": 0} {
		if s.Escalated() != n {
			t.Errorf("%s is escalation %d, want %d", s, s.Escalated(), n)
		}
	}
}

// What one record shows at once was never told as less.
func TestNoEscalationBeforeAnybodyKnows(t *testing.T) {
	d := newDesk(t)
	n := d.fire("predicted", pd4, "c0").Notification
	up := d.fire("failed", pd4, "c0").Notification
	if up.ID != n.ID || len(up.Escalations) != 0 || up.Labels["severity"] != "critical" || up.Labels["alertname"] != "Failed" || up.RuleID != "failed" {
		t.Errorf("%+v", up)
	}
}

func TestRetell(t *testing.T) {
	d := newDesk(t)
	n := d.fire("degraded", vd0, "c0/dg0").Notification
	d.pass()
	tr := d.fire("offline", vd0, "c0/dg0")
	want(t, tr, notify.Escalated, n.ID)
	d.pass()
	if tr := d.fire("offline", vd0, "c0/dg0"); len(tr.Notification.Escalations) != 1 {
		t.Errorf("told %d times", len(tr.Notification.Escalations))
	}
}

func TestRollUp(t *testing.T) {
	type step struct {
		fire           bool
		rule, dev, grp string
		effect         notify.Effect
		id             int // which notification, counted from 1; 0 = none
	}
	f, r := true, false
	for name, steps := range map[string][]step{
		"an array that degrades belongs to the drive": {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "degraded", vd0, "c0/dg0", notify.Joined, 1}},
		"a drive that fails after its array is the cause": {{f, "degraded", vd0, "c0/dg0", notify.Opened, 1}, {f, "failed", pd4, "c0/dg0", notify.Joined, 1},
			{r, "failed", pd4, "c0/dg0", notify.Eased, 1}, {r, "degraded", vd0, "c0/dg0", notify.Closed, 1}},
		"another drive is another problem":       {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "degraded", vd0, "c0/dg0", notify.Joined, 1}, {f, "failed", pd5, "c0", notify.Opened, 2}},
		"another drive group is another problem": {{f, "failed", pd4, "c0/dg1", notify.Opened, 1}, {f, "degraded", vd0, "c0/dg0", notify.Opened, 2}},
		"another controller is another problem":  {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "degraded", vd0, "c1/dg0", notify.Opened, 2}},
		"c1 is not c10":                          {{f, "failed", pd4, "c1", notify.Opened, 1}, {f, "degraded", vd0, "c10/dg0", notify.Opened, 2}},
		"a drive of no known group explains the first array that degrades, not a second one": {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "degraded", vd0, "c0/dg0", notify.Joined, 1}, {f, "degraded", vd1, "c0/dg1", notify.Opened, 2}},
		"an array belongs to the drive that failed, not to one that may":                     {{f, "failed", pd4, "c0/dg0", notify.Opened, 1}, {f, "predicted", pd5, "c0/dg0", notify.Opened, 2}, {f, "degraded", vd0, "c0/dg0", notify.Joined, 1}},
		"two arrays on one drive group are one":                                              {{f, "degraded", vd0, "c0/dg0", notify.Opened, 1}, {f, "degraded", vd1, "c0/dg0", notify.Joined, 1}},
		"two arrays on drive groups that nobody knows are not":                               {{f, "degraded", vd0, "c0", notify.Opened, 1}, {f, "degraded", vd1, "c0", notify.Opened, 2}},
		"an event has nothing to do with it":                                                 {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "event", "", "", notify.Opened, 2}},
		"the same array goes to where it already is":                                         {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "degraded", vd0, "c0/dg0", notify.Joined, 1}, {f, "failed", pd5, "c0", notify.Opened, 2}, {f, "degraded", vd0, "c0/dg0", notify.Repeated, 1}},
		"a replaced drive is told with the problem and does not hold it open": {{f, "failed", pd4, "c0", notify.Opened, 1}, {f, "replaced", pd4, "c0", notify.Joined, 1},
			{r, "failed", pd4, "c0", notify.Closed, 1}, {r, "replaced", pd4, "c0", notify.Ignored, 0}},
		"alone it is open until it expires":            {{f, "replaced", pd4, "c0", notify.Opened, 1}, {r, "replaced", pd4, "c0", notify.Closed, 1}},
		"a problem that comes to it takes over":        {{f, "replaced", pd4, "c0", notify.Opened, 1}, {f, "failed", pd4, "c0", notify.Escalated, 1}, {r, "replaced", pd4, "c0", notify.Eased, 1}, {r, "failed", pd4, "c0", notify.Closed, 1}},
		"a drive replaced while its array is degraded": {{f, "degraded", vd0, "c0/dg0", notify.Opened, 1}, {f, "replaced", pd4, "c0", notify.Joined, 1}, {r, "degraded", vd0, "c0/dg0", notify.Closed, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			var ids []string
			for i, s := range steps {
				d.pass()
				tr := d.resolve
				if s.fire {
					tr = d.fire
				}
				got := tr(s.rule, s.dev, s.grp)
				if got.Effect == notify.Opened {
					ids = append(ids, got.Notification.ID)
				}
				id := 0
				for j := range ids {
					if ids[j] == got.Notification.ID {
						id = j + 1
					}
				}
				if got.Effect != s.effect || id != s.id {
					t.Fatalf("step %d: %s of %d, want %s of %d", i+1, got.Effect, id, s.effect, s.id)
				}
			}
		})
	}
}

func TestCauseSpeaksFirst(t *testing.T) {
	d := newDesk(t)
	d.fire("degraded", vd0, "c0/dg0")
	d.pass()
	d.fire("replaced", pd4, "c0/dg0")
	d.pass()
	n := d.fire("failed", pd4, "c0/dg0").Notification
	var order []string
	for _, p := range n.Parts {
		order = append(order, p.RuleID)
	}
	if got := strings.Join(order, " "); got != "failed degraded replaced" {
		t.Errorf("parts in the order %s", got)
	}
	if n.Title != "c0/e252/s4 failed, serial Z1" || n.Annotations["parts"] != vd0+": degraded firing (firing since 00:00:00)\n"+pd4+": replaced firing (firing since 00:01:00)" {
		t.Errorf("%q %q", n.Title, n.Annotations["parts"])
	}
}

func TestNotedAndMuted(t *testing.T) {
	d := newDesk(t)
	v := d.verdict(operator.Muted, "failed", pd4, "c0")
	want(t, d.table.Apply(v, d.facts, d.at), notify.Ignored, "")
	n := d.fire("failed", pd4, "c0").Notification
	v.Kind = operator.Noted
	tr := d.table.Apply(v, d.facts, d.at)
	want(t, tr, notify.Noted, n.ID)
	if tr.Deliver || tr.Notification.Version != n.Version || tr.Reason != "failed muted" {
		t.Errorf("%+v", tr)
	}
	v.RuleID = "gone"
	want(t, d.table.Apply(v, d.facts, d.at), notify.Ignored, "")
	for _, e := range notify.Effects() {
		if e == "" {
			t.Error("an effect without a name")
		}
	}
}

func TestForgetAndRetire(t *testing.T) {
	d := newDesk(t)
	a, b := d.fire("failed", pd4, "c0").Notification, d.fire("event", "", "").Notification
	d.fire("degraded", vd0, "c0")
	all := d.table.Forget(d.facts.ID, "decommissioned", d.at)
	if len(all) != 3 || all[0].Effect != notify.Eased || all[1].Effect != notify.Closed || all[1].Notification.ID != a.ID || all[2].Notification.ID != b.ID || all[2].Reason != "decommissioned" || d.table.Len() != 0 {
		t.Errorf("%+v", all)
	}

	d = newDesk(t)
	d.fire("failed", pd4, "c0")
	d.fire("degraded", vd0, "c0")
	d.fire("event", "", "")
	rows := d.table.Open(d.facts.ID)
	// The next start knows no rule "event", and "degraded" has another shape.
	text := strings.Replace(pack[:strings.Index(pack, "  - {id: event")], "bad: [Dgrd]", "bad: [Dgrd, Pdgd]", 1)
	next := notify.NewTable(packRules(t, text))
	next.Load(rows)
	got := next.Retire(d.at, nil)
	if len(got) != 2 || got[0].Effect != notify.Eased || got[0].Reason != "the rule degraded was changed and judges anew" ||
		got[1].Effect != notify.Closed || got[1].Reason != "the rule event is gone" || next.Len() != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLoad(t *testing.T) {
	d := newDesk(t)
	d.fire("predicted", pd4, "c0")
	d.pass()
	d.fire("failed", pd4, "c0")
	d.fire("event", "", "")
	rows := d.table.Open(d.facts.ID)
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	var back []notify.Notification
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	d.table = notify.NewTable(packRules(t, pack))
	d.table.Load([]notify.Notification{back[1], back[0]}) // any order
	if got := d.table.Open(d.facts.ID); !reflect.DeepEqual(got, rows) {
		t.Errorf("got %+v\nwant %+v", got, rows)
	}
	d.pass()
	want(t, d.resolve("failed", pd4, "c0"), notify.Eased, rows[0].ID)
	want(t, d.resolve("predicted", pd4, "c0"), notify.Closed, rows[0].ID)
}

func TestSimulatedAndHostileLabels(t *testing.T) {
	d := newDesk(t)
	d.facts.Simulated, d.facts.Site, d.facts.Name = true, "", "db\x00\n7\xff"+strings.Repeat("x", 999)
	n := d.fire("event", "disk "+strings.Repeat("é", 500)+"\x1b", "").Notification
	if n.Labels["simulated"] != "true" || !n.Simulated {
		t.Error("not labelled as simulated")
	}
	if _, ok := n.Labels["site"]; ok {
		t.Error("an empty label")
	}
	for k, v := range n.Labels {
		if len(v) > 200 || !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\x1b\n") {
			t.Errorf("label %s=%q", k, v)
		}
	}
}

// A server that names ever new devices opens a bounded number of notifications.
// Fifty of a kind within an hour have one cause: eight are told, the others are
// parts of the last of them, and it is over when all of these are.
func TestCrowd(t *testing.T) {
	d := newDesk(t)
	var last string
	for i := range 50 {
		if i%2 == 0 {
			d.pass()
		}
		tr := d.fire("event", fmt.Sprintf("service %02d", i), "")
		if i < 8 {
			last = tr.Notification.ID
			want(t, tr, notify.Opened, last)
			continue
		}
		want(t, tr, notify.Joined, last)
	}
	want(t, d.fire("failed", pd4, "c0/g0"), notify.Opened, d.table.Open(d.facts.ID)[8].ID) // of another rule
	if n := d.table.Len(); n != 9 {
		t.Errorf("%d notifications, want 8 and another rule's", n)
	}
	for i := range 50 {
		d.pass()
		tr := d.resolve("event", fmt.Sprintf("service %02d", i), "")
		if i < 7 && tr.Effect != notify.Closed || i >= 7 && i < 49 && tr.Effect != notify.Eased || i == 49 && tr.Effect != notify.Closed {
			t.Errorf("the end of %d: %s", i, tr.Effect)
		}
	}
	d.at.Time = d.at.Time.Add(time.Hour)
	for i := range 3 { // later it is another story
		d.pass()
		tr := d.fire("event", fmt.Sprintf("service %02d", i), "")
		want(t, tr, notify.Opened, tr.Notification.ID)
	}
}

func TestBounds(t *testing.T) {
	d := newDesk(t)
	for i := range 1000 {
		d.pass()
		if tr := d.fire("event", fmt.Sprintf("disk %d", i), ""); tr.Effect == notify.Ignored {
			t.Fatalf("%d: %s", i, tr.Reason)
		}
	}
	if n := d.table.Len(); n > 201 {
		t.Errorf("%d notifications", n)
	}
	for _, n := range d.table.Open(d.facts.ID) {
		if len(n.Parts) > 256 {
			t.Errorf("%d parts", len(n.Parts))
		}
		for k, v := range n.Annotations {
			if len(v) > 4<<10 {
				t.Errorf("annotation %s has %d bytes", k, len(v))
			}
		}
	}
	for i := range 1000 {
		d.pass()
		d.resolve("event", fmt.Sprintf("disk %d", i), "")
	}
	d.pass()
	d.resolve("event", "", "")
	if n := d.table.Len(); n != 0 {
		t.Errorf("%d left open", n)
	}
}

// A second drive fails while the array is degraded by the first: what the array
// said before and says now is one part, or its end would end half of it.
func TestPartStaysInOneNotification(t *testing.T) {
	d := newDesk(t)
	first := d.fire("failed", pd4, "c0/dg0").Notification.ID
	want(t, d.fire("degraded", vd0, "c0/dg0"), notify.Joined, first)
	d.pass()
	second := d.fire("failed", pd5, "c0/dg0").Notification.ID
	v := d.verdict(operator.Firing, "degraded", vd0, "c0/dg0")
	v.After = "Failed"
	d.table.Apply(v, d.facts, d.at)
	d.pass()
	for _, r := range [][2]string{{"degraded", vd0}, {"failed", pd4}, {"failed", pd5}} {
		d.resolve(r[0], r[1], "c0/dg0")
	}
	if second == first || d.table.Len() != 0 {
		t.Errorf("%d stay open though all is over: %+v", d.table.Len(), d.table.Open(d.facts.ID))
	}
}

// Problems beyond the bound share a notification per class. It goes on until
// the last of them is over, and ends then.
func TestSharedNotificationEndsWithTheLast(t *testing.T) {
	d := newDesk(t)
	place := func(i int) string { return fmt.Sprintf("physical_drive c%d/e1/s1", i) }
	for i := range 203 {
		d.fire("failed", place(i), fmt.Sprintf("c%d", i))
		d.at.Time = d.at.Time.Add(time.Hour)
		d.pass()
	}
	if d.table.Len() != 201 {
		t.Fatalf("%d open", d.table.Len())
	}
	want := func(n int, when string) {
		t.Helper()
		if d.table.Len() != n {
			t.Fatalf("%s: %d open, want %d", when, d.table.Len(), n)
		}
	}
	d.resolve("failed", place(200), "c200")
	want(201, "one of three that share it is over")
	for i := range 100 {
		d.resolve("failed", place(i), fmt.Sprintf("c%d", i))
	}
	want(101, "a hundred others are over")
	d.resolve("failed", place(201), "c201")
	want(101, "two of three")
	d.resolve("failed", place(202), "c202")
	want(100, "all three")
}

// Parts that are over make room: a notification that is open for long must not
// become deaf.
func TestPartsThatAreOverMakeRoom(t *testing.T) {
	d := newDesk(t)
	for i := range 400 {
		d.at.Entry, d.at.Time = d.at.Entry+1, d.at.Time.Add(time.Second)
		device := fmt.Sprintf("service %d", i)
		tr := d.fire("event", device, "")
		if i < 8 {
			continue // the eighth stays open and takes the others
		}
		if tr.Effect != notify.Joined {
			t.Fatalf("service %d: %s", i, tr.Effect)
		}
		d.resolve("event", device, "")
	}
	if n := d.table.Len(); n != 8 {
		t.Errorf("%d open", n)
	}
}
