package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A rule about silence is deleted while servers are silent: the fleet operator
// must not go on counting them for ever, nor keep what spoke for them open.
func TestDeletedSilenceRuleEndsFolds(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		w.add(i+1, "srv"+string(rune('a'+i)), "fra", "r1")
	}
	w.run(2 * time.Minute)
	for _, s := range w.sims[:4] {
		s.bye() // no heartbeat is missing: only the rule says that they are silent
	}
	w.run(6 * time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.generation(testRules(t), nil)
	d.must()
	if got := strings.Join(told(t, s), "\n"); !strings.Contains(got, "silence-group") {
		t.Fatalf("not told as one: %s", got)
	}
	d.generation(parsed(t, fmt.Sprintf(bystander, "other", "info", "x", "1m")), nil)
	d.must()
	w.run(time.Second) // facts wait until all partitions are past them
	d.must()
	for _, line := range told(t, s) {
		if strings.Contains(line, "firing") {
			t.Errorf("still open: %s", line)
		}
	}
	for _, s := range w.sims {
		s.silent = false
	}
	w.run(2 * time.Minute)
	d.must()
	if n := len(d.fleet.fleet.Members); n != 0 {
		t.Errorf("%d servers count as silent though all are back", n)
	}
}

// The same for servers that are expected and never came.
func TestDeletedExpectationEndsFolds(t *testing.T) {
	const expects = `rules:
  - {id: never, name: Never, class: never-heard, severity: warning, summary: n, runbook: a#b, absent: {category: heartbeat, after: 30s, while: expected}}
`
	w := newWorld(t)
	for i := range 4 {
		w.add(i+1, "srv"+string(rune('a'+i)), "fra", "r1").silent = true
	}
	w.add(9, "other", "ber", "r1")
	w.run(time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s, parsed(t, expects)...)
	d.generation(parsed(t, expects), nil)
	d.must()
	var o outcome
	d.fleet.fleet.tick(w.now.Add(missingWait), &o)
	go d.engine.committer.run(t.Context())
	if err := d.fleet.commit(ctx, &o, nil, w.now); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(told(t, s), "\n"); !strings.Contains(got, "never-heard-group site fra firing") {
		t.Fatalf("not told as one: %s", got)
	}
	d.generation(parsed(t, fmt.Sprintf(bystander, "other", "info", "x", "1m")), nil)
	d.must()
	w.run(time.Second) // facts wait until all partitions are past them
	d.must()
	for _, line := range told(t, s) {
		if strings.Contains(line, "firing") {
			t.Errorf("still open: %s", line)
		}
	}
	if n := len(d.fleet.fleet.Missing); n != 0 {
		t.Errorf("%d servers count as missing though nothing expects them", n)
	}
}
