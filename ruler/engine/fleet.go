package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// The fleet operator judges what no partition can see alone. A silence is held
// for the moment until it has decided: when at least three servers, and half of
// a rack or of a site, are silent or overdue, one notification speaks for all of
// them; otherwise the server's own goes out. It decides at the first deadline,
// because the neighbours are overdue by then. What was told already stays told.
//
// fleet is pure. Its state is saved whole with each of its commits.
type fleet struct {
	Members map[record.ID]*member
	Folds   map[string]*fold                // by group
	Alerts  map[string]*notify.Notification // about bridges, by subject
	Seq     uint64
}

// member is a server that is overdue or silent.
type member struct {
	Site, Rack   string
	Simulated    bool
	Silent       bool
	Notification string
	Fold         string // group, "" = stands for itself
}

// fold is a rack or a site that fell silent as one.
type fold struct {
	Notification notify.Notification
	Size         int
	LastBack     int64
}

const (
	foldLeast = 3               // servers
	foldWait  = 5 * time.Minute // for the last ones to come back with the others
	classMass = "silence-group"
	ruleMass  = "fleet-silence" //
)

func newFleet() *fleet {
	return &fleet{Members: map[record.ID]*member{}, Folds: map[string]*fold{}, Alerts: map[string]*notify.Notification{}}
}

// group names a rack, or a site when rack is empty. Simulated servers are apart.
type group struct {
	site, rack string
	simulated  bool
}

func (g group) key() string {
	b, err := json.Marshal([]any{g.site, g.rack, g.simulated})
	if err != nil {
		return "" // strings always marshal
	}
	return string(b)
}

func (g group) String() string {
	switch {
	case g.rack != "" && g.site != "":
		return "rack " + g.rack + " at " + g.site
	case g.rack != "":
		return "rack " + g.rack
	case g.site != "":
		return "site " + g.site
	}
	return "the group of servers without a site"
}

func (g group) has(m *member) bool {
	return m.Site == g.site && (g.rack == "" || m.Rack == g.rack) && m.Simulated == g.simulated
}

