package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

// Noise implements store.Reader.
func (s *Store) Noise(ctx context.Context, since time.Time) (store.Noise, error) {
	out := store.Noise{From: since}
	fail := func(err error) (store.Noise, error) { return store.Noise{}, fmt.Errorf("count noise: %w", err) }
	var first int64
	err := s.read.QueryRowContext(ctx, `SELECT count(*), coalesce(min(CASE WHEN enrolled > 0 THEN enrolled END), 0)
		FROM servers WHERE state <> 'decommissioned' AND clone_of = x''`).Scan(&out.Servers, &first)
	if err != nil {
		return fail(err)
	}
	if moment(first).After(out.From) {
		out.From = moment(first)
	}
	rules := map[string]*store.RuleNoise{}
	rule := func(id string) *store.RuleNoise {
		if rules[id] == nil {
			rules[id] = &store.RuleNoise{RuleID: id}
		}
		return rules[id]
	}
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var n store.RuleNoise
		err := rows.Scan(&n.RuleID, &n.Notifications, &n.Servers, &n.Brief, &n.Acknowledged)
		*rule(n.RuleID) = n
		return err
	}, `SELECT rule_id, count(*), count(DISTINCT server), sum(state = 'resolved' AND resolved - opened < ?),
		sum(EXISTS (SELECT 1 FROM deeds d WHERE d.notification = n.id AND d.kind = 'acknowledge'))
		FROM notifications n WHERE opened >= ? AND muted = '' AND folded_into = '' AND held = 0 GROUP BY rule_id`, int64(store.BriefFor), unix(since))
	if err != nil {
		return fail(err)
	}
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var id string
		var messages int
		err := rows.Scan(&id, &messages)
		rule(id).Messages = messages
		return err
	}, `SELECT n.rule_id, count(DISTINCT d.notification || ' ' || d.state) FROM deliveries d JOIN notifications n ON n.id = d.notification
		WHERE d.error = '' AND d.first >= ? GROUP BY n.rule_id`, unix(since))
	if err != nil {
		return fail(err)
	}
	for _, n := range rules {
		out.Rules = append(out.Rules, *n)
	}
	out.Rank()
	return out, nil
}
