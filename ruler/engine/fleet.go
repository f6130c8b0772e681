package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/probe"
	"nocturne/ruler/store"
)

// The fleet operator judges what no partition can see alone. A silence is held
// for the moment until it has decided: when at least three servers, and half of
// a rack, of a subnet or of a site, are silent or overdue, one notification
// speaks for all of them; otherwise the server's own goes out. It decides at the
// first deadline, because the neighbours are overdue by then. What was told
// already stays told.
//
// Before a silence goes out the machine is asked whether it answers, so that the
// message says it: the shell does that, and answer takes what it heard. What
// waits for an answer is in the state, and is asked again after a crash.
//
// Servers that are expected and never came are held for two minutes, and are
// one notification when they are three or more of one site.
//
// fleet is pure. Its state is saved with each of its commits.
type fleet struct {
	Members map[record.ID]*member
	Missing map[record.ID]*missing
	Folds   map[string]*fold                // by group
	Alerts  map[string]*notify.Notification // about bridges, by subject
	Seq     uint64
	Judged  int64 `json:",omitempty"` // stream time of the newest fact about parts

	asks    bool // somebody can ask machines
	tallies map[group]*tally
	asking  map[record.ID]struct{} // members that wait for an answer
	due     int64                  // when those of Missing are to be judged that were not; 0 = there are none
	dirty   dirtyFleet
}

// member is a server that is overdue or silent.
type member struct {
	Site, Rack   string
	Simulated    bool
	Address      string `json:",omitempty"`
	Silent       bool
	Notification string
	Fold         string // group, "" = stands for itself
	Asking       bool   `json:",omitempty"` // held until it is known whether the machine answers

	subnet string
}

// missing is a server that is expected and was never heard.
type missing struct {
	Site         string
	Simulated    bool
	Notification string
	At           int64
	Judged       bool
	Fold         string
}

// fold is a rack, a subnet or a site that fell silent as one, or those of a site
// that never came.
type fold struct {
	Notification notify.Notification
	Size         int
	LastBack     int64
	Never        bool     `json:",omitempty"` // about those that never came
	Asking       int      `json:",omitempty"` // machines whose answers are waited for
	Answers      []string `json:",omitempty"`

	silent int // members
}

// tally counts the members of a group that stand for themselves.
type tally struct {
	down  int
	racks map[string]int
}

const (
	foldLeast   = 3               // servers
	foldWait    = 5 * time.Minute // for the last ones to come back with the others
	foldAsks    = 5               // machines of a group that are asked
	missingWait = 2 * time.Minute // for others that never came
	classMass   = "silence-group"
	ruleMass    = "fleet-silence"
	classNever  = "never-heard-group"
)

func newFleet() *fleet {
	f := &fleet{Members: map[record.ID]*member{}, Missing: map[record.ID]*missing{}, Folds: map[string]*fold{}, Alerts: map[string]*notify.Notification{}}
	f.index()
	return f
}

// index counts anew what is not saved.
func (f *fleet) index() {
	f.tallies, f.asking, f.due, f.dirty = map[group]*tally{}, map[record.ID]struct{}{}, 0, newDirtyFleet()
	for _, d := range f.Folds {
		d.silent = 0
	}
	for id, m := range f.Members {
		m.subnet = store.Subnet(m.Address)
		if m.Asking {
			f.asking[id] = struct{}{}
		}
		f.count(m, 1)
	}
	for _, x := range f.Missing {
		f.expect(x)
		if d := f.Folds[x.Fold]; d != nil {
			d.silent++
		}
	}
}

// count takes a member into the sums, or out of them: around every change.
func (f *fleet) count(m *member, n int) {
	if d := f.Folds[m.Fold]; d != nil {
		if m.Silent {
			d.silent += n
		}
		return
	}
	for _, g := range m.groups() {
		t := f.tallies[g]
		if t == nil {
			t = &tally{racks: map[string]int{}}
			f.tallies[g] = t
		}
		t.down += n
		if t.racks[m.Rack] += n; t.racks[m.Rack] == 0 {
			delete(t.racks, m.Rack)
		}
		if t.down == 0 {
			delete(f.tallies, g)
		}
	}
}

// change changes a member, and keeps the sums right.
func (f *fleet) change(id record.ID, m *member, to func()) {
	f.count(m, -1)
	to()
	f.count(m, 1)
	f.dirty.members[id] = struct{}{}
	if m.Asking {
		f.asking[id] = struct{}{}
	} else {
		delete(f.asking, id)
	}
}

