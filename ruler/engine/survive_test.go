package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// spoilt gives notifications of one server with a saved form that cannot be read.
type spoilt struct {
	store.Store
	server record.ID
}

func (s spoilt) Outbox(ctx context.Context, since time.Time) ([]store.Outgoing, error) {
	rows, err := s.Store.Outbox(ctx, since)
	for i := range rows {
		if rows[i].Server == s.server {
			rows[i].Saved = []byte(`{"`)
		}
	}
	return rows, err
}

func (s spoilt) Claim(ctx context.Context, partition int, owner string) (store.Claim, error) {
	c, err := s.Store.Claim(ctx, partition, owner)
	for i := range c.Notifications {
		if c.Notifications[i].Server == s.server {
			c.Notifications[i].Saved = nil
		}
	}
	return c, err
}

// One stored notification that cannot be read does not stop the sender's rounds or
// a partition's start; it is told from its columns, and resolved like any other.
func TestUnreadableNotification(t *testing.T) {
	w := newWorld(t)
	a, b := w.add(1, "srv01", "fra", "r1"), w.add(2, "srv02", "fra", "r1")
	s := spoilt{openStore(t), a.id}
	d := newDriver(t, w.log, s, parsed(t, everyKind)...)
	d.generation(parsed(t, everyKind), nil)
	w.run(20*time.Second, func(second int) {
		if second == 10 {
			a.event("disk", 11)
			b.event("disk", 11)
		}
	})
	d.must()
	var bad []error
	out, err := Outbox{Store: s, Unreadable: func(err error) { bad = append(bad, err) }}.Desired(ctx, t0)
	if err != nil || len(out) != 2 || len(bad) != 1 {
		t.Fatalf("%d to tell, %v, unreadable %v", len(out), err, bad)
	}
	if out[0].Labels["rule_id"] != "t-match" || len(out[0].Labels) != len(out[1].Labels) || out[0].Annotations[notify.AnnotationSummary] != "m" || out[1].Annotations[notify.AnnotationSummary] != "m" {
		t.Errorf("told %+v", out)
	}
	d.crash() // both partitions are loaded anew
	w.run(2 * time.Minute)
	d.must()
	for _, n := range []*sim{a, b} {
		page, err := s.Notifications(ctx, store.NotificationQuery{Server: n.id, RuleID: "t-match", Limit: 10})
		if err != nil || len(page.Notifications) != 1 || page.Notifications[0].State != store.Resolved {
			t.Errorf("%s: %+v, %v", n.name, page, err)
		}
	}
}

// A part of a tick that meets a bug is counted and said once; the rest goes on.
func TestTickSurvivesABug(t *testing.T) {
	p, err := newPartition(1, newRuleset(Generation{1, parsed(t, everyKind), nil}), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	for range 3 {
		p.surely("watch", func() { panic("a bug") })
		p.surely("other", func() { done = true })
	}
	p.set.Panicked("t-match", "another bug")
	var subjects []string
	for _, a := range p.out.commit.Audit {
		subjects = append(subjects, a.Subject)
	}
	if !done || p.counts.ticks != 4 || !slices.Equal(subjects, []string{"watch", "rule t-match"}) {
		t.Errorf("%d counted, audit log %q", p.counts.ticks, subjects)
	}
}

// An entry that cannot be applied ends what was read of a lost stream: before, the
// next one that could made it forgotten.
func TestDrainStopsAtTheFirstError(t *testing.T) {
	entries := make(chan stream.Message, 3)
	for range 3 {
		entries <- stream.Message{}
	}
	n, bad := 0, errors.New("store away")
	err := drain(entries, func(stream.Message) error {
		if n++; n == 2 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || n != 2 {
		t.Errorf("%d applied, %v", n, err)
	}
}
