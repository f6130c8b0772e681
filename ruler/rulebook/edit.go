package rulebook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// MaxRule is the longest text of one rule of the store, in bytes.
const MaxRule = 32 << 10

// reserved are words that mean something else where an id could stand: in the
// API, and in the console's addresses.
var reserved = []string{"validate", "reload", "generations", "backtest", "noise", "new"}

// ConflictError says that a rule was changed since it was read.
type ConflictError struct {
	ID      string
	Based   int               // the version that the edit was made on
	Current store.RuleVersion // what is there now
	Before  store.RuleVersion // what the edit was made on, when it is known
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("rule %s was changed by %s: it is at version %d, the edit was made on version %d", e.ID, e.Current.Author, e.Current.Version, e.Based)
}

// Unwrap makes errors.Is(err, store.ErrConflict) true.
func (e *ConflictError) Unwrap() error { return store.ErrConflict }

// one reads the text of one rule.
func one(text string) (*rule.Rule, error) {
	if len(text) > MaxRule {
		return nil, rule.Errors{{File: StoreFile, Line: 1, Text: fmt.Sprintf("the rule has %d bytes", len(text)), Hint: fmt.Sprintf("at most %d", MaxRule)}}
	}
	rules, err := rule.Parse(StoreFile, []byte(text))
	if err != nil {
		return nil, err
	}
	if len(rules) != 1 {
		return nil, rule.Errors{{File: StoreFile, Line: 1, Text: fmt.Sprintf("there are %d rules", len(rules)), Hint: "write one rule: the lines of one, without \"rules:\""}}
	}
	return rules[0], nil
}

// newly refuses an id that a new rule cannot have. A rule that had it before the
// word was reserved keeps it.
func newly(r *rule.Rule) error {
	if slices.Contains(reserved, r.ID) {
		return rule.Errors{{File: StoreFile, Line: r.Line, Path: "id", Text: fmt.Sprintf("id %q is reserved", r.ID), Hint: "take another"}}
	}
	return nil
}

func invalid(err error) error { return fmt.Errorf("%w: %w", ErrInvalid, err) }

// Create makes a rule of the store.
func (b *Book) Create(ctx context.Context, who Editor, text string) (Entry, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	r, err := one(text)
	if err != nil {
		return Entry{}, Outcome{}, invalid(err)
	}
	if err := newly(r); err != nil {
		return Entry{}, Outcome{}, invalid(err)
	}
	if err := b.free(ctx, r.ID); err != nil {
		return Entry{}, Outcome{}, err
	}
	if err := b.dangling(r); err != nil {
		return Entry{}, Outcome{}, invalid(err)
	}
	now := b.cfg.Now().UTC()
	row := store.StoredRule{ID: r.ID, YAML: text, Enabled: true, Version: 1, Author: who.Actor, Created: now, Changed: now}
	return b.write(ctx, who, row, "create")
}

