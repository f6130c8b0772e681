package engine

import (
	"context"
	"time"

	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

var _ notify.Silencer = Outbox{}

// Silences implements notify.Silencer. An acknowledgement covers what was
// known when it was given: it ends with the problem, and when that gets worse.
func (o Outbox) Silences(ctx context.Context) ([]notify.Silence, error) {
	now := time.Now().UTC()
	rows, err := o.Store.StandingSilences(ctx, now)
	if err != nil {
		return nil, err
	}
	var out []notify.Silence
	var over []store.Lift
	for i := range rows {
		r := &rows[i]
		why, err := outlived(r)
		if err != nil {
			return nil, err
		}
		if why != "" {
			over = append(over, store.Lift{ID: r.ID, Reason: why})
			continue
		}
		s := notify.Silence{ID: r.ID, Starts: r.Starts, Ends: r.Ends, By: r.Actor, Comment: r.Reason}
		if r.Kind == store.SilenceAck {
			s.Ended = r.Notification
		}
		for _, m := range r.Matchers {
			s.Matchers = append(s.Matchers, notify.Matcher{Name: m.Name, Value: m.Value, IsRegex: m.Regex, IsEqual: !m.Not})
		}
		out = append(out, s)
	}
	return out, o.Store.LiftSilences(ctx, over, now)
}

// outlived says why an acknowledgement holds no more, or nothing.
func outlived(s *store.StandingSilence) (string, error) {
	if s.Kind != store.SilenceAck {
		return "", nil
	}
	if s.State != store.Firing {
		return "it is over", nil
	}
	n, err := saved(&store.Notification{ID: s.Notification, Saved: s.Saved})
	if err != nil {
		return "", nil // whether it got worse cannot be told; the sender says that it is so
	}
	if len(n.Escalations)+1 > s.Sets {
		return "it got worse", nil
	}
	return "", nil
}

// Silenced implements notify.Silencer.
func (o Outbox) Silenced(ctx context.Context, results []notify.SilenceResult) error {
	out := make([]store.SilenceTarget, 0, len(results))
	for _, r := range results {
		out = append(out, store.SilenceTarget{Silence: r.Silence, Target: r.Target, At: r.At, Error: r.Error})
	}
	return o.Store.RecordSilences(ctx, out)
}
