package operator

import (
	"reflect"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// TestStateTellsTheNote: what a device says of itself when it becomes bad is
// still there when the rule's time is over, also after a restart.
func TestStateTellsTheNote(t *testing.T) {
	rules, err := rule.Parse("r.yml", []byte(`
rules:
  - id: r
    name: R
    class: c
    severity: warning
    for: 2m
    summary: s
    runbook: server#silent
    state: {device: check, field: state, bad: [critical]}
`))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	snap := &record.Snapshot{Devices: []record.Device{{Type: record.DeviceCheck, Place: "backup", Fields: []record.Attr{
		{Key: record.FieldState, Value: record.String("critical")}, {Key: record.FieldText, Value: record.String("last backup 50 h old")}}}}}
	ctx := Context{Now: now, Server: ServerFacts{ID: record.ID{1}}}
	s := newState(rules[0])
	if out := s.Step(ctx, Input{Record: &record.Record{Snapshot: snap}, Current: snap}); len(out) != 0 {
		t.Fatalf("fires at once: %+v", out)
	}
	again := newState(rules[0])
	for _, saved := range s.Save(false) {
		if err := again.Load(saved); err != nil {
			t.Fatal(err)
		}
	}
	for _, op := range []Operator{s, again} {
		out := op.Tick(now.Add(2 * time.Minute))
		want := []record.Attr{{Key: FieldSerial, Value: record.String("")}, {Key: FieldMessage, Value: record.String("last backup 50 h old")}}
		if len(out) != 1 || !reflect.DeepEqual(out[0].Fields, want) {
			t.Errorf("got %+v, want the fields %+v", out, want)
		}
	}
}
