package api

import "time"

// Rule is one row of the list of rules.
type Rule struct {
	ID        string     `json:"id" doc:"for ever: text, severity and condition may change"`
	Name      string     `json:"name" doc:"the alert's name"`
	Kind      string     `json:"kind" doc:"match, count, state …; empty when the text cannot be read"`
	Class     string     `json:"class" doc:"problem class: with server and device the key of a notification"`
	Severity  string     `json:"severity"`
	Source    string     `json:"source" doc:"file: read-only here; store: made here"`
	File      string     `json:"file" doc:"where it stands; store for those made here"`
	Line      int        `json:"line"`
	Enabled   bool       `json:"enabled" doc:"it is carried out"`
	Off       string     `json:"off" doc:"why it is not carried out, in English; empty = it is"`
	OffKind   string     `json:"off_kind" doc:"the same as a word: switched (somebody switched it off here, and can switch it on), configuration, unreadable, taken (a rule of a file has its id) or deleted; empty = it is carried out"`
	Warnings  []string   `json:"warnings" doc:"what it is carried out without: rules that it names and that are off or gone"`
	Overrides bool       `json:"overrides" doc:"true: the ruler's configuration changes it (rules.overrides)"`
	Version   int        `json:"version" doc:"name it when changing or switching it: of a rule of the store its newest version, of a file's how often it was switched here"`
	Author    string     `json:"author" doc:"who changed or switched it last, here; empty = nobody"`
	ChangedAt *time.Time `json:"changed_at" doc:"when; null = never changed here"`
	Deleted   bool       `json:"deleted" doc:"one of the store that was deleted; its versions are there, and it can be restored"`
	Fired30d  int64      `json:"fired_30d" doc:"problems it found in the last 30 days"`
	Muted30d  int64      `json:"muted_30d" doc:"problems that were planned or announced, so that nobody was told, in the last 30 days"`
	Failed    int64      `json:"failed" doc:"records that its conditions could not judge, since the ruler started; of a metric rule, series or files whose last evaluation failed"`
	LastError string     `json:"last_error" doc:"why, the last time; empty = it never failed"`
	LastFired *time.Time `json:"last_fired_at" doc:"null = not as far back as is kept"`
}

// RuleList is a page of rules, with the generation that is carried out.
type RuleList struct {
	Items      []Rule `json:"items"`
	Total      int    `json:"total"`
	Limit      int    `json:"limit"`
	Offset     int    `json:"offset"`
	Generation int64  `json:"generation"`
	Active     int    `json:"active" doc:"rules that are carried out"`
}

// RuleDetail is everything about one rule.
type RuleDetail struct {
	Rule       Rule           `json:"rule"`
	YAML       string         `json:"yaml" doc:"as it is written; overrides are not in it"`
	Explain    string         `json:"explain" doc:"what it does, in English"`
	Hash       string         `json:"hash" doc:"of the whole rule, as it stands in evidence"`
	Shape      string         `json:"shape" doc:"of what shapes its state: while it stays the same no edit loses what the rule knows"`
	Since      int64          `json:"since_generation" doc:"generation since which it is carried out as it is; 0 = it is not"`
	Verdicts   []VerdictCount `json:"verdicts" doc:"what it said, as far back as is kept"`
	Open       int            `json:"open_notifications" doc:"that it opened"`
	Failures   []RuleFailure  `json:"failures" doc:"one, or none: what its conditions could not judge since the ruler started"`
	Metric     []MetricHealth `json:"metric" doc:"of a metric rule: how its queries did, one per place where it stands"`
	Generation Generation     `json:"generation" doc:"the newest one, and where it took effect"`
}

// RuleFailure is what could not be judged: neither a match nor none.
type RuleFailure struct {
	Records  int64      `json:"records" doc:"since the ruler started"`
	Reason   string     `json:"reason" doc:"of the last one"`
	RecordID string     `json:"record_id" doc:"of the last one"`
	At       *time.Time `json:"at" doc:"of the last one, stream time"`
}

// MetricHealth is how a metric rule did when it was evaluated last.
type MetricHealth struct {
	Group    string     `json:"group"`
	Interval float64    `json:"interval_seconds"`
	At       *time.Time `json:"evaluated_at" doc:"null = not yet"`
	Took     float64    `json:"duration_seconds"`
	Error    string     `json:"error" doc:"empty = it could be judged; else nothing fires and nothing ends by it"`
	Alerts   int        `json:"alerts" doc:"series of the answer: pending or firing"`
}

// VerdictCount is how often a rule said something.
type VerdictCount struct {
	Effect string     `json:"effect" doc:"opened, joined, repeated, escalated, eased, closed, noted, muted or ignored"`
	Count  int64      `json:"count"`
	LastAt *time.Time `json:"last_at"`
}

