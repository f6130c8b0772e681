package operator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// manyRules makes n match rules about different providers and event ids.
func manyRules(n int) []*rule.Rule {
	out := make([]*rule.Rule, n)
	for i := range out {
		out[i] = &rule.Rule{ID: fmt.Sprintf("r%d", i), Name: "R", Class: "c", Severity: rule.Warning, Expires: time.Hour, Kind: "match",
			Spec: &rule.Match{Where: rule.Conditions{Provider: []string{fmt.Sprintf("provider-%d", i%500)}, EventID: []int64{int64(i / 500), 1000 + int64(i)}, Channel: []string{"System"}}}}
	}
	return out
}

func event(provider string, id int64) *record.Record {
	return &record.Record{Name: record.NameWindowsEvent, Body: "The device has a bad block.", Attrs: []record.Attr{
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(provider)},
		{Key: record.AttrEventID, Value: record.Int(id)}, {Key: record.AttrLevel, Value: record.String("error")}}}
}

// The cost of a record must not grow with the rules that cannot match.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		set := newSet(b, manyRules(n))
		ctx := Context{Now: epoch0, Server: ServerFacts{ID: serverID(1)}}
		h := &record.Header{Category: record.EventLog, Subject: ctx.Server.ID}
		for name, r := range map[string]*record.Record{"miss": event("Service Control Manager", 7036), "provider": event("Provider-0", 999), "hit": event("Provider-0", 0)} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					set.Step(ctx, Input{Record: r, Header: h})
				}
			})
		}
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	set := newSet(b, rules(b, silentRule))
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		beat(set, i%1000, epoch0.Add(time.Duration(i)*time.Millisecond))
		i++
	}
}

func BenchmarkTick(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			set := newSet(b, manyRules(n))
			now := epoch0
			for b.Loop() {
				now = now.Add(time.Second)
				set.Tick(now)
			}
		})
	}
}

const sequenceRules = `rules:
  - {id: no-rebuild, name: A, class: c, severity: warning, summary: s, runbook: a#b, sequence: {per: controller, steps: [{state: {device: virtual_drive, field: state, is: [Dgrd, Pdgd]}}, {not: {state: {device: physical_drive, field: state, is: Rbld}}, within: 30m}], until: {state: {device: virtual_drive, field: state, is: Optl}}}}
  - {id: crash, name: B, class: c, severity: warning, expires: 1h, summary: s, runbook: a#b, sequence: {steps: [{any: [{event: {provider: kernel-power, event_id: 41}}, {event: {provider: eventlog, event_id: 6008}}]}, {event: {provider: bugcheck, event_id: 1001}, within: 15m}]}}
`

// A sequence costs a record that is none of its steps next to nothing; begun is
// a storm of first steps.
func BenchmarkSequence(b *testing.B) {
	drives := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}, {Type: record.DeviceVirtualDrive}}}
	for i := range 24 {
		drives.Devices = append(drives.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: fmt.Sprintf("c0/e1/s%d", i), Fields: []record.Attr{{Key: record.FieldState, Value: record.String("Onln")}}})
	}
	drives.Devices = append(drives.Devices, record.Device{Type: record.DeviceVirtualDrive, Place: "c0/v0", Fields: []record.Attr{{Key: record.FieldState, Value: record.String("Optl")}}})
	snapshot := &record.Record{Name: record.NameSnapshot, Snapshot: drives}
	for name, r := range map[string]*record.Record{"miss": event("Service Control Manager", 7036), "begun": event("Kernel-Power", 41), "snapshot": snapshot} {
		b.Run(name, func(b *testing.B) {
			set := newSet(b, rules(b, sequenceRules))
			now, n := epoch0, 0
			b.ReportAllocs()
			for b.Loop() {
				if n++; n%100 == 0 {
					now = now.Add(time.Second)
					set.Tick(now)
				}
				in := Input{Record: r, Header: &record.Header{Category: record.EventLog}, RecordID: "r" + fmt.Sprint(n), Event: now}
				if r.Snapshot != nil {
					in.Current = drives
				}
				set.Step(Context{Now: now, Server: ServerFacts{ID: serverID(n % 100)}, Previous: in.Current}, in)
			}
		})
	}
}

