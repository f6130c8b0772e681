package operator

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
	"nocturne/ruler/rule"
)

// index finds the rules about events that a record may concern, so that its cost does
// not grow with the rules that it cannot. A rule stands in one kind of bucket: by
// provider and event id, else by what the provider begins with, by an attribute,
// by record name, by channel, by level, or among those that look at every event.
// What a free condition says of these counts as if the rule said it.
type index struct {
	providers map[string]*providerBucket // lower case
	prefixes  map[string]*providerBucket // what a provider begins with
	lengths   []int                      // of prefixes, each once
	attrs     map[string]map[string]*bucket[target]
	names     map[string]*bucket[target]
	channels  map[string]*bucket[target] // lower case
	levels    map[string]*bucket[target]
	all       bucket[target]
	walk      walk // of the record at hand; kept because it would be made for each
}

// target is a rule's firing or its clearing conditions, and what they lead to.
type target struct {
	rule  *rule.Rule
	where *rule.Conditions
	act   func(ctx Context, in Input) []Verdict
	// doubt, if set, is told of records for which the conditions could not be
	// evaluated.
	doubt func(ctx Context, in Input) []Verdict
}

func newIndex() index {
	return index{providers: map[string]*providerBucket{}, prefixes: map[string]*providerBucket{}, attrs: map[string]map[string]*bucket[target]{}, names: map[string]*bucket[target]{},
		channels: map[string]*bucket[target]{}, levels: map[string]*bucket[target]{}}
}

// add indexes conditions; act gets the records for which they hold.
func (x *index) add(r *rule.Rule, c *rule.Conditions, act func(ctx Context, in Input) []Verdict) {
	x.put(target{rule: r, where: c, act: act})
}

func (x *index) put(t target) {
	c := t.where
	keys := c.Keys()
	attr := slices.IndexFunc(c.Attrs, func(a rule.AttrCondition) bool { return len(a.Values) > 0 })
	switch prefix := providerPrefix(c); {
	case keys.Provider != nil:
		for _, name := range unique(keys.Provider) {
			bucketOf(x.providers, name).add(keys.EventID, t)
		}
	case prefix != "":
		if bucketOf(x.prefixes, prefix).add(keys.EventID, t); !slices.Contains(x.lengths, len(prefix)) {
			x.lengths = append(x.lengths, len(prefix))
		}
	case attr >= 0:
		a := c.Attrs[attr]
		if x.attrs[a.Key] == nil {
			x.attrs[a.Key] = map[string]*bucket[target]{}
		}
		putEach(x.attrs[a.Key], a.Values, t)
	case len(c.Records) > 0:
		putEach(x.names, c.Records, t)
	case keys.Channel != nil:
		putEach(x.channels, keys.Channel, t)
	case keys.Level != nil:
		putEach(x.levels, keys.Level, t)
	default:
		x.all.add(t.rule, t)
	}
}

// seal must be called after the last add, before the first step.
func (x *index) seal() {
	for _, m := range []map[string]*providerBucket{x.providers, x.prefixes} {
		for _, b := range m {
			b.ranges.measure(0, len(b.ranges.list))
		}
	}
}

func providerPrefix(c *rule.Conditions) string {
	for i := range c.More {
		if m := &c.More[i]; m.Key == record.AttrProvider && m.Like != nil {
			return m.Like.Prefix()
		}
	}
	return ""
}

