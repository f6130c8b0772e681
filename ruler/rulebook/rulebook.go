// Package rulebook keeps the rules that a ruler carries out: those of files,
// which only their files change, and those made in the interface, which live in
// the store with all their versions. Either can be switched off, and so can
// metric rules, which somebody else carries out.
//
// Together they are one set with unique ids. A change of what is carried out is
// a generation: it is numbered, stored with what it changes, and handed to the
// engine. An edit that is wrong, or that was made on an older version, changes
// nothing.
//
// A Book is safe for concurrent use; New starts nothing. To test: go test
// ./ruler/rulebook.
package rulebook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"nocturne/ruler/engine"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// Files are the rules that the configuration names.
type Files struct {
	Rules  []*rule.Rule // all of them, as written
	Active []*rule.Rule // with the configuration's overrides, without what they disable
	Texts  map[string][]byte
	// Windows are those of the files; the rules have them already.
	Windows []*rule.Window
	// Metric are the metric rules, which somebody else carries out: here they are
	// switched on and off. No two have one id.
	Metric []Metric
}

// Metric is one metric rule.
type Metric struct {
	Rule     *rule.Rule
	Text     string // YAML, as it is carried out
	Disabled bool   // in the ruler's configuration
}

// Config is what a Book is built from.
type Config struct {
	Files func() (Files, error) // reads them anew
	Store store.Rules
	Now   func() time.Time // nil = time.Now
	Log   *slog.Logger     // nil = none
}

// Source says where a rule comes from.
type Source string

// The sources of rules.
const (
	FromFile  Source = "file"
	FromStore Source = "store"
)

// StoreFile is how a rule of the store reads where others name their file.
const StoreFile = "store"

// OffKind is a kind of reason why a rule is not carried out; "" = it is.
type OffKind string

// The kinds of reasons.
const (
	OffSwitched      OffKind = "switched"      // somebody switched it off here, and can switch it on
	OffConfiguration OffKind = "configuration" // the ruler's configuration disables it
	OffUnreadable    OffKind = "unreadable"    // the store's text cannot be read
	OffTaken         OffKind = "taken"         // a rule of a file has its id
	OffDeleted       OffKind = "deleted"       // one of the store was deleted: no entry has this
)

// Entry is one rule, carried out or not.
type Entry struct {
	ID      string
	Source  Source
	Rule    *rule.Rule // as it is carried out; nil = the store's text cannot be read
	Off     string     // why it is not carried out; "" = it is
	OffKind OffKind    // the kind of reason
	Without []string   // rules that it names and that are not carried out, and why not
	Changed bool       // the configuration's overrides change it
	Text    string     // YAML
	Switch  *store.RuleSwitch
	Stored  *store.StoredRule // of FromStore
}

// Version is what an edit is made on: of a rule of the store its newest version, of
// others how often they were switched.
func (e *Entry) Version() int {
	switch {
	case e.Stored != nil:
		return e.Stored.Version
	case e.Switch != nil:
		return e.Switch.Version
	}
	return 0
}

// turned says what was done to a rule of a file last.
func (e *Entry) turned() string {
	if e.Switch == nil {
		return "was read anew"
	}
	return "was switched " + map[bool]string{true: "on", false: "off"}[e.Switch.Enabled] + " by " + e.Switch.Author
}

// Book is the rules of one ruler.
type Book struct {
	cfg    Config
	edits  sync.Mutex // one edit at a time
	mu     sync.Mutex
	apply  func(engine.Generation) error
	files  Files
	set    set
	newest store.Generation
}

// set is all rules at one moment.
type set struct {
	entries []Entry // by id
	active  []*rule.Rule
	windows []Window // by id
	metric  []Entry  // by id; nobody of them is in active
	gone    map[string]string
}

// Open reads everything and says which generation to start with: a new one when
// it is not what was carried out last.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Book{cfg: cfg}
	newest, err := cfg.Store.Generations(ctx, 1)
	if err != nil {
		return nil, err
	}
	if len(newest) > 0 {
		b.newest = newest[0]
	}
	files, err := cfg.Files()
	if err != nil {
		return nil, err
	}
	if _, err := b.commit(ctx, files, Editor{Actor: "ruler", Reason: "start"}, nil); err != nil {
		return nil, err
	}
	return b, nil
}

