package notify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// Bounds per server and per notification: device names come from servers.
const (
	maxOpen  = 200 // further problems of a server share one notification per class
	maxParts = 256

	// One rule tells crowdOf problems of a server apart within crowdWithin.
	crowdOf     = 8
	crowdWithin = time.Hour
)

// Table holds the open notifications of one partition.
type Table struct {
	rules map[string]*rule.Rule
	open  map[record.ID][]*entry // in the order in which they opened
	last  uint64                 // Number of the newest one
}

// entry is an open notification and what the row does not say.
type entry struct {
	Notification
	opened At // nothing of it has been told before this entry is committed
}

// NewTable returns an empty table. Verdicts of rules that are not given here
// are ignored.
func NewTable(rules []*rule.Rule) *Table {
	t := &Table{rules: map[string]*rule.Rule{}, open: map[record.ID][]*entry{}}
	for _, r := range rules {
		t.rules[r.ID] = r
	}
	return t
}

// Load puts back open notifications as they were stored, in any order.
func (t *Table) Load(rows []Notification) {
	for i := range rows {
		n := copyOf(&rows[i])
		t.open[n.Server] = append(t.open[n.Server], &entry{Notification: n})
		t.last = max(t.last, n.Number)
	}
	for _, list := range t.open {
		slices.SortStableFunc(list, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(a.Number, b.Number), a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
		})
	}
}

// Open returns copies of the open notifications of a server, oldest first.
func (t *Table) Open(server record.ID) []Notification {
	var out []Notification
	for _, e := range t.open[server] {
		out = append(out, copyOf(&e.Notification))
	}
	return out
}

// Len returns how many notifications are open.
func (t *Table) Len() int {
	n := 0
	for _, list := range t.open {
		n += len(list)
	}
	return n
}

// Apply takes one verdict and says what it did. It always answers: a verdict
// without effect is Ignored, with the reason.
func (t *Table) Apply(v operator.Verdict, facts operator.ServerFacts, at At) Transition {
	r := t.rules[v.RuleID]
	if r == nil {
		return ignored(v, at, "no such rule")
	}
	switch v.Kind {
	case operator.Firing:
		return t.fire(r, v, facts, at)
	case operator.Resolved:
		return t.resolve(r, v, at)
	default:
		e := t.find(v, at)
		if e == nil {
			return ignored(v, at, v.Reason)
		}
		return e.transition(Noted, r, v, at, false)
	}
}

func ignored(v operator.Verdict, at At, reason string) Transition {
	return Transition{Effect: Ignored, At: at.Time, RuleID: v.RuleID, Device: v.Device, Severity: v.Severity, Reason: reason, RecordID: v.RecordID}
}

func (t *Table) fire(r *rule.Rule, v operator.Verdict, facts operator.ServerFacts, at At) Transition {
	e := t.find(v, at)
	more := ""
	if e == nil && (len(t.open[v.Server]) >= maxOpen || t.shared(&v) != nil) {
		more, v.Device = v.Device, ""
		e = t.find(v, at)
	}
	if e == nil {
		e = t.crowd(v, at)
	}
	if e == nil {
		e = t.openNew(r, v, facts, at)
		e.firePart(r, v, facts, at)
		e.stand(v.RuleID, more)
		e.rewrite(v, at)
		return e.transition(Opened, r, v, at, true)
	}
	fresh := e.part(v.RuleID, v.Device) == nil
	effect := e.firePart(r, v, facts, at)
	e.stand(v.RuleID, more)
	worse := rule.Worse(v.Severity, e.Severity)
	switch {
	case effect == Noted:
		return e.transition(Noted, r, v, at, false)
	case worse:
		e.Severity, effect = v.Severity, Escalated
		e.escalate(r, v, facts, at)
	case fresh && r.Retell && v.Severity == e.Severity && e.opened != at:
		effect = Escalated
		e.escalate(r, v, facts, at)
	}
	e.rewrite(v, at)
	// The same thing once more is no news: the next round carries its text.
	return e.transition(effect, r, v, at, effect != Repeated)
}

