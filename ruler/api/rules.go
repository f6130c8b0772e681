package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// The rules: those of files are shown, those of the store can be changed.

func (s *server) ruleRoutes() []route {
	id := param{name: "id", kind: kindText, max: 64, path: true, doc: "rule id"}
	number := func(name, doc string) param {
		return param{name: name, kind: kindInt, min: 0, max: 1 << 30, doc: doc, def: "0"}
	}
	return []route{
		{method: "GET", path: "/rules", name: "rules", summary: "List the rules, carried out or not",
			params: []param{enum("source", "where they stand", string(rulebook.FromFile), string(rulebook.FromStore)), enum("kind", "of this kind", append(rule.Kinds(), kindMetric)...),
				{name: "enabled", kind: kindBool, doc: "carried out, or not"}, {name: "deleted", kind: kindBool, doc: "true: those of the store that were deleted, and no others", def: "false"}, enum("severity", "exactly this one", rule.Severities()...), text("search", "part of id, name, class or file"), limitParam(), offsetParam()},
			result: RuleList{}, handle: s.rules},
		{method: "POST", path: "/rules", name: "rule_create", summary: "Make a rule", body: RuleCreateRequest{}, result: RuleChange{}, role: roleAdmin, problem: RuleProblem{}, handle: s.ruleCreate},
		{method: "GET", path: "/rules/{id}", name: "rule", summary: "One rule: text, meaning, versions, what it said", params: []param{id}, result: RuleDetail{}, handle: s.rule},
		{method: "PUT", path: "/rules/{id}", name: "rule_update", summary: "Change a rule of the store", params: []param{id}, body: RuleUpdateRequest{}, result: RuleChange{}, role: roleAdmin, problem: RuleProblem{}, handle: s.ruleUpdate},
		{method: "DELETE", path: "/rules/{id}", name: "rule_delete", summary: "Delete a rule of the store; its versions stay",
			params: []param{id, number("version", "the newest version, as it was read"), text("comment", "why")}, result: RuleChange{}, role: roleAdmin, problem: RuleProblem{}, handle: s.ruleDelete},
		{method: "PUT", path: "/rules/{id}/enabled", name: "rule_switch", summary: "Turn a rule on or off, also one of a file", params: []param{id}, body: RuleSwitchRequest{}, result: RuleChange{}, role: roleAdmin, problem: RuleProblem{}, handle: s.ruleSwitch},
		{method: "POST", path: "/rules/{id}/restore", name: "rule_restore", summary: "Make an older version the newest, also of a deleted rule", params: []param{id}, body: RuleRestoreRequest{}, result: RuleChange{}, role: roleAdmin, problem: RuleProblem{}, handle: s.ruleRestore},
		{method: "GET", path: "/rules/{id}/versions", name: "rule_versions", summary: "All versions of a rule of the store, newest first", params: []param{id}, result: RuleVersions{}, handle: s.ruleVersions},
		{method: "GET", path: "/rules/{id}/diff", name: "rule_diff", summary: "What differs between two versions",
			params: []param{id, number("from", "version"), number("to", "version")}, result: RuleDiff{}, handle: s.ruleDiff},
		{method: "POST", path: "/rules/validate", name: "rule_validate", summary: "Say what a text means, or what is wrong with it", body: RuleValidateRequest{}, result: RuleReport{}, handle: s.ruleValidate},
		{method: "POST", path: "/rules/reload", name: "rules_reload", summary: "Read the rule files anew; wrong ones change nothing", body: RuleReloadRequest{}, result: RuleChange{}, role: roleAdmin, problem: RuleProblem{}, handle: s.rulesReload},
		{method: "GET", path: "/rules/generations", name: "rule_generations", summary: "Numbered sets of rules, newest first, and where each took effect", params: []param{limitParam()}, result: GenerationList{}, handle: s.generations},
	}
}

// book returns the rules and what the store has about them.
func (s *server) book() (*rulebook.Book, store.Rules, error) {
	kept, ok := s.reader.(store.Rules)
	if s.cfg.Rules == nil || !ok {
		return nil, nil, &problem{status: http.StatusServiceUnavailable, msg: "nothing is known of rules here", hint: "ask a ruler"}
	}
	return s.cfg.Rules, kept, nil
}

// firedEffects are the ways in which a rule finds a problem.
var firedEffects = []string{"opened", "joined", "escalated"}

const firedFor = 30 * 24 * time.Hour

// fired sums what rules found, and when last.
func fired(counts []store.RuleVerdicts) (n map[string]int64, last map[string]time.Time) {
	n, last = map[string]int64{}, map[string]time.Time{}
	for _, c := range counts {
		if slices.Contains(firedEffects, c.Effect) {
			n[c.ID] += c.N
			if c.Last.After(last[c.ID]) {
				last[c.ID] = c.Last
			}
		}
	}
	return n, last
}

