package engine

import (
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// ReplayMoves carries a rule out over parts that moved between servers, as the
// fleet operator does, and without a store. It belongs to one goroutine.
type ReplayMoves struct {
	moves *notify.Moves
	out   outcome
}

// NewReplayMoves begins with nothing open.
func NewReplayMoves(r *rule.Rule) *ReplayMoves {
	return &ReplayMoves{moves: notify.NewMoves([]*rule.Rule{r}, nil)}
}

// Passed takes a move; they come in order of time.
func (r *ReplayMoves) Passed(p *operator.Passage, from, to operator.ServerFacts, recordID string) {
	at := moveAt(p.At())
	r.out.say(r.moves.Tick(at))
	r.out.say(r.moves.Passed(p, from, to, recordID, at))
}

// Found ends what is over by then, and hands out what the rule said. It is
// called once.
func (r *ReplayMoves) Found(end notify.At) Found {
	r.out.say(r.moves.Tick(end))
	f := Found{Evidence: r.out.evidence}
	for i := range r.out.notes {
		f.Notifications = append(f.Notifications, row(&r.out.notes[i], store.FleetPartition))
	}
	return f
}
