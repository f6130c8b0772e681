package operator

import (
	"slices"

	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// snapshotIndex finds the rules about devices that a snapshot may concern, by the
// types of devices that it shows, or says are not there, or that changed. Rules
// that look at differences are not shown a snapshot without them.
type snapshotIndex struct {
	types map[string]*typeBucket
	ops   []Operator // in the order in which they get a snapshot; buckets hold places in it
	held  holders    // state rules, which must see how what they hold ends
	// Of the snapshot at hand: what looks at it, and the places of match rules of
	// which something was replaced.
	chosen
	ends []int
}

// typeBucket holds the rules about one type of device.
type typeBucket struct {
	seen     bucket[int]             // they look at devices: count, sequence
	values   []*values               // they look at bad ones: state
	changed  bucket[int]             // they look at changes of any kind
	fields   map[string]*bucket[int] // they look at changes of one field: flap
	replaced []int                   // match of a device, on whatever server

	sawIn, changedIn, replacedIn uint64 // rounds in which they were taken
}

func newSnapshotIndex() snapshotIndex {
	return snapshotIndex{types: map[string]*typeBucket{}, held: holders{}}
}

// add indexes the operator of a rule. They get a snapshot in the order of add.
func (x *snapshotIndex) add(r *rule.Rule, op Operator) {
	at := len(x.ops)
	switch o := op.(type) {
	case *state:
		bucketOf(x.types, o.spec.Device).valuesOf(o.spec.Field).add(r, o.spec, at)
		o.holds = append(o.holds, x.held.counts(at))
	case *count:
		bucketOf(x.types, o.spec.Counter.Device).seen.add(r, at)
	case *change:
		for _, typ := range unique(o.spec.Devices) {
			bucketOf(x.types, typ).changed.add(r, at)
		}
	case *flap:
		b := bucketOf(x.types, o.spec.Device)
		if b.fields == nil {
			b.fields = map[string]*bucket[int]{}
		}
		bucketOf(b.fields, o.spec.Field).add(r, at)
	case *sequence:
		for _, typ := range unique(o.deviceTypes()) {
			bucketOf(x.types, typ).seen.add(r, at)
		}
		op = stepOnly{o, o.snapshot}
	case *match:
		b := bucketOf(x.types, o.spec.Device.Type)
		b.replaced = append(b.replaced, at)
		op = stepOnly{o, o.replaced}
	}
	x.ops = append(x.ops, op)
	x.seat()
}

// find looks up whom a snapshot concerns, for step and replaced.
func (x *snapshotIndex) find(ctx *Context, in *Input) {
	x.begin()
	x.ends = x.ends[:0]
	snap, f := in.Record.Snapshot, &ctx.Server
	x.held.choose(ctx.Server.ID, &x.chosen)
	var last string
	var b *typeBucket
	for i := range snap.Devices {
		d := &snap.Devices[i]
		if d.Type != last {
			last, b = d.Type, x.types[d.Type]
			x.see(b, f)
		}
		if b != nil {
			for _, v := range b.values {
				v.judge(d, f, x.choose)
			}
		}
	}
	for i := range snap.Sections {
		x.see(x.types[snap.Sections[i].Type], f)
	}
	for i := range in.Changes {
		if b := x.types[in.Changes[i].Type]; b != nil {
			x.see(b, f)
			x.differ(b, &in.Changes[i], f)
		}
	}
	slices.Sort(x.places)
	slices.Sort(x.ends)
}

func (x *snapshotIndex) see(b *typeBucket, f *ServerFacts) {
	if b != nil && b.sawIn != x.round {
		b.sawIn = x.round
		b.seen.each(f, x.choose)
	}
}

func (x *snapshotIndex) differ(b *typeBucket, ch *diff.Change, f *ServerFacts) {
	if b.changedIn != x.round {
		b.changedIn = x.round
		b.changed.each(f, x.choose)
	}
	switch {
	case ch.Kind == diff.Field:
		b.fields[ch.Field].each(f, x.choose)
	case ch.Kind == diff.Replaced && b.replacedIn != x.round:
		b.replacedIn = x.round
		x.ends = append(x.ends, b.replaced...)
	}
}

// step appends the verdicts of those that look at the snapshot.
func (x *snapshotIndex) step(out []Verdict, ctx Context, in Input) []Verdict {
	return x.show(x.places, out, ctx, in)
}

// replaced appends the verdicts of those that end when a device was replaced.
func (x *snapshotIndex) replaced(out []Verdict, ctx Context, in Input) []Verdict {
	return x.show(x.ends, out, ctx, in)
}

func (x *snapshotIndex) show(places []int, out []Verdict, ctx Context, in Input) []Verdict {
	for _, at := range places {
		out = append(out, x.ops[at].Step(ctx, in)...)
	}
	return out
}

// deviceTypes are those of which a sequence knows something: that they came about,
// changed or were named by an event, and so may be gone.
func (s *sequence) deviceTypes() []string {
	var out []string
	s.each(func(_ uint64, o *rule.Occurrence) {
		switch {
		case o.State != nil:
			out = append(out, o.State.Device)
		case o.Change != nil:
			out = append(out, o.Change.Devices...)
		case o.Event != nil && o.Event.Device.Type != "":
			out = append(out, o.Event.Device.Type)
		}
	})
	return out
}

// riskIndex knows on which servers risk rules have something to look at: where
// one of the rules they name, or they themselves, hold something open.
type riskIndex struct {
	ops  []*risk
	held holders // by place in ops
}

// bind must be called once all rules are there, before anything is loaded.
func (x *riskIndex) bind(find func(id string) Operator) {
	x.held = holders{}
	for at, op := range x.ops {
		op.bind(find)
		for _, ps := range append([]*problems{op.own()}, unique(op.degraded)...) {
			ps.holds = append(ps.holds, x.held.counts(at))
		}
	}
}

// step shows the snapshot to one after the other: a rule may look at what the one
// before it has found just now.
func (x *riskIndex) step(out []Verdict, ctx Context, in Input) []Verdict {
	for next := 0; ; next++ {
		i, _ := x.held.find(ctx.Server.ID, next)
		list := x.held[ctx.Server.ID]
		if i == len(list) {
			return out
		}
		next = int(list[i].at)
		out = append(out, x.ops[next].Step(ctx, in)...)
	}
}
