package engine

import (
	"testing"
	"time"

	"nocturne/ruler/rule"
)

// A condition that cannot be evaluated is counted, with the reason, and opens
// nothing.
func TestConditionFailures(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(10 * time.Second)
	a.event("disk", 7)
	a.event("disk", 7)
	s := openStore(t)
	rules, err := rule.Parse("x.yml", []byte(`{id: x, name: X, class: c, severity: info, expires: 1h, summary: s, runbook: a#b, match: {provider: disk, if: 'int(data.nothing) > 3'}}`))
	if err != nil {
		t.Fatal(err)
	}
	seen := &watched{s, make(chan struct{}, 1)}
	r := start(t, Config{Log: w.log, Store: seen, Rules: rules, Now: wall(w.now)})
	seen.until(t, "all committed", func() bool { return atHead(t, s, w.log) })
	r.end(t)
	if f := r.engine.ConditionFailures()["x"]; f.Records != 2 || f.Reason != "the condition cannot be evaluated: the record has no nothing" || f.RecordID == "" || f.At.IsZero() {
		t.Errorf("%+v", f)
	}
	var told failures
	one := map[string]Failure{"x": {Records: 1, Reason: "why"}}
	if log := told.add(one, t0); len(log) != 1 {
		t.Error("the first is not in the log")
	}
	if log := told.add(one, t0.Add(time.Second)); len(log) != 0 {
		t.Error("each is in the log")
	}
	if log := told.add(one, t0.Add(time.Hour)); log["x"].Records != 3 {
		t.Errorf("an hour later: %v", log)
	}
}
