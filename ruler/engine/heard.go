package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/operator"
	"nocturne/ruler/store"
)

// route finds the line that a record belongs to, and lets a heartbeat decide
// who speaks.
func (p *partition) route(id *identity, in *input) *server {
	switch {
	case !exporterOf(in.header):
		return p.lines[id.root]
	case in.header.Category != record.Heartbeat:
		if len(id.all) == 1 {
			return p.lines[id.root]
		}
		return p.lines[id.lines.route(&in.header.Epoch).key]
	}
	r := in.record
	b := beat{
		epoch: in.header.Epoch, observed: r.Observed.UnixNano(), sent: in.header.Sent, interval: interval(r), goodbye: r.Name == record.NameGoodbye,
		machine: evidence(r.Attr(record.AttrMachineID).Str()), board: evidence(r.Attr(record.AttrSMBIOSUUID).Str()),
	}
	before := len(id.all)
	d := id.observe(b, p.clock.now)
	p.out.dirty[id] = struct{}{}
	p.counts.findings[d.finding]++
	for _, l := range id.all[min(before, len(id.all)):] {
		p.addLine(id, l)
	}
	if d.dropped != nil {
		p.retireLine(d.dropped.key, "part of "+p.lines[d.line.key].name)
	}
	p.found(id, d)
	return p.lines[d.line.key]
}

// addLine makes a server of a second line, with the registered labels of the first.
func (p *partition) addLine(id *identity, l *line) {
	if p.lines[l.key] != nil {
		return
	}
	first := p.lines[id.root]
	s := &server{id: l.key, root: id, line: l, about: first.about, name: lineName(first.name, l)}
	p.lines[l.key] = s
	p.out.dirty[id] = struct{}{}
	w := p.out.server(l.key)
	w.Labels = s.registered(p.streamTime())
	w.Clones = &store.CloneWrite{Of: id.root, Clones: id.clones}
	w.LabelsSince = p.streamTime()
	w.State = &store.StateWrite{State: store.StateWaiting, Reason: "another machine under the identity of " + first.name, Since: p.streamTime()}
	p.out.urgent, p.out.news = true, true
}

// lineName tells two machines of one name apart.
func lineName(name string, l *line) string {
	return strings.TrimSpace(name + " [other " + l.key.String()[:4] + "]")
}

func (s *server) registered(enrolled time.Time) *store.ServerLabels {
	l := s.about
	return &store.ServerLabels{Name: s.name, Site: l.site, Rack: l.rack, Role: l.role, Owner: l.owner, From: l.from, Simulated: l.simulated, Enrolled: enrolled}
}

// found writes down what a heartbeat told about who speaks.
func (p *partition) found(id *identity, d decision) {
	switch d.finding {
	case findNothing:
		return
	case findClones:
		p.markClones(id)
	case findSucceeded:
		if d.reason == "restart" {
			return
		}
	}
	detail, err := json.Marshal(map[string]string{"line": d.line.key.String(), "reason": d.reason})
	if err != nil {
		detail = nil // strings always marshal
	}
	p.audit("identity "+d.finding.String(), id.root.String(), string(detail))
}

func (p *partition) markClones(id *identity) {
	for _, l := range id.all {
		w := &store.CloneWrite{Clones: id.clones}
		if l.key != id.root {
			w.Of = id.root
		}
		p.out.server(l.key).Clones = w
	}
	p.out.urgent = true
}

// retireLine forgets a second line: it became part of another, or is quiet.
func (p *partition) retireLine(key record.ID, reason string) {
	s := p.lines[key]
	if s == nil {
		return
	}
	p.forget(s, reason)
	p.out.state(key, store.StateWrite{State: store.StateDecommissioned, Reason: reason, Since: p.streamTime()})
	p.out.server(key).Clones = &store.CloneWrite{Of: s.root.root, Clones: false}
	delete(p.lines, key)
	p.out.dirty[s.root] = struct{}{}
	if !s.root.clones {
		p.markClones(s.root)
	}
}

// forget drops what operators know of a server and closes what is open for it.
func (p *partition) forget(s *server, reason string) {
	p.set.Forget(s.id)
	for _, tr := range p.table.Forget(s.id, reason, p.at()) {
		p.transition(tr, s, nil, operator.Resolved)
	}
	if s.overdue || s.silent {
		p.fact(store.FactGone, s, "")
	}
	s.overdue, s.silent, s.line.lastBeat = false, false, 0
	p.letGo(s.id)
	p.out.dirty[s.root] = struct{}{}
}

// heard notes that a server speaks, and what its heartbeat says.
func (p *partition) heard(s *server, in *input) {
	s.used |= in.bridge.bit
	if s.saved == 0 && s.id == s.root.root {
		p.audit("first heard", s.id.String(), "")
	}
	moved := in.skew-s.told > int64(skewStep) || s.told-in.skew > int64(skewStep)
	if since := p.clock.stream - s.saved; since >= int64(seenEvery) || since <= -int64(seenEvery) || moved {
		s.saved, s.told = p.clock.stream, in.skew
		p.out.server(s.id).Seen = &store.SeenWrite{At: p.streamTime(), Skew: time.Duration(in.skew)}
	}
	if in.header.Category != record.Heartbeat {
		return
	}
	p.out.dirty[s.root] = struct{}{}
	if s.overdue || s.silent {
		p.fact(store.FactBack, s, "")
	}
	s.overdue = false
	if in.record.Name == record.NameGoodbye {
		reason := "said goodbye"
		if why := text(in.record, record.AttrReason); why != "" {
			reason += ": " + why
		}
		p.state(s, stStopped, reason)
		return
	}
	p.facts(s, in.record)
	p.state(s, stUp, "heartbeats arrive")
}