// Generation is a numbered set of rules.
type Generation struct {
	Number  int64             `json:"number"`
	At      *time.Time        `json:"at"`
	Actor   string            `json:"actor"`
	Reason  string            `json:"reason"`
	Rules   int               `json:"rules" doc:"that are carried out"`
	Changes []string          `json:"changes" doc:"against the generation before"`
	Entries []GenerationEntry `json:"entries" doc:"partitions that went over to it"`
}

// GenerationEntry is where a partition went over to a generation.
type GenerationEntry struct {
	Partition   int        `json:"partition"`
	Incarnation string     `json:"incarnation"`
	AfterEntry  int64      `json:"after_entry" doc:"later entries are judged by it"`
	At          *time.Time `json:"at" doc:"stream time"`
}

// GenerationList is the newest generations first.
type GenerationList struct {
	Items []Generation `json:"items"`
	Limit int          `json:"limit"`
}

// RuleCreateRequest makes a rule.
type RuleCreateRequest struct {
	YAML    string `json:"yaml" doc:"one rule, as in a rule file"`
	Comment string `json:"comment" doc:"why"`
}

// RuleUpdateRequest changes a rule of the store.
type RuleUpdateRequest struct {
	YAML    string `json:"yaml"`
	Version int    `json:"version" doc:"the version that was edited; another one is refused with both"`
	Comment string `json:"comment"`
}

// RuleSwitchRequest turns a rule on or off.
type RuleSwitchRequest struct {
	Enabled bool   `json:"enabled"`
	Version int    `json:"version" doc:"of the rule as it was read; another one is refused"`
	Comment string `json:"comment"`
}

// RuleRestoreRequest makes an older version the newest.
type RuleRestoreRequest struct {
	Restore int    `json:"restore" doc:"the version to come back"`
	Version int    `json:"version" doc:"the newest version, as it was read"`
	Comment string `json:"comment"`
}

// RuleReloadRequest reads the files anew.
type RuleReloadRequest struct {
	Comment string `json:"comment"`
}

// RuleChange is what a change did.
type RuleChange struct {
	Rules      []Rule   `json:"rules" doc:"the rule as it is now; none = it is gone, or all were read"`
	Generation int64    `json:"generation"`
	Active     int      `json:"active" doc:"rules that are carried out"`
	Changes    []string `json:"changes" doc:"of what is carried out; empty = it is the same"`
	Warnings   []string `json:"warnings" doc:"that there were not before: other rules that name this one"`
}

// RuleVersion is one edit of a rule of the store.
type RuleVersion struct {
	Version int        `json:"version"`
	At      *time.Time `json:"at"`
	Author  string     `json:"author"`
	Action  string     `json:"action" doc:"create, update, enable, disable, delete or restore"`
	Comment string     `json:"comment"`
	YAML    string     `json:"yaml"`
}

// RuleVersions are the edits of a rule, newest first.
type RuleVersions struct {
	Items []RuleVersion `json:"items"`
}

// RuleDiff is what differs between two versions.
type RuleDiff struct {
	From int    `json:"from"`
	To   int    `json:"to"`
	Text string `json:"text" doc:"unified diff; empty = the same"`
}

// RuleValidateRequest is a text that is being written.
type RuleValidateRequest struct {
	YAML string `json:"yaml"`
	ID   string `json:"id" doc:"the rule that it is to replace; empty = a new one"`
}

// RuleReport says what a text means.
type RuleReport struct {
	OK       bool          `json:"ok"`
	Mistakes []RuleMistake `json:"mistakes"`
	ID       string        `json:"id"`
	Kind     string        `json:"kind"`
	Explain  string        `json:"explain"`
	Effect   string        `json:"effect" doc:"what saving it does to what the rule knows and has open"`
	Warnings []string      `json:"warnings" doc:"no mistakes: rules that it names and that are not carried out"`
}

// RuleMistake is one error in a text.
type RuleMistake struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Path   string `json:"path" doc:"the field that it is about: keys from the rule's own down, joined by dots; empty = none"`
	Text   string `json:"text"`
	Hint   string `json:"hint"`
}

// RuleProblem is the answer when rules are wrong, or were changed meanwhile.
type RuleProblem struct {
	Error    string        `json:"error"`
	Hint     string        `json:"hint"`
	Mistakes []RuleMistake `json:"mistakes"`
	Based    *RuleVersion  `json:"based" doc:"what the edit was made on"`
	Current  *RuleVersion  `json:"current" doc:"what is there now"`
	Diff     string        `json:"diff" doc:"from what the edit was made on to what is there now"`
}
