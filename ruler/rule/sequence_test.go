package rule_test

import (
	"reflect"
	"testing"
	"time"

	"nocturne/ruler/rule"
)

const sequences = `rules:
  - id: rebuild-failed
    name: RebuildFailed
    class: drive
    severity: critical
    summary: s
    runbook: a#b
    sequence:
      per: device
      tolerance: 10s
      steps:
        - state: {device: physical_drive, field: state, is: [Rbld, Rebuild]}
        - state: {device: physical_drive, field: state, is_not: Onln}
          within: 2d
      until: {change: {device: physical_drive, kinds: [replaced]}}
      resolve:
        - state: {device: physical_drive, field: state, is: Rbld}
        - state: {device: physical_drive, field: state, is: Onln}
  - {id: b, name: B, class: c, severity: info, summary: s, runbook: a#b, sequence: {steps: [{any: [{boot: new}, {event: {provider: X, event_id: 1}}], times: 3, within: 1h}, {not: {event: {provider: y}}, within: 5m}]}}
  - {id: c, name: C, class: c, severity: info, expires: 1d, summary: s, runbook: a#b, sequence: {per: controller, steps: [{event: {provider: x, device: {type: nic, attr: n}}, times: 2, within: 1h}]}}
`

func TestSequence(t *testing.T) {
	rules := parse(t, sequences)
	became := func(is, isNot []string) rule.Trigger {
		return rule.Trigger{Any: []rule.Occurrence{{State: &rule.Became{DeviceField: rule.DeviceField{Device: "physical_drive", Field: "state"}, Is: is, IsNot: isNot}}}}
	}
	event := func(provider string, ids []int64, d rule.DeviceRef) rule.Occurrence {
		return rule.Occurrence{Event: &rule.CountedEvent{Where: rule.Conditions{Provider: []string{provider}, EventID: ids}, Device: d}}
	}
	missed := rule.Trigger{Any: []rule.Occurrence{event("y", nil, rule.DeviceRef{})}}
	want := []rule.Spec{
		&rule.Sequence{Per: rule.PerDevice, Tolerance: 10 * time.Second,
			Steps: []rule.Step{{Trigger: became([]string{"Rbld", "Rebuild"}, nil), Times: 1}, {Trigger: became(nil, []string{"Onln"}), Times: 1, Within: 48 * time.Hour}},
			Until: &rule.Trigger{Any: []rule.Occurrence{{Change: &rule.Change{Devices: []string{"physical_drive"}, Kinds: []string{"replaced"}}}}}, Resolve: []rule.Trigger{became([]string{"Rbld"}, nil), became([]string{"Onln"}, nil)}},
		&rule.Sequence{Per: rule.PerServer, Tolerance: rule.DefaultTolerance, Resolve: []rule.Trigger{missed},
			Steps: []rule.Step{{Trigger: rule.Trigger{Any: []rule.Occurrence{{Boot: true}, event("x", []int64{1}, rule.DeviceRef{})}}, Times: 3, Within: time.Hour}, {Trigger: missed, Not: true, Times: 1, Within: 5 * time.Minute}}},
		&rule.Sequence{Per: rule.PerController, Tolerance: rule.DefaultTolerance,
			Steps: []rule.Step{{Trigger: rule.Trigger{Any: []rule.Occurrence{event("x", nil, rule.DeviceRef{Type: "nic", Attr: "n"})}}, Times: 2, Within: time.Hour}}},
	}
	explained := []string{
		"RebuildFailed (rebuild-failed, problem class drive, severity critical)\nFires when the state of a physical_drive becomes Rbld or Rebuild, then within 2d: the state of a physical_drive becomes another than Onln, of one device; what has begun is dropped when a physical_drive is replaced; clears when the state of a physical_drive becomes Rbld and then when the state of a physical_drive becomes Onln, or when the device is gone that it began with.",
		"B (b, problem class c, severity info)\nFires when 3 times within 1h: the server boots, or an event from provider x with id 1 comes, then not within 5m: an event from provider y comes; clears when an event from provider y comes.",
		"C (c, problem class c, severity info)\nFires when 2 times within 1h: an event from provider x about a nic comes, of one controller; clears 1d after it fired or went on, or when the device is gone that it began with.",
	}
	for i, r := range rules {
		if !reflect.DeepEqual(r.Spec, want[i]) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", r.ID, r.Spec, want[i])
		}
		if got := rule.Explain(r); got != explained[i] {
			t.Errorf("got:  %s\nwant: %s", got, explained[i])
		}
	}
}

func TestBecameHolds(t *testing.T) {
	f := func(b rule.Became, value string, want bool) {
		t.Helper()
		if b.Holds(value) != want {
			t.Errorf("%+v, %q: %t", b, value, !want)
		}
	}
	f(rule.Became{Is: []string{"Rbld", "Onln"}}, "onln", true)
	f(rule.Became{Is: []string{"Rbld", "Onln"}}, "Failed", false)
	f(rule.Became{IsNot: []string{"Rbld", "Onln"}}, "ONLN", false)
	f(rule.Became{IsNot: []string{"Rbld", "Onln"}}, "Failed", true)
}