// sums is what rules said lately, by id.
type sums struct {
	fired, muted map[string]int64
	last         map[string]time.Time
	failures     map[string]engine.Failure
}

func (s *server) sums(month, ever []store.RuleVerdicts) sums {
	var out sums
	out.fired, _ = fired(month)
	_, out.last = fired(ever)
	out.muted = map[string]int64{}
	for _, c := range month {
		if c.Effect == "muted" {
			out.muted[c.ID] += c.N
		}
	}
	if s.cfg.Failures != nil {
		out.failures = s.cfg.Failures()
	}
	return out
}

func (s *sums) put(v *Rule) {
	v.Fired30d, v.Muted30d, v.LastFired = s.fired[v.ID], s.muted[v.ID], at(s.last[v.ID])
	if f, ok := s.failures[v.ID]; ok {
		v.Failed, v.LastError = f.Records, clip(f.Reason, maxText)
	}
}

// said adds what a rule said, and could not say.
func (s *server) said(d *RuleDetail, month, ever []store.RuleVerdicts) {
	sums := s.sums(month, ever)
	sums.put(&d.Rule)
	if f, ok := sums.failures[d.Rule.ID]; ok {
		d.Failures = append(d.Failures, RuleFailure{Records: f.Records, Reason: clip(f.Reason, maxText), RecordID: clip(f.RecordID, maxName), At: at(f.At)})
	}
	for _, c := range ever {
		if c.ID == d.Rule.ID {
			d.Verdicts = append(d.Verdicts, VerdictCount{Effect: c.Effect, Count: c.N, LastAt: at(c.Last)})
		}
	}
}

