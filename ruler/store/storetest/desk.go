package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"nocturne/ruler/store"
)

func ack(of string, after time.Duration) *store.Silence {
	return &store.Silence{ID: "ack-" + of + fmt.Sprint(int64(after)), Kind: store.SilenceAck, Notification: of, Matchers: []store.Matcher{{Name: "notification_id", Value: of}, {Name: "severity", Value: "info|warning", Regex: true}},
		Starts: at(after), Reason: "on it", Sets: 1, Actor: "alice", Via: "token 1", Created: at(after)}
}

func once(of string, after, until time.Duration) *store.Silence {
	return &store.Silence{ID: "one-" + of + fmt.Sprint(int64(after)), Kind: store.SilenceOne, Notification: of, Matchers: []store.Matcher{{Name: "notification_id", Value: of}},
		Starts: at(after), Ends: at(until), Reason: "later", Actor: "alice", Created: at(after)}
}

func deeds(t *testing.T, f *fixture) {
	open, over := problem("n1", 1), problem("n2", 2)
	over.State, over.Resolved = store.Resolved, at(5)
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{open, over}})
	n := time.Duration(0)
	do := func(d store.Deed) (store.Work, error) {
		n++
		d.At, d.Actor, d.Via = at(n*time.Minute), "alice", "token 1"
		if d.Notification == "" {
			d.Notification = "n1"
		}
		return f.Do(ctx, d)
	}
	good := func(d store.Deed, want store.Work) {
		t.Helper()
		if got := must[store.Work](t)(do(d)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", d.Kind, got, want)
		}
		if got := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")).Work; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, want %+v", d.Kind, got, want)
		}
	}
	bad := func(d store.Deed, want error) {
		t.Helper()
		if _, err := do(d); !errors.Is(err, want) {
			t.Errorf("%s of revision %d: %v, want %v", d.Kind, d.Revision, err, want)
		}
	}
	bad(store.Deed{Notification: "none", Kind: store.Comment}, store.ErrNotFound)
	bad(store.Deed{Notification: "n2", Kind: store.Acknowledge, Silence: ack("n2", 0)}, store.ErrConflict)
	bad(store.Deed{Kind: store.Unacknowledge}, store.ErrConflict)
	bad(store.Deed{Kind: store.Unsilence}, store.ErrConflict)
	bad(store.Deed{Kind: store.Assign, Revision: 3, Assignee: "bob"}, store.ErrConflict)
	n = 10
	good(store.Deed{Kind: store.Acknowledge, Text: "on it", Silence: ack("n1", 11)}, store.Work{Revision: 1, Acked: at(11 * time.Minute), AckedBy: "alice"})
	bad(store.Deed{Kind: store.Assign, Revision: 0, Assignee: "bob"}, store.ErrConflict)
	bad(store.Deed{Kind: store.Acknowledge, Revision: 1, Silence: ack("n1", 12)}, store.ErrConflict)
	good(store.Deed{Kind: store.Comment, Text: "swapped the cable"}, store.Work{Revision: 1, Acked: at(11 * time.Minute), AckedBy: "alice", Comments: 1})
	good(store.Deed{Kind: store.Assign, Revision: 1, Assignee: "bob"}, store.Work{Revision: 2, Acked: at(11 * time.Minute), AckedBy: "alice", Comments: 1, Assignee: "bob"})
	good(store.Deed{Kind: store.Unacknowledge, Revision: store.AnyRevision, Text: "not mine"}, store.Work{Revision: 3, Comments: 1, Assignee: "bob"})
	good(store.Deed{Kind: store.SilenceIt, Revision: 3, Text: "later", Silence: once("n1", 20*time.Minute, time.Hour)}, store.Work{Revision: 4, Comments: 1, Assignee: "bob"})
	good(store.Deed{Kind: store.SilenceIt, Revision: 4, Silence: once("n1", 21*time.Minute, 2*time.Hour)}, store.Work{Revision: 5, Comments: 1, Assignee: "bob"})
	f.reopen()
	d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	got := ""
	for _, e := range d.Deeds {
		got += fmt.Sprintf("%s %s %s; ", e.Actor, e.Kind, e.Text)
	}
	if want := "alice acknowledge on it; alice comment swapped the cable; alice assign to bob; alice unacknowledge not mine; " +
		"alice silence until 2026-11-20 23:00 UTC: later; alice silence until 2026-11-21 00:00 UTC; "; got != want {
		t.Errorf("deeds %q", got)
	}
	standing := 0
	for _, s := range d.Silences {
		if s.In(at(30 * time.Minute)) {
			standing++
		}
	}
	if len(d.Silences) != 3 || standing != 1 {
		t.Errorf("silences %+v", d.Silences)
	}
	log := must[[]store.AuditEntry](t)(f.AuditLog(ctx, store.AuditQuery{Action: "notification", Subject: "n1"}))
	var detail struct{ Before, After store.Work }
	if err := json.Unmarshal(log[len(log)-1].Detail, &detail); err != nil || len(log) != 6 || detail.After.AckedBy != "alice" || detail.Before != (store.Work{}) {
		t.Errorf("audit log of %d lines, %+v, %v", len(log), detail, err)
	}
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{open}})
	if w := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")).Work; w.Assignee != "bob" {
		t.Errorf("a commit of the engine took %+v away", w)
	}
}

