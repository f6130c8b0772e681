package api

import (
	"time"

	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

func (s *server) noiseRoutes() []route {
	return []route{{
		method: "GET", path: "/rules/noise", name: "rules_noise", summary: "Rules by how much they made people hear, the loudest first",
		params: []param{{name: "since", kind: kindText, max: 40, def: "7d", doc: "a time, or how long ago: 24h, 7d"}}, result: NoiseList{}, handle: s.noise,
	}}
}

// NoiseList ranks rules.
type NoiseList struct {
	From          *time.Time  `json:"from" doc:"since when is counted: as asked for, or since the first server enrolled"`
	Servers       int         `json:"servers" doc:"of the fleet now"`
	Messages      int         `json:"messages"`
	PerServerWeek float64     `json:"messages_per_server_and_week"`
	Items         []RuleNoise `json:"items"`
}

// RuleNoise is one rule's share.
type RuleNoise struct {
	RuleID        string  `json:"rule_id" doc:"the rule that opened the notifications"`
	Messages      int     `json:"messages" doc:"beginnings, escalations and ends that an Alertmanager took; what it then silenced too"`
	PerServerWeek float64 `json:"messages_per_server_and_week"`
	Notifications int     `json:"notifications" doc:"that opened since"`
	Servers       int     `json:"servers" doc:"that they were about"`
	Brief         int     `json:"over_within_5_minutes"`
	Acknowledged  int     `json:"acknowledged"`
}

func (s *server) noise(r *request) (any, error) {
	since, err := ago(r.text("since"), s.now())
	if err != nil {
		return nil, err
	}
	n, err := s.reader.Noise(r.ctx, since)
	if err != nil {
		return nil, err
	}
	out := NoiseList{From: at(n.From), Servers: n.Servers, Items: mapSlice(n.Rules, func(v store.RuleNoise) RuleNoise {
		return RuleNoise{RuleID: clip(v.RuleID, maxName), Messages: v.Messages, PerServerWeek: n.PerServerWeek(v.Messages, s.now()), Notifications: v.Notifications,
			Servers: v.Servers, Brief: v.Brief, Acknowledged: v.Acknowledged}
	})}
	for _, v := range n.Rules {
		out.Messages += v.Messages
	}
	out.PerServerWeek = n.PerServerWeek(out.Messages, s.now())
	return out, nil
}

// ago reads a time, or how long ago it was.
func ago(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil && storable(t) {
		return t, nil
	}
	d, err := rule.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, badRequest("a time like 2026-11-21T07:00:00Z, or how long ago: 24h, 7d", "parameter since: %.80q does not fit", text)
	}
	return now.Add(-d), nil
}
