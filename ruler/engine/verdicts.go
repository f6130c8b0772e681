package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/store"
)

// verdict takes what a rule says. in is nil when time said it.
func (p *partition) verdict(v operator.Verdict, in *operator.Input) {
	p.counts.verdicts++
	if v.Kind == operator.Failed {
		p.failed(v)
		return
	}
	about := p.lines[v.Server]
	if about == nil {
		return // retired by the same record
	}
	if p.rules.silence[v.RuleID] && v.Device == "" {
		if p.hold(about, v) {
			return
		}
		p.silence(about, &v)
	}
	v.At = p.clock.shown(v.At)
	operator.Relate(&v, func(c record.Category) *record.Snapshot {
		known, err := p.snapshots.get(about.currentHash(c))
		if err != nil {
			return nil // it is only to tell what belongs together
		}
		return known
	})
	tr := p.table.Apply(v, about.serverFacts(), p.at())
	p.transition(tr, about, in, v.Kind)
}

func (p *partition) fit(s *server) bool { return p.clock.fit(s.used|s.usedBefore, s.line.interval) }

// hold keeps back what would call a server silent while none of its bridges is
// fit, and forgets it when the server is heard.
func (p *partition) hold(s *server, v operator.Verdict) bool {
	switch v.Kind {
	case operator.Firing:
		if p.fit(s) {
			return false
		}
		v.Fields = nil // only for templates, and not to be read back
		p.held[s.id] = v
		p.heldDirty = true
		return true
	case operator.Resolved:
		return p.letGo(s.id)
	}
	return false
}

func (p *partition) letGo(id record.ID) bool {
	if _, ok := p.held[id]; !ok {
		return false
	}
	delete(p.held, id)
	p.heldDirty = true
	return true
}