// Generation is what is carried out now.
func (b *Book) Generation() engine.Generation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return engine.Generation{Number: b.newest.Number, Rules: b.set.active, Gone: b.set.gone}
}

// Use names who carries the rules out from now on.
func (b *Book) Use(apply func(engine.Generation) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apply = apply
}

// List returns all rules by id.
func (b *Book) List() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.set.entries)
}

// Metric returns the metric rules by id.
func (b *Book) Metric() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.set.metric)
}

// MetricOff says by id which metric rules are not carried out, and why.
func (b *Book) MetricOff() map[string]string {
	out := map[string]string{}
	for _, e := range b.Metric() {
		if e.Off != "" {
			out[e.ID] = e.Off
		}
	}
	return out
}

// Get returns one rule, a metric rule too; ErrUnknown when there is none.
func (b *Book) Get(id string) (Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range [][]Entry{b.set.entries, b.set.metric} {
		if i, ok := find(list, id); ok {
			return list[i], nil
		}
	}
	return Entry{}, fmt.Errorf("rule %.80q: %w", id, ErrUnknown)
}

const (
	switchedOff = "was switched off by "
	// IsDisabled is why a rule is gone that the configuration disables.
	IsDisabled = "is disabled in the ruler's configuration"
)

// build puts all rules together. What is wrong with a rule of the store does not
// stop the others: it is not carried out, and says why.
func build(files Files, stored []store.StoredRule, switches []store.RuleSwitch, work []Window) set {
	s := set{gone: map[string]string{}}
	active := map[string]*rule.Rule{}
	for _, r := range files.Active {
		active[r.ID] = r
	}
	turned := map[string]*store.RuleSwitch{}
	for i := range switches {
		turned[switches[i].ID] = &switches[i]
	}
	at := map[string]*rule.Rule{}
	for _, r := range files.Rules {
		at[r.ID] = r
		e := Entry{ID: r.ID, Source: FromFile, Rule: r, Text: textOf(files, r), Switch: turned[r.ID]}
		switch now := active[r.ID]; {
		case now == nil:
			e.Off, e.OffKind = IsDisabled, OffConfiguration
		case e.Switch != nil && !e.Switch.Enabled:
			e.Rule, e.Changed, e.Off = now, now.Version != r.Version, switchedOff+e.Switch.Author
			e.OffKind = OffSwitched
		default:
			e.Rule, e.Changed = now, now.Version != r.Version
		}
		s.add(e)
	}
	for i := range stored {
		v := &stored[i]
		if v.Deleted {
			if at[v.ID] == nil {
				s.gone[v.ID] = "was deleted by " + v.Author
			}
			continue
		}
		e := Entry{ID: v.ID, Source: FromStore, Text: v.YAML, Stored: v}
		r, err := one(v.YAML)
		switch {
		case at[v.ID] != nil:
			e.Off = fmt.Sprintf("has the id of a rule in %s:%d: make it anew under another id", at[v.ID].File, at[v.ID].Line)
			e.OffKind = OffTaken
			e.ID += " (store)"
		case err != nil:
			e.Off, e.OffKind = "cannot be read: "+err.Error(), OffUnreadable
		case !v.Enabled:
			e.Rule, e.Off, e.OffKind = r, switchedOff+v.Author, OffSwitched
		default:
			e.Rule = r
		}
		s.add(e)
	}
	slices.SortFunc(s.entries, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for i := range s.entries {
		if e := &s.entries[i]; e.Off == "" {
			e.Without = s.without(e.Rule)
		}
	}
	for _, m := range files.Metric {
		e := Entry{ID: m.Rule.ID, Source: FromFile, Rule: m.Rule, Text: m.Text, Switch: turned[m.Rule.ID]}
		switch {
		case m.Disabled:
			e.Off, e.OffKind = IsDisabled, OffConfiguration
		case e.Switch != nil && !e.Switch.Enabled:
			e.Off, e.OffKind = switchedOff+e.Switch.Author, OffSwitched
		}
		s.metric = append(s.metric, e)
	}
	slices.SortFunc(s.metric, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	s.windows = work
	s.active = rule.Plan(s.active, standing(work))
	return s
}

// without says which of the rules that a rule names are not carried out. That is
// no mistake: who deletes or switches off a rule is told, and not held up.
func (s *set) without(r *rule.Rule) []string {
	var out []string
	for _, id := range r.Names() {
		if i, ok := find(s.entries, id); ok && s.entries[i].Off == "" {
			continue
		}
		out = append(out, fmt.Sprintf("names %s, which %s", id, cmp.Or(s.gone[id], "is not there")))
	}
	return out
}

func find(list []Entry, id string) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(e Entry, id string) int { return strings.Compare(e.ID, id) })
}

