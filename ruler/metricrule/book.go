package metricrule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// book knows what metric rules hold open. It is pure: what a rule found goes
// in, transitions of the notification table come out.
//
// It is level-triggered: each evaluation says everything that is so, and the
// book compares. So a restart needs no state but the open notifications
// themselves. An alert that is pending holds a notification open and opens
// none: after a restart, Prometheus' engine counts "for" anew until it has read
// back since when.
type book struct {
	table   *notify.Table
	alerts  map[place]*Alert
	sources map[string][]place        // by rule id
	found   map[place]map[key]*want   // of the last good evaluation; none before the first
	open    map[string]map[key]*entry // by rule id
	count   int
}

// key names one alert: a part of a notification.
type key struct {
	server        record.ID
	device, class string
}

// want is what a rule says of one key.
type want struct {
	key
	pending     bool
	severity    string
	reason      string // "the query answers 0.97"
	summary     string
	description string
	runbook     string
	labels      map[string]string // that Alertmanager gets
	value       float64
	series      map[string]string // all labels, as evidence
}

// speaksFor tells whether of two series that are one problem this one is told:
// what fires, then the worse one, then always the same, because the engine lists
// its alerts in no order.
func (w *want) speaksFor(was *want) bool {
	switch {
	case w.pending != was.pending:
		return was.pending
	case rule.Worse(w.severity, was.severity), rule.Worse(was.severity, w.severity):
		return rule.Worse(w.severity, was.severity)
	}
	return fmt.Sprint(w.series) < fmt.Sprint(was.series) // maps print sorted
}

// entry is a part that is open.
type entry struct {
	severity string
	told     time.Time // when its text was last written
	adopted  bool      // from the store: not seen by this process yet
	missing  time.Time // since when it is gone, for an adopted one
	want     *want     // the last one; nil = adopted
}

// change is a transition and what the rule said.
type change struct {
	notify.Transition
	want  *want // nil at an end of which nothing more is known
	alert *Alert
}

const (
	textEvery = 10 * time.Minute // how often a text may change while nothing else does
	maxOpen   = 50_000           // parts
)

// storeAway is the rule about the metrics store itself.
func storeAway() *rule.Rule {
	r := &rule.Rule{ID: "metrics-store-away", Name: "MetricsStoreAway", Class: "metrics-store", Severity: rule.Warning, Runbook: "nocturne#metrics-store-away", Kind: Kind, Spec: &Spec{}}
	r.Shape = digest(r.Class)
	r.Version = r.Shape
	return r
}

// newBook starts from the notifications that are open. What is open for rules
// that are gone, or have another class, is closed.
func newBook(p *Pack, rows []notify.Notification, at notify.At) (*book, []change) {
	b := &book{alerts: p.alerts, sources: map[string][]place{}, found: map[place]map[key]*want{}, open: map[string]map[key]*entry{}}
	rules := append(p.Rules(), storeAway())
	b.table = notify.NewTable(rules)
	b.table.Load(rows)
	var out []change
	for _, t := range b.table.Retire(at, p.gone) {
		out = append(out, change{Transition: t})
	}
	for at, a := range p.alerts {
		b.sources[a.Rule.ID] = append(b.sources[a.Rule.ID], at)
	}
	ended := map[string]bool{}
	for _, c := range out {
		ended[c.Notification.ID+"\x00"+c.RuleID+"\x00"+c.Device] = true
	}
	for i := range rows {
		n := &rows[i]
		for _, q := range n.Parts {
			if q.State == notify.Firing && !ended[n.ID+"\x00"+q.RuleID+"\x00"+q.Device] && b.sources[q.RuleID] != nil {
				b.put(q.RuleID, key{n.Server, q.Device, n.Class}, &entry{severity: q.Severity, told: q.Changed, adopted: true})
			}
		}
	}
	return b, out
}

func (b *book) put(id string, k key, e *entry) {
	if b.open[id] == nil {
		b.open[id] = map[key]*entry{}
	}
	b.open[id][k] = e
	b.count++
}

