package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

// StoredRules implements store.Rules.
func (s *Store) StoredRules(ctx context.Context) ([]store.StoredRule, error) {
	out := []store.StoredRule{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var r store.StoredRule
		var created, changed int64
		err := rows.Scan(&r.ID, &r.YAML, &r.Enabled, &r.Deleted, &r.Version, &r.Author, &created, &changed)
		r.Created, r.Changed = moment(created), moment(changed)
		out = append(out, r)
		return err
	}, "SELECT id, yaml, enabled, deleted, version, author, created, changed FROM rules ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return out, nil
}

// RuleVersions implements store.Rules.
func (s *Store) RuleVersions(ctx context.Context, id string) ([]store.RuleVersion, error) {
	out := []store.RuleVersion{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		v := store.RuleVersion{ID: id}
		var at int64
		err := rows.Scan(&v.Version, &at, &v.Author, &v.Action, &v.Comment, &v.YAML)
		v.At = moment(at)
		out = append(out, v)
		return err
	}, "SELECT version, at, author, action, comment, yaml FROM rule_versions WHERE rule = ? ORDER BY version DESC LIMIT 1000", id)
	if err != nil {
		return nil, fmt.Errorf("read versions of rule %s: %w", id, err)
	}
	return out, nil
}

// RuleSwitches implements store.Rules.
func (s *Store) RuleSwitches(ctx context.Context) ([]store.RuleSwitch, error) {
	out := []store.RuleSwitch{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.RuleSwitch
		var at int64
		err := rows.Scan(&v.ID, &v.Version, &v.Enabled, &at, &v.Author, &v.Comment)
		v.At = moment(at)
		out = append(out, v)
		return err
	}, "SELECT rule, version, enabled, at, author, comment FROM rule_switches ORDER BY rule")
	if err != nil {
		return nil, fmt.Errorf("read rule switches: %w", err)
	}
	return out, nil
}

const windowColumns = "SELECT id, version, at, author, action, comment, yaml FROM planned_work w "

// Windows implements store.Rules.
func (s *Store) Windows(ctx context.Context) ([]store.Window, error) {
	return s.windows(ctx, "WHERE version = (SELECT max(version) FROM planned_work WHERE id = w.id) ORDER BY id")
}

// WindowVersions implements store.Rules.
func (s *Store) WindowVersions(ctx context.Context, id string) ([]store.Window, error) {
	return s.windows(ctx, "WHERE id = ? ORDER BY version DESC LIMIT 1000", id)
}

func (s *Store) windows(ctx context.Context, which string, args ...any) ([]store.Window, error) {
	out := []store.Window{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.Window
		var at int64
		err := rows.Scan(&v.ID, &v.Version, &at, &v.Author, &v.Action, &v.Comment, &v.YAML)
		v.At = moment(at)
		out = append(out, v)
		return err
	}, windowColumns+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read planned work: %w", err)
	}
	return out, nil
}

// turn replaces a switch that is as it was read.
func (w *writer) turn(v *store.RuleSwitch) {
	n := w.run(`INSERT INTO rule_switches (rule, version, enabled, at, author, comment) SELECT ?, ?, ?, ?, ?, ?
		WHERE ? = (SELECT coalesce(max(version), 0) + 1 FROM rule_switches WHERE rule = ?)
		ON CONFLICT DO UPDATE SET version = excluded.version, enabled = excluded.enabled, at = excluded.at, author = excluded.author, comment = excluded.comment`,
		v.ID, v.Version, v.Enabled, unix(v.At), v.Author, v.Comment, v.Version, v.ID)
	if w.err == nil && n == 0 {
		w.err = fmt.Errorf("the switch of rule %s is not at version %d: %w", v.ID, v.Version-1, store.ErrConflict)
	}
}

// window appends a version behind the one before it.
func (w *writer) window(v *store.Window) {
	n := w.run(`INSERT INTO planned_work (id, version, at, author, action, comment, yaml) SELECT ?, ?, ?, ?, ?, ?, ?
		WHERE ? = (SELECT coalesce(max(version), 0) + 1 FROM planned_work WHERE id = ?)`,
		v.ID, v.Version, unix(v.At), v.Author, v.Action, v.Comment, v.YAML, v.Version, v.ID)
	if w.err == nil && n == 0 {
		w.err = fmt.Errorf("planned work %s is not at version %d: %w", v.ID, v.Version-1, store.ErrConflict)
	}
}