// allRules lists the rules of the book and the metric rules by id, or those
// that were deleted.
func (s *server) allRules(r *request, book *rulebook.Book, kept store.Rules) ([]Rule, error) {
	var out []Rule
	if gone := r.bool("deleted"); gone != nil && *gone {
		stored, err := kept.StoredRules(r.ctx)
		for _, v := range stored {
			if v.Deleted {
				out = append(out, Rule{ID: v.ID, Source: string(rulebook.FromStore), File: rulebook.StoreFile, Line: 1, Off: clip("was deleted by "+v.Author, maxText), OffKind: string(rulebook.OffDeleted), Warnings: []string{},
					Deleted: true, Version: v.Version, Author: clip(v.Author, maxName), ChangedAt: at(v.Changed)})
			}
		}
		return out, err
	}
	for _, e := range book.List() {
		out = append(out, ruleOf(&e))
	}
	health := s.metricHealth()
	for _, e := range book.Metric() {
		out = append(out, metricRow(&e, health[e.ID]))
	}
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

func ruleOf(e *rulebook.Entry) Rule {
	out := Rule{ID: clip(e.ID, maxName), Source: string(e.Source), File: rulebook.StoreFile, Line: 1, Enabled: e.Off == "", Off: clip(e.Off, maxText), OffKind: string(e.OffKind), Overrides: e.Changed, Version: e.Version(), Warnings: clipEach(e.Without)}
	if r := e.Rule; r != nil {
		out.Name, out.Kind, out.Class, out.Severity, out.File, out.Line = r.Name, r.Kind, r.Class, r.Severity, clip(r.File, maxText), r.Line
	}
	if v := e.Stored; v != nil {
		out.Author, out.ChangedAt = clip(v.Author, maxName), at(v.Changed)
	} else if v := e.Switch; v != nil {
		out.Author, out.ChangedAt = clip(v.Author, maxName), at(v.At)
	}
	return out
}

func (s *server) rules(r *request) (any, error) {
	book, kept, err := s.book()
	if err != nil {
		return nil, err
	}
	month, err := kept.RuleVerdicts(r.ctx, s.now().Add(-firedFor))
	if err != nil {
		return nil, err
	}
	ever, err := kept.RuleVerdicts(r.ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	sums := s.sums(month, ever)
	gen := book.Generation()
	out := RuleList{Items: []Rule{}, Limit: r.int("limit"), Offset: r.int("offset"), Generation: int64(gen.Number), Active: len(gen.Rules)}
	search, on := strings.ToLower(r.text("search")), r.bool("enabled")
	is := func(want, got string) bool { return want == "" || want == got }
	all, err := s.allRules(r, book, kept)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		words := strings.ToLower(v.ID + "\n" + v.Name + "\n" + v.Class + "\n" + v.File)
		if !is(r.text("source"), v.Source) || !is(r.text("kind"), v.Kind) || !is(r.text("severity"), v.Severity) || on != nil && *on != v.Enabled || !strings.Contains(words, search) {
			continue
		}
		sums.put(&v)
		out.Items = append(out.Items, v)
	}
	out.Total = len(out.Items)
	from := min(out.Offset, out.Total)
	out.Items = out.Items[from:min(from+out.Limit, out.Total)]
	return out, nil
}

func (s *server) rule(r *request) (any, error) {
	book, kept, err := s.book()
	if err != nil {
		return nil, err
	}
	e, err := book.Get(r.text("id"))
	if err != nil {
		return nil, ruleProblem(err, "")
	}
	ever, err := kept.RuleVerdicts(r.ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	month, err := kept.RuleVerdicts(r.ctx, s.now().Add(-firedFor))
	if err != nil {
		return nil, err
	}
	gens, err := kept.Generations(r.ctx, 200)
	if err != nil {
		return nil, err
	}
	open, err := s.reader.Notifications(r.ctx, store.NotificationQuery{State: store.Firing, RuleID: r.text("id"), Limit: 1})
	if err != nil {
		return nil, err
	}
	if e.Rule != nil && e.Rule.Kind == kindMetric {
		metric := s.metricRule(&e)
		metric.Open = open.Total
		s.said(&metric, month, ever)
		return metric, nil
	}
	out := RuleDetail{Rule: ruleOf(&e), YAML: clip(e.Text, rulebook.MaxRule), Verdicts: []VerdictCount{}, Open: open.Total, Failures: []RuleFailure{}, Metric: []MetricHealth{}}
	s.said(&out, month, ever)
	if e.Rule != nil {
		out.Explain, out.Hash, out.Shape = clip(rule.Explain(e.Rule), maxText), e.Rule.Version, e.Rule.Shape
	}
	for _, g := range gens {
		if e.Off != "" || g.Rules[e.ID].Version != out.Hash {
			break
		}
		out.Since = int64(g.Number)
	}
	if len(gens) > 0 { // always: the start makes one
		out.Generation = generationOf(&gens[0])
	}
	return out, nil
}

func generationOf(g *store.Generation) Generation {
	out := Generation{Number: int64(g.Number), At: at(g.At), Actor: clip(g.Actor, maxName), Reason: clip(g.Reason, maxName), Rules: len(g.Rules), Changes: []string{}, Entries: []GenerationEntry{}}
	out.Changes = append(out.Changes, g.Changes...)
	for _, e := range g.Entries {
		out.Entries = append(out.Entries, GenerationEntry{Partition: e.Partition, Incarnation: e.After.Incarnation, AfterEntry: int64(e.After.Entry), At: at(e.At)})
	}
	return out
}

func (s *server) generations(r *request) (any, error) {
	_, kept, err := s.book()
	if err != nil {
		return nil, err
	}
	gens, err := kept.Generations(r.ctx, r.int("limit"))
	if err != nil {
		return nil, err
	}
	out := GenerationList{Items: []Generation{}, Limit: r.int("limit")}
	for i := range gens {
		out.Items = append(out.Items, generationOf(&gens[i]))
	}
	return out, nil
}

// edit decodes the body, makes the edit and says what it did. It is carried
// through when the caller hangs up: he could not know how far it came.
func (s *server) edit(r *request, body any, fn func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error)) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	if body != nil {
		if err := r.decode(body); err != nil {
			return nil, err
		}
	}
	e, out, err := fn(context.WithoutCancel(r.ctx), book)
	if err != nil {
		return nil, err
	}
	answer := RuleChange{Generation: int64(out.Generation), Active: out.Rules, Rules: []Rule{}, Changes: []string{}, Warnings: clipEach(out.Warnings)}
	answer.Changes = append(answer.Changes, out.Changes...)
	if e.ID != "" {
		answer.Rules = append(answer.Rules, ruleOf(&e))
	}
	return answer, nil
}

func (s *server) ruleCreate(r *request) (any, error) {
	var q RuleCreateRequest
	return s.edit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error) {
		e, out, err := b.Create(ctx, r.editor(q.Comment), q.YAML)
		return e, out, ruleProblem(err, q.YAML)
	})
}

func (r *request) editor(comment string) rulebook.Editor {
	return rulebook.Editor{Actor: r.actor, Via: r.who.via, Comment: clip(comment, maxText)}
}

func (s *server) ruleUpdate(r *request) (any, error) {
	var q RuleUpdateRequest
	return s.edit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error) {
		e, out, err := b.Update(ctx, r.editor(q.Comment), r.text("id"), q.Version, q.YAML)
		return e, out, ruleProblem(err, q.YAML)
	})
}

func (s *server) ruleDelete(r *request) (any, error) {
	return s.edit(r, nil, func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error) {
		out, err := b.Delete(ctx, r.editor(r.text("comment")), r.text("id"), r.int("version"))
		return rulebook.Entry{}, out, ruleProblem(err, "")
	})
}