// warnings are what the rules that are carried out are without.
func (s *set) warnings() []string {
	var out []string
	for _, e := range s.entries {
		for _, w := range e.Without {
			out = append(out, "rule "+e.ID+" "+w)
		}
	}
	return out
}

func (s *set) add(e Entry) {
	s.entries = append(s.entries, e)
	if e.Off == "" {
		s.active = append(s.active, e.Rule)
	} else {
		s.gone[e.ID] = e.Off
	}
}

// textOf cuts a rule out of its file.
func textOf(files Files, r *rule.Rule) string {
	lines := strings.Split(string(files.Texts[r.File]), "\n")
	end := len(lines)
	for _, o := range files.Rules {
		if o.File == r.File && o.Line > r.Line {
			end = min(end, o.Line-1)
		}
	}
	if r.Line < 1 || r.Line > end {
		return ""
	}
	out := slices.Clone(lines[r.Line-1 : end])
	indent := len(out[0]) - len(strings.TrimLeft(out[0], " -"))
	out[0] = out[0][indent:]
	for i, l := range out[1:] {
		out[i+1] = strings.TrimPrefix(l, strings.Repeat(" ", indent))
	}
	for len(out) > 1 {
		last := strings.TrimSpace(out[len(out)-1])
		if last != "" && !strings.HasPrefix(last, "#") {
			break // blank lines, and comments about the next one
		}
		out = out[:len(out)-1]
	}
	return strings.Join(out, "\n") + "\n"
}

// Editor is who makes an edit, and why.
type Editor struct {
	Actor   string
	Via     string // by which door, as in the audit log; "" = the ruler itself
	Reason  string // "update disk-slow"
	Comment string
}

// Outcome is what an edit did.
type Outcome struct {
	Generation uint64
	Rules      int      // that are carried out
	Changes    []string // against the generation before; none = what is carried out is the same
	Warnings   []string // that there were not before
}

// edit is what is written to the store besides the generation.
type edit struct {
	rule    *store.StoredRule
	version *store.RuleVersion
	turned  *store.RuleSwitch
	window  *store.Window
}

