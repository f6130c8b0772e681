package operator

import (
	"fmt"
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
