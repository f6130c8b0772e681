// Package notify turns verdicts into notifications, and notifications into
// alerts at Alertmanager.
//
// Table is pure: it is given verdicts in the order in which they hold, and
// answers with the notifications that changed. Its owner stores them in the
// same transaction as the position of the records that led to them.
//
// Sender is the shell: the stored table is the desired state, and the Sender
// makes every Alertmanager agree with it.
//
// A Table belongs to one goroutine. A Sender may be called from any.
// To test: go test ./ruler/notify.
package notify

import (
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// State of a notification or of a part.
type State string

// The states. A problem that comes back is a new notification.
const (
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Severities, from worst to least.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
)

// Notification is one problem of one subject, from first sight to recovery.
type Notification struct {
	ID     string // 16 hexadecimal digits
	Number uint64 // rises with every opening of the table: the order that Load restores
	Server record.ID
	Name   string // the server's name when it opened
	Device string // "" = the server
	Class  string
	Group  string // see operator.Verdict

	State    State
	Severity string // the worst it ever was
	RuleID   string // of the part that opened it
	Title    string // of the cause, for lists
	Reason   string // of the worst part that fires, the cause before others; once resolved, of the last transition

	Opened   time.Time
	Changed  time.Time
	Resolved time.Time // zero while firing

	Simulated bool
	// Labels are frozen when it opens. Every rise of the severity adds a second
	// label set, frozen too: all fire until the end, and Alertmanager inhibits the
	// lesser ones by notification_id, so nobody is told "resolved" when it got
	// worse.
	Labels      map[string]string
	Escalations []Escalation
	// Annotations hold all that may change.
	Annotations map[string]string

	Parts []Part // cause first
	// Version rises by one with every change.
	Version uint64
}

// Escalation is the label set under which a notification is told again because
// it got worse.
type Escalation struct {
	At       time.Time         `json:"at"`
	Severity string            `json:"severity"`
	Labels   map[string]string `json:"labels"`
}

// EscalatedState is the State of deliveries of the n-th label set that was
// added, counted from 1: "escalated-1". The first set's deliveries are firing;
// an end is one of all sets.
func EscalatedState(n int) State { return State(escalatedPrefix + strconv.Itoa(n)) }

// Escalated returns n of EscalatedState(n), or 0 for other states.
func (s State) Escalated() int {
	number, ok := strings.CutPrefix(string(s), escalatedPrefix)
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0
	}
	return max(n, 0)
}

const escalatedPrefix = "escalated-"

// Part is one rule's view of one device in a notification.
type Part struct {
	RuleID      string
	Rule        string // the rule's name
	RuleVersion string
	Shape       string
	Device      string
	State       State
	Severity    string
	Momentary   bool
	Group       string // see operator.Verdict, as the next two
	Subject     string `json:",omitempty"`
	Serial      string `json:",omitempty"`
	Reason      string
	Before      string
	After       string
	Summary     string // rendered when it last fired
	Description string
	Runbook     string
	RecordID    string // the record that opened the part
	Since       time.Time
	Changed     time.Time
	Count       int // firing verdicts
	// More are devices that the part stands for, as their own would be too many.
	More []string `json:",omitempty"`
}

// Effect says what a verdict did.
type Effect string

// The effects, a closed set.
const (
	Opened    Effect = "opened"    // a new notification
	Joined    Effect = "joined"    // another part of an open one
	Repeated  Effect = "repeated"  // the same part once more
	Escalated Effect = "escalated" // joined or repeated, and the severity rose
	Eased     Effect = "eased"     // a part is over, others go on
	Closed    Effect = "closed"    // the last part is over
	Noted     Effect = "noted"     // kept as evidence
	Ignored   Effect = "ignored"   // nothing was open for it
)

// Effects returns every effect, for metrics.
func Effects() []Effect {
	return []Effect{Opened, Joined, Repeated, Escalated, Eased, Closed, Noted, Ignored}
}

// At says when and where in the stream a verdict was given.
type At struct {
	Time        time.Time // stream time
	Incarnation string
	Partition   int
	Entry       uint64
}

// Transition is what one verdict did to one notification: the row to store,
// whole, and one line of its timeline, which is evidence too.
type Transition struct {
	Effect       Effect
	Notification Notification // as it is now; zero when Ignored
	// The timeline entry.
	At       time.Time
	RuleID   string
	Version  string // the rule's
	Device   string
	Severity string
	Reason   string
	RecordID string
	Before   string
	After    string
	// Deliver tells whether Alertmanager has to hear of it.
	Deliver bool
}