func earlier(t *testing.T, f *fixture) {
	var list []store.Notification
	for i := range 14 {
		n := problem(fmt.Sprintf("n%02d", i), 1)
		n.Opened = at(time.Duration(i) * time.Hour)
		switch i {
		case 11:
			n.Class = "link"
		case 12:
			n.Server = id(2)
		}
		list = append(list, n)
	}
	f.commit(store.PartitionCommit{Partition: 1, Notifications: list})
	got := ""
	for _, n := range must[store.NotificationDetail](t)(f.Notification(ctx, "n13")).Earlier {
		got += n.ID + " "
	}
	if want := "n10 n09 n08 n07 n06 n05 n04 n03 n02 n01 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if first := must[store.NotificationDetail](t)(f.Notification(ctx, "n00")).Earlier; len(first) != 0 {
		t.Errorf("before the first there was %+v", first)
	}
}

func deskFilter(t *testing.T, f *fixture) {
	list := []store.Notification{problem("acked", 1), problem("mine", 1), problem("free", 2), problem("old", 1)}
	list[0].Opened, list[1].Opened, list[2].Opened, list[3].Opened = at(time.Hour), at(2*time.Hour), at(3*time.Hour), at(0)
	list[3].State, list[3].Resolved = store.Resolved, at(90*time.Minute)
	f.commit(store.PartitionCommit{Partition: 1, Notifications: list, Servers: []store.ServerWrite{
		{ID: id(1), Partition: 1, Labels: &store.ServerLabels{Name: "a", Owner: "storage"}}, {ID: id(2), Partition: 1, Labels: &store.ServerLabels{Name: "b", Owner: "web"}}}})
	must[store.Work](t)(f.Do(ctx, store.Deed{Notification: "acked", Kind: store.Acknowledge, At: at(1), Actor: "alice", Silence: ack("acked", 0)}))
	must[store.Work](t)(f.Do(ctx, store.Deed{Notification: "mine", Kind: store.Assign, At: at(1), Actor: "alice", Assignee: "bob"}))
	yes, no := true, false
	for _, c := range []struct {
		q    store.NotificationQuery
		want string
	}{
		{store.NotificationQuery{Acked: &yes}, "acked "},
		{store.NotificationQuery{Acked: &no}, "free mine old "},
		{store.NotificationQuery{Assigned: &yes}, "mine "},
		{store.NotificationQuery{Assigned: &no, Acked: &no}, "free old "},
		{store.NotificationQuery{Assignee: "bob"}, "mine "},
		{store.NotificationQuery{Assignee: "carol"}, ""},
		{store.NotificationQuery{Owner: "web"}, "free "},
		{store.NotificationQuery{Owner: "storage"}, "acked mine old "},
		{store.NotificationQuery{Since: at(100 * time.Minute)}, "acked free mine "},
		{store.NotificationQuery{Before: at(90 * time.Minute)}, "acked old "},
		{store.NotificationQuery{Since: at(80 * time.Minute), Before: at(2 * time.Hour)}, "acked old "},
	} {
		got := ""
		p := must[store.NotificationPage](t)(f.Notifications(ctx, c.q))
		for _, n := range p.Notifications {
			got += n.ID + " "
			if (n.Work.AckedBy != "") != (n.ID == "acked") || (n.Work.Assignee != "") != (n.ID == "mine") {
				t.Errorf("work of %s: %+v", n.ID, n.Work)
			}
		}
		if got != c.want || p.Total != len(p.Notifications) {
			t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
		}
	}
}