// Generations implements store.Rules.
func (s *Store) Generations(ctx context.Context, limit int) ([]store.Generation, error) {
	out := []store.Generation{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var g store.Generation
		var n, at int64
		var rules, changes string
		if err := rows.Scan(&n, &at, &g.Actor, &g.Reason, &rules, &changes); err != nil {
			return err
		}
		g.Number, g.At = uint64(n), moment(at)
		err := errors.Join(fromJSON(rules, &g.Rules), fromJSON(changes, &g.Changes))
		out = append(out, g)
		return err
	}, "SELECT n, at, actor, reason, rules, changes FROM generations ORDER BY n DESC LIMIT ?", clamp(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	for i := range out {
		err := each(ctx, s.read, func(rows *sql.Rows) error {
			var e store.GenerationEntry
			var entry, at int64
			err := rows.Scan(&e.Partition, &e.After.Incarnation, &entry, &at)
			e.After.Entry, e.At = uint64(entry), moment(at)
			out[i].Entries = append(out[i].Entries, e)
			return err
		}, "SELECT partition, incarnation, entry, at FROM generation_entries WHERE generation = ? ORDER BY partition", int64(out[i].Number))
		if err != nil {
			return nil, fmt.Errorf("read generation %d: %w", out[i].Number, err)
		}
	}
	return out, nil
}

func marksOf(ctx context.Context, q querier, generation uint64) (map[string]store.RuleMark, error) {
	if generation == 0 {
		return nil, nil
	}
	var text string
	err := q.QueryRowContext(ctx, "SELECT rules FROM generations WHERE n = ?", int64(generation)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m map[string]store.RuleMark
	return m, fromJSON(text, &m)
}

// EditRules implements store.Rules.
func (s *Store) EditRules(ctx context.Context, e store.RuleEdit) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("edit rules: %w", err)
	}
	return s.update(context.WithoutCancel(ctx), "edit rules", func(w *writer) {
		w.afterGeneration(e.After)
		if e.Rule != nil {
			w.storedRule(e.Rule)
		}
		if v := e.Version; v != nil {
			w.run("INSERT INTO rule_versions (rule, version, at, author, action, comment, yaml) VALUES (?, ?, ?, ?, ?, ?, ?)",
				v.ID, v.Version, unix(v.At), v.Author, v.Action, v.Comment, v.YAML)
		}
		if e.Switch != nil {
			w.turn(e.Switch)
		}
		if e.Window != nil {
			w.window(e.Window)
		}
		if g := e.Generation; g != nil {
			rules, err := json.Marshal(g.Rules)
			changes, err2 := json.Marshal(g.Changes)
			if err := errors.Join(err, err2); err != nil && w.err == nil {
				w.err = err
			}
			w.run("INSERT INTO generations (n, at, actor, reason, rules, changes) VALUES (?, ?, ?, ?, ?, ?)",
				int64(g.Number), unix(g.At), g.Actor, g.Reason, string(rules), string(changes))
		}
		if e.Audit != nil {
			w.audit(e.Audit)
		}
	})
}

// afterGeneration refuses an edit that was checked against other rules.
func (w *writer) afterGeneration(after uint64) {
	if w.err != nil {
		return
	}
	var newest int64
	if err := w.tx.QueryRowContext(w.ctx, "SELECT coalesce(max(n), 0) FROM generations").Scan(&newest); err != nil {
		w.err = fmt.Errorf("read newest generation: %w", err)
	} else if uint64(newest) != after {
		w.err = fmt.Errorf("the newest generation is %d, not %d: %w", newest, after, store.ErrConflict)
	}
}

func (w *writer) storedRule(r *store.StoredRule) {
	var n int64
	if r.Version == 1 {
		n = w.run("INSERT INTO rules (id, yaml, enabled, deleted, version, author, created, changed) VALUES (?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO NOTHING",
			r.ID, r.YAML, r.Enabled, r.Deleted, r.Author, unix(r.Created), unix(r.Changed))
	} else {
		n = w.run("UPDATE rules SET yaml = ?, enabled = ?, deleted = ?, version = ?, author = ?, changed = ? WHERE id = ? AND version = ?",
			r.YAML, r.Enabled, r.Deleted, r.Version, r.Author, unix(r.Changed), r.ID, r.Version-1)
	}
	if w.err == nil && n == 0 {
		w.err = fmt.Errorf("rule %s is not at version %d: %w", r.ID, r.Version-1, store.ErrConflict)
	}
}

// rules writes what a commit says of rules.
func (w *writer) rules(c *store.PartitionCommit) {
	if c.Generation != 0 {
		w.exec(stGeneration, int64(c.Generation), c.Partition)
		w.exec(stGenerationEntry, int64(c.Generation), c.Partition, c.From.Incarnation, int64(c.From.Entry), unix(c.StreamTime))
	}
	for i := range c.RuleCounts {
		r := &c.RuleCounts[i]
		w.exec(stRuleCount, r.ID, unix(r.Last.UTC().Truncate(24*time.Hour)), r.Effect, r.N, unix(r.Last))
	}
}

// RuleVerdicts implements store.Rules.
func (s *Store) RuleVerdicts(ctx context.Context, since time.Time) ([]store.RuleVerdicts, error) {
	out := []store.RuleVerdicts{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.RuleVerdicts
		var last int64
		err := rows.Scan(&v.ID, &v.Effect, &v.N, &last)
		v.Last = moment(last)
		out = append(out, v)
		return err
	}, "SELECT rule, effect, sum(n), max(last) FROM rule_verdicts WHERE day >= ? GROUP BY rule, effect ORDER BY rule, effect", unix(since))
	if err != nil {
		return nil, fmt.Errorf("sum up verdicts: %w", err)
	}
	return out, nil
}
