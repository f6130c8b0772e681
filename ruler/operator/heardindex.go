package operator

import (
	"slices"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// heardIndex finds the rules that a record concerns because it came, whatever it
// says: absent, clone, and sequences that wait for a boot. It asks none about other
// servers, nor about a category that the server never sent.
type heardIndex struct {
	categories map[record.Category]*audience
	waits      holders // absent while expected: any record ends it
	ops        []Operator
	chosen
}

// audience are the rules that get records of one category.
type audience struct {
	all      bucket[int]
	goodbyes bucket[int]
	held     holders
}

func newHeardIndex() heardIndex {
	return heardIndex{categories: map[record.Category]*audience{}, waits: holders{}}
}

func (x *heardIndex) of(c record.Category) *audience {
	a := bucketOf(x.categories, c)
	if a.held == nil {
		a.held = holders{}
	}
	return a
}

// add indexes the operator of a rule. They get a record in the order of add.
func (x *heardIndex) add(r *rule.Rule, op Operator) {
	at := len(x.ops)
	beats := x.of(record.Heartbeat)
	switch o := op.(type) {
	case *absent:
		own := x.of(o.spec.Category)
		own.all.add(r, at)
		if own != beats {
			o.holds = append(o.holds, beats.held.counts(at))
		}
		if label, _ := spreadOf(r); label != "" { // it must see who is about to leave it
			o.holds = append(o.holds, own.held.counts(at))
		}
	case *await:
		if o.spec.While == rule.WhileExpected {
			x.of(record.Agent).all.add(r, at)
			o.holds = append(o.holds, x.waits.counts(at))
		} else {
			beats.goodbyes.add(r, at)
			o.holds = append(o.holds, beats.held.counts(at))
		}
	case *sequence:
		beats.all.add(r, at)
		op = stepOnly{o, o.boot}
	default:
		beats.all.add(r, at)
	}
	x.ops = append(x.ops, op)
	x.seat()
}

// step appends the verdicts of the rules that a record concerns.
func (x *heardIndex) step(out []Verdict, ctx Context, in Input) []Verdict {
	a := x.categories[in.Header.Category]
	if a == nil && len(x.waits) == 0 {
		return out
	}
	x.begin()
	x.waits.choose(ctx.Server.ID, &x.chosen)
	if a != nil {
		a.all.each(&ctx.Server, x.choose)
		a.held.choose(ctx.Server.ID, &x.chosen)
		if in.Record.Name == record.NameGoodbye {
			a.goodbyes.each(&ctx.Server, x.choose)
		}
	}
	slices.Sort(x.places)
	for _, at := range x.places {
		out = append(out, x.ops[at].Step(ctx, in)...)
	}
	return out
}
