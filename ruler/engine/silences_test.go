package engine

import (
	"encoding/json"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// An acknowledgement covers what was known: it ends with the problem, and when
// that gets worse. A silence stays until its time.
func TestAcknowledgementsOutlived(t *testing.T) {
	s := openStore(t)
	pos := store.Position{}
	claim, err := s.Claim(ctx, 1, "test")
	if err != nil {
		t.Fatal(err)
	}
	put := func(id string, state store.NotificationState, escalations int) {
		t.Helper()
		raw, err := json.Marshal(notify.Notification{ID: id, State: notify.State(state), Escalations: make([]notify.Escalation, escalations)})
		if err != nil {
			t.Fatal(err)
		}
		to := store.Position{Incarnation: "i", Entry: pos.Entry + 1}
		n := store.Notification{ID: id, Server: record.ID{1}, State: state, Severity: "warning", Saved: raw, Opened: t0, Changed: t0}
		if err := s.Commit(ctx, []store.PartitionCommit{{Partition: 1, Epoch: claim.Epoch, From: pos, To: to, Notifications: []store.Notification{n}}}); err != nil {
			t.Fatal(err)
		}
		pos = to
	}
	do := func(id string, kind store.DeedKind, silence store.Silence) {
		t.Helper()
		silence.ID, silence.Notification, silence.Starts, silence.Actor, silence.Reason = string(kind)+"-"+id, id, t0, "alice", "on it"
		silence.Matchers = []store.Matcher{{Name: "notification_id", Value: id}, {Name: "severity", Value: "info|warning", Regex: true}, {Name: "site", Value: "x", Not: true}}
		if _, err := s.Do(ctx, store.Deed{Notification: id, Kind: kind, Revision: store.AnyRevision, At: t0, Actor: "alice", Silence: &silence}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"goes-on", "worse", "over"} {
		put(id, store.Firing, 0)
		do(id, store.Acknowledge, store.Silence{Kind: store.SilenceAck, Sets: 1})
	}
	do("over", store.SilenceIt, store.Silence{Kind: store.SilenceOne, Ends: time.Now().Add(time.Hour)})
	o := Outbox{Store: s}
	list := func() map[string]notify.Silence {
		t.Helper()
		got, err := o.Silences(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]notify.Silence{}
		for _, v := range got {
			out[v.ID] = v
		}
		return out
	}
	if got := list(); len(got) != 4 || got["acknowledge-over"].Ended != "over" || got["silence-over"].Ended != "" || got["silence-over"].Ends.IsZero() {
		t.Errorf("%+v", got)
	} else if m := got["acknowledge-worse"].Matchers; len(m) != 3 || !m[0].IsEqual || m[0].IsRegex || !m[1].IsRegex || m[2].IsEqual {
		t.Errorf("matchers %+v", m)
	}
	put("worse", store.Firing, 1)
	put("over", store.Resolved, 0)
	got := list()
	_, goesOn := got["acknowledge-goes-on"]
	_, silence := got["silence-over"]
	if len(got) != 2 || !goesOn || !silence {
		t.Errorf("standing %+v", got)
	}
	for id, why := range map[string]string{"worse": "it got worse", "over": "it is over"} {
		d, err := s.Notification(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if last := d.Deeds[len(d.Deeds)-1]; last.Actor != "ruler" || last.Text != why || !d.Work.Acked.IsZero() {
			t.Errorf("%s: %+v %+v", id, last, d.Work)
		}
	}
	if err := o.Silenced(ctx, []notify.SilenceResult{{Silence: "acknowledge-goes-on", Target: "http://am", At: t0, Error: "refused"}}); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Notification(ctx, "goes-on"); err != nil || len(d.Silences[0].Targets) != 1 || d.Silences[0].Targets[0].Error != "refused" {
		t.Errorf("%+v %v", d.Silences, err)
	}
}
