package operator

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// values finds the state rules for which the value of a field is bad: one look-up
// for those that name bad values, one question for each different list of good
// ones, and of the limits only those that the number is past.
type values struct {
	field string
	bad   map[string]*bucket[int] // folded
	good  []*goodList
	above []limit // lowest first
	below []limit // highest first
}

type goodList struct {
	key   string
	spec  *rule.State
	rules bucket[int]
}

type limit struct {
	at    float64
	rules *bucket[int]
}

func (b *typeBucket) valuesOf(field string) *values {
	i := slices.IndexFunc(b.values, func(v *values) bool { return v.field == field })
	if i < 0 {
		i = len(b.values)
		b.values = append(b.values, &values{field: field, bad: map[string]*bucket[int]{}})
	}
	return b.values[i]
}

func (v *values) add(r *rule.Rule, s *rule.State, at int) {
	switch {
	case len(s.OK) > 0:
		key := strings.Join(folded(s.OK), "\x00")
		i := slices.IndexFunc(v.good, func(g *goodList) bool { return g.key == key })
		if i < 0 {
			i = len(v.good)
			v.good = append(v.good, &goodList{key: key, spec: s})
		}
		v.good[i].rules.add(r, at)
	case len(s.Bad) > 0:
		for _, text := range unique(folded(s.Bad)) {
			bucketOf(v.bad, text).add(r, at)
		}
	case s.Above != nil:
		v.above = addLimit(v.above, *s.Above, cmp.Compare, r, at)
	case s.Below != nil:
		v.below = addLimit(v.below, *s.Below, func(a, b float64) int { return cmp.Compare(b, a) }, r, at)
	}
}

func addLimit(list []limit, at float64, order func(a, b float64) int, r *rule.Rule, place int) []limit {
	i, found := slices.BinarySearchFunc(list, at, func(l limit, at float64) int { return order(l.at, at) })
	if !found {
		list = slices.Insert(list, i, limit{at, &bucket[int]{}})
	}
	list[i].rules.add(r, place)
	return list
}

// judge calls choose with the rules for which a device's value is bad. A value
// that is not known is not.
func (v *values) judge(d *record.Device, f *ServerFacts, choose func([]int)) {
	value := d.Field(v.field)
	if !diff.KnownValue(value) {
		return
	}
	if len(v.bad)+len(v.good) > 0 {
		text := strings.TrimSpace(value.Text())
		var buf [64]byte
		v.bad[string(fold(buf[:0], text))].each(f, choose)
		for _, g := range v.good {
			if g.spec.IsBad(text, 0, false) {
				g.rules.each(f, choose)
			}
		}
	}
	if len(v.above)+len(v.below) == 0 {
		return
	}
	number, ok := value.Float()
	if !ok {
		return
	}
	for i := range v.above {
		if !(number > v.above[i].at) {
			break
		}
		v.above[i].rules.each(f, choose)
	}
	for i := range v.below {
		if !(number < v.below[i].at) {
			break
		}
		v.below[i].rules.each(f, choose)
	}
}

func folded(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = string(fold(nil, s))
	}
	return out
}

// fold appends s so that texts that strings.EqualFold calls alike are the same.
func fold(b []byte, s string) []byte {
	for _, r := range s {
		least := r
		if r < utf8.RuneSelf {
			least = unicode.ToLower(r)
		} else {
			for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
				least = min(least, o)
			}
			if least < utf8.RuneSelf {
				least = unicode.ToLower(least)
			}
		}
		b = utf8.AppendRune(b, least)
	}
	return b
}
