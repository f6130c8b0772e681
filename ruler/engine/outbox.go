package engine

import (
	"context"
	"time"

	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// Outbox shows the sender the stored table.
type Outbox struct {
	Store store.Store
	// Behind tells whether what a partition finds is history, of which nobody is
	// told but of what is younger than that; nil = never.
	Behind func(partition int) bool
	// Restored is when a backup was put in the place of the store; zero = never.
	Restored time.Time
	// Unreadable is told of rows that can be read only in part; nil = nobody.
	Unreadable func(error)
}

var _ notify.Source = Outbox{}

// Desired implements notify.Source.
func (o Outbox) Desired(ctx context.Context, resolvedSince time.Time) ([]notify.Desired, error) {
	rows, err := o.Store.Outbox(ctx, resolvedSince)
	if err != nil {
		return nil, err
	}
	out := make([]notify.Desired, 0, len(rows))
	for i := range rows {
		n, err := tellable(&rows[i].Notification)
		if err != nil && o.Unreadable != nil {
			o.Unreadable(err)
		}
		d := notify.Desired{Notification: n}
		for _, v := range rows[i].Deliveries {
			if v.Error == "" {
				d.Accepted = append(d.Accepted, notify.Delivery{Notification: n.ID, Target: v.Target, State: notify.State(v.State), Version: v.Version, First: v.First, At: v.At, Attempts: v.Attempts})
			}
		}
		if o.history(&d, rows[i].Partition) {
			continue
		}
		out = append(out, d)
	}
	return out, nil
}

// history tells whether nobody is told of a notification now. What a restored
// store says may have changed since, and people were told: it waits until its
// partition has read so far, and what came and went meanwhile is not told again.
func (o Outbox) history(d *notify.Desired, partition int) bool {
	behind := func() bool { return o.Behind != nil && o.Behind(partition) }
	if d.Changed.Before(o.Restored) {
		return d.State == notify.Resolved && len(d.Accepted) == 0 || behind()
	}
	return len(d.Accepted) == 0 && time.Since(d.Changed) > historyAfter && behind()
}

// Delivered implements notify.Source.
func (o Outbox) Delivered(ctx context.Context, results []notify.Delivery) error {
	ds := make([]store.Delivery, 0, len(results))
	for _, r := range results {
		ds = append(ds, store.Delivery{Notification: r.Notification, Target: r.Target, State: store.NotificationState(r.State), Version: r.Version, First: r.First, At: r.At, Attempts: r.Attempts, Error: r.Error})
	}
	return o.Store.RecordDeliveries(ctx, ds)
}