// free tells whether an id may be given to a new rule.
func (b *Book) free(ctx context.Context, id string) error {
	if e, err := b.Get(id); err == nil {
		where := "the store"
		if e.Source == FromFile {
			where = fmt.Sprintf("%s:%d", e.Rule.File, e.Rule.Line)
		}
		return fmt.Errorf("rule %q is in %s: %w: take another id, or change that rule", id, where, ErrTaken)
	}
	stored, err := b.cfg.Store.StoredRules(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(stored, func(r store.StoredRule) bool { return r.ID == id }) {
		return fmt.Errorf("rule %q was deleted: %w: ids are never used again; restore that rule, or take another id", id, ErrTaken)
	}
	return nil
}

// stored returns the row of a rule that was made in the interface.
func (b *Book) stored(ctx context.Context, id string, based int) (store.StoredRule, error) {
	rows, err := b.cfg.Store.StoredRules(ctx)
	if err != nil {
		return store.StoredRule{}, err
	}
	i := slices.IndexFunc(rows, func(r store.StoredRule) bool { return r.ID == id })
	if i < 0 {
		if e, err := b.Get(id); err == nil && e.Source == FromFile {
			return store.StoredRule{}, fmt.Errorf("rule %s: %w %s:%d: change it there, or switch it off here", id, ErrReadOnly, e.Rule.File, e.Rule.Line)
		}
		return store.StoredRule{}, fmt.Errorf("rule %.80q: %w", id, ErrUnknown)
	}
	if based == rows[i].Version {
		return rows[i], nil
	}
	c := &ConflictError{ID: id, Based: based, Current: store.RuleVersion{Version: rows[i].Version, At: rows[i].Changed, Author: rows[i].Author, YAML: rows[i].YAML}}
	versions, err := b.cfg.Store.RuleVersions(ctx, id)
	if err != nil {
		return store.StoredRule{}, err
	}
	for _, v := range versions {
		switch v.Version {
		case based:
			c.Before = v
		case c.Current.Version:
			c.Current = v
		}
	}
	return store.StoredRule{}, c
}

// Update changes a rule of the store that is at the version named.
func (b *Book) Update(ctx context.Context, who Editor, id string, based int, text string) (Entry, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	row, err := b.stored(ctx, id, based)
	if err != nil {
		return Entry{}, Outcome{}, err
	}
	if row.Deleted {
		return Entry{}, Outcome{}, fmt.Errorf("rule %s was deleted: %w: restore it first", id, ErrUnknown)
	}
	r, err := one(text)
	if err != nil {
		return Entry{}, Outcome{}, invalid(err)
	}
	if r.ID != id {
		return Entry{}, Outcome{}, invalid(rule.Errors{{File: StoreFile, Line: r.Line, Text: fmt.Sprintf("id %q is not %q", r.ID, id), Hint: "an id never changes: make a new rule instead"}})
	}
	if err := b.dangling(r); err != nil {
		return Entry{}, Outcome{}, invalid(err)
	}
	row.YAML = text
	return b.write(ctx, who, next(row, b.cfg.Now(), who), "update")
}

// Switch turns a rule that is at the version named on or off; one of a file, and
// a metric rule, by a switch in the store.
func (b *Book) Switch(ctx context.Context, who Editor, id string, based int, on bool) (Entry, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	e, err := b.Get(id)
	if err != nil {
		return Entry{}, Outcome{}, err
	}
	action := map[bool]string{true: "enable", false: "disable"}[on]
	if e.Source == FromStore {
		row, err := b.stored(ctx, e.Stored.ID, based)
		if err != nil {
			return Entry{}, Outcome{}, err
		}
		row.Enabled = on
		return b.write(ctx, who, next(row, b.cfg.Now(), who), action)
	}
	if e.Version() != based {
		return Entry{}, Outcome{}, fmt.Errorf("rule %s %s since you read it: %w", id, e.turned(), store.ErrConflict)
	}
	who.Reason = action + " " + id
	turned := &store.RuleSwitch{ID: id, Version: based + 1, Enabled: on, At: b.cfg.Now().UTC(), Author: who.Actor, Comment: who.Comment}
	out, err := b.commit(ctx, b.files, who, &edit{turned: turned})
	if err != nil {
		return Entry{}, Outcome{}, err
	}
	e, err = b.Get(id)
	return e, out, err
}

// Delete takes a rule of the store away. Its versions stay, and so does its id.
func (b *Book) Delete(ctx context.Context, who Editor, id string, based int) (Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	row, err := b.stored(ctx, id, based)
	if err != nil {
		return Outcome{}, err
	}
	if row.Deleted {
		return Outcome{}, fmt.Errorf("rule %s was deleted: %w", id, ErrUnknown)
	}
	row.Deleted = true
	_, out, err := b.write(ctx, who, next(row, b.cfg.Now(), who), "delete")
	if errors.Is(err, ErrUnknown) { // as it should be
		err = nil
	}
	return out, err
}

// Restore makes an older version the newest one, and brings back a rule that
// was deleted.
func (b *Book) Restore(ctx context.Context, who Editor, id string, based, version int) (Entry, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	row, err := b.stored(ctx, id, based)
	if err != nil {
		return Entry{}, Outcome{}, err
	}
	old, err := b.version(ctx, id, version)
	if err != nil {
		return Entry{}, Outcome{}, err
	}
	if _, err := one(old.YAML); err != nil {
		return Entry{}, Outcome{}, invalid(err)
	}
	row.YAML, row.Deleted = old.YAML, false
	who.Comment = strings.TrimSpace(fmt.Sprintf("version %d again. %s", version, who.Comment))
	return b.write(ctx, who, next(row, b.cfg.Now(), who), "restore")
}

func (b *Book) version(ctx context.Context, id string, version int) (store.RuleVersion, error) {
	versions, err := b.cfg.Store.RuleVersions(ctx, id)
	if err != nil {
		return store.RuleVersion{}, err
	}
	for _, v := range versions {
		if v.Version == version {
			return v, nil
		}
	}
	return store.RuleVersion{}, fmt.Errorf("rule %s, version %d: %w", id, version, ErrUnknown)
}

// Versions lists the versions of a rule of the store, newest first.
func (b *Book) Versions(ctx context.Context, id string) ([]store.RuleVersion, error) {
	out, err := b.cfg.Store.RuleVersions(ctx, id)
	if err == nil && len(out) == 0 {
		_, err = b.Get(id) // one of a file has none
	}
	return out, err
}

// Diff shows what an edit changed, as a unified diff.
func (b *Book) Diff(ctx context.Context, id string, from, to int) (string, error) {
	a, err := b.version(ctx, id, from)
	if err != nil {
		return "", err
	}
	c, err := b.version(ctx, id, to)
	if err != nil {
		return "", err
	}
	return Unified(fmt.Sprintf("%s version %d", id, from), fmt.Sprintf("%s version %d", id, to), a.YAML, c.YAML), nil
}

// next is the row's next version.
func next(row store.StoredRule, now time.Time, who Editor) store.StoredRule {
	row.Version++
	row.Author, row.Changed = who.Actor, now.UTC()
	return row
}

func (b *Book) write(ctx context.Context, who Editor, row store.StoredRule, action string) (Entry, Outcome, error) {
	who.Reason = action + " " + row.ID
	v := &store.RuleVersion{ID: row.ID, Version: row.Version, At: row.Changed, Author: row.Author, Action: action, Comment: who.Comment, YAML: row.YAML}
	out, err := b.commit(ctx, b.files, who, &edit{rule: &row, version: v})
	if err != nil {
		return Entry{}, Outcome{}, err
	}
	e, err := b.Get(row.ID)
	return e, out, err
}

func (w Editor) audit(now time.Time, out Outcome) *store.AuditEntry {
	detail, err := json.Marshal(map[string]any{"generation": out.Generation, "rules": out.Rules, "changes": strings.Join(out.Changes[:min(len(out.Changes), 20)], ", "), "comment": w.Comment})
	if err != nil {
		detail = nil // numbers and strings always marshal
	}
	action, subject, _ := strings.Cut(w.Reason, " ")
	return &store.AuditEntry{At: now, Actor: w.Actor, Via: w.Via, Action: "rules." + action, Subject: cmp.Or(subject, fmt.Sprintf("generation %d", out.Generation)), Detail: detail}
}