func (s *server) ruleSwitch(r *request) (any, error) {
	var q RuleSwitchRequest
	return s.edit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error) {
		e, out, err := b.Switch(ctx, r.editor(q.Comment), r.text("id"), q.Version, q.Enabled)
		return e, out, ruleProblem(err, "")
	})
}

func (s *server) ruleRestore(r *request) (any, error) {
	var q RuleRestoreRequest
	return s.edit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error) {
		e, out, err := b.Restore(ctx, r.editor(q.Comment), r.text("id"), q.Version, q.Restore)
		return e, out, ruleProblem(err, "")
	})
}

func (s *server) rulesReload(r *request) (any, error) {
	var q RuleReloadRequest
	return s.edit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Entry, rulebook.Outcome, error) {
		out, err := b.Reload(ctx, r.editor(q.Comment))
		return rulebook.Entry{}, out, ruleProblem(err, "")
	})
}

func versionOf(v *store.RuleVersion) RuleVersion {
	return RuleVersion{Version: v.Version, At: at(v.At), Author: clip(v.Author, maxName), Action: v.Action, Comment: clip(v.Comment, maxText), YAML: v.YAML}
}

func (s *server) ruleVersions(r *request) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	list, err := book.Versions(r.ctx, r.text("id"))
	if err != nil {
		return nil, ruleProblem(err, "")
	}
	return RuleVersions{Items: mapSlice(list, func(v store.RuleVersion) RuleVersion { return versionOf(&v) })}, nil
}

func (s *server) ruleDiff(r *request) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	text, err := book.Diff(r.ctx, r.text("id"), r.int("from"), r.int("to"))
	if err != nil {
		return nil, ruleProblem(err, "")
	}
	return RuleDiff{From: r.int("from"), To: r.int("to"), Text: text}, nil
}

func (s *server) ruleValidate(r *request) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	var q RuleValidateRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	rep := book.Validate(q.ID, q.YAML)
	out := RuleReport{OK: len(rep.Mistakes) == 0, Mistakes: mistakesOf(rep.Mistakes), Explain: rep.Explain, Effect: rep.Effect, Warnings: clipEach(rep.Warnings)}
	if rep.Rule != nil {
		out.ID, out.Kind = rep.Rule.ID, rep.Rule.Kind
	}
	return out, nil
}

func clipEach(list []string) []string {
	out := []string{}
	for _, v := range list {
		out = append(out, clip(v, maxText))
	}
	return out
}

func mistakesOf(list []rulebook.Mistake) []RuleMistake {
	out := []RuleMistake{}
	for _, m := range list {
		out = append(out, RuleMistake{File: clip(m.File, maxText), Line: m.Line, Column: m.Column, Path: clip(m.Path, maxName), Text: clip(m.Text, maxText), Hint: clip(m.Hint, maxText)})
	}
	return out
}

// ruleProblem words what went wrong with an edit; text is what was sent.
func ruleProblem(err error, text string) error {
	if err == nil {
		return nil
	}
	fail := func(status int, hint string, mistakes []RuleMistake) error {
		return &problem{status: status, msg: clip(err.Error(), maxText), hint: hint, body: RuleProblem{Error: clip(err.Error(), maxText), Hint: hint, Mistakes: mistakes}}
	}
	none := []RuleMistake{}
	var conflict *rulebook.ConflictError
	switch {
	case errors.As(err, &conflict):
		cur := versionOf(&conflict.Current)
		body := RuleProblem{Error: err.Error(), Hint: "put both together and send them on version " + strconv.Itoa(cur.Version), Mistakes: none, Current: &cur}
		if conflict.Before.Version > 0 {
			was := versionOf(&conflict.Before)
			body.Based, body.Diff = &was, rulebook.Unified("what you edited", "what is there now", was.YAML, cur.YAML)
		}
		return &problem{status: http.StatusConflict, msg: body.Error, hint: body.Hint, body: body}
	case errors.Is(err, store.ErrConflict):
		return fail(http.StatusConflict, "read the rules again", none)
	case errors.Is(err, rulebook.ErrTaken):
		return fail(http.StatusConflict, "ids are for ever", none)
	case errors.Is(err, rulebook.ErrReadOnly):
		return fail(http.StatusForbidden, "rules of files are changed in their files, those of the program by rules.overrides of the ruler's configuration", none)
	case errors.Is(err, rulebook.ErrUnknown):
		return fail(http.StatusNotFound, "ids are in the answer of the list", none)
	case errors.Is(err, rulebook.ErrInvalid):
		return fail(http.StatusUnprocessableEntity, "nothing was changed", mistakesOf(rulebook.Mistakes(err, text)))
	default:
		return err
	}
}
