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