func (p *partition) facts(s *server, r *record.Record) {
	f := heartbeatFacts(r)
	if d := f.BootTime.Unix() - s.boot; -5 <= d && d <= 5 {
		f.BootTime = time.Unix(s.boot, 0).UTC() // jitter
	}
	h := factsHash(&f, f.BootTime)
	if h == s.facts {
		return
	}
	s.facts, s.boot = h, f.BootTime.Unix()
	if s.about.os != f.OSType {
		a := *s.about
		a.os = f.OSType
		s.about = p.share(a)
	}
	p.out.server(s.id).Facts = &f
}

// state changes a server's state, as a fact, when it is another one.
func (p *partition) state(s *server, to stateCode, reason string) {
	if s.state == to {
		return
	}
	s.state = to
	p.out.state(s.id, store.StateWrite{State: to.word(), Reason: reason, Since: p.streamTime()})
	p.out.urgent = true
}

// watch looks for servers whose heartbeat is missing and tells the fleet
// operator before any deadline, and for clones that are gone.
func (p *partition) watch() {
	turn := p.clock.turn()
	var overdue, quiet []*server
	for _, s := range p.lines {
		if turn {
			s.used, s.usedBefore = 0, s.used
			p.out.dirty[s.root] = struct{}{}
		}
		if !s.overdue && !s.silent && s.late(p.clock.now) && p.fit(s) {
			overdue = append(overdue, s)
		}
		if len(s.root.all) > 1 && s.id == s.root.root {
			quiet = append(quiet, s)
		}
	}
	for _, s := range byID(overdue) {
		s.overdue = true
		p.out.dirty[s.root] = struct{}{}
		p.fact(store.FactOverdue, s, "")
	}
	for _, s := range byID(quiet) {
		if q := s.root.quiet(p.clock.now); q != nil {
			s.root.remove(q)
			p.retireLine(q.key, "only one machine is left")
		}
	}
}

// byID puts servers in an order that is the same in every run.
func byID(servers []*server) []*server {
	slices.SortFunc(servers, func(a, b *server) int { return slices.Compare(a.id[:], b.id[:]) })
	return servers
}

func (p *partition) fact(kind store.FactKind, s *server, notification string) {
	p.out.commit.Facts = append(p.out.commit.Facts, store.Fact{Partition: p.number, Kind: kind, At: p.streamTime(), Server: s.id,
		Site: s.about.site, Rack: s.about.rack, Simulated: s.about.simulated, Address: s.place(), Notification: notification})
	p.out.urgent, p.out.news = true, true
}

// registry takes a record of the bridge's registry.
func (p *partition) registry(id *identity, in *input) {
	r := in.record
	var changed bool
	switch r.Name {
	case record.NameEnrolled, record.NameLabels:
		changed = p.register(id, r)
		if r.Name == record.NameEnrolled && id.retired {
			id.retired, changed = false, true
			for _, l := range id.all {
				p.state(p.lines[l.key], stWaiting, "enrolled again")
			}
		}
	case record.NameRevoked:
		changed = p.retire(id, stRevoked, "its credential was revoked")
	case record.NameDecommissioned:
		if changed = p.retire(id, stDecommissioned, "decommissioned"); changed {
			p.partsLeft(p.lines[id.root], in.recordID())
		}
	default:
		return
	}
	if !changed { // the registry states everybody again from time to time
		return
	}
	p.out.dirty[id] = struct{}{}
	p.audit(r.Name, id.root.String(), "")
}

// register takes labels, which hold for all lines of the identity, and tells
// whether that is news.
func (p *partition) register(id *identity, r *record.Record) bool {
	to := about{site: text(r, record.AttrSite), rack: text(r, record.AttrRack), role: text(r, record.AttrRole), owner: text(r, record.AttrOwner), from: text(r, record.AttrLabelsFrom), simulated: r.Attr(record.AttrSimulated).Bool()}
	name := strings.Clone(text(r, record.AttrServer)) // not the whole payload
	enrolled := time.Time{}
	first := r.Name == record.NameEnrolled && !id.registered
	if first {
		enrolled = p.streamTime()
		id.registered = true
	}
	changed := first
	// Which address it is has no news for people, but is state: of the first line.
	if s := p.lines[id.root]; r.Attr(record.AttrAddress).Str() != "" {
		if a := placeOf(r.Attr(record.AttrAddress).Str()); a != s.address {
			s.address = a
			place := s.place()
			p.out.server(s.id).Address = &place
		}
	}
	for _, ln := range id.all {
		s := p.lines[ln.key]
		to.os = s.about.os
		called := name
		if ln.key != id.root {
			called = lineName(name, ln)
		}
		about := p.share(to)
		if !first && s.about == about && s.name == called {
			continue
		}
		changed = true
		s.about, s.name = about, called
		w := p.out.server(s.id)
		w.Labels, w.LabelsSince = s.registered(enrolled), p.streamTime()
		p.out.news = true
	}
	p.out.urgent = p.out.urgent || changed
	return changed
}

// retire takes a server out of service: its silence is no news. It tells
// whether that is news.
func (p *partition) retire(id *identity, to stateCode, reason string) bool {
	if id.retired && p.lines[id.root].state == to {
		return false
	}
	id.retired = true
	for _, l := range append([]*line(nil), id.all...) {
		s := p.lines[l.key]
		p.forget(s, reason)
		p.state(s, to, reason)
		if l.key != id.root {
			id.remove(l)
			delete(p.lines, l.key)
		}
	}
	return true
}
