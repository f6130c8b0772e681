package operator

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// A part that is pulled out of one server and put into another leaves there and
// comes here, and no partition sees both. The fleet operator is told that parts
// of a server came or left, looks up where their serial numbers sat, and has
// Passages say which of them moved. Nothing of it is kept: where numbers sat is
// in the store.

// Stay is a serial number at a place of a server for a time.
type Stay struct {
	Serial, Type, Place, Model string
	Server                     record.ID
	Since, Until               time.Time // Until zero = it is there
	// Retired says that its server was decommissioned with it: then it left,
	// unseen, at the latest.
	Retired bool
}

// Sighting is a snapshot that shows that serial numbers came to a server or
// left it.
type Sighting struct {
	Server record.ID
	At     time.Time // stream time
	Seen   time.Time // of the snapshot before; zero = not known
	// Judged is up to when sightings were judged before this one.
	Judged time.Time
}

// Passage is a part that moved from one server to another.
type Passage struct {
	Serial, Type, Model string
	From, To            record.ID
	FromPlace, Place    string
	Left, Came          time.Time // in either order: it may be seen here before it is missed there
	Retired             bool      // Left is when From was decommissioned with it
}

// At is when both ends were known.
func (p *Passage) At() time.Time {
	if p.Left.After(p.Came) {
		return p.Left
	}
	return p.Came
}

// Apart is how long it was on its way.
func (p *Passage) Apart() time.Duration { return p.Left.Sub(p.Came).Abs() }

// visit is a serial number at one server for a time, wherever it sat there.
type visit struct {
	first, last *Stay
	since       time.Time
	until       time.Time // zero = it is there
}

func (v *visit) holds(t time.Time) bool {
	return !v.since.After(t) && (v.until.IsZero() || v.until.After(t))
}

// Passages returns the moves within a time that a sighting completes. Stays are
// all that is known of the serial numbers, in any order, of one category. A
// number that is no number, or that is at several places at once besides the two
// ends, says nothing.
func Passages(stays []Stay, s Sighting, within time.Duration) []Passage {
	type part struct{ typ, serial string }
	byPart := map[part][]*Stay{}
	var order []part
	for i := range stays {
		v := &stays[i]
		if diff.Known(v.Serial) == "" {
			continue
		}
		k := part{v.Type, v.Serial}
		if byPart[k] == nil {
			order = append(order, k)
		}
		byPart[k] = append(byPart[k], v)
	}
	slices.SortFunc(order, func(a, b part) int { return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.serial, b.serial)) })
	var out []Passage
	for _, k := range order {
		visits, ok := visitsOf(byPart[k])
		if !ok {
			continue
		}
		for i := 1; i < len(visits); i++ {
			from, to := visits[i-1], visits[i]
			if !completes(from, to, &s) || from.until.Sub(to.since).Abs() > within || shared(visits, from, to) {
				continue
			}
			out = append(out, Passage{Serial: k.serial, Type: k.typ, Model: to.first.Model, From: from.last.Server, To: to.first.Server,
				FromPlace: from.last.Place, Place: to.first.Place, Left: from.until, Came: to.since, Retired: from.last.Retired})
		}
	}
	return out
}

// visitsOf puts stays together that follow each other in one server. It fails
// when a server has the number twice: then it is not known.
func visitsOf(stays []*Stay) ([]*visit, bool) {
	ends := func(s *Stay) int64 {
		if s.Until.IsZero() {
			return math.MaxInt64
		}
		return s.Until.UnixNano()
	}
	slices.SortFunc(stays, func(a, b *Stay) int { // in an order of their own: the store gives them in any
		return cmp.Or(a.Since.Compare(b.Since), slices.Compare(a.Server[:], b.Server[:]), cmp.Compare(ends(a), ends(b)), cmp.Compare(a.Place, b.Place))
	})
	var out []*visit
	last := map[record.ID]*visit{}
	for _, s := range stays {
		v := last[s.Server]
		if v != nil && (v.until.IsZero() || v.until.After(s.Since)) {
			return nil, false
		}
		if v != nil && v.until.Equal(s.Since) {
			v.last, v.until = s, s.Until
			continue
		}
		v = &visit{s, s, s.Since, s.Until}
		last[s.Server] = v
		out = append(out, v)
	}
	return out, true
}

// completes tells whether the sighting is the later one of the two ends.
func completes(from, to *visit, s *Sighting) bool {
	if from.last.Server == to.first.Server || from.until.IsZero() {
		return false
	}
	if to.first.Server == s.Server && to.since.Equal(s.At) && !from.until.After(s.At) {
		return true
	}
	if from.last.Server != s.Server || !from.until.Equal(s.At) {
		return false
	}
	if to.since.After(s.At) {
		return !to.since.After(s.Judged) // its own sighting came first, and saw no end here
	}
	// It is there already. Had this server shown it since, there are two with one number.
	return s.Seen.IsZero() || !s.Seen.After(to.since)
}

// shared tells whether further servers have the number between the two ends.
func shared(visits []*visit, from, to *visit) bool {
	for _, v := range visits {
		if v == from || v == to {
			continue
		}
		if v.holds(from.until) || v.holds(to.since) {
			return true
		}
	}
	return false
}

// Moved is what a rule of kind change says of a part that moved between servers;
// ok is false when it says nothing.
func Moved(r *rule.Rule, p *Passage, from, to ServerFacts, recordID string) (v Verdict, ok bool) {
	c, is := r.Spec.(*rule.Change)
	ch := diff.Change{Kind: diff.Moved, Type: p.Type, Place: p.Place, From: p.FromPlace, Occupant: p.Serial}
	if !is || c.Across < p.Apart() || !slices.Contains(c.Devices, p.Type) || !selects(r.Servers, &to) {
		return Verdict{}, false
	}
	v = newVerdict(r, Firing, p.To, p.At())
	v.Device, v.RecordID, v.Momentary, v.Severity = ch.Device(), recordID, true, c.SeverityOf(&ch, r)
	place := func(f *ServerFacts, place string) string { return keep(strings.TrimSpace(f.Name + " " + place)) }
	v.Before, v.After, v.Serial = place(&from, p.FromPlace), place(&to, p.Place), keep(p.Serial)
	whence := v.Before
	if p.Retired {
		whence = "decommissioned " + whence
	}
	v.Reason = fmt.Sprintf("moved here from %s (serial %s)", whence, v.Serial)
	v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(v.Serial)}, {Key: FieldModel, Value: record.String(keep(p.Model))}}
	for _, w := range c.Windows {
		until, covered := w.Covers(v.At)
		if covered && (selects(w.Servers, &to) || selects(w.Servers, &from)) {
			v.Kind, v.Window, v.Reason = Muted, w, plannedReason(w, until, v.Reason)
			break
		}
	}
	return v, true
}

// Shown is the end of what Moved said.
func Shown(r *rule.Rule, server record.ID, device string, at time.Time) Verdict {
	v := newVerdict(r, Resolved, server, at)
	v.Device, v.Momentary, v.Reason = device, true, "shown for "+span(r.Expires)
	return v
}
