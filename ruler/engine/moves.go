package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// A part that moves between servers is seen by two partitions. Each tells the
// fleet operator that serial numbers came to a server or left it; where they sat
// is in the store by then, so nothing of it is kept in memory. What moved is a
// change in the history, and rules that say "across" are asked about it.

const movesIncarnation = "moves"

// seenAt returns when the last snapshot of a category was taken in before this
// one, and notes this one. It has whole seconds.
func (p *partition) seenAt(s *server, c record.Category) time.Time {
	now := uint32(p.clock.stream / int64(time.Second))
	for i := range s.current {
		if v := &s.current[i]; v.category == c {
			was := v.seen
			v.seen = now
			p.out.seen[s.id] = struct{}{}
			if was == 0 {
				return time.Time{}
			}
			return time.Unix(int64(was), 0).UTC()
		}
	}
	return time.Time{} // the first; setCurrent makes the entry
}

func (p *partition) encodeSeen(s *server) []byte {
	b := append([]byte(nil), s.id[:]...)
	b = binary.AppendUvarint(b, uint64(len(s.current)))
	for _, c := range s.current {
		b = append(b, byte(c.category))
		b = binary.AppendUvarint(b, uint64(c.seen))
	}
	return b
}

// decodeSeen keeps the times until the rows that say which snapshots there are
// have been read.
func (p *partition) decodeSeen(r *decoder, to map[record.ID]map[record.Category]uint32) {
	var id record.ID
	copy(id[:], r.bytes(len(id)))
	m := map[record.Category]uint32{}
	for range r.count() {
		c := record.Category(r.byte())
		n, size := binary.Uvarint(r.b)
		if r.bad || size <= 0 {
			r.bad = true
			return
		}
		r.b = r.b[size:]
		m[c] = uint32(n)
	}
	to[id] = m
}

// partsFact tells the fleet operator that serial numbers came or left.
func (p *partition) partsFact(s *server, c record.Category, seen time.Time, recordID string) {
	p.fact(store.FactParts, s, "")
	f := &p.out.commit.Facts[len(p.out.commit.Facts)-1]
	f.Category, f.Seen, f.RecordID = c, seen, recordID
}

// partsLeft tells the fleet operator that a server is gone with all its parts:
// what is found elsewhere comes from it.
func (p *partition) partsLeft(s *server, recordID string) {
	for _, c := range s.current {
		seen := time.Time{}
		if c.seen != 0 {
			seen = time.Unix(int64(c.seen), 0).UTC()
		}
		p.partsFact(s, c.category, seen, recordID)
	}
}

// renew takes the rules of now, with what is open of them.
func (r *fleetRunner) renew(o *outcome, at time.Time) {
	if r.moves != nil {
		select {
		case <-r.stale:
		default:
			return
		}
	}
	var open []notify.Notification
	if r.moves != nil {
		open = r.moves.Open()
	} else {
		open, r.open = r.open, nil
	}
	var rules ruleset
	rules, r.stale = r.engine.generation()
	r.moves, r.across = notify.NewMoves(rules.rules, open), rule.DefaultAcross
	for _, v := range rules.rules {
		if c, ok := v.Spec.(*rule.Change); ok {
			r.across = max(r.across, c.Across)
		}
	}
	for _, tr := range r.moves.Retire(notify.At{Time: at, Incarnation: movesIncarnation, Partition: store.FleetPartition}, rules.gone) {
		o.said(&tr, operator.Resolved)
	}
}

// reopen reads which moves were open when the state was saved.
func (r *fleetRunner) reopen(rows []store.Notification) {
	for i := range rows {
		if rows[i].RuleID == ruleMass || rows[i].RuleID == ruleBridge {
			continue // theirs is in the fleet's own state
		}
		n, err := saved(&rows[i])
		if err != nil {
			r.engine.Unreadable(err)
		}
		r.open = append(r.open, n)
	}
}

// parts finds out what moved to the server of a fact, or away from it.
func (r *fleetRunner) parts(ctx context.Context, f *store.Fact, o *outcome) error {
	judged := time.Unix(0, r.fleet.Judged).UTC()
	known := f.At // no matter how far partitions are
	if judged.After(known) {
		known = judged
	}
	rows, err := r.engine.cfg.Store.Travelled(ctx, f.Server, f.Category, f.At, known)
	if err != nil {
		return err
	}
	stays := make([]operator.Stay, 0, len(rows))
	for i := range rows {
		v := &rows[i]
		stays = append(stays, operator.Stay{Serial: v.Serial, Type: v.Type, Place: v.Place, Model: v.Model, Server: v.Server, Since: v.Since, Until: v.Until, Retired: v.Retired})
	}
	s := operator.Sighting{Server: f.Server, At: f.At, Seen: f.Seen, Judged: judged}
	o.say(r.moves.Tick(moveAt(f.At)))
	for _, p := range operator.Passages(stays, s, r.across) {
		if err := r.passed(ctx, &p, f, o); err != nil {
			return err
		}
	}
	return nil
}