func silences(t *testing.T, f *fixture) {
	open := problem("n1", 1)
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{open}})
	must[store.Work](t)(f.Do(ctx, store.Deed{Notification: "n1", Kind: store.Acknowledge, At: at(1), Actor: "alice", Silence: ack("n1", 1)}))
	work := store.Silence{ID: "m1", Kind: store.SilenceMaintenance, Matchers: []store.Matcher{{Name: "site", Value: "fra"}, {Name: "server", Value: "x.*", Regex: true, Not: true}},
		Starts: at(time.Hour), Ends: at(2 * time.Hour), Reason: "power", Actor: "bob", Created: at(2)}
	if err := f.AddSilence(ctx, work, store.AuditEntry{At: at(2), Actor: "bob", Action: "silence.create", Subject: "m1"}); err != nil {
		t.Fatal(err)
	}
	if err := f.RecordSilences(ctx, []store.SilenceTarget{{Silence: "m1", Target: "http://am1", At: at(3)}, {Silence: "m1", Target: "http://am2", At: at(3), Error: "refused"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.RecordSilences(ctx, []store.SilenceTarget{{Silence: "m1", Target: "http://am2", At: at(4)}}); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	all := must[[]store.Silence](t)(f.Silences(ctx, store.SilenceQuery{}))
	work.Targets = []store.SilenceTarget{{Silence: "m1", Target: "http://am1", At: at(3)}, {Silence: "m1", Target: "http://am2", At: at(4)}}
	if len(all) != 2 || !reflect.DeepEqual(all[0], work) || !reflect.DeepEqual(all[1], *ack("n1", 1)) {
		t.Errorf("silences %+v", all)
	}
	ids := func(when time.Duration) string {
		out := ""
		for _, s := range must[[]store.StandingSilence](t)(f.StandingSilences(ctx, at(when))) {
			out += s.ID + string(s.State) + string(s.Saved) + " "
		}
		return out
	}
	if got := ids(time.Minute); got != "ack-n11firingown form m1 " {
		t.Errorf("standing %q", got)
	}
	if got := ids(2 * time.Hour); got != "ack-n11firingown form " {
		t.Errorf("standing after the maintenance: %q", got)
	}
	for range 2 { // once more does nothing
		if err := f.LiftSilences(ctx, []store.Lift{{ID: "ack-n11", Reason: "it is over"}, {ID: "none"}}, at(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	if last := d.Deeds[len(d.Deeds)-1]; len(d.Deeds) != 2 || last.Actor != "ruler" || last.Kind != store.Unacknowledge || last.Text != "it is over" || !d.Work.Acked.IsZero() || d.Work.Revision != 2 {
		t.Errorf("after the ruler lifted it: %+v %+v", d.Work, d.Deeds)
	}
	lift := store.AuditEntry{At: at(90 * time.Minute), Actor: "bob", Action: "silence.lift", Subject: "m1"}
	if s := must[store.Silence](t)(f.LiftSilence(ctx, "m1", lift)); !s.Lifted.Equal(lift.At) || s.LiftedBy != "bob" {
		t.Errorf("lifted %+v", s)
	}
	if _, err := f.LiftSilence(ctx, "m1", lift); !errors.Is(err, store.ErrConflict) {
		t.Errorf("lifted twice: %v", err)
	}
	if _, err := f.LiftSilence(ctx, "none", lift); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("lifted nothing: %v", err)
	}
	if got := ids(time.Minute); got != "" {
		t.Errorf("standing after all: %q", got)
	}
	if got := must[[]store.Silence](t)(f.Silences(ctx, store.SilenceQuery{Kind: store.SilenceMaintenance, Standing: at(0)})); len(got) != 0 {
		t.Errorf("standing maintenance %+v", got)
	}
	if n := must[int64](t)(f.Prune(ctx, store.Before(at(24*time.Hour)))); n == 0 {
		t.Error("nothing was pruned")
	}
	if got := must[[]store.Silence](t)(f.Silences(ctx, store.SilenceQuery{})); len(got) != 0 {
		t.Errorf("after the retention: %+v", got)
	}
	if d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")); len(d.Deeds) != 2 {
		t.Errorf("what people did with an open one was pruned: %+v", d.Deeds)
	}
}
