package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// everyone shows a record to every rule that a record of its category may concern.
type everyone struct{ *Set }

func (s everyone) Step(ctx Context, in Input) []Verdict {
	c := in.Header.Category
	var out []Verdict
	for _, op := range s.ops {
		looks := c == record.Heartbeat
		switch op := op.(type) {
		case *absent:
			looks = looks || c == op.spec.Category
		case *await:
			looks = looks || op.spec.While == rule.WhileExpected
		}
		if looks {
			out = append(out, op.Step(ctx, in)...)
		}
	}
	out = append(out, s.relabelled(ctx, in)...)
	order(out)
	return out
}

// Whatever the rules, the records and the labels of servers, which change, the index
// leaves out no rule that has something to say, and keeps the order of what they say.
func TestHeardIndexEqualsNone(t *testing.T) {
	verdicts := map[string]int{}
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 33))
		pick := func(words ...string) string { return words[dice.IntN(len(words))] }
		var text strings.Builder
		text.WriteString("rules:\n")
		for i := range 40 {
			condition := pick(`absent: {category: heartbeat, after: 20s, goodbye: {stop: 30s, restart: 40s, shutdown: back}}`, `absent: {category: raid, after: 20s, while: heartbeat}`,
				`absent: {category: check, after: 20s}`, `absent: {category: heartbeat, after: 15s, while: shutdown}`, `absent: {category: heartbeat, after: 15s, while: expected}`,
				`clone: {quiet: 20s}`, `expires: 20s, sequence: {steps: [{boot: new}, {boot: new, within: 5m}]}`)
			servers := pick("", "servers: {site: bern}, ", "servers: {site: [ZUG, basel]}, ", "servers: {site: {not: zug}}, ", "servers: {name: s1}, ")
			fmt.Fprintf(&text, "  - {id: r%d, name: R%d, %s, %s%s}\n", i, i, tail, servers, condition)
		}
		all := rules(t, text.String())
		set, naive := newSet(t, all), everyone{newSet(t, all)}
		now, sites := epoch0, []string{"bern", "zug", "Basel"}
		epochs := []record.Epoch{{EpochRef: record.EpochRef{Start: 1, Random: 1}}, {EpochRef: record.EpochRef{Start: 2, Random: 2}}}
		for range 400 {
			now = now.Add(time.Duration(dice.IntN(6)) * time.Second)
			n := dice.IntN(3)
			in := Input{Record: &record.Record{Name: record.NameHeartbeat, Observed: now}, Header: &record.Header{Subject: serverID(n), Category: record.Heartbeat, Epoch: epochs[dice.IntN(2)]}, RecordID: fmt.Sprint(now.Unix()), Event: now}
			switch dice.IntN(8) {
			case 0:
				in.Record.Name = record.NameGoodbye
				in.Record.Attrs = []record.Attr{{Key: record.AttrReason, Value: record.String(pick("stop", "shutdown"))}, {Key: record.AttrShutdownAction, Value: record.String(pick("restart", "power off"))}}
			case 1:
				in.Header.Category = []record.Category{record.RAID, record.Check, record.EventLog}[dice.IntN(3)]
				in.Record.Name = pick("a", record.NameSourceFailed)
			case 2:
				in.Header.Category, in.Header.Producer, in.Record.Name = record.Agent, "bridge/b1/registry", record.NameLabels
				sites[n] = pick("bern", "zug", "Basel")
			case 3:
				in.Record.Attrs = []record.Attr{{Key: record.AttrBootTime, Value: record.Int(now.Truncate(2 * time.Minute).UnixNano())}}
			}
			ctx := Context{Now: now, Server: ServerFacts{ID: serverID(n), Name: fmt.Sprintf("S%d", n), Site: sites[n], Heard: dice.IntN(2) == 0}}
			if dice.IntN(80) == 0 {
				set.Forget(ctx.Server.ID)
				naive.Forget(ctx.Server.ID)
			}
			set = sometimesRestarted(t, dice, all, set)
			ticked := set.Tick(now)
			same(t, seed, ticked, naive.Tick(now))
			got := set.Step(ctx, in)
			if a, b := texts(got), texts(naive.Step(ctx, in)); !slices.Equal(a, b) {
				t.Fatalf("seed %d: %s", seed, firstDifference(a, b))
			}
			for _, v := range append(ticked, got...) {
				verdicts[all[set.byID[v.RuleID]].Kind+" "+v.Kind.String()]++
				if v.Reason == notAbout {
					verdicts["left"]++
				}
			}
		}
	}
	for _, what := range []string{"absent firing", "absent resolved", "clone firing", "sequence firing", "left"} {
		if verdicts[what] < 20 {
			t.Errorf("%s only %d times", what, verdicts[what])
		}
	}
}

// Rules about other servers, or about what a server never sent, get none of its
// heartbeats; one about a category gets those of a server that has it.
func TestHeartbeatConcernsFew(t *testing.T) {
	set := newSet(t, rules(t, "rules:\n"+
		"  - {id: a, name: A, "+tail+", absent: {category: check, after: 1h}}\n"+
		"  - {id: b, name: A, "+tail+", servers: {rack: r2}, absent: {category: heartbeat, after: 1h}}\n"+
		"  - {id: c, name: A, "+tail+", servers: {name: [s2, s3]}, clone: {quiet: 20s}}\n"+
		"  - {id: d, name: A, "+tail+", absent: {category: heartbeat, after: 1h, while: shutdown}}\n"+
		"  - {id: e, name: A, "+tail+", absent: {category: heartbeat, after: 1h, while: expected}}\n"+
		"  - {id: f, name: A, "+tail+", absent: {category: heartbeat, after: 1h}}\n"))
	asked := func(c record.Category, name string) string {
		t.Helper()
		ctx := Context{Now: epoch0, Server: ServerFacts{ID: serverID(1), Name: "s1", Rack: "r1"}}
		set.Step(ctx, Input{Record: &record.Record{Name: name, Attrs: []record.Attr{{Key: record.AttrReason, Value: record.String("shutdown")}, {Key: record.AttrShutdownAction, Value: record.String("power off")}}}, Header: &record.Header{Category: c, Subject: ctx.Server.ID}})
		var ids []string
		for _, at := range set.heard.places {
			ids = append(ids, string(rune('a'+at)))
		}
		return strings.Join(ids, "")
	}
	for _, c := range []struct {
		category record.Category
		name     string
		want     string
	}{
		{record.Heartbeat, record.NameHeartbeat, "f"},
		{record.Check, "x", "a"},
		{record.Heartbeat, record.NameHeartbeat, "af"},
		{record.Heartbeat, record.NameGoodbye, "adf"}, // now it is waited for
		{record.Heartbeat, record.NameHeartbeat, "adf"},
		{record.Heartbeat, record.NameHeartbeat, "af"},
	} {
		if got := asked(c.category, c.name); got != c.want {
			t.Errorf("%s %s: asked %q, want %q", c.category, c.name, got, c.want)
		}
	}
}