// group names a rack, a subnet, or a site when both are empty. Simulated servers
// are apart.
type group struct {
	site, rack, subnet string
	simulated          bool
}

// groups are those that a member is of, the largest first.
func (m *member) groups() []group {
	out := []group{{m.Site, "", "", m.Simulated}}
	if m.Rack != "" {
		out = append(out, group{m.Site, m.Rack, "", m.Simulated})
	}
	if m.subnet != "" {
		out = append(out, group{m.Site, "", m.subnet, m.Simulated})
	}
	return out
}

func (g group) key() string {
	parts := []any{g.site, g.rack, g.simulated}
	if g.subnet != "" {
		parts = append(parts, g.subnet)
	}
	b, err := json.Marshal(parts)
	if err != nil {
		return "" // strings always marshal
	}
	return string(b)
}

func (g group) String() string {
	name := "the group of servers without a site"
	switch {
	case g.rack != "":
		name = "rack " + g.rack
	case g.subnet != "":
		name = "subnet " + g.subnet
	case g.site != "":
		return "site " + g.site
	default:
		return name
	}
	if g.site != "" {
		name += " at " + g.site
	}
	return name
}

func (g group) has(m *member) bool {
	return m.Site == g.site && (g.rack == "" || m.Rack == g.rack) && (g.subnet == "" || m.subnet == g.subnet) && m.Simulated == g.simulated
}

// groupSizes sums up how many servers each group has.
func groupSizes(all []store.GroupSize) map[group]int {
	out := map[group]int{}
	for _, s := range all {
		m := member{Site: s.Site, Rack: s.Rack, Simulated: s.Simulated, subnet: s.Subnet}
		for _, g := range m.groups() {
			out[g] += s.Servers
		}
	}
	return out
}

// outcome is what facts led to.
type outcome struct {
	folds []store.Fold
	notes []notify.Notification
	asks  []ask
	// of parts that moved
	changes  []store.Change
	evidence []store.Evidence
	counts   []store.RuleCount
}

// empty tells whether there is nothing to commit.
func (o *outcome) empty() bool {
	return len(o.folds) == 0 && len(o.notes) == 0 && len(o.evidence) == 0 && len(o.counts) == 0
}

// ask is a machine that is to be asked whether it answers.
type ask struct {
	server       record.ID
	address      string
	simulated    bool
	notification string // that waits for it
	fold         string // whose it is; "" = the server's own
}

func (o *outcome) note(n notify.Notification) {
	n.Labels, n.Annotations = cloneMap(n.Labels), cloneMap(n.Annotations)
	n.Parts = slices.Clone(n.Parts)
	for i := range o.notes {
		if o.notes[i].ID == n.ID {
			o.notes[i] = n
			return
		}
	}
	o.notes = append(o.notes, n)
}