// outcome is what facts led to.
type outcome struct {
	folds []store.Fold
	notes []notify.Notification
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

// apply takes one fact. sizes are asked for only when a server falls silent.
func (f *fleet) apply(x store.Fact, sizes func() ([]store.GroupSize, error), o *outcome) error {
	switch x.Kind {
	case store.FactOverdue:
		m := f.member(x)
		if m.Silent { // a new silence will be told anew
			m.Silent, m.Notification = false, ""
		}
	case store.FactSilent:
		m := f.member(x)
		m.Silent, m.Notification = true, x.Notification
		if f.join(x, m, o) {
			return nil
		}
		all, err := sizes()
		if err != nil {
			return err
		}
		f.judge(x, m, all, o)
	case store.FactBack, store.FactGone:
		m := f.Members[x.Server]
		delete(f.Members, x.Server)
		if m != nil && m.Fold != "" {
			f.left(m.Fold, x.At, o)
		}
	}
	return nil
}

func (f *fleet) member(x store.Fact) *member {
	m := f.Members[x.Server]
	if m == nil {
		m = &member{}
		f.Members[x.Server] = m
	}
	m.Site, m.Rack, m.Simulated = x.Site, x.Rack, x.Simulated
	return m
}

// join puts a silence into a fold that is open for its rack or site.
func (f *fleet) join(x store.Fact, m *member, o *outcome) bool {
	for _, g := range []group{{x.Site, "", x.Simulated}, {x.Site, x.Rack, x.Simulated}} {
		d := f.Folds[g.key()]
		if d == nil {
			continue
		}
		m.Fold = g.key()
		o.folds = append(o.folds, store.Fold{Notification: m.Notification, Into: d.Notification.ID, Muted: d.Notification.Title, At: x.At})
		f.describe(g, d, x.At)
		o.note(d.Notification)
		return true
	}
	return false
}

// judge decides whether a silence is one server's or a whole group's.
func (f *fleet) judge(x store.Fact, m *member, all []store.GroupSize, o *outcome) {
	g, size, ok := f.fallen(x, all)
	if !ok {
		m.Fold = ""
		o.folds = append(o.folds, store.Fold{Notification: m.Notification, At: x.At})
		return
	}
	d := &fold{Size: size, Notification: notify.Notification{
		ID: fleetID(classMass, g.key(), uint64(x.At.UnixNano())), Device: g.String(), Class: classMass, State: notify.Firing, Severity: notify.Critical, RuleID: ruleMass,
		Opened: x.At, Simulated: x.Simulated,
	}}
	if g.rack == "" {
		d.Notification.Labels = fleetLabels("SiteSilent", g, d.Notification)
	} else {
		d.Notification.Labels = fleetLabels("RackSilent", g, d.Notification)
	}
	f.Folds[g.key()] = d
	m.Fold = g.key()
	f.describe(g, d, x.At)
	o.folds = append(o.folds, store.Fold{Notification: m.Notification, Into: d.Notification.ID, Muted: d.Notification.Title, At: x.At})
	o.note(d.Notification)
}

// fallen finds the largest group of the server that fell silent as one.
func (f *fleet) fallen(x store.Fact, all []store.GroupSize) (group, int, bool) {
	for _, g := range []group{{x.Site, "", x.Simulated}, {x.Site, x.Rack, x.Simulated}} {
		size, down := 0, 0
		racks := map[string]bool{}
		for _, s := range all {
			if s.Site == g.site && s.Simulated == g.simulated && (g.rack == "" || s.Rack == g.rack) {
				size += s.Servers
			}
		}
		for _, m := range f.Members {
			if g.has(m) && m.Fold == "" {
				down++
				racks[m.Rack] = true
			}
		}
		if g.rack == "" && len(racks) < 2 && !racks[""] {
			continue // one rack: its own name says more
		}
		if down >= foldLeast && 2*down >= size {
			return g, max(size, down), true
		}
	}
	return group{}, 0, false
}

// left notes that a member of a fold came back. With the last one it ends.
func (f *fleet) left(key string, at time.Time, o *outcome) {
	d := f.Folds[key]
	if d == nil {
		return
	}
	d.LastBack = at.UnixNano()
	if len(f.of(key)) == 0 {
		f.end(key, d, "all of them are back", at, o)
	}
}

func (f *fleet) of(key string) []*member {
	var out []*member
	for _, m := range f.Members {
		if m.Fold == key && m.Silent {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *member) int { return cmp.Compare(a.Notification, b.Notification) })
	return out
}

// tick ends folds whose last members do not come back with the others: they
// stand for themselves from then on.
func (f *fleet) tick(now time.Time, o *outcome) {
	for key, d := range f.Folds {
		if d.LastBack == 0 || now.UnixNano()-d.LastBack < int64(foldWait) {
			continue
		}
		rest := f.of(key)
		if len(rest) >= foldLeast && 2*len(rest) >= d.Size {
			continue
		}
		for _, m := range rest {
			m.Fold = ""
			o.folds = append(o.folds, store.Fold{Notification: m.Notification, At: now})
		}
		f.end(key, d, fmt.Sprintf("most are back, %d stay silent and are told by name", len(rest)), now, o)
	}
}

func (f *fleet) end(key string, d *fold, reason string, at time.Time, o *outcome) {
	delete(f.Folds, key)
	for _, m := range f.Members { // overdue ones that never fell silent
		if m.Fold == key {
			m.Fold = ""
		}
	}
	n := &d.Notification
	n.State, n.Resolved = notify.Resolved, at
	change(n, reason, at)
	o.note(*n)
}

func (f *fleet) describe(g group, d *fold, at time.Time) {
	silent := len(f.of(g.key()))
	n := &d.Notification
	n.Title = fmt.Sprintf("%s is silent", g)
	n.Annotations = map[string]string{
		notify.AnnotationSummary:     n.Title,
		notify.AnnotationRunbook:     "server#group-silent",
		notify.AnnotationDescription: fmt.Sprintf("%d of %d servers of %s sent no heartbeat past their deadline; the others are overdue too, or follow. Look at power and network first.", silent, d.Size, g),
	}
	change(n, "servers fell silent together", at)
}

// change notes a new version with its one part.
func change(n *notify.Notification, reason string, at time.Time) {
	n.Version++
	n.Changed, n.Reason = at, reason
	n.Annotations[notify.AnnotationReason] = reason
	since := n.Opened
	n.Parts = []notify.Part{{RuleID: n.RuleID, Rule: n.Labels[notify.LabelAlertname], Device: n.Device, State: n.State, Severity: n.Severity, Reason: reason, Since: since, Changed: at, Count: 1}}
}

func fleetLabels(name string, g group, n notify.Notification) map[string]string {
	l := map[string]string{notify.LabelAlertname: name, notify.LabelRule: n.RuleID, notify.LabelDevice: n.Device, notify.LabelSeverity: n.Severity, notify.LabelNotification: n.ID}
	if g.site != "" {
		l[notify.LabelSite] = g.site
	}
	if n.Simulated {
		l[notify.LabelSimulated] = "true"
	}
	return l
}

func fleetID(class, subject string, seq uint64) string {
	h := sha256.New()
	h.Write([]byte(class + "\x00" + subject + "\x00"))
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], seq)
	h.Write(b[:])
	return hex.EncodeToString(h.Sum(nil)[:8])
}

const (
	classBridge = "bridge"
	ruleBridge  = "bridge-silence"
)

// bridges opens one notification while servers cannot be judged, and closes it
// when they can: "" = they can.
func (f *fleet) bridges(problem string, at time.Time, o *outcome) {
	n := f.Alerts[classBridge]
	switch {
	case problem != "" && n == nil:
		f.Seq++
		n = &notify.Notification{ID: fleetID(classBridge, at.String(), f.Seq), Device: "eventbridge", Class: classBridge, State: notify.Firing, Severity: notify.Critical,
			RuleID: ruleBridge, Title: "Servers cannot be judged: " + problem, Opened: at}
		n.Labels = fleetLabels("BridgeSilent", group{}, *n)
		n.Annotations = map[string]string{notify.AnnotationSummary: n.Title, notify.AnnotationRunbook: "nocturne#bridge-silent",
			notify.AnnotationDescription: "No server is called silent while this lasts. Look at the eventbridge, its listener, its certificate and its network."}
		change(n, problem, at)
		f.Alerts[classBridge] = n
		o.note(*n)
	case problem == "" && n != nil:
		delete(f.Alerts, classBridge)
		n.State, n.Resolved = notify.Resolved, at
		change(n, "the eventbridge takes in records again", at)
		o.note(*n)
	}
}