// kinds are rules of every kind, by what they have to do with the records of
// BenchmarkKinds: the first cannot match; those that end in -matches are about the
// record's server and what it is, so that each has to take it. %d is the rule's number.
var kinds = []struct{ name, sees, condition string }{
	{"match", "event", `expires: 1h, match: {provider: other%d, event_id: 7}`},
	{"match-cel", "event", `expires: 1h, match: {if: 'provider == "other%d" && event_id == 7'}`},
	{"count-events", "event", `count: {event: {provider: other%d}, more_than: 3, within: 1h}`},
	{"sequence-events", "event", `expires: 1h, sequence: {steps: [{event: {provider: other%d}}, {event: {provider: another}, within: 5m}]}`},
	{"state", "snapshot", `state: {device: memory, field: state, bad: [bad%d]}`},
	{"change", "snapshot", `expires: 1h, change: {device: memory, kinds: [replaced]}`},
	{"flap", "snapshot", `flap: {device: memory, field: f%d, changes: 3, within: 10m}`},
	{"count-field", "snapshot", `count: {counter: {device: memory, field: f%d}, more_than: 3, within: 1h}`},
	{"sequence-states", "snapshot", `expires: 1h, sequence: {per: device, steps: [{state: {device: memory, field: state, is: s%d}}, {state: {device: memory, field: state, is: x}, within: 5m}]}`},
	{"flap-well", "snapshot", `flap: {device: physical_drive, field: state, changes: 3, within: 10m}`},
	{"state-well", "snapshot", `state: {device: physical_drive, field: state, bad: [bad%d]}`},
	{"state-limit", "snapshot", `state: {device: physical_drive, field: errors, above: %d}`},
	{"absent-category", "heartbeat", `absent: {category: check, after: 1h}`},
	{"absent-elsewhere", "heartbeat", `servers: {rack: other%d}, absent: {category: heartbeat, after: 1h}`},
	{"absent-awaits", "heartbeat", `absent: {category: heartbeat, after: 1d, while: shutdown}`},
	{"clone-elsewhere", "heartbeat", `servers: {rack: other%d}, clone: {quiet: 20s}`},

	{"match-matches", "event", `expires: 1h, match: {provider: service control manager, event_id: 7036}`},
	{"state-matches", "snapshot", `state: {device: physical_drive, field: state, bad: [onln]}`},
	{"count-matches", "snapshot", `count: {counter: {device: physical_drive, field: errors}, more_than: 3, within: 1h}`},
	{"sequence-matches", "snapshot", `expires: 1h, sequence: {per: device, steps: [{state: {device: physical_drive, field: state, is: s%d}}, {state: {device: physical_drive, field: state, is: x}, within: 5m}]}`},
	{"absent-matches", "heartbeat", `absent: {category: heartbeat, after: 1h}`},
	{"clone-matches", "heartbeat", `clone: {quiet: 20s}`},
}

// many returns n rules of a condition.
func many(b *testing.B, condition string, n int) (out []*rule.Rule) {
	const file = 2000 // more do not fit in one
	for from := 0; from < n; from += file {
		var text strings.Builder
		text.WriteString("rules:\n")
		for i := from; i < min(n, from+file); i++ {
			own := condition
			if strings.Contains(own, "%d") {
				own = fmt.Sprintf(own, i)
			}
			fmt.Fprintf(&text, "  - {id: r%d, name: R%d, class: c, severity: warning, summary: s, runbook: a#b, %s}\n", i, i, own)
		}
		out = append(out, rules(b, text.String())...)
	}
	return out
}

// BenchmarkKinds is records a second and core, by kind and number of rules. An
// event is of a provider that no rule names; a snapshot has 24 drives and a
// volume and comes unchanged.
func BenchmarkKinds(b *testing.B) {
	drives := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}, {Type: record.DeviceVirtualDrive}}}
	for i := range 24 {
		drives.Devices = append(drives.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: fmt.Sprintf("c0/e1/s%d", i), Fields: []record.Attr{{Key: "errors", Value: record.Int(0)}, {Key: record.FieldState, Value: record.String("Onln")}}})
	}
	drives.Devices = append(drives.Devices, record.Device{Type: record.DeviceVirtualDrive, Place: "c0/v0", Fields: []record.Attr{{Key: record.FieldState, Value: record.String("Optl")}}})
	inputs := map[string]Input{
		"event":     {Record: event("Service Control Manager", 7036), Header: &record.Header{Category: record.EventLog}},
		"snapshot":  {Record: &record.Record{Name: record.NameSnapshot, Snapshot: drives}, Header: &record.Header{Category: record.RAID}, Current: drives},
		"heartbeat": {Record: &record.Record{Name: record.NameHeartbeat}, Header: &record.Header{Category: record.Heartbeat}},
	}
	for _, k := range kinds {
		numbers := []int{1, 100, 10_000}
		if strings.HasSuffix(k.name, "-matches") {
			numbers = numbers[:2] // each rule costs what it costs
		}
		for _, n := range numbers {
			b.Run(fmt.Sprintf("%s/rules=%d", k.name, n), func(b *testing.B) {
				set := newSet(b, many(b, k.condition, n))
				in := inputs[k.sees]
				now, seen := epoch0, 0
				for b.Loop() {
					if seen++; seen%1000 == 0 {
						now = now.Add(time.Second)
					}
					ctx := Context{Now: now, Server: ServerFacts{ID: serverID(seen % 100)}, Previous: in.Current}
					in.Event, in.Seq = now, uint64(seen)
					set.Step(ctx, in)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