func cloneMap(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// apply takes one fact. sizes are asked for only when a server falls silent; they
// are those of the fact's time.
func (f *fleet) apply(x store.Fact, sizes func(at time.Time) (map[group]int, error), o *outcome) error {
	switch x.Kind {
	case store.FactOverdue:
		m := f.member(x)
		f.release(x.Server, m, x.At, o)
		if m.Silent { // a new silence will be told anew
			f.change(x.Server, m, func() { m.Silent, m.Notification = false, "" })
		}
	case store.FactSilent:
		m := f.member(x)
		f.release(x.Server, m, x.At, o)
		f.change(x.Server, m, func() { m.Silent, m.Notification = true, x.Notification })
		if f.join(x, m, o) {
			return nil
		}
		all, err := sizes(x.At)
		if err != nil {
			return err
		}
		f.judge(x, m, all, o)
	case store.FactBack, store.FactGone:
		if m := f.Members[x.Server]; m != nil {
			f.release(x.Server, m, x.At, o)
			f.count(m, -1)
			delete(f.Members, x.Server)
			f.dirty.members[x.Server] = struct{}{}
			if m.Fold != "" {
				f.left(m.Fold, x.At, o)
			}
		}
	case store.FactMissing:
		f.found(x, o)
		f.Missing[x.Server] = &missing{Site: x.Site, Simulated: x.Simulated, Notification: x.Notification, At: x.At.UnixNano()}
		f.dirty.missing[x.Server] = struct{}{}
		f.expect(f.Missing[x.Server])
	case store.FactFound:
		f.found(x, o)
	}
	return nil
}

func (f *fleet) member(x store.Fact) *member {
	m := f.Members[x.Server]
	if m == nil {
		m = &member{}
		f.Members[x.Server] = m
		f.count(m, 1)
	}
	f.change(x.Server, m, func() {
		m.Site, m.Rack, m.Simulated, m.Address, m.subnet = x.Site, x.Rack, x.Simulated, x.Address, store.Subnet(x.Address)
	})
	return m
}

// release lets a silence go that waits for an answer: it is over, or known
// anew, and was not folded.
func (f *fleet) release(id record.ID, m *member, at time.Time, o *outcome) {
	if m.Asking {
		f.change(id, m, func() { m.Asking = false })
		o.folds = append(o.folds, store.Fold{Notification: m.Notification, At: at})
	}
}

// join puts a silence into a fold that is open for one of its groups.
func (f *fleet) join(x store.Fact, m *member, o *outcome) bool {
	for _, g := range m.groups() {
		if d := f.Folds[g.key()]; d != nil {
			f.fold(x.Server, m, g.key(), d, x.At, o)
			f.describe(g, d, x.At)
			o.note(d.Notification)
			return true
		}
	}
	return false
}

// fold makes a fold speak for a member.
func (f *fleet) fold(id record.ID, m *member, key string, d *fold, at time.Time, o *outcome) {
	f.change(id, m, func() { m.Fold, m.Asking = key, false })
	f.dirty.folds[key] = struct{}{}
	o.folds = append(o.folds, store.Fold{Notification: m.Notification, Into: d.Notification.ID, Muted: d.Notification.Title, At: at})
}

// judge decides whether a silence is one server's or a whole group's.
func (f *fleet) judge(x store.Fact, m *member, sizes map[group]int, o *outcome) {
	g, size, ok := f.fallen(m, sizes)
	switch {
	case !ok && f.asks:
		f.change(x.Server, m, func() { m.Fold, m.Asking = "", true })
		o.asks = append(o.asks, ask{x.Server, m.Address, m.Simulated, m.Notification, ""})
		return
	case !ok:
		f.change(x.Server, m, func() { m.Fold = "" })
		o.folds = append(o.folds, store.Fold{Notification: m.Notification, At: x.At})
		return
	}
	key := g.key()
	d := &fold{Size: size, Notification: notify.Notification{
		ID: fleetID(classMass, key, uint64(x.At.UnixNano())), Device: g.String(), Class: classMass, State: notify.Firing, Severity: notify.Critical, RuleID: ruleMass,
		Opened: x.At, Simulated: x.Simulated, Title: g.String() + " is silent",
	}}
	name := "SiteSilent"
	switch {
	case g.rack != "":
		name = "RackSilent"
	case g.subnet != "":
		name = "SubnetSilent"
	}
	d.Notification.Labels = fleetLabels(name, g, d.Notification)
	f.Folds[key] = d
	f.fold(x.Server, m, key, d, x.At, o)
	for _, id := range f.waiting() { // nobody was told of them yet
		if w := f.Members[id]; g.has(w) {
			f.fold(id, w, key, d, x.At, o)
		}
	}
	f.askGroup(g, d, o)
	f.describe(g, d, x.At)
	o.note(d.Notification)
}

// waiting lists the members whose machines are being asked.
func (f *fleet) waiting() []record.ID {
	return slices.SortedFunc(maps.Keys(f.asking), func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) })
}

