package operator

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// key is what the state of most operators is kept by.
type key struct {
	server record.ID
	device string
}

func compareKeys(a, b key) int {
	return cmp.Or(bytes.Compare(a.server[:], b.server[:]), cmp.Compare(a.device, b.device))
}

// problem is one key's state: something is wrong, or is about to be.
type problem struct {
	since    int64 // Unix nanoseconds, as all times here
	deadline int64 // when time says something; 0 = never
	told     int64 // last firing verdict; 0 = not fired yet
	count    int64 // records that said so
	untold   int64 // of them, since the last verdict
	group    string
	value    string
	serial   string
	window   window // count and flap only
	note     string // what the device says of itself; state only
	good     string // the good value since when Keep runs, "" = it does not; state only
	slot     int64  // where it is filed; not saved
}

// Version 1 had neither window nor note; version 2 is version 1 and the window,
// version 3 is version 1 and the note, version 4 is version 3 and the good value.
// Each is written where there is one.
const (
	problemVersion = 1
	windowVersion  = 2
	noteVersion    = 3
	goodVersion    = 4
)

func (p *problem) encode() []byte {
	w := writer{problemVersion}
	for _, v := range []int64{p.since, p.deadline, p.told, p.count, p.untold} {
		w.int(v)
	}
	w.text(p.group)
	w.text(p.value)
	w.text(p.serial)
	switch {
	case len(p.window) > 0:
		w[0] = windowVersion
		p.window.encode(&w)
	case p.good != "":
		w[0] = goodVersion
		w.text(p.note)
		w.text(p.good)
	case p.note != "":
		w[0] = noteVersion
		w.text(p.note)
	}
	return w
}

func decodeProblem(s KeyedState, shape string) (*problem, error) {
	version := byte(problemVersion)
	if len(s.Data) > 0 && s.Data[0] >= windowVersion && s.Data[0] <= goodVersion {
		version = s.Data[0]
	}
	r, err := open(s, shape, version)
	if err != nil {
		return nil, err
	}
	p := &problem{since: r.int(), deadline: r.int(), told: r.int(), count: r.int(), untold: r.int()}
	p.group, p.value, p.serial = r.text(), r.text(), r.text()
	switch version {
	case windowVersion:
		p.window = decodeWindow(r)
	case noteVersion:
		p.note = r.text()
	case goodVersion:
		p.note, p.good = r.text(), r.text()
	}
	return p, r.close(s)
}

// problems is the keyed state that all kinds but absent and clone share.
type problems struct {
	rule    *rule.Rule
	servers map[record.ID]map[string]*problem
	dirty   map[key]struct{}
	due     calendar[key]
	holds   []func(server record.ID, n int) // told that it holds something of a server (1), or nothing any more (-1)
}

func newProblems(r *rule.Rule) problems {
	return problems{rule: r, servers: map[record.ID]map[string]*problem{}, dirty: map[key]struct{}{}, due: newCalendar(compareKeys)}
}

// room tells whether a key has a state or may get one.
func (ps *problems) room(k key) bool {
	return ps.get(k) != nil || len(ps.servers[k.server]) < maxTracked
}

func (ps *problems) get(k key) *problem { return ps.servers[k.server][k.device] }

// put returns the key's problem, a new one if need be, and counts it as
// changed.
func (ps *problems) put(k key, now time.Time) *problem {
	ps.dirty[k] = struct{}{}
	if p := ps.get(k); p != nil {
		return p
	}
	p := &problem{since: now.UnixNano()}
	ps.held(k.server)[k.device] = p
	return p
}

// held returns what is held of a server, to put something in.
func (ps *problems) held(server record.ID) map[string]*problem {
	m := ps.servers[server]
	if m == nil {
		m = map[string]*problem{}
		ps.servers[server] = m
		ps.holding(server, 1)
	}
	return m
}

func (ps *problems) holding(server record.ID, n int) {
	for _, f := range ps.holds {
		f(server, n)
	}
}

