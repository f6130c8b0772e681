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
	passages, err := r.passages(ctx, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		c := &rows[i]
		for _, v := range replays {
			v.Passed(&passages[i], of(c.FromServer), of(c.Server), c.RecordID)
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

// passages finds when each part left and came, and its model. What the store does
// not know any more is taken from the change: the later of the two.
func (r *run) passages(ctx context.Context, rows []store.Change) ([]operator.Passage, error) {
	out := make([]operator.Passage, len(rows))
	ends := make([]struct{ left, came time.Time }, len(rows))
	type part struct{ serial, typ string }
	of := map[part][]int{}
	var serials []string
	for i := range rows {
		c := &rows[i]
		out[i] = operator.Passage{Serial: c.Occupant, Type: c.Type, From: c.FromServer, To: c.Server, FromPlace: c.From, Place: c.Place, Left: c.Stream, Came: c.Stream}
		k := part{c.Occupant, c.Type}
		if of[k] = append(of[k], i); len(of[k]) == 1 {
			serials = append(serials, c.Occupant)
		}
	}
	slices.Sort(serials) // one may be of several types
	err := r.cfg.State.Stays(ctx, slices.Compact(serials), func(v *store.Occupant) error {
		for _, i := range of[part{v.Serial, v.Type}] {
			c, e := &rows[i], &ends[i]
			switch {
			case v.Category != c.Category:
			case v.Server == c.Server && v.Place == c.Place && !v.Since.After(c.Stream) && v.Since.After(e.came):
				e.came, out[i].Model = v.Since, v.Model
			case v.Server == c.FromServer && v.Place == c.From && !v.Until.IsZero() && !v.Until.After(c.Stream) && v.Until.After(e.left):
				e.left, out[i].Retired = v.Until, v.Retired
			}
		}
		return nil
	})
	for i, e := range ends {
		if !e.left.IsZero() && !e.came.IsZero() {
			out[i].Left, out[i].Came = e.left, e.came
		}
	}
	return out, err
}