// askGroup has some machines of a group asked.
func (f *fleet) askGroup(g group, d *fold, o *outcome) {
	if !f.asks {
		return
	}
	var some []record.ID
	for id, m := range f.Members {
		if g.has(m) {
			some = append(some, id)
		}
	}
	slices.SortFunc(some, func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range some[:min(len(some), foldAsks)] {
		m := f.Members[id]
		d.Asking++
		o.asks = append(o.asks, ask{id, m.Address, m.Simulated, d.Notification.ID, g.key()})
	}
}

// again lists what waits for an answer, after a crash took those who asked.
func (f *fleet) again(o *outcome) {
	for _, id := range f.waiting() {
		m := f.Members[id]
		o.asks = append(o.asks, ask{id, m.Address, m.Simulated, m.Notification, ""})
	}
	for key, d := range f.Folds {
		if d.Asking > 0 { // the machines are others by now
			d.Asking, d.Answers = 0, nil
			f.dirty.folds[key] = struct{}{}
			o.folds = append(o.folds, store.Fold{Notification: d.Notification.ID, At: d.Notification.Changed})
		}
	}
}

// answer takes what a machine answered, and lets go what waited for it.
func (f *fleet) answer(a ask, said probe.Answer, at time.Time, o *outcome) {
	if a.fold == "" {
		m := f.Members[a.server]
		if m == nil || !m.Asking || m.Notification != a.notification {
			return // let go before
		}
		f.change(a.server, m, func() { m.Asking = false })
		o.folds = append(o.folds, store.Fold{Notification: m.Notification, Probe: said.String(), At: at})
		return
	}
	d := f.Folds[a.fold]
	if d == nil || d.Asking == 0 || d.Notification.ID != a.notification {
		return
	}
	d.Asking--
	d.Answers = append(d.Answers, string(said.State))
	f.dirty.folds[a.fold] = struct{}{}
	if d.Asking == 0 {
		o.folds = append(o.folds, store.Fold{Notification: d.Notification.ID, Probe: groupAnswer(d.Answers), At: at})
	}
}

// fallen finds the group of the server that fell silent as one: its site, or
// the one of rack and subnet in which more did.
func (f *fleet) fallen(m *member, sizes map[group]int) (best group, size int, ok bool) {
	down := 0
	for _, g := range m.groups() {
		t := f.tallies[g]
		if t == nil || t.down < foldLeast || 2*t.down < sizes[g] {
			continue
		}
		whole := g.rack == "" && g.subnet == ""
		if whole && len(t.racks) < 2 && t.racks[""] == 0 {
			continue // one rack: its own name says more
		}
		named := whole && g.site != ""
		unnamed := ok && best.rack == "" && best.subnet == "" && best.site == "" && t.down == down
		if !ok || t.down > down || unnamed { // "servers without a site" says least
			best, size, down, ok = g, max(sizes[g], t.down), t.down, true
		}
		if named {
			break
		}
	}
	return best, size, ok
}

// left notes that a member of a fold came back. With the last one it ends.
func (f *fleet) left(key string, at time.Time, o *outcome) {
	d := f.Folds[key]
	if d == nil {
		return
	}
	d.LastBack = at.UnixNano()
	f.dirty.folds[key] = struct{}{}
	if d.silent == 0 {
		f.end(key, d, "all of them are back", at, o)
	}
}

// tick ends folds whose last members do not come back with the others: they
// stand for themselves from then on. All of it happens when it was due, however
// late the tick is.
func (f *fleet) tick(now time.Time, o *outcome) {
	if f.due != 0 && f.due <= now.UnixNano() {
		f.judgeMissing(time.Unix(0, f.due).UTC(), o)
	}
	var due []string
	for key, d := range f.Folds {
		if !d.Never && d.LastBack != 0 && now.UnixNano()-d.LastBack >= int64(foldWait) && (d.silent < foldLeast || 2*d.silent < d.Size) {
			due = append(due, key)
		}
	}
	slices.Sort(due)
	for _, key := range due {
		d := f.Folds[key]
		at := time.Unix(0, d.LastBack).Add(foldWait).UTC()
		rest := f.end(key, d, fmt.Sprintf("most are back, %d stay silent and are told by name", d.silent), at, o)
		for _, n := range rest {
			o.folds = append(o.folds, store.Fold{Notification: n, At: at})
		}
	}
}

// end ends a fold, and returns the silences that stand for themselves now.
func (f *fleet) end(key string, d *fold, reason string, at time.Time, o *outcome) (rest []string) {
	for id, m := range f.Members { // overdue ones too, that never fell silent
		if m.Fold == key {
			f.change(id, m, func() { m.Fold = "" })
			if m.Silent {
				rest = append(rest, m.Notification)
			}
		}
	}
	delete(f.Folds, key)
	f.dirty.folds[key] = struct{}{}
	if d.Asking > 0 {
		o.folds = append(o.folds, store.Fold{Notification: d.Notification.ID, At: at})
	}
	n := &d.Notification
	n.State, n.Resolved = notify.Resolved, at
	change(n, reason, at)
	o.note(*n)
	slices.Sort(rest)
	return rest
}
