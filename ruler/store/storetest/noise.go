package storetest

import (
	"reflect"
	"testing"
	"time"

	"nocturne/ruler/store"
)

func noise(t *testing.T, f *fixture) {
	loud, brief, old, muted := problem("loud", 1), problem("brief", 2), problem("old", 1), problem("muted", 1)
	loud.Opened, brief.Opened, muted.Opened = at(2*time.Hour), at(2*time.Hour), at(2*time.Hour)
	brief.State, brief.Resolved = store.Resolved, at(2*time.Hour+time.Minute)
	muted.Muted, old.RuleID, muted.RuleID = "maintenance", "old-rule", "muted-rule"
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{loud, brief, old, muted}, Servers: []store.ServerWrite{
		{ID: id(1), Partition: 1, Labels: &store.ServerLabels{Enrolled: at(-time.Hour)}}, {ID: id(2), Partition: 1, Labels: &store.ServerLabels{Enrolled: at(90 * time.Minute)}}}})
	told := func(n, target string, s store.NotificationState, first time.Duration, failed string) store.Delivery {
		return store.Delivery{Notification: n, Target: target, State: s, First: at(first), At: at(first), Attempts: 1, Error: failed}
	}
	err := f.RecordDeliveries(ctx, []store.Delivery{
		told("loud", "am1", store.Firing, 2*time.Hour, ""), told("loud", "am2", store.Firing, 2*time.Hour, ""), told("loud", "am1", "escalated-1", 3*time.Hour, ""),
		told("brief", "am1", store.Firing, 2*time.Hour, ""), told("brief", "am1", store.Resolved, 2*time.Hour, ""), told("brief", "am2", store.Resolved, 2*time.Hour, "refused"),
		told("old", "am1", store.Firing, 0, ""), told("old", "am1", "escalated-1", 4*time.Hour, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	must[store.Work](t)(f.Do(ctx, store.Deed{Notification: "loud", Kind: store.Acknowledge, At: at(3 * time.Hour), Actor: "alice", Silence: ack("loud", 0)}))
	got := must[store.Noise](t)(f.Noise(ctx, at(time.Hour)))
	want := store.Noise{From: at(time.Hour), Servers: 2, Rules: []store.RuleNoise{
		{RuleID: "drive-failed", Messages: 4, Notifications: 2, Servers: 2, Brief: 1, Acknowledged: 1}, {RuleID: "old-rule", Messages: 1}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := must[store.Noise](t)(f.Noise(ctx, at(-48*time.Hour))).From; !got.Equal(at(-time.Hour)) {
		t.Errorf("counted from %s, want the first enrolment", got)
	}
	if v := want.PerServerWeek(4, at(time.Hour+84*time.Hour)); v != 4 {
		t.Errorf("%v messages per server and week, want 4 in half a week of two servers", v)
	}
}
