package story

import (
	"maps"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// travels is the fleet operator in small: where serial numbers sat, which an
// engine asks its store, and what the rules say of those that moved.
type travels struct {
	stays  map[record.Category][]operator.Stay
	seen   map[seenKey]time.Time
	judged time.Time
	moves  *notify.Moves
}

type seenKey struct {
	server   record.ID
	category record.Category
}

func newTravels() travels {
	return travels{stays: map[record.Category][]operator.Stay{}, seen: map[seenKey]time.Time{}}
}

// fresh starts with what is stored.
func (t *travels) fresh(rules []*rule.Rule) {
	var open []notify.Notification
	if t.moves != nil {
		open = t.moves.Open()
	}
	t.moves = notify.NewMoves(rules, open)
}

// travelled looks at who came and who left with a snapshot.
func (p *player) travelled(s *server, c record.Category, prev, cur *record.Snapshot, recordID string) {
	t := &p.travels
	k := seenKey{s.facts.ID, c}
	sight := operator.Sighting{Server: s.facts.ID, At: p.now, Seen: t.seen[k], Judged: t.judged}
	t.seen[k] = p.now
	was, is := seats(prev), seats(cur)
	news := false
	for i := range t.stays[c] {
		v := &t.stays[c][i]
		at := diff.DeviceName(v.Type, v.Place)
		if v.Server == s.facts.ID && v.Until.IsZero() && is[at].Occupant != v.Serial {
			v.Until, news = p.now, true
		}
	}
	for _, at := range slices.Sorted(maps.Keys(is)) {
		if d := is[at]; was[at].Occupant != d.Occupant {
			t.stays[c] = append(t.stays[c], operator.Stay{Serial: d.Occupant, Type: d.Type, Place: d.Place, Server: s.facts.ID, Since: p.now})
			news = true
		}
	}
	if !news {
		return
	}
	p.passed(c, sight, recordID)
}

// passed asks the rules about the parts whose move a sighting completes.
func (p *player) passed(c record.Category, sight operator.Sighting, recordID string) {
	t := &p.travels
	for _, m := range operator.Passages(t.stays[c], sight, rule.DefaultAcross) {
		p.said(t.moves.Passed(&m, p.facts(m.From), p.facts(m.To), recordID, p.at()))
	}
	t.judged = p.now
}

// retired takes a server out of service with all its parts.
func (p *player) retired(s *server) {
	p.set.Forget(s.facts.ID)
	t := &p.travels
	for _, c := range slices.Sorted(maps.Keys(s.known)) {
		for i := range t.stays[c] {
			if v := &t.stays[c][i]; v.Server == s.facts.ID && v.Until.IsZero() {
				v.Until, v.Retired = p.now, true
			}
		}
		p.passed(c, operator.Sighting{Server: s.facts.ID, At: p.now, Seen: t.seen[seenKey{s.facts.ID, c}], Judged: t.judged}, s.facts.Name)
	}
	clear(s.known)
}

// seats are the devices with a serial number.
func seats(s *record.Snapshot) map[string]record.Device {
	out := map[string]record.Device{}
	if s == nil {
		return out
	}
	for _, d := range s.Devices {
		if d.Occupant != "" {
			out[diff.DeviceName(d.Type, d.Place)] = d
		}
	}
	return out
}

// said writes down what was said of moves.
func (p *player) said(all []notify.Said) {
	for i := range all {
		s := &all[i]
		if s.Verdict.Kind == operator.Firing {
			p.out.fired = append(p.out.fired, s.Verdict.RuleID)
		}
		p.write(&s.Verdict, s.Facts.Name, &s.Transition)
	}
}