// bucketOf returns the value of a key, a new one if need be.
func bucketOf[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

func putEach(m map[string]*bucket[target], keys []string, t target) {
	for _, k := range unique(keys) {
		bucketOf(m, k).add(t.rule, t)
	}
}

func unique[T comparable](list []T) []T {
	var out []T
	seen := map[T]bool{}
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// step appends the verdicts of the rules that a record concerns.
func (x *index) step(out []Verdict, ctx Context, in Input) []Verdict {
	r := in.Record
	w := &x.walk
	w.out, w.ctx, w.in = out, ctx, in
	var buf [96]byte
	if p := r.Attr(record.AttrProvider).Str(); p != "" && len(x.providers)+len(x.prefixes) > 0 {
		low := lower(buf[:0], p)
		id, _ := r.Attr(record.AttrEventID).Int()
		x.providers[string(low)].run(w, id)
		for _, n := range x.lengths {
			if n <= len(low) {
				x.prefixes[string(low[:n])].run(w, id)
			}
		}
	}
	if len(x.attrs) > 0 {
		for i := range r.Attrs {
			if values := x.attrs[r.Attrs[i].Key]; values != nil && !r.Attrs[i].Value.IsNull() {
				w.look(values[r.Attrs[i].Value.Text()])
			}
		}
	}
	if len(x.names) > 0 {
		w.look(x.names[r.Name])
	}
	if len(x.channels) > 0 {
		w.look(x.channels[string(lower(buf[:0], r.Attr(record.AttrChannel).Str()))])
	}
	if len(x.levels) > 0 {
		w.look(x.levels[r.Attr(record.AttrLevel).Str()])
	}
	w.look(&x.all)
	out = w.out
	*w = walk{}
	return out
}

// walk is a record's way through the index.
type walk struct {
	out []Verdict
	ctx Context
	in  Input
}

// look runs what a bucket has for the record's server. b may be nil.
func (w *walk) look(b *bucket[target]) { b.each(&w.ctx.Server, w.run) }

func (w *walk) run(targets []target) {
	for i := range targets {
		t := &targets[i]
		if ok, failed := judge(t.rule, t.where, &w.ctx, &w.in); ok {
			w.out = append(w.out, t.act(w.ctx, w.in)...)
		} else if failed != nil {
			w.out = append(w.out, *failed)
			if t.doubt != nil {
				w.out = append(w.out, t.doubt(w.ctx, w.in)...)
			}
		}
	}
}

// lower appends s in lower case; providers are ASCII, others go the long way.
func lower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 {
			return append(b[:0], strings.ToLower(s)...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// bucket holds what is looked at for a record. What belongs to rules for named
// servers, or servers of a site, rack, role or owner, is kept apart by it.
type bucket[T any] struct {
	any     []T
	byLabel map[string]map[string][]T // label, value in lower case
}

// spread are the labels by which a bucket keeps its content apart, the most
// telling first.
var spread = []string{"name", "rack", "site", "role", "owner"}

// spreadOf returns the label by which what belongs to a rule is kept apart, and
// its values in lower case; "" = none.
func spreadOf(r *rule.Rule) (string, []string) {
	for _, label := range spread {
		if want, ok := r.Servers[label]; ok && want.In != nil {
			var values []string
			for _, v := range want.In {
				values = append(values, strings.ToLower(v))
			}
			return label, unique(values)
		}
	}
	return "", nil
}

func (b *bucket[T]) add(r *rule.Rule, t T) {
	label, values := spreadOf(r)
	if label == "" {
		b.any = append(b.any, t)
		return
	}
	if b.byLabel == nil {
		b.byLabel = map[string]map[string][]T{}
	}
	if b.byLabel[label] == nil {
		b.byLabel[label] = map[string][]T{}
	}
	for _, v := range values {
		b.byLabel[label][v] = append(b.byLabel[label][v], t)
	}
}

// each calls fn with what may concern a server. b may be nil.
func (b *bucket[T]) each(f *ServerFacts, fn func([]T)) {
	if b == nil {
		return
	}
	if len(b.any) > 0 {
		fn(b.any)
	}
	if b.byLabel == nil {
		return
	}
	var buf [96]byte
	for _, label := range spread {
		if values := b.byLabel[label]; values != nil {
			if found := values[string(lower(buf[:0], f.Label(label)))]; len(found) > 0 {
				fn(found)
			}
		}
	}
}

// fewIDs is up to how many ids a range is written out.
const fewIDs = 64

// providerBucket holds the targets of one provider by event id.
type providerBucket struct {
	ids    map[int64]*bucket[target]
	ranges spans
	any    bucket[target]
}

func (b *providerBucket) add(ids []expr.Range, t target) {
	if ids == nil {
		b.any.add(t.rule, t)
		return
	}
	if b.ids == nil {
		b.ids = map[int64]*bucket[target]{}
	}
	single := map[int64]bool{}
	for _, r := range merged(ids) {
		if r.High-r.Low < 0 || r.High-r.Low >= fewIDs { // the difference may overflow
			b.ranges.add(r, t)
			continue
		}
		for id := r.Low; ; id++ {
			single[id] = true
			if id == r.High {
				break
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(single)) {
		if b.ids[id] == nil {
			b.ids[id] = &bucket[target]{}
		}
		b.ids[id].add(t.rule, t)
	}
}

func (b *providerBucket) run(w *walk, id int64) {
	if b == nil {
		return
	}
	w.look(b.ids[id])
	b.ranges.run(w, id)
	w.look(&b.any)
}

// merged joins ranges that overlap, so that an id is in one of them.
func merged(ranges []expr.Range) []expr.Range {
	list := slices.Clone(ranges)
	slices.SortFunc(list, func(a, b expr.Range) int { return cmp.Or(cmp.Compare(a.Low, b.Low), cmp.Compare(a.High, b.High)) })
	var out []expr.Range
	for _, r := range list {
		if n := len(out); n > 0 && r.Low <= out[n-1].High {
			out[n-1].High = max(out[n-1].High, r.High)
			continue
		}
		out = append(out, r)
	}
	return out
}

// spans finds the ranges that an id is in without looking at the others: they
// are sorted by their low end and form a tree in place, whose nodes know the
// highest end below them.
type spans struct {
	list []interval
}

type interval struct {
	expr.Range
	below  int64 // highest High of the node and what is below it
	bucket *bucket[target]
}

func (s *spans) add(r expr.Range, t target) {
	i, found := slices.BinarySearchFunc(s.list, r, func(a interval, r expr.Range) int {
		return cmp.Or(cmp.Compare(a.Low, r.Low), cmp.Compare(a.High, r.High))
	})
	if !found {
		s.list = slices.Insert(s.list, i, interval{Range: r, bucket: &bucket[target]{}})
	}
	s.list[i].bucket.add(t.rule, t)
}

// measure sets below of the nodes in [low, high); the node is in the middle.
func (s *spans) measure(low, high int) int64 {
	if low >= high {
		return -1 << 63
	}
	mid := (low + high) / 2
	s.list[mid].below = max(s.list[mid].High, s.measure(low, mid), s.measure(mid+1, high))
	return s.list[mid].below
}

func (s *spans) run(w *walk, id int64) {
	if len(s.list) > 0 {
		s.find(w, id, 0, len(s.list))
	}
}

func (s *spans) find(w *walk, id int64, low, high int) {
	for low < high {
		mid := (low + high) / 2
		n := &s.list[mid]
		if n.below < id {
			return
		}
		s.find(w, id, low, mid)
		if n.Low > id {
			return
		}
		if id <= n.High {
			w.look(n.bucket)
		}
		low = mid + 1
	}
}