func (ps *problems) drop(k key) {
	ps.dirty[k] = struct{}{}
	m := ps.servers[k.server]
	delete(m, k.device)
	if _, ok := ps.servers[k.server]; ok && len(m) == 0 {
		delete(ps.servers, k.server)
		ps.holding(k.server, -1)
	}
}

// expireAt sets the deadline and files it where that is needed.
func (ps *problems) expireAt(k key, p *problem, at time.Time) {
	p.deadline = at.UnixNano()
	if p.slot == 0 || ceilSecond(p.deadline) < p.slot {
		p.slot = ps.due.file(k, p.deadline)
	}
}

// expired calls fn for every problem whose deadline has come. fn drops it or
// sets another deadline.
func (ps *problems) expired(now time.Time, fn func(k key, p *problem)) {
	ps.due.due(now, func(k key, slot int64) {
		p := ps.get(k)
		if p == nil || p.slot != slot {
			return // gone, or filed anew
		}
		p.slot = 0
		switch {
		case p.deadline == 0:
		case p.deadline > now.UnixNano():
			p.slot = ps.due.file(k, p.deadline)
		default:
			fn(k, p)
		}
	})
}

// stateOf begins the state of a key: gone, until it has data.
func stateOf(r *rule.Rule, k key) KeyedState {
	return KeyedState{RuleID: r.ID, Shape: r.Shape, Server: k.server, Key: string(k.server[:]) + k.device}
}

// keyOf is the inverse of stateOf.
func keyOf(s *KeyedState) (key, error) {
	device, ok := strings.CutPrefix(s.Key, string(s.Server[:]))
	if !ok {
		return key{}, fmt.Errorf("load state of rule %s: key of another server: %w", s.RuleID, record.ErrMalformed)
	}
	return key{s.Server, device}, nil
}

// muchDirty is from how many keys on a set of what changed is let go instead of
// used again: clear keeps the memory.
const muchDirty = 64

// emptied returns an empty set of what changes next.
func emptied[K comparable](dirty map[K]struct{}) map[K]struct{} {
	if len(dirty) > muchDirty {
		return map[K]struct{}{}
	}
	clear(dirty)
	return dirty
}

// Save implements Operator.
func (ps *problems) Save(dirtyOnly bool) []KeyedState {
	keys := make([]key, 0, len(ps.dirty))
	if dirtyOnly {
		for k := range ps.dirty {
			keys = append(keys, k)
		}
	} else {
		for server, m := range ps.servers {
			for device := range m {
				keys = append(keys, key{server, device})
			}
		}
	}
	ps.dirty = emptied(ps.dirty)
	slices.SortFunc(keys, compareKeys)
	out := make([]KeyedState, 0, len(keys))
	for _, k := range keys {
		s := stateOf(ps.rule, k)
		if p := ps.get(k); p != nil {
			s.Data = p.encode()
		}
		out = append(out, s)
	}
	return out
}

// Load implements Operator.
func (ps *problems) Load(s KeyedState) error {
	k, err := keyOf(&s)
	if err != nil {
		return err
	}
	if s.Data == nil {
		if ps.get(k) != nil {
			ps.drop(k)
			delete(ps.dirty, k)
		}
		return nil
	}
	p, err := decodeProblem(s, ps.rule.Shape)
	if err != nil {
		return err
	}
	ps.held(k.server)[k.device] = p
	if p.deadline != 0 {
		p.slot = ps.due.file(k, p.deadline)
	}
	return nil
}

// Forget implements Operator.
func (ps *problems) Forget(server record.ID) {
	for device := range ps.servers[server] {
		ps.drop(key{server, device})
	}
}

// verdict begins a verdict of this rule.
func (ps *problems) verdict(kind VerdictKind, k key, now time.Time) Verdict {
	v := newVerdict(ps.rule, kind, k.server, now)
	v.Device = k.device
	return v
}

func newVerdict(r *rule.Rule, kind VerdictKind, server record.ID, now time.Time) Verdict {
	return Verdict{RuleID: r.ID, Server: server, Class: r.Class, Kind: kind, Severity: r.Severity, At: now}
}

// keep shortens a text that a server sent to what a state may hold.
func keep(s string) string { return rule.Clean(s, maxKept) }
