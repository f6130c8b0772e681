package apitest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// Rules keeps rules in memory. It is not safe for concurrent use.
type Rules struct {
	Stored   []store.StoredRule
	Versions map[string][]store.RuleVersion // newest first
	Switches []store.RuleSwitch
	Gens     []store.Generation        // newest first
	Work     map[string][]store.Window // planned; newest first
	Counts   []store.RuleVerdicts
}

var _ store.Rules = (*Rules)(nil)

// RuleFile holds the demo's two rules of a file.
const RuleFile = `rules:
  - id: disk-bad-block
    name: DiskBadBlock
    class: disk
    severity: warning
    summary: "{{ .Server }}: bad block"
    runbook: disk#bad-block
    expires: 24h
    match: {provider: disk, event_id: 7}

  - id: server-silent
    name: ServerSilent
    class: silence
    severity: critical
    summary: "{{ .Server }} is silent"
    runbook: server#silent
    absent: {category: heartbeat, after: 5m}
`

// StoredRule is the demo's rule of the store.
const StoredRule = `id: nic-link-lost
name: NicLinkLost
class: link
severity: warning
summary: "{{ .Server }} lost its link"
runbook: network#link-lost
expires: 12h
match: {provider: e1dexpress, event_id: 27}
`

// Window is the demo's planned work.
const Window = `id: bern-patching
who: ada
why: monthly firmware updates
servers: {site: [bern, north]}
weekly: {days: [tue, thu], from: "22:00", to: "02:00", zone: Europe/Zurich}
`

// Book opens a rule book over kept rules and the demo's file; add puts more
// beside the latter; nil = nothing.
func Book(kept store.Rules, now func() time.Time, add func(*rulebook.Files)) (*rulebook.Book, error) {
	files := func() (rulebook.Files, error) {
		rules, err := rule.Parse("alerts/records/demo.yml", []byte(RuleFile))
		out := rulebook.Files{Rules: rules, Active: rules, Texts: map[string][]byte{"alerts/records/demo.yml": []byte(RuleFile)}}
		if add != nil {
			add(&out)
		}
		return out, err
	}
	return rulebook.Open(context.Background(), rulebook.Config{Files: files, Store: kept, Now: now})
}

// StoredRules implements store.Rules.
func (m *Rules) StoredRules(context.Context) ([]store.StoredRule, error) {
	return slices.Clone(m.Stored), nil
}

// RuleVersions implements store.Rules.
func (m *Rules) RuleVersions(_ context.Context, id string) ([]store.RuleVersion, error) {
	return slices.Clone(m.Versions[id]), nil
}

// RuleSwitches implements store.Rules.
func (m *Rules) RuleSwitches(context.Context) ([]store.RuleSwitch, error) {
	return slices.Clone(m.Switches), nil
}

// Windows implements store.Rules.
func (m *Rules) Windows(context.Context) ([]store.Window, error) {
	var out []store.Window
	for _, id := range slices.Sorted(maps.Keys(m.Work)) {
		out = append(out, m.Work[id][0])
	}
	return out, nil
}

// WindowVersions implements store.Rules.
func (m *Rules) WindowVersions(_ context.Context, id string) ([]store.Window, error) {
	return slices.Clone(m.Work[id]), nil
}

// Generations implements store.Rules.
func (m *Rules) Generations(_ context.Context, limit int) ([]store.Generation, error) {
	return cut(m.Gens, 0, limit), nil
}

// RuleVerdicts implements store.Rules.
func (m *Rules) RuleVerdicts(_ context.Context, since time.Time) ([]store.RuleVerdicts, error) {
	var out []store.RuleVerdicts
	for _, c := range m.Counts {
		if !c.Last.Before(since) {
			out = append(out, c)
		}
	}
	return out, nil
}

// EditRules implements store.Rules.
func (m *Rules) EditRules(_ context.Context, e store.RuleEdit) error {
	newest := uint64(0)
	if len(m.Gens) > 0 {
		newest = m.Gens[0].Number
	}
	if newest != e.After {
		return fmt.Errorf("generation %d: %w", newest, store.ErrConflict)
	}
	if r := e.Rule; r != nil {
		i := slices.IndexFunc(m.Stored, func(o store.StoredRule) bool { return o.ID == r.ID })
		switch {
		case i < 0 && r.Version == 1:
			m.Stored = append(m.Stored, *r)
		case i < 0 || m.Stored[i].Version != r.Version-1:
			return fmt.Errorf("rule %s: %w", r.ID, store.ErrConflict)
		default:
			m.Stored[i] = *r
		}
	}
	if v := e.Version; v != nil {
		if m.Versions == nil {
			m.Versions = map[string][]store.RuleVersion{}
		}
		m.Versions[v.ID] = append([]store.RuleVersion{*v}, m.Versions[v.ID]...)
	}
	if v := e.Window; v != nil {
		if len(m.Work[v.ID]) != v.Version-1 {
			return fmt.Errorf("window %s: %w", v.ID, store.ErrConflict)
		}
		if m.Work == nil {
			m.Work = map[string][]store.Window{}
		}
		m.Work[v.ID] = append([]store.Window{*v}, m.Work[v.ID]...)
	}
	if v := e.Switch; v != nil {
		was := 0
		for _, o := range m.Switches {
			if o.ID == v.ID {
				was = o.Version
			}
		}
		if v.Version != was+1 {
			return fmt.Errorf("switch of rule %s: %w", v.ID, store.ErrConflict)
		}
		m.Switches = append(slices.DeleteFunc(m.Switches, func(o store.RuleSwitch) bool { return o.ID == v.ID }), *v)
	}
	if e.Generation != nil {
		m.Gens = append([]store.Generation{*e.Generation}, m.Gens...)
	}
	return nil
}
