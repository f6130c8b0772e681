// Package operator turns records, changes and silences into verdicts.
//
// An operator carries out one rule over the servers of one partition. It is a
// pure state machine: Step gets a record, Tick gets the stream's time, and
// neither reads a clock or does I/O, so replay cannot be told from live. A Set
// holds the operators of all rules and is what the engine calls.
//
// State is keyed by server and device inside the operator and leaves it by
// Save: small, versioned, and only what changed since the last Save. Load puts
// it back; a run that was saved and loaded in the middle gives the same
// verdicts as one that was not. Nothing here is safe for concurrent use: one
// Set belongs to one goroutine.
//
// To test: go test ./ruler/operator/... ; stories are run by operatortest.
package operator

import (
	"errors"
	"strconv"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// Context is what an operator may know besides the record.
type Context struct {
	Now    time.Time // stream time
	Server ServerFacts
	// Previous is the last known merged state of the record's category before
	// the record, sorted as diff.Merge sorts; nil before the first snapshot.
	Previous *record.Snapshot
}

// ServerFacts are what the registry says of a server, never the agent.
type ServerFacts struct {
	ID        record.ID
	Name      string
	Site      string
	Rack      string
	Role      string
	Owner     string
	OS        string // os.type of the last heartbeat: the one thing an agent says
	Simulated bool
	// Heard tells whether the server has sent anything before, ever.
	Heard bool
}

// Label returns a label by its name in rules.
func (f *ServerFacts) Label(key string) string {
	switch key {
	case "name":
		return f.Name
	case "site":
		return f.Site
	case "rack":
		return f.Rack
	case "role":
		return f.Role
	case "owner":
		return f.Owner
	case "os":
		return f.OS
	case "simulated":
		return strconv.FormatBool(f.Simulated)
	default:
		return ""
	}
}

// Input is one record and what the engine found out about it.
type Input struct {
	Record   *record.Record
	Header   *record.Header
	Seq      uint64
	RecordID string
	// Event is when it happened, by the stream's clock: the record's own time,
	// corrected. Zero = Context.Now.
	Event time.Time
	// Changes are diff.Diff(Context.Previous, Record.Snapshot) and Current is
	// diff.Merge of the same; empty and nil for records without a snapshot.
	Changes []diff.Change
	Current *record.Snapshot
}

// Operator carries out one rule. All times given to it rise monotonically.
type Operator interface {
	// Step takes one record. Verdicts come in the order in which they hold.
	Step(ctx Context, in Input) []Verdict
	// Tick lets time pass; now is stream time.
	Tick(now time.Time) []Verdict
	// Save returns the state that changed since the last Save, or all of it, and
	// counts it as saved. The result may be kept; it is not touched again.
	Save(dirtyOnly bool) []KeyedState
	// Load puts back one state. It wraps ErrShape when the rule's shape is
	// another one: the state is of no use and the key starts empty.
	Load(KeyedState) error
	// Forget drops all that is known of a server; the next Save says so.
	Forget(server record.ID)
}

// ErrShape is wrapped when a saved state belongs to another shape of the rule,
// or to a version that this program does not know.
var ErrShape = errors.New("state of another rule shape")

// KeyedState is one key's state. (RuleID, Key) is unique in a Set.
type KeyedState struct {
	RuleID string
	Shape  string // hash of the fields that shape the rule
	Server record.ID
	Key    string // bytes, not text
	Data   []byte // nil = the key is gone
}

// VerdictKind says what a verdict means.
type VerdictKind uint8

// The kinds of verdicts.
const (
	Firing   VerdictKind = iota + 1 // the problem exists
	Resolved                        // the problem is over
	Muted                           // would fire, but for the reason given
	Noted                           // worth keeping with the problem; opens and closes nothing
	Failed                          // a condition could not be evaluated: counted, and never a match
)

var verdictNames = [...]string{Firing: "firing", Resolved: "resolved", Muted: "muted", Noted: "noted", Failed: "failed"}

// VerdictKinds returns every kind, for metrics.
func VerdictKinds() []VerdictKind { return []VerdictKind{Firing, Resolved, Muted, Noted, Failed} }

// String returns the kind as it stands in stories, the store and labels.
func (k VerdictKind) String() string {
	if k < Firing || int(k) >= len(verdictNames) {
		return "unknown"
	}
	return verdictNames[k]
}

// Verdict is what a rule says about one device of one server.
type Verdict struct {
	RuleID   string
	Server   record.ID
	Device   string // "physical_drive c0/e252/s4"; "" = the server
	Class    string // problem class
	Kind     VerdictKind
	Severity string
	At       time.Time // stream time
	Reason   string    // for a person
	RecordID string    // the record that led to it; "" = time did
	Before   string
	After    string
	// Group ties parts that fail together, such as the drives and the virtual
	// drive of one drive group: "c0/dg1", or "c0" where the group is not known.
	Group string
	// Subject and Serial are of the drive that it speaks of, where Relate found
	// out: "physical_drive c0/e252/s4" for what smartctl calls sda/megaraid,14.
	Subject string
	Serial  string
	// Momentary verdicts (a drive was replaced) join an open notification as
	// evidence and do not hold it open; alone they open one until they expire.
	Momentary bool
	// Fields are what templates may show besides: message, serial, provider …
	Fields []record.Attr
	// Texts replace the rule's templates; for kinds whose templates are others.
	Texts *Texts `json:",omitempty"`
	// Window is the planned work because of which it is muted, and Change the one of
	// the input's that it is about.
	Window *rule.Window `json:"-"`
	Change *diff.Change `json:"-"`
}

// Texts are what people read of a part, ready-made.
type Texts struct {
	Summary, Description, Runbook string
	// Labels go to Alertmanager beside those that every notification has.
	Labels map[string]string
}