// moveAt makes ids of notifications that do not depend on how facts were put
// into commits.
func moveAt(at time.Time) notify.At {
	return notify.At{Time: at, Incarnation: movesIncarnation, Partition: store.FleetPartition, Entry: uint64(at.UnixNano())}
}

// passed writes down that a part moved, once, and asks the rules.
func (r *fleetRunner) passed(ctx context.Context, p *operator.Passage, f *store.Fact, o *outcome) error {
	ch := store.Change{Server: p.To, Category: f.Category, At: p.At(), Stream: p.At(), Kind: MovedKind, Type: p.Type, Place: p.Place, From: p.FromPlace, FromServer: p.From,
		Occupant: p.Serial, After: p.Serial, RecordID: f.RecordID}
	same := func(c store.Change) bool { // it came once, also where its old server is back and misses it
		return c.Server == ch.Server && c.FromServer == ch.FromServer && c.Category == ch.Category && c.Type == ch.Type && c.Occupant == ch.Occupant &&
			!c.Stream.Before(p.Came) && !c.Stream.After(ch.Stream)
	}
	known, err := r.engine.cfg.Store.Changes(ctx, store.ChangeQuery{Serial: p.Serial, Kind: MovedKind, Server: p.To, Limit: 1000})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(known.Changes, same) || slices.ContainsFunc(o.changes, same) {
		return nil
	}
	from, err := r.registered(ctx, p.From, p.At())
	if err != nil {
		return err
	}
	to, err := r.registered(ctx, p.To, p.At())
	if err != nil {
		return err
	}
	if p.Retired && sameMachine(&from, &to) {
		return nil
	}
	said := r.moves.Passed(p, FactsOf(&from), FactsOf(&to), f.RecordID, moveAt(p.At()))
	for _, v := range said {
		if v.Verdict.Kind == operator.Muted {
			ch.Muted, ch.Plan = v.Verdict.Reason, planOf(v.Verdict.Window)
		}
	}
	o.changes = append(o.changes, ch)
	o.say(said)
	return nil
}

// MovedKind is the kind of a change that says that a part moved.
const MovedKind = "moved"

// FactsOf is what operators know of a server that the store has.
func FactsOf(v *store.Server) operator.ServerFacts {
	return operator.ServerFacts{ID: v.ID, Name: v.Name, Site: v.Site, Rack: v.Rack, Role: v.Role, Owner: v.Owner, OS: v.OSType, Simulated: v.Simulated, Heard: !v.LastSeen.IsZero()}
}

// registered is one server with what the register said of it at a time.
func (r *fleetRunner) registered(ctx context.Context, id record.ID, at time.Time) (store.Server, error) {
	d, err := r.engine.cfg.Store.Server(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Server{ID: id}, nil
	}
	if err != nil {
		return store.Server{}, err
	}
	was, err := r.engine.cfg.Store.ServerAt(ctx, id, at)
	if l := was.Labels; l != nil {
		d.Name, d.Site, d.Rack, d.Role, d.Owner, d.Simulated = l.Name, l.Site, l.Rack, l.Role, l.Owner, l.Simulated
	}
	return d.Server, err
}

// sameMachine tells whether one server goes on as another: it was enrolled anew,
// or a stand-in made room for it. Then its parts stayed where they are.
func sameMachine(old, now *store.Server) bool {
	if board := evidence(old.SMBIOSUUID); board != 0 && board == evidence(now.SMBIOSUUID) {
		return true
	}
	a, b := strings.ToLower(old.Name), strings.ToLower(now.Name)
	return a != "" && (a == b || strings.HasPrefix(b, a+".") || strings.HasPrefix(a, b+"."))
}

// say writes down what rules said.
func (o *outcome) say(all []notify.Said) {
	for i := range all {
		o.said(&all[i].Transition, all[i].Verdict.Kind)
	}
}

// said gathers what a verdict did, for the next commit.
func (o *outcome) said(tr *notify.Transition, kind operator.VerdictKind) {
	effect := string(tr.Effect)
	if kind == operator.Muted {
		effect = operator.Muted.String()
	}
	o.counts = countRule(o.counts, tr.RuleID, effect, tr.At)
	if tr.Effect == notify.Ignored {
		return
	}
	if tr.Effect != notify.Noted {
		o.note(tr.Notification)
	}
	o.evidence = append(o.evidence, store.Evidence{Notification: tr.Notification.ID, At: tr.At, Event: tr.At, Effect: kind.String(), RuleID: tr.RuleID, Reason: tr.Reason,
		RecordID: tr.RecordID, Before: tr.Before, After: tr.After})
}