// commit puts the rules together as they will be, writes the edit and the
// generation that it makes, and has it carried out.
func (b *Book) commit(ctx context.Context, files Files, who Editor, e *edit) (Outcome, error) {
	stored, err := b.cfg.Store.StoredRules(ctx)
	if err != nil {
		return Outcome{}, err
	}
	switches, err := b.cfg.Store.RuleSwitches(ctx)
	if err != nil {
		return Outcome{}, err
	}
	work, err := b.cfg.Store.Windows(ctx)
	if err != nil {
		return Outcome{}, err
	}
	w := store.RuleEdit{After: b.newest.Number}
	if e != nil {
		w.Rule, w.Version, w.Switch, w.Window = e.rule, e.version, e.turned, e.window
		stored, switches = e.over(stored, switches)
		work = e.overWindows(work)
	}
	next := build(files, stored, switches, windowsOf(files.Windows, work, b.cfg.Now()))
	if err := next.checkWindows(e); err != nil {
		return Outcome{}, err
	}
	if len(next.active) == 0 {
		return Outcome{}, fmt.Errorf("%w: no rule would be left: nothing would be noticed", ErrInvalid)
	}
	if _, err := operator.NewSet(next.active); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	now := b.cfg.Now().UTC()
	out := Outcome{Generation: b.newest.Number, Rules: len(next.active)}
	newest := b.newest
	if marks := engine.Marks(next.active); b.newest.Number == 0 || !maps.Equal(marks, b.newest.Rules) {
		out.Changes = changes(b.newest.Rules, marks)
		if e != nil && e.window != nil { // not one of the rules that have it
			out.Changes = []string{map[string]string{store.WindowMade: "planned ", store.WindowChanged: "changed the plan of ", store.WindowEnded: "ended the plan of "}[e.window.Action] + e.window.ID}
		}
		newest = store.Generation{Number: b.newest.Number + 1, At: now, Actor: who.Actor, Reason: who.Reason, Rules: marks, Changes: out.Changes}
		if b.newest.Number == 0 {
			newest.Changes = nil
		}
		out.Generation, w.Generation = newest.Number, &newest
	}
	if e != nil && e.turned != nil && len(out.Changes) == 0 { // a metric rule: no generation holds it
		if was, is := carriedOut(b.set.metric, e.turned.ID), carriedOut(next.metric, e.turned.ID); was != is {
			out.Changes = []string{map[bool]string{true: "added ", false: "removed "}[is] + e.turned.ID}
		}
	}
	had := b.set.warnings()
	out.Warnings = slices.DeleteFunc(next.warnings(), func(v string) bool { return slices.Contains(had, v) })
	w.Audit = who.audit(now, out)
	if e != nil || w.Generation != nil {
		if err := b.cfg.Store.EditRules(ctx, w); err != nil {
			return Outcome{}, err
		}
	}
	b.mu.Lock()
	b.files, b.set, b.newest = files, next, newest
	apply := b.apply
	b.mu.Unlock()
	for _, v := range next.entries {
		if v.Source == FromStore && v.Rule == nil {
			b.cfg.Log.Warn("rule of the store is not carried out", "rule", v.ID, "why", v.Off)
		}
	}
	for _, v := range next.windows {
		if v.Off != "" && v.Off != isOver && !v.Ended() {
			b.cfg.Log.Warn("planned work of the store does not count", "window", v.ID, "why", v.Off)
		}
	}
	for _, v := range out.Warnings {
		b.cfg.Log.Warn("rule is carried out without another that it names", "why", v)
	}
	if apply == nil {
		return out, nil
	}
	// Also when nothing is another: why a rule is gone may be.
	return out, apply(b.Generation())
}

func carriedOut(list []Entry, id string) bool {
	i, ok := find(list, id)
	return ok && list[i].Off == ""
}

// over lays the edit over what is stored.
func (e *edit) over(stored []store.StoredRule, switches []store.RuleSwitch) ([]store.StoredRule, []store.RuleSwitch) {
	if e.rule != nil {
		stored = append(slices.DeleteFunc(stored, func(r store.StoredRule) bool { return r.ID == e.rule.ID }), *e.rule)
	}
	if e.turned != nil {
		switches = append(slices.DeleteFunc(switches, func(v store.RuleSwitch) bool { return v.ID == e.turned.ID }), *e.turned)
	}
	slices.SortFunc(stored, func(a, b store.StoredRule) int { return cmp.Compare(a.ID, b.ID) })
	return stored, switches
}

// changes says what differs between two generations.
func changes(was, is map[string]store.RuleMark) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(is)) {
		switch before, ok := was[id]; {
		case !ok:
			out = append(out, "added "+id)
		case before.Shape != is[id].Shape:
			out = append(out, "changed the condition of "+id)
		case before.Version != is[id].Version:
			out = append(out, "changed the text or severity of "+id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[id]; !ok {
			out = append(out, "removed "+id)
		}
	}
	return out
}

// Reload reads the files anew. Rules that are wrong change nothing.
func (b *Book) Reload(ctx context.Context, who Editor) (Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	who.Reason = cmp.Or(who.Reason, "reload")
	files, err := b.cfg.Files()
	if err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return b.commit(ctx, files, who, nil)
}

// The ways in which an edit fails.
var (
	ErrUnknown  = errors.New("no such rule")
	ErrInvalid  = errors.New("the rules are wrong")
	ErrReadOnly = errors.New("the rule is in a file")
	ErrTaken    = errors.New("the id is taken")
)
