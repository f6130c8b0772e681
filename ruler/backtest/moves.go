package backtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/engine"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// across returns within which time a rule follows parts between servers; 0 = it
// does not.
func across(r *rule.Rule) time.Duration {
	if c, ok := r.Spec.(*rule.Change); ok {
		return c.Across
	}
	return 0
}

// about tells whether one of the rules follows parts of a type.
func about(rules []*rule.Rule, typ string) bool {
	return slices.ContainsFunc(rules, func(v *rule.Rule) bool { return across(v) > 0 && slices.Contains(v.Spec.(*rule.Change).Devices, typ) })
}

// moves tries the rules on the parts that moved between servers, which the
// ruler wrote down as it saw them.
func (r *run) moves(ctx context.Context) error {
	var replays []*engine.ReplayMoves
	follows := false
	for _, v := range r.rules {
		follows = follows || across(v) > 0
		replays = append(replays, engine.NewReplayMoves(v))
	}
	if !follows {
		return nil
	}
	rows, err := r.moved(ctx)
	if err != nil {
		return err
	}
	facts := map[record.ID]operator.ServerFacts{}
	for _, list := range r.known {
		for i := range list {
			v := &list[i]
			facts[v.ID] = engine.FactsOf(v)
		}
	}
	of := func(id record.ID) operator.ServerFacts {
		f := facts[id]
		f.ID = id
		return f
	}
	for i := range rows {
		c := &rows[i]
		p, err := r.passage(ctx, c)
		if err != nil {
			return err
		}
		for _, v := range replays {
			v.Passed(&p, of(c.FromServer), of(c.Server), c.RecordID)
		}
		r.tell(c.Stream)
	}
	for i, v := range replays {
		t := &r.tried
		if i == 1 {
			t = r.today
		}
		t.add(v.Found(notify.At{Time: r.to}))
	}
	if a := across(r.rules[0]); a > rule.DefaultAcross {
		r.result.Warnings = append(r.result.Warnings, fmt.Sprintf("parts that were on their way for longer than %d days were written down only where a rule asked for it", rule.DefaultAcross/(24*time.Hour)))
	}
	return nil
}

// moved lists the moves of the time asked for, oldest first.
func (r *run) moved(ctx context.Context) ([]store.Change, error) {
	var out []store.Change
	q := store.ChangeQuery{Kind: engine.MovedKind, Since: r.from, Limit: 1000}
	for {
		page, err := r.cfg.State.Changes(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Changes {
			if c := &page.Changes[i]; !c.FromServer.IsZero() && about(r.rules, c.Type) {
				out = append(out, *c)
			}
		}
		if q.BeforeID = page.Next; page.Next == 0 || len(out) >= maxKept {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b store.Change) int { return a.Stream.Compare(b.Stream) })
	return out, nil
}

// passage finds when the part left and came, and its model. What the store does
// not know any more it takes from the change: the later of the two.
func (r *run) passage(ctx context.Context, c *store.Change) (operator.Passage, error) {
	p := operator.Passage{Serial: c.Occupant, Type: c.Type, From: c.FromServer, To: c.Server, FromPlace: c.From, Place: c.Place, Left: c.Stream, Came: c.Stream}
	page, err := r.cfg.State.Occupants(ctx, store.OccupantQuery{Serial: c.Occupant, Type: c.Type, Limit: 1000})
	if err != nil {
		return p, err
	}
	var left, came time.Time
	for i := range page.Occupants {
		v := &page.Occupants[i]
		switch {
		case v.Category != c.Category:
		case v.Server == c.Server && v.Place == c.Place && !v.Since.After(c.Stream) && v.Since.After(came):
			came, p.Model = v.Since, v.Model
		case v.Server == c.FromServer && v.Place == c.From && !v.Until.IsZero() && !v.Until.After(c.Stream) && v.Until.After(left):
			left = v.Until
		}
	}
	if !left.IsZero() && !came.IsZero() {
		p.Left, p.Came = left, came
	}
	return p, nil
}