// observe takes one good evaluation of a rule. about says what the registry
// knows of a server. skipped counts alerts that found no room.
func (b *book) observe(p place, wants []*want, about func(record.ID) operator.ServerFacts, at notify.At) (out []change, skipped int) {
	a := b.alerts[p]
	if a == nil {
		return nil, 0 // of rules that are gone
	}
	id := a.Rule.ID
	now := map[key]*want{}
	for _, w := range wants {
		if was := now[w.key]; was == nil || w.speaksFor(was) {
			now[w.key] = w
		}
	}
	b.found[p] = now
	for _, k := range sorted(now) {
		w, e := now[k], b.open[id][k]
		switch {
		case e != nil:
			if c, ok := b.again(a, w, e, about, at); ok {
				out = append(out, c)
			}
		case w.pending:
		case b.count >= maxOpen:
			skipped++
		default:
			b.put(id, k, &entry{severity: w.severity, told: at.Time, want: w})
			out = append(out, b.fire(a, w, about, at))
		}
	}
	return append(out, b.ends(a, about, at)...), skipped
}

// again looks at an alert that is open already.
func (b *book) again(a *Alert, w *want, e *entry, about func(record.ID) operator.ServerFacts, at notify.At) (change, bool) {
	was := e.want
	e.adopted, e.missing, e.want = false, time.Time{}, w
	if w.pending {
		return change{}, false
	}
	old := at.Time.Sub(e.told) >= textEvery && (was == nil || was.summary != w.summary || was.description != w.description)
	if w.severity == e.severity && !old {
		return change{}, false
	}
	e.severity, e.told = w.severity, at.Time
	return b.fire(a, w, about, at), true
}

func (b *book) fire(a *Alert, w *want, about func(record.ID) operator.ServerFacts, at notify.At) change {
	v := operator.Verdict{RuleID: a.Rule.ID, Server: w.server, Device: w.device, Class: w.class, Kind: operator.Firing, Severity: w.severity, At: at.Time,
		Reason: w.reason, Texts: &operator.Texts{Summary: w.summary, Description: w.description, Runbook: w.runbook, Labels: w.labels}}
	return change{b.table.Apply(v, about(w.server), at), w, a}
}

// ends closes what no rule of the same id says any more.
func (b *book) ends(a *Alert, about func(record.ID) operator.ServerFacts, at notify.At) []change {
	id := a.Rule.ID
	for _, q := range b.sources[id] {
		if b.found[q] == nil {
			return nil // one of them has not been asked yet
		}
	}
	var out []change
	for _, k := range sorted(b.open[id]) {
		e := b.open[id][k]
		if b.said(id, k) {
			continue
		}
		if e.adopted && a.Keep > 0 { // the engine forgot since when, we count from when we first missed it
			if e.missing.IsZero() {
				e.missing = at.Time
			}
			if at.Time.Sub(e.missing) < a.Keep {
				continue
			}
		}
		delete(b.open[id], k)
		b.count--
		v := operator.Verdict{RuleID: id, Server: k.server, Device: k.device, Class: k.class, Kind: operator.Resolved, Severity: e.severity, At: at.Time, Reason: "the query does not answer with it any more"}
		out = append(out, change{b.table.Apply(v, about(k.server), at), e.want, a})
	}
	return out
}

func (b *book) said(id string, k key) bool {
	for _, q := range b.sources[id] {
		if b.found[q][k] != nil {
			return true
		}
	}
	return false
}

// away opens or closes the notification about the metrics store; "" closes it.
// It answers with nothing when that is how it stands.
func (b *book) away(problem string, at notify.At) []change {
	r := storeAway()
	v := operator.Verdict{RuleID: r.ID, Device: "metrics store", Class: r.Class, Kind: operator.Resolved, Severity: r.Severity, At: at.Time, Reason: "it answers again"}
	open := slices.ContainsFunc(b.table.Open(record.ID{}), func(n notify.Notification) bool { return n.Class == r.Class && n.Device == v.Device })
	switch {
	case problem != "" && !open:
		v.Kind, v.Reason = operator.Firing, problem
		v.Texts = &operator.Texts{Summary: "Metric rules are blind: the metrics store does not answer", Runbook: r.Runbook,
			Description: "Disks that fill up, memory, clocks and the pipeline itself are not judged while this lasts; what was open stays open. " + problem}
	case problem == "" && open:
	default:
		return nil
	}
	return []change{{Transition: b.table.Apply(v, operator.ServerFacts{}, at)}}
}

func sorted[V any](m map[key]V) []key {
	return slices.SortedFunc(maps.Keys(m), func(a, b key) int {
		if n := slices.Compare(a.server[:], b.server[:]); n != 0 {
			return n
		}
		if n := strings.Compare(a.device, b.device); n != 0 {
			return n
		}
		return strings.Compare(a.class, b.class)
	})
}

func at(now time.Time, pos store.Position) notify.At {
	return notify.At{Time: now, Incarnation: incarnation, Partition: store.MetricPartition, Entry: pos.Entry + 1}
}

const incarnation = "metric"
