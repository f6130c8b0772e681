package alerts_test

import (
	"fmt"
	"testing"
	"time"

	"nocturne/alerts"
	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// What the default rules cost per record: an ordinary event, a heartbeat, and a
// RAID snapshot of 24 drives in which only temperatures changed, with and
// without comparing it.
func BenchmarkPack(b *testing.B) {
	rules, err := rule.ParseFS(alerts.Files(), "records")
	if err != nil {
		b.Fatal(err)
	}
	set, err := operator.NewSet(rules)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	ctx := operator.Context{Now: now, Server: operator.ServerFacts{ID: record.ID{1}, Name: "db7"}}
	input := func(c record.Category, r *record.Record) operator.Input {
		return operator.Input{Record: r, Header: &record.Header{Category: c, Subject: ctx.Server.ID}, RecordID: "x"}
	}
	event := input(record.EventLog, &record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String("Service Control Manager")},
		{Key: record.AttrEventID, Value: record.Int(7036)}, {Key: record.AttrLevel, Value: record.String("info")}}})
	beat := input(record.Heartbeat, &record.Record{Name: record.NameHeartbeat, Observed: now})
	snap := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}, {Type: record.DeviceVirtualDrive}}}
	for i := range 24 {
		snap.Devices = append(snap.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: fmt.Sprintf("c0/e252/s%d", i), Occupant: fmt.Sprintf("ZA%06d", i), Fields: []record.Attr{
			{Key: "state", Value: record.String("Onln")}, {Key: "model", Value: record.String("ST4000NM0035")}, {Key: "firmware", Value: record.String("TN05")},
			{Key: "predictive_failures", Value: record.Int(0)}, {Key: "smart_alert", Value: record.Bool(false)}, {Key: "media_errors", Value: record.Int(0)},
			{Key: "temperature_celsius", Value: record.Int(30)}, {Key: "drive_group", Value: record.Int(int64(i / 8))}}})
	}
	known := diff.Merge(nil, snap)
	raid := input(record.RAID, &record.Record{Name: record.NameSnapshot, Snapshot: snap})
	raid.Current = known
	b.Run("event", func(b *testing.B) {
		for b.Loop() {
			set.Step(ctx, event)
		}
	})
	b.Run("heartbeat", func(b *testing.B) {
		for b.Loop() {
			set.Step(ctx, beat)
		}
	})
	b.Run("raid", func(b *testing.B) {
		for b.Loop() {
			set.Step(ctx, raid)
		}
	})
	b.Run("raid/compared", func(b *testing.B) {
		for b.Loop() {
			in := raid
			in.Changes, in.Current = diff.Compare(known, snap)
			set.Step(ctx, in)
		}
	})
}
