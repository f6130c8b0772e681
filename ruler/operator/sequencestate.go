package operator

import (
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// Save implements Operator.
func (s *sequence) Save(dirtyOnly bool) []KeyedState {
	keys := make([]key, 0, len(s.dirty))
	if dirtyOnly {
		for k := range s.dirty {
			keys = append(keys, k)
		}
	} else {
		for server, m := range s.servers {
			for device := range m {
				keys = append(keys, key{server, device})
			}
		}
		for server := range s.seen {
			keys = append(keys, key{server, lookKey})
		}
	}
	s.dirty = emptied(s.dirty)
	out := make([]KeyedState, 0, len(keys))
	for _, k := range sorted(keys) {
		state := stateOf(s.rule, k)
		if k.device == lookKey {
			state.Data = s.seen[k.server].encode()
		} else if c := s.get(k); c != nil {
			state.Data = c.encode()
		}
		out = append(out, state)
	}
	return out
}

// Load implements Operator.
func (s *sequence) Load(state KeyedState) error {
	k, err := keyOf(&state)
	if err != nil {
		return err
	}
	switch {
	case state.Data == nil && k.device == lookKey:
		delete(s.seen, k.server)
	case state.Data == nil:
		if s.get(k) != nil {
			delete(s.servers[k.server], k.device)
		}
	case k.device == lookKey:
		l, err := decodeLook(state, s.rule.Shape)
		if err != nil {
			return err
		}
		s.seen[k.server] = l
	default:
		c, err := decodeChain(state, s.rule.Shape, s.spec)
		if err != nil {
			return err
		}
		s.put(k, c)
		s.file(k, c, time.Unix(0, 0))
	}
	return nil
}

// chainVersion and lookVersion are the first. States of every version that was
// ever written must load: testdata/states-*.json.
const (
	chainVersion = 1
	lookVersion  = 1
)

func (c *chain) encode() []byte {
	w := writer{chainVersion}
	for _, v := range []int64{c.taken, int64(c.step), c.limit, c.giveUp, c.fired, c.told, int64(c.solved), c.expires, c.count} {
		w.int(v)
	}
	for _, list := range [][]int64{c.stamps, c.times} {
		w.int(int64(len(list)))
		before := int64(0)
		for _, v := range list {
			w.int(v - before)
			before = v
		}
	}
	c.first.encode(&w)
	c.last.encode(&w)
	w.int(int64(len(c.waiting)))
	for i := range c.waiting {
		c.waiting[i].encode(&w)
	}
	return w
}

func (h *hit) encode(w *writer) {
	for _, v := range []int64{h.time, h.arrived - h.time, int64(h.bits)} {
		w.int(v)
	}
	for _, v := range []string{h.device, h.group, h.record, h.text, h.value} {
		w.text(v)
	}
	w.int(int64(len(h.fields)))
	for i := range h.fields {
		w.text(h.fields[i].Key)
		w.text(h.fields[i].Value.Str())
	}
}

func decodeHit(r *reader) hit {
	h := hit{time: r.int()}
	h.arrived, h.bits = r.int()+h.time, uint64(r.int())
	h.device, h.group, h.record, h.text, h.value = r.text(), r.text(), r.text(), r.text(), r.text()
	for range r.count() {
		h.fields = append(h.fields, record.Attr{Key: r.text(), Value: record.String(r.text())})
	}
	return h
}

func decodeChain(state KeyedState, shape string, spec *rule.Sequence) (*chain, error) {
	r, err := open(state, shape, chainVersion)
	if err != nil {
		return nil, err
	}
	c := &chain{taken: r.int(), step: int(r.int()), limit: r.int(), giveUp: r.int(), fired: r.int(), told: r.int(), solved: int(r.int()), expires: r.int(), count: r.int()}
	for _, list := range []*[]int64{&c.stamps, &c.times} {
		before := int64(0)
		for range r.count() {
			before += r.int()
			*list = append(*list, before)
		}
	}
	c.first, c.last = decodeHit(r), decodeHit(r)
	for range r.count() {
		c.waiting = append(c.waiting, decodeHit(r))
	}
	if !r.bad && !c.fits(spec) {
		r.bad = true
	}
	return c, r.close(state)
}

// fits tells whether a state can be one of the rule's.
func (c *chain) fits(spec *rule.Sequence) bool {
	steps := spec.Steps
	switch {
	case c.step < 0 || c.step > len(steps) || c.solved < 0 || c.solved > 0 && c.solved >= len(spec.Resolve):
		return false
	case c.fired == 0 && c.step == len(steps), c.fired == 0 && c.expires != 0, c.fired != 0 && c.giveUp != 0:
		return false
	case !slices.IsSortedFunc(c.waiting, compareHits):
		return false
	case c.fired == 0 && c.giveUp == 0 && c.begun(), !c.begun() && c.giveUp != 0:
		return false
	case c.fired == 0 && len(c.times) > 0 && int64(len(c.times)) >= steps[c.step].Times:
		return false
	}
	return len(c.stamps) == c.step && c.count >= 0
}

func (l *look) encode() []byte {
	if l == nil {
		return nil
	}
	w := writer{lookVersion}
	looked := int64(0)
	if l.looked {
		looked = 1
	}
	w.int(looked)
	w.int(l.boot)
	return w
}

func decodeLook(state KeyedState, shape string) (*look, error) {
	r, err := open(state, shape, lookVersion)
	if err != nil {
		return nil, err
	}
	l := &look{looked: r.int() != 0, boot: r.int()}
	return l, r.close(state)
}