// release lets held verdicts speak whose server should have been heard by now.
func (p *partition) release() {
	var ready []record.ID
	for id := range p.held {
		if s := p.lines[id]; s == nil || p.fit(s) {
			ready = append(ready, id)
		}
	}
	slices.SortFunc(ready, func(a, b record.ID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ready {
		v := p.held[id]
		p.letGo(id)
		v.At = p.now()
		p.verdict(v, nil)
	}
}

func (p *partition) encodeHeld() []byte {
	b, err := json.Marshal(p.held)
	if err != nil {
		return nil // decoding it says so; plain values always marshal
	}
	return b
}

func (p *partition) decodeHeld(r *decoder) {
	p.held = map[record.ID]operator.Verdict{}
	if json.Unmarshal(r.b, &p.held) != nil {
		r.bad = true
	}
	r.b = nil
}

// silence keeps the server's state in step with the rule about heartbeats.
func (p *partition) silence(s *server, v *operator.Verdict) {
	switch v.Kind {
	case operator.Firing:
		s.silent = true
		p.out.dirty[s.root] = struct{}{}
		p.state(s, stSilent, v.Reason)
	case operator.Resolved:
		s.silent = false // heard has set the state
		p.out.dirty[s.root] = struct{}{}
	case operator.Muted: // the goodbye, and what it allows
		p.out.state(s.id, store.StateWrite{State: s.state.word(), Reason: v.Reason, Since: p.streamTime()})
	}
}

// transition writes down what a verdict did.
func (p *partition) transition(tr notify.Transition, s *server, in *operator.Input, kind operator.VerdictKind) {
	p.counts.effects[tr.Effect]++
	if kind == operator.Muted {
		p.ruled(tr.RuleID, operator.Muted.String())
	} else {
		p.ruled(tr.RuleID, string(tr.Effect))
	}
	if tr.Effect == notify.Ignored {
		return
	}
	n := row(&tr.Notification, p.number)
	if tr.Effect == notify.Opened && p.rules.silence[tr.RuleID] {
		n.Held = true
		p.fact(store.FactSilent, s, n.ID)
	}
	if p.rules.never[tr.RuleID] {
		switch tr.Effect {
		case notify.Opened:
			n.Held = true
			p.fact(store.FactMissing, s, n.ID)
		case notify.Closed:
			p.fact(store.FactFound, s, n.ID)
		}
	}
	if tr.Effect != notify.Noted {
		p.out.notification(n)
		p.out.urgent = p.out.urgent || tr.Deliver
	}
	e := store.Evidence{Notification: tr.Notification.ID, At: tr.At, Event: tr.At, Effect: kind.String(), RuleID: tr.RuleID, Reason: tr.Reason,
		RecordID: tr.RecordID, Before: tr.Before, After: tr.After}
	if in != nil && in.RecordID == tr.RecordID {
		p.witness(&e, in, tr.Device)
	}
	p.out.commit.Evidence = append(p.out.commit.Evidence, e)
}

// witness puts the record into the evidence, bounded.
func (p *partition) witness(e *store.Evidence, in *operator.Input, device string) {
	r := in.Record
	e.Category, e.Name = in.Header.Category, cut(r.Name, maxFact)
	e.Event = eventTime(r, p.skew, p.entryAt)
	e.Body, e.Cut = bound(r.Body, store.MaxEvidenceBody, e.Cut)
	e.Raw, e.Cut = bound(r.Attr(record.AttrRaw).Text(), store.MaxEvidenceRaw, e.Cut)
	var keep []record.Attr
	room := store.MaxEvidenceAttrs - 64
	take := func(a record.Attr) {
		if a.Key == record.AttrRaw {
			return
		}
		n := len(record.AppendJSONAttrs(nil, []record.Attr{a}))
		if n > room {
			e.Cut = true
			return
		}
		room -= n
		keep = append(keep, a)
	}
	if d := findDevice(r.Snapshot, device); d != nil {
		for _, f := range d.Fields {
			take(record.Attr{Key: "device." + f.Key, Value: f.Value})
		}
		if d.Occupant != "" {
			take(record.Attr{Key: "device.serial", Value: record.String(d.Occupant)})
		}
	}
	for _, a := range r.Attrs {
		take(a)
	}
	e.Attrs = record.AppendJSONAttrs(nil, keep)
}

func bound(s string, n int, was bool) (string, bool) {
	if len(s) <= n {
		return s, was
	}
	return cut(s, n), true
}

func findDevice(s *record.Snapshot, name string) *record.Device {
	if s == nil || name == "" {
		return nil
	}
	for i := range s.Devices {
		if d := &s.Devices[i]; diff.DeviceName(d.Type, d.Place) == name {
			return d
		}
	}
	return nil
}

// row is a notification as it is stored.
func row(n *notify.Notification, partition int) store.Notification {
	saved, err := json.Marshal(n)
	if err != nil {
		saved = nil // plain strings and times always marshal
	}
	out := store.Notification{
		ID: n.ID, Server: n.Server, Name: n.Name, Device: n.Device, Class: n.Class, State: store.NotificationState(n.State), Severity: n.Severity, RuleID: n.RuleID,
		Title: n.Title, Reason: n.Reason, Opened: n.Opened, Changed: n.Changed, Resolved: n.Resolved, Simulated: n.Simulated,
		Labels: n.Labels, Annotations: n.Annotations, Partition: partition, Saved: saved,
	}
	for i := range n.Parts {
		q := &n.Parts[i]
		out.Parts = append(out.Parts, store.Part{RuleID: q.RuleID, Rule: q.Rule, RuleVersion: q.RuleVersion, Shape: q.Shape, Device: q.Device, State: store.NotificationState(q.State),
			Severity: q.Severity, Momentary: q.Momentary, Reason: q.Reason, Before: q.Before, After: q.After, RecordID: q.RecordID, Since: q.Since, Changed: q.Changed, Count: q.Count, Cause: i == 0})
	}
	return out
}

// tellable is a stored notification as people are told of it: with what the
// machine answered.
func tellable(n *store.Notification) (notify.Notification, error) {
	out, err := saved(n)
	if n.Probe == "" {
		return out, err
	}
	out.Annotations = cloneMap(out.Annotations)
	out.Annotations[notify.AnnotationProbe] = n.Probe
	if d := out.Annotations[notify.AnnotationDescription]; n.State == store.Firing && !strings.Contains(d, n.Probe) {
		out.Annotations[notify.AnnotationDescription] = strings.TrimSpace(d + " Asked when it fell silent: " + n.Probe + ".")
	}
	return out, err
}

// saved reads back a row as the table, and whoever sends it, wants it. With an
// error it is what the row's columns say: one that cannot be read must neither
// stop the others nor be forgotten.
func saved(n *store.Notification) (notify.Notification, error) {
	var out notify.Notification
	err := json.Unmarshal(n.Saved, &out)
	if err == nil && out.ID != n.ID {
		err = fmt.Errorf("it is of %q", out.ID)
	}
	if err != nil {
		return salvaged(n), fmt.Errorf("saved form of notification %s: %w", n.ID, err)
	}
	return out, nil
}

// salvaged makes a notification of its columns. What they do not hold is lost:
// groups, templates, and label sets of escalations, whose alerts end by
// themselves a day later.
func salvaged(n *store.Notification) notify.Notification {
	out := notify.Notification{ID: n.ID, Server: n.Server, Name: n.Name, Device: n.Device, Class: n.Class, State: notify.State(n.State), Severity: n.Severity, RuleID: n.RuleID,
		Title: n.Title, Reason: n.Reason, Opened: n.Opened, Changed: n.Changed, Resolved: n.Resolved, Simulated: n.Simulated, Labels: cloneMap(n.Labels), Annotations: cloneMap(n.Annotations)}
	for i := range n.Parts {
		q := &n.Parts[i]
		out.Parts = append(out.Parts, notify.Part{RuleID: q.RuleID, Rule: q.Rule, RuleVersion: q.RuleVersion, Shape: q.Shape, Device: q.Device, State: notify.State(q.State),
			Severity: q.Severity, Momentary: q.Momentary, Reason: q.Reason, Before: q.Before, After: q.After, RecordID: q.RecordID, Since: q.Since, Changed: q.Changed, Count: q.Count})
	}
	return out
}