// crowd returns the newest of a server's notifications that a rule opened
// lately, when they are as many as people want to read, or nil: fifty services
// that fail in one night have one cause, and the rest of them joins.
func (t *Table) crowd(v operator.Verdict, at At) *entry {
	var newest *entry
	n := 0
	for _, e := range t.open[v.Server] {
		if e.RuleID == v.RuleID && at.Time.Sub(e.Opened) < crowdWithin {
			newest, n = e, n+1
		}
	}
	if n < crowdOf {
		return nil
	}
	return newest
}

func (t *Table) openNew(r *rule.Rule, v operator.Verdict, facts operator.ServerFacts, at At) *entry {
	t.last++
	e := &entry{opened: at, Notification: Notification{
		ID: notificationID(v, at), Number: t.last, Server: v.Server, Name: facts.Name, Device: subject(v.Subject, v.Device), Class: v.Class, Group: v.Group,
		State: Firing, Severity: v.Severity, RuleID: r.ID, Opened: at.Time, Simulated: facts.Simulated,
	}}
	e.Labels = labels(r, v, facts, e)
	t.open[v.Server] = append(t.open[v.Server], e)
	return e
}

// notificationID is made of what opened the notification, so a replay gives
// the same one.
func notificationID(v operator.Verdict, at At) string {
	h := sha256.New()
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(at.Partition))
	binary.BigEndian.PutUint64(n[8:], at.Entry)
	for _, s := range []string{string(v.Server[:]), v.Device, v.Class, at.Incarnation, string(n[:]), v.RecordID, v.RuleID} {
		var l [4]byte
		binary.BigEndian.PutUint32(l[:], uint32(len(s)))
		h.Write(l[:])
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// firePart notes that a rule says the problem exists.
func (e *entry) firePart(r *rule.Rule, v operator.Verdict, facts operator.ServerFacts, at At) Effect {
	p := e.part(v.RuleID, v.Device)
	effect := Repeated
	switch {
	case p == nil && len(e.Parts) >= maxParts && !e.makeRoom():
		return Noted
	case p == nil:
		e.Parts = append(e.Parts, Part{RuleID: v.RuleID, Device: v.Device, Since: at.Time, RecordID: v.RecordID})
		p = &e.Parts[len(e.Parts)-1]
		effect = Joined
	case p.State == Resolved:
		p.Since, p.RecordID, effect = at.Time, v.RecordID, Joined
	case p.After != v.After:
		effect = Joined // the same problem, but another state
	}
	f := fields(r, v, facts)
	p.Rule, p.RuleVersion, p.Shape, p.State, p.Severity, p.Momentary = r.Name, r.Version, r.Shape, Firing, v.Severity, v.Momentary
	p.Group, p.Subject, p.Serial, p.Reason, p.Before, p.After, p.Changed = v.Group, v.Subject, v.Serial, v.Reason, v.Before, v.After, at.Time
	p.Summary, p.Description, p.Runbook = r.Summary.Render(f), r.Description.Render(f), r.Runbook
	if x := v.Texts; x != nil {
		p.Summary, p.Description, p.Runbook = x.Summary, x.Description, x.Runbook
	}
	p.Count++
	return effect
}

// stand has a rule's part that is about no device stand for one.
func (e *entry) stand(ruleID, device string) {
	p := e.part(ruleID, "")
	if device == "" || p == nil || len(p.More) >= maxParts || slices.Contains(p.More, device) {
		return
	}
	p.More = append(slices.Clip(p.More), device) // copies share what was there
}

// standsFor returns the part that stands for a device, or nil.
func (e *entry) standsFor(ruleID, device string) *Part {
	if p := e.part(ruleID, ""); p != nil && p.State == Firing && device != "" && slices.Contains(p.More, device) {
		return p
	}
	return nil
}

// shared returns what stands for a verdict's device, or nil.
func (t *Table) shared(v *operator.Verdict) *Part {
	for _, e := range t.open[v.Server] {
		if p := e.standsFor(v.RuleID, v.Device); p != nil {
			return p
		}
	}
	return nil
}

// makeRoom forgets the part that has been over for longest, if there is one.
func (e *entry) makeRoom() bool {
	oldest := -1
	for i := range e.Parts {
		if p := &e.Parts[i]; p.State == Resolved && (oldest < 0 || p.Changed.Before(e.Parts[oldest].Changed)) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	e.Parts = slices.Delete(e.Parts, oldest, oldest+1)
	return true
}

func (e *entry) part(ruleID, device string) *Part {
	for i := range e.Parts {
		if p := &e.Parts[i]; p.RuleID == ruleID && p.Device == device {
			return p
		}
	}
	return nil
}

// escalate adds a label set, or, when nobody can have seen the first one yet,
// replaces it: one snapshot that shows a drive gone and its array offline is
// told once.
func (e *entry) escalate(r *rule.Rule, v operator.Verdict, facts operator.ServerFacts, at At) {
	l := labels(r, v, facts, e)
	if e.opened == at {
		e.Labels, e.RuleID = l, r.ID
		return
	}
	e.Escalations = append(e.Escalations, Escalation{At: at.Time, Severity: v.Severity, Labels: l})
}

// resolve notes that a rule says the problem is over.
func (t *Table) resolve(r *rule.Rule, v operator.Verdict, at At) Transition {
	for _, e := range t.open[v.Server] {
		p := e.part(v.RuleID, v.Device)
		if p == nil || p.State != Firing {
			if p = e.standsFor(v.RuleID, v.Device); p == nil {
				continue
			}
			if p.More = slices.DeleteFunc(slices.Clone(p.More), func(d string) bool { return d == v.Device }); len(p.More) > 0 {
				e.rewrite(v, at)
				return e.transition(Eased, r, v, at, false)
			}
		}
		p.State, p.Reason, p.Changed = Resolved, v.Reason, at.Time
		if v.After != "" {
			p.Before, p.After = v.Before, v.After
		}
		return t.afterResolve(e, r, v, at)
	}
	return ignored(v, at, "nothing is open for it")
}

func (t *Table) afterResolve(e *entry, r *rule.Rule, v operator.Verdict, at At) Transition {
	if e.held() {
		e.rewrite(v, at)
		return e.transition(Eased, r, v, at, true)
	}
	for i := range e.Parts {
		if p := &e.Parts[i]; p.State == Firing { // momentary ones end with the others
			p.State, p.Changed = Resolved, at.Time
		}
	}
	e.State, e.Resolved = Resolved, at.Time
	e.rewrite(v, at)
	t.remove(e)
	return e.transition(Closed, r, v, at, true)
}

// held tells whether some part keeps the notification open. Momentary parts do
// so only where there never was another.
func (e *entry) held() bool {
	firing, lasting := false, false
	for i := range e.Parts {
		p := &e.Parts[i]
		if !p.Momentary {
			lasting = true
			if p.State == Firing {
				return true
			}
		}
		firing = firing || p.State == Firing
	}
	return firing && !lasting
}

func (t *Table) remove(e *entry) {
	list := slices.DeleteFunc(t.open[e.Server], func(o *entry) bool { return o == e })
	if len(list) == 0 {
		delete(t.open, e.Server)
		return
	}
	t.open[e.Server] = list
}

// Forget closes all that is open for a server, such as a decommissioned one.
func (t *Table) Forget(server record.ID, reason string, at At) []Transition {
	var out []Transition
	for _, e := range slices.Clone(t.open[server]) {
		out = append(out, t.end(e, func(*Part) string { return reason }, at)...)
	}
	return out
}

// Rule returns the rule of an id, or nil.
func (t *Table) Rule(id string) *rule.Rule { return t.rules[id] }

// Retire ends the parts whose rule is gone or has another shape: the rule's
// state is gone too, so nothing else would. gone says why a rule is. Call it
// once after Load, when the rules that begin have said what they know.
func (t *Table) Retire(at At, gone map[string]string) []Transition {
	var out []Transition
	servers := slices.SortedFunc(maps.Keys(t.open), func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, server := range servers {
		for _, e := range slices.Clone(t.open[server]) {
			out = append(out, t.end(e, func(p *Part) string {
				switch r := t.rules[p.RuleID]; {
				case r == nil && gone[p.RuleID] != "":
					return "the rule " + p.RuleID + " " + gone[p.RuleID]
				case r == nil:
					return "the rule " + p.RuleID + " is gone"
				case r.Shape != p.Shape:
					return "the rule " + p.RuleID + " was changed and judges anew"
				default:
					return ""
				}
			}, at)...)
		}
	}
	return out
}

// end resolves the firing parts for which reason has one.
func (t *Table) end(e *entry, reason func(*Part) string, at At) []Transition {
	var out []Transition
	for _, p := range slices.Clone(e.Parts) {
		why := reason(&p)
		if p.State != Firing || why == "" || e.State == Resolved {
			continue
		}
		r := t.rules[p.RuleID]
		if r == nil {
			r = &rule.Rule{ID: p.RuleID, Name: p.Rule, Class: e.Class, Severity: p.Severity, Version: p.RuleVersion}
		}
		own := e.part(p.RuleID, p.Device)
		own.State, own.Reason, own.Changed = Resolved, why, at.Time
		v := operator.Verdict{RuleID: p.RuleID, Server: e.Server, Device: p.Device, Class: e.Class, Kind: operator.Resolved, Severity: p.Severity, At: at.Time, Reason: why}
		out = append(out, t.afterResolve(e, r, v, at))
	}
	return out
}

// find returns the open notification that a verdict belongs to, or nil.
func (t *Table) find(v operator.Verdict, at At) *entry {
	list := t.open[v.Server]
	for _, e := range list { // one part in two notifications would end in one of them
		if p := e.part(v.RuleID, v.Device); p != nil && p.State == Firing {
			return e
		}
	}
	for _, e := range list {
		if (e.Device == v.Device || v.Subject != "" && e.Device == v.Subject) && e.Class == v.Class {
			return e
		}
	}
	if e := rollUp(list, v, func(e *entry) bool { return e.opened == at }); e != nil {
		return e // what the same record just showed is the cause
	}
	for _, e := range slices.Backward(list) {
		if slices.ContainsFunc(e.Parts, func(p Part) bool {
			return p.Device == v.Device && v.Device != "" && (v.Momentary || t.class(&p) == v.Class)
		}) {
			return e
		}
	}
	for _, e := range slices.Backward(list) {
		if slices.ContainsFunc(e.Parts, func(p Part) bool { return sameDrive(&p, &v) }) {
			return e
		}
	}
	return rollUp(list, v, func(*entry) bool { return true })
}

// sameDrive tells whether a part and a verdict speak of one drive: the same slot
// under two names, or the same serial number.
func sameDrive(p *Part, v *operator.Verdict) bool {
	if v.Serial != "" && p.Serial == v.Serial {
		return true
	}
	if v.Subject == "" && p.Subject == "" {
		return false // by one name only: the class decides
	}
	return subject(p.Subject, p.Device) == subject(v.Subject, v.Device)
}

func subject(known, device string) string { return cmp.Or(known, device) }

// rollUp returns the open notification whose cause explains a verdict best, or
// nil: a drive that failed before one that only predicts it, then the newest.
func rollUp(list []*entry, v operator.Verdict, in func(*entry) bool) *entry {
	var best *entry
	for _, e := range slices.Backward(list) {
		if in(e) && e.rollsUp(v) && (best == nil || rule.Worse(e.causeSeverity(), best.causeSeverity())) {
			best = e
		}
	}
	return best
}

// causeSeverity is that of the worst part at the bottom of the chain.
func (e *entry) causeSeverity() string {
	bottom, worst := 0, ""
	for i := range e.Parts {
		p := &e.Parts[i]
		if l := level(subject(p.Subject, p.Device)); l > 0 && (bottom == 0 || l <= bottom) {
			if l < bottom {
				worst = ""
			}
			bottom = l
			if !p.Momentary && rule.Worse(p.Severity, worst) {
				worst = p.Severity
			}
		}
	}
	return worst
}

func (t *Table) class(p *Part) string {
	if r := t.rules[p.RuleID]; r != nil {
		return r.Class
	}
	return ""
}

// level is a device's place in the chain of causes inside a RAID controller; 0
// = outside of it. A battery fails for reasons of its own.
func level(device string) int {
	typ, _, _ := strings.Cut(device, " ")
	switch typ {
	case record.DevicePhysicalDrive:
		return 1
	case record.DeviceVirtualDrive:
		return 2
	case record.DeviceController:
		return 3
	default:
		return 0
	}
}

// rollsUp tells whether a verdict is an effect of what is open, or its cause.
// Two drives are two problems; a virtual drive that degrades when a drive of
// its group fails is none of its own.
func (e *entry) rollsUp(v operator.Verdict) bool {
	own := level(subject(v.Subject, v.Device))
	if own == 0 || v.Group == "" {
		return false
	}
	cause := 0 // the deepest part
	for i := range e.Parts {
		p := &e.Parts[i]
		if l := level(subject(p.Subject, p.Device)); l > 0 && (cause == 0 || l < cause) {
			cause = l
		}
	}
	related := slices.ContainsFunc(e.groups(), func(g string) bool { return sameGroup(g, v.Group) })
	switch {
	case !related:
		return false
	case own > cause:
		return true
	case own < cause:
		return !v.Momentary || e.held()
	default:
		return own == 2 && strings.Contains(v.Group, "/") && e.Group == v.Group
	}
}

// groups returns the groups of the RAID parts. One that names a drive group
// settles which it is: a drive that was never seen in one explains the first
// array that degrades on its controller, and not a second one.
func (e *entry) groups() []string {
	var all, exact []string
	for i := range e.Parts {
		p := &e.Parts[i]
		switch {
		case level(subject(p.Subject, p.Device)) == 0 || p.Group == "":
		case strings.Contains(p.Group, "/"):
			exact = append(exact, p.Group)
		default:
			all = append(all, p.Group)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return all
}

// sameGroup compares drive groups, "c0/dg1" or "c0". A drive that failed may
// have left its group, so a bare controller fits all groups of it.
func sameGroup(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// compareParts puts causes first: what lasts before what was noted in passing,
// drives before arrays, what still fires, then the worst, then the oldest.
func compareParts(a, b Part) int {
	if a.Momentary != b.Momentary {
		if a.Momentary {
			return 1
		}
		return -1
	}
	if n := cmp.Compare(level(subject(a.Subject, a.Device)), level(subject(b.Subject, b.Device))); n != 0 {
		return n
	}
	if a.State != b.State {
		return cmp.Compare(a.State, b.State) // "firing" sorts before "resolved"
	}
	if a.Severity != b.Severity {
		if rule.Worse(a.Severity, b.Severity) {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.RuleID, b.RuleID), cmp.Compare(a.Device, b.Device))
}

func (e *entry) transition(effect Effect, r *rule.Rule, v operator.Verdict, at At, deliver bool) Transition {
	if effect != Noted {
		e.Version++
	}
	return Transition{Effect: effect, Notification: copyOf(&e.Notification), At: at.Time, RuleID: r.ID, Version: r.Version, Device: v.Device,
		Severity: v.Severity, Reason: v.Reason, RecordID: v.RecordID, Before: v.Before, After: v.After, Deliver: deliver}
}

func copyOf(n *Notification) Notification {
	c := *n
	c.Labels, c.Annotations = maps.Clone(n.Labels), maps.Clone(n.Annotations)
	c.Escalations, c.Parts = slices.Clone(n.Escalations), slices.Clone(n.Parts)
	return c
}

// lasted writes how long a notification was open.
func lasted(n *Notification) string {
	return n.Resolved.Sub(n.Opened).Round(time.Second).String()
}
