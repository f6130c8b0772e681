package store

import (
	"context"
	"time"
)

// Rules is what is kept of rules: those made in the interface with all their
// versions, switches for others, the generations, and what each rule said.
type Rules interface {
	// StoredRules lists the rules made in the interface, by id, deleted ones too:
	// an id is never given again.
	StoredRules(ctx context.Context) ([]StoredRule, error)
	// RuleVersions lists the versions of one rule, newest first.
	RuleVersions(ctx context.Context, id string) ([]RuleVersion, error)
	// RuleSwitches lists which rules of files are switched off, or on again, metric
	// rules too.
	RuleSwitches(ctx context.Context) ([]RuleSwitch, error)
	// Windows lists the newest version of each window of planned work, by id, ended
	// ones too: an id is never given again.
	Windows(ctx context.Context) ([]Window, error)
	// WindowVersions lists the versions of one window, newest first.
	WindowVersions(ctx context.Context, id string) ([]Window, error)
	// Generations lists the newest generations first.
	Generations(ctx context.Context, limit int) ([]Generation, error)
	// EditRules makes one edit, all of it or nothing; ErrConflict when the newest
	// generation, or the rule's, switch's or window's version, is not the one that the
	// edit names.
	EditRules(ctx context.Context, e RuleEdit) error
	// RuleVerdicts sums what rules said since, per rule and effect.
	RuleVerdicts(ctx context.Context, since time.Time) ([]RuleVerdicts, error)
}

// StoredRule is a rule made in the interface, as it is now.
type StoredRule struct {
	ID      string
	YAML    string
	Enabled bool
	Deleted bool
	Version int // of the newest RuleVersion
	Author  string
	Created time.Time
	Changed time.Time
}

// RuleVersion is one edit of a stored rule.
type RuleVersion struct {
	ID      string
	Version int
	At      time.Time
	Author  string
	Action  string // create, update, enable, disable, delete, restore
	Comment string
	YAML    string
}

// RuleSwitch turns a rule of a file off, or says who turned it on again.
type RuleSwitch struct {
	ID      string
	Version int // from 1, one more each time
	Enabled bool
	At      time.Time
	Author  string
	Comment string
}

// Window is one version of planned work: the newest holds until it is ended.
type Window struct {
	ID      string
	Version int // from 1
	At      time.Time
	Author  string
	Action  string // WindowMade, WindowChanged or WindowEnded
	Comment string
	YAML    string // as in a rule file
}

// What was done to a window.
const (
	WindowMade    = "plan"
	WindowChanged = "replan"
	WindowEnded   = "end"
)

// Generation is a numbered set of rules. It takes effect at one entry of each
// partition.
type Generation struct {
	Number uint64
	At     time.Time
	Actor  string
	Reason string // "start", "reload", "update disk-slow" …
	// Rules are the ones that are carried out, by id.
	Rules   map[string]RuleMark
	Changes []string // against the generation before: "changed disk-slow" …
	// Entries say after which entry each partition went over to it.
	Entries []GenerationEntry
}

// RuleMark says which form of a rule a generation holds.
type RuleMark struct {
	Version string `json:"v"`
	Shape   string `json:"s"`
}

// GenerationEntry is where a partition took a generation on.
type GenerationEntry struct {
	Partition int
	After     Position
	At        time.Time // stream time
}

// RuleEdit is one edit, and the generation that it makes.
type RuleEdit struct {
	// After is the newest generation that the edit was checked against.
	After uint64
	// Generation is appended; nil = the rules that are carried out stay the same.
	Generation *Generation
	// Rule replaces the row whose version is one less; version 1 makes it.
	Rule *StoredRule
	// Version is appended to the rule's versions.
	Version *RuleVersion
	// Switch replaces the one whose version is one less; version 1 is the first.
	Switch *RuleSwitch
	// Window is appended to the window's versions, which are one less.
	Window *Window
	Audit  *AuditEntry
}

// RuleCount is what a rule said in one commit.
type RuleCount struct {
	ID     string
	Effect string // a notify.Effect, or "muted"
	N      int64
	Last   time.Time
}

// RuleVerdicts are sums of one rule and effect.
type RuleVerdicts struct {
	ID     string
	Effect string
	N      int64
	Last   time.Time
}
