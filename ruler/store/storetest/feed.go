package storetest

import (
	"fmt"
	"testing"

	"nocturne/ruler/store"
)

func feed(t *testing.T, f *fixture) {
	read := func(after int64) (string, store.Feed) {
		t.Helper()
		got := must[store.Feed](t)(f.Feed(ctx, after, 1000))
		out := ""
		for _, e := range got.Events {
			out += e.Kind + " " + e.ID + "; "
		}
		return out, got
	}
	if _, got := read(0); got.Gone || got.Newest != 0 || len(got.Events) != 0 {
		t.Errorf("an empty one: %+v", got)
	}
	news := f.Committed()
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, State: &store.StateWrite{State: store.StateUp}}}})
	select {
	case <-news:
	default:
		t.Error("a commit told nobody")
	}
	first, got := read(0)
	if want := "server " + id(1).String() + "; "; first != want {
		t.Errorf("got %q, want %q", first, want)
	}
	at1 := got.Newest
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, Seen: &store.SeenWrite{At: at(1)}}}})
	if out, got := read(at1); out != "" || got.Gone {
		t.Errorf("a heartbeat is told: %q", out)
	}
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{problem("n1", 1), problem("n2", 1)}})
	if out, _ := read(at1); out != fmt.Sprintf("notification n1; notification n2; server %s; ", id(1)) {
		t.Errorf("got %q", out)
	}
	_, got = read(at1)
	at2 := got.Newest
	must[store.Work](t)(f.Do(ctx, store.Deed{Notification: "n2", Kind: store.Comment, Text: "x", At: at(1)}))
	f.reopen()
	if out, _ := read(at2); out != "notification n2; " {
		t.Errorf("after a comment: %q", out)
	}
	if _, got := read(1 << 40); !got.Gone {
		t.Error("the number of another store is known")
	}
}
