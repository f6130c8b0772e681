package operator_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// Stays are "SERVER PLACE SERIAL SINCE-UNTIL", in hours; no UNTIL = it is there, a
// UNTIL with ! = its server was decommissioned.
func stays(t *testing.T, text string) []operator.Stay {
	t.Helper()
	var out []operator.Stay
	for _, part := range strings.Split(text, ",") {
		f := strings.Fields(part)
		since, until, _ := strings.Cut(f[3], "-")
		s := operator.Stay{Server: record.ID{f[0][0]}, Place: f[1], Serial: f[2], Type: "physical_drive", Since: hour(t, since)}
		if until, s.Retired = strings.CutSuffix(until, "!"); until != "" {
			s.Until = hour(t, until)
		}
		out = append(out, s)
	}
	return out
}

func hour(t *testing.T, s string) time.Time {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour)
}

func TestPassages(t *testing.T) {
	for _, c := range []struct {
		why, stays       string
		server           string
		at, seen, judged string
		want             string
	}{
		{"it left and came", "A s1 Z1 1-5, B s2 Z1 6-", "B", "6", "", "5", "A s1 > B s2"},
		{"the end that is earlier says nothing", "A s1 Z1 1-5, B s2 Z1 6-", "A", "5", "4", "4", ""},
		{"unless the later one was judged without it", "A s1 Z1 1-5, B s2 Z1 6-", "A", "5", "4", "7", "A s1 > B s2"},
		{"it came before it was missed", "A s1 Z1 1-6, B s2 Z1 5-", "A", "6", "4", "5", "A s1 > B s2"},
		{"it came, and is still there", "A s1 Z1 1-, B s2 Z1 5-", "B", "5", "4", "4", ""},
		{"the old server showed it since: two parts", "A s1 Z1 1-7, B s2 Z1 5-", "A", "7", "6", "6", ""},
		{"when that one spoke before is not known", "A s1 Z1 1-7, B s2 Z1 5-", "A", "7", "", "6", "A s1 > B s2"},
		{"both at the same moment", "A s1 Z1 1-5, B s2 Z1 5-", "A", "5", "4", "4", "A s1 > B s2"},
		{"too long on its way", "A s1 Z1 1-5, B s2 Z1 726-", "B", "726", "", "725", ""},
		{"just in time", "A s1 Z1 1-5, B s2 Z1 725-", "B", "725", "", "724", "A s1 > B s2"},
		{"a third has it", "A s1 Z1 1-5, B s2 Z1 6-, C s1 Z1 2-", "B", "6", "", "5", ""},
		{"a third had it between", "A s1 Z1 1-5, C s1 Z1 5-6, B s2 Z1 6-", "B", "6", "", "5", "C s1 > B s2"},
		{"and back", "A s1 Z1 1-5, B s2 Z1 6-8, A s3 Z1 9-", "A", "9", "8", "8", "B s2 > A s3"},
		{"within a server from slot to slot, then away", "A s1 Z1 1-3, A s4 Z1 3-5, B s2 Z1 6-", "B", "6", "", "5", "A s4 > B s2"},
		{"gone and back within a moment", "A s1 Z1 1-5, B s2 Z1 6-, A s1 Z1 8-8, A s1 Z1 8-9", "B", "6", "", "5", "A s1 > B s2"},
		{"the same in another order", "A s1 Z1 8-9, A s1 Z1 8-8, B s2 Z1 6-, A s1 Z1 1-5", "B", "6", "", "5", "A s1 > B s2"},
		{"gone within a moment and back for good", "A s1 Z1 1-5, B s2 Z1 6-, A s1 Z1 8-, A s1 Z1 8-8", "B", "6", "", "5", "A s1 > B s2"},
		{"out of one that was decommissioned", "A s1 Z1 1-5!, B s2 Z1 6-", "B", "6", "", "5", "decommissioned A s1 > B s2"},
		{"out of one that is decommissioned later", "A s1 Z1 1-9!, B s2 Z1 6-", "A", "9", "4", "6", "decommissioned A s1 > B s2"},
		{"of one that showed it since, and is decommissioned", "A s1 Z1 1-9!, B s2 Z1 6-", "A", "9", "7", "6", ""},
		{"long after that", "A s1 Z1 1-5!, B s2 Z1 726-", "B", "726", "", "725", ""},
		{"out of a server and back", "A s1 Z1 1-3, A s4 Z1 4-", "A", "4", "3", "3", ""},
		{"twice in one server", "A s1 Z1 1-5, A s2 Z1 1-, B s2 Z1 6-", "B", "6", "", "5", ""},
		{"no number", "A s1 00000000 1-5, B s2 00000000 6-", "B", "6", "", "5", ""},
		{"of two parts each its own", "A s1 Z1 1-5, A s2 Z2 1-5, B s1 Z2 6-, B s2 Z1 6-", "B", "6", "", "5", "A s1 > B s2, A s2 > B s1"},
	} {
		s := operator.Sighting{Server: record.ID{c.server[0]}, At: hour(t, c.at), Judged: hour(t, c.judged)}
		if c.seen != "" {
			s.Seen = hour(t, c.seen)
		}
		var got []string
		all := stays(t, c.stays)
		for _, p := range operator.Passages(all, s, rule.DefaultAcross) {
			from := string(rune(p.From[0]))
			if p.Retired {
				from = "decommissioned " + from
			}
			got = append(got, fmt.Sprintf("%s %s > %c %s", from, p.FromPlace, p.To[0], p.Place))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

// Rules choose types, servers and times; planned work of either server mutes.
func TestMoved(t *testing.T) {
	pack := func(rest string) *rule.Rule {
		t.Helper()
		rules, err := rule.Parse("r.yml", []byte("rules:\n  - {id: m, name: M, class: moved, severity: info, expires: 1h, summary: '{{ .Server }}', runbook: hardware#part-moved, "+rest+"}\n"+
			"windows:\n  - {id: w, who: ann, why: spares, servers: {rack: r9}, from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return rules[0]
	}
	p := operator.Passage{Serial: "Z1", Type: "physical_drive", From: record.ID{1}, To: record.ID{2}, FromPlace: "s1", Place: "s2", Left: hour(t, "5"), Came: hour(t, "7")}
	from, to := operator.ServerFacts{Name: "db1", Rack: "r1"}, operator.ServerFacts{Name: "db2", Rack: "r2", Site: "bern"}
	old := p
	old.Retired = true
	if v, ok := operator.Moved(pack("change: {device: physical_drive, kinds: [moved], across: true}"), &old, from, to, "rec"); !ok || v.Reason != "moved here from decommissioned db1 s1 (serial Z1)" {
		t.Errorf("out of a decommissioned server: %+v", v)
	}
	for _, c := range []struct{ rest, rack, want string }{
		{"change: {device: physical_drive, kinds: [moved], across: true}", "r2", "firing physical_drive s2: moved here from db1 s1 (serial Z1)"},
		{"change: {device: physical_drive, kinds: [moved], across: 2h}", "r2", "firing physical_drive s2: moved here from db1 s1 (serial Z1)"},
		{"change: {device: physical_drive, kinds: [moved], across: 1h}", "r2", ""},
		{"change: {device: memory, kinds: [moved], across: true}", "r2", ""},
		{"change: {device: physical_drive, kinds: [moved]}", "r2", ""},
		{"servers: {site: bern}, change: {device: physical_drive, kinds: [moved], across: true}", "r2", "firing physical_drive s2: moved here from db1 s1 (serial Z1)"},
		{"servers: {site: zug}, change: {device: physical_drive, kinds: [moved], across: true}", "r2", ""},
		{"change: {device: physical_drive, kinds: [moved], across: true}", "r9", "muted physical_drive s2: planned: w (ann, spares) until 2026-01-02 00:00 UTC: moved here from db1 s1 (serial Z1)"},
	} {
		to.Rack = c.rack
		got := ""
		if v, ok := operator.Moved(pack(c.rest), &p, from, to, "rec"); ok {
			got = fmt.Sprintf("%s %s: %s", v.Kind, v.Device, v.Reason)
		}
		if got != c.want {
			t.Errorf("%s, rack %s: %q, want %q", c.rest, c.rack, got, c.want)
		}
	}
}
