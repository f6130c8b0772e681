package store

import (
	"cmp"
	"slices"
	"time"
)

// Noise says how much people heard, by rule.
type Noise struct {
	From    time.Time   // since when there is something to count: asked for, or the first enrolment
	Servers int         // of the fleet as it is now
	Rules   []RuleNoise // the loudest first
}

// RuleNoise is what one rule made people hear. A notification counts for the
// rule that opened it.
type RuleNoise struct {
	RuleID        string
	Messages      int // beginnings, escalations and ends that an Alertmanager took, each once
	Notifications int // that opened, and of which people were to be told
	Servers       int // that they were about
	Brief         int // that were over within BriefFor
	Acknowledged  int // that somebody acknowledged, ever
}

// BriefFor is how long a notification lasts that was probably not worth a message.
const BriefFor = 5 * time.Minute

// Rank puts the loudest first.
func (n *Noise) Rank() {
	slices.SortFunc(n.Rules, func(a, b RuleNoise) int {
		return cmp.Or(b.Messages-a.Messages, b.Notifications-a.Notifications, cmp.Compare(a.RuleID, b.RuleID))
	})
}

// PerServerWeek is messages per server and week. What is counted of less than
// a day is taken for a day.
func (n *Noise) PerServerWeek(messages int, now time.Time) float64 {
	const week = 7 * 24 * time.Hour
	span := max(now.Sub(n.From), week/7)
	if n.Servers == 0 {
		return 0
	}
	return float64(messages) / float64(n.Servers) / (float64(span) / float64(week))
}
