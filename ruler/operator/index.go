package operator

import (
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// index finds the rules about events that a record may concern, so that its cost does
// not grow with the rules that it cannot. A rule stands in one kind of bucket:
// by provider and event id, else by provider, by channel, by level, by record
// name, or among those that look at every event.
type index struct {
	providers map[string]*providerBucket // lower case
	channels  map[string][]target        // lower case
	levels    map[string][]target
	names     map[string][]target
	all       []target
}

type providerBucket struct {
	ids map[int64][]target
	any []target
}

// target is a rule's firing or its clearing conditions, and what they lead to.
type target struct {
	where *rule.Conditions
	act   func(ctx Context, in Input) []Verdict
}

func newIndex() index {
	return index{providers: map[string]*providerBucket{}, channels: map[string][]target{}, levels: map[string][]target{}, names: map[string][]target{}}
}

// add indexes conditions; act gets the records for which they hold.
func (x *index) add(c *rule.Conditions, act func(ctx Context, in Input) []Verdict) {
	t := target{c, act}
	switch {
	case len(c.Provider) > 0:
		for _, name := range unique(c.Provider) {
			b := x.providers[name]
			if b == nil {
				b = &providerBucket{ids: map[int64][]target{}}
				x.providers[name] = b
			}
			if len(c.EventID) == 0 {
				b.any = append(b.any, t)
				continue
			}
			for _, id := range unique(c.EventID) {
				b.ids[id] = append(b.ids[id], t)
			}
		}
	case len(c.Channel) > 0:
		var lower []string
		for _, ch := range c.Channel {
			lower = append(lower, strings.ToLower(ch))
		}
		putEach(x.channels, lower, t)
	case len(c.Level) > 0:
		putEach(x.levels, c.Level, t)
	case len(c.Records) > 0:
		putEach(x.names, c.Records, t)
	default:
		x.all = append(x.all, t)
	}
}

func putEach(m map[string][]target, keys []string, t target) {
	for _, k := range unique(keys) {
		m[k] = append(m[k], t)
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
	var buf [96]byte
	if p := r.Attr(record.AttrProvider).Str(); p != "" && len(x.providers) > 0 {
		if b := x.providers[string(lower(buf[:0], p))]; b != nil {
			if id, ok := r.Attr(record.AttrEventID).Int(); ok && len(b.ids) > 0 {
				out = run(out, b.ids[id], ctx, in)
			}
			out = run(out, b.any, ctx, in)
		}
	}
	if len(x.channels) > 0 {
		out = run(out, x.channels[string(lower(buf[:0], r.Attr(record.AttrChannel).Str()))], ctx, in)
	}
	if len(x.levels) > 0 {
		out = run(out, x.levels[r.Attr(record.AttrLevel).Str()], ctx, in)
	}
	if len(x.names) > 0 {
		out = run(out, x.names[r.Name], ctx, in)
	}
	return run(out, x.all, ctx, in)
}

func run(out []Verdict, targets []target, ctx Context, in Input) []Verdict {
	for _, t := range targets {
		if holds(t.where, in.Record) {
			out = append(out, t.act(ctx, in)...)
		}
	}
	return out
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
