package store

import (
	"encoding/json"
	"time"

	"nocturne/internal/record"
)

// NotificationState is "firing" or "resolved".
type NotificationState string

// The states of a notification.
const (
	Firing   NotificationState = "firing"
	Resolved NotificationState = "resolved"
)

// Notification is one problem of one subject, from first sight to recovery.
type Notification struct {
	// ID is 16 hexadecimal digits: hash of server, device, class and the entry
	// that opened it.
	ID     string    `json:"id"`
	Server record.ID `json:"server_id"`
	Name   string    `json:"server"` // server name when it opened
	Device string    `json:"device"` // "physical_drive c0/e252/s4"; "" = the server
	Class  string    `json:"class"`  // problem class

	State    NotificationState `json:"state"`
	Severity string            `json:"severity"` // worst of the parts
	RuleID   string            `json:"rule_id"`  // of the part that opened it
	Title    string            `json:"title"`
	Reason   string            `json:"reason"` // of the worst part that fires; once resolved, of the last transition

	Opened   time.Time `json:"opened"`
	Changed  time.Time `json:"changed"`
	Resolved time.Time `json:"resolved,omitzero"`

	// Muted says why nobody is told; empty = not muted. FoldedInto names the
	// notification that speaks for it.
	Muted      string `json:"muted,omitempty"`
	FoldedInto string `json:"folded_into,omitempty"`
	// Probe says whether the silent machine still answered; "" = it was not asked.
	Probe string `json:"probe,omitempty"`
	// Held is set for the moment in which the fleet operator decides whether a
	// silence is one server's or a whole rack's. A held one is not sent.
	Held bool `json:"held,omitempty"`

	Simulated bool `json:"simulated"`
	// Labels are the alert labels, frozen when it opened. Annotations may change.
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`

	// Partition is the one whose commits write the row; FleetPartition for the
	// fleet operator's own.
	Partition int `json:"-"`
	// Parts are what it is made of, the cause first.
	Parts []Part `json:"parts,omitempty"`
	// Saved is the row as its owner keeps it, in the owner's own form.
	Saved []byte `json:"-"`
	// Work is what people made of it; filled in by readers.
	Work Work `json:"work,omitzero"`
	// Version is given by the store and rises with every write; the sender compares.
	Version uint64 `json:"version"`
}

// Part is one rule's view of a notification.
type Part struct {
	RuleID      string            `json:"rule_id"`
	Rule        string            `json:"rule"` // the rule's name
	RuleVersion string            `json:"rule_version,omitempty"`
	Shape       string            `json:"shape,omitempty"`
	Device      string            `json:"device"`
	State       NotificationState `json:"state"`
	Severity    string            `json:"severity"`
	Momentary   bool              `json:"momentary,omitempty"`
	Reason      string            `json:"reason"`
	Before      string            `json:"before,omitempty"`
	After       string            `json:"after,omitempty"`
	RecordID    string            `json:"record_id,omitempty"` // that opened the part
	Since       time.Time         `json:"since"`
	Changed     time.Time         `json:"changed"`
	Count       int               `json:"count,omitempty"` // firing verdicts
	Cause       bool              `json:"cause"`           // comes first
}

// Evidence is a record that opened, changed or closed a notification, bounded.
type Evidence struct {
	Notification string          `json:"-"`
	At           time.Time       `json:"at"`     // stream time
	Event        time.Time       `json:"event"`  // event time, clamped
	Effect       string          `json:"effect"` // firing resolved noted
	RuleID       string          `json:"rule_id"`
	Reason       string          `json:"reason"`
	RecordID     string          `json:"record_id"`
	Category     record.Category `json:"category"`
	Name         string          `json:"name"`
	Body         string          `json:"body"`            // at most MaxEvidenceBody bytes
	Attrs        json.RawMessage `json:"attrs,omitempty"` // JSON object, at most MaxEvidenceAttrs bytes
	Raw          string          `json:"raw"`             // at most MaxEvidenceRaw bytes
	Before       string          `json:"before"`          //
	After        string          `json:"after"`           //
	Cut          bool            `json:"cut"`             // something was cut off
}

// Bounds of what is kept as evidence.
const (
	MaxEvidenceBody  = 4 << 10
	MaxEvidenceAttrs = 16 << 10
	MaxEvidenceRaw   = 32 << 10
	MaxEvidence      = 20 // records per notification: the first and the last ones
)

// Delivery is the result of handing a notification to a target.
type Delivery struct {
	Notification string            `json:"-"`
	Target       string            `json:"target"` // URL without credentials
	State        NotificationState `json:"state"`  // what was told: firing, resolved, or "escalated-<n>" for the n-th label set that was added
	Version      uint64            `json:"version"`
	First        time.Time         `json:"first"` // first attempt at this state
	At           time.Time         `json:"at"`    // last attempt
	Attempts     int               `json:"attempts"`
	Error        string            `json:"error,omitempty"` // empty = accepted
}

// Outgoing is a notification to be told, and what was told of it.
type Outgoing struct {
	Notification
	Deliveries []Delivery
}

// NotificationDetail is a notification with why.
type NotificationDetail struct {
	Notification
	Evidence   []Evidence     `json:"evidence"`
	Deliveries []Delivery     `json:"deliveries"`
	Members    []Notification `json:"members,omitempty"` // folded into this one
	Earlier    []Notification `json:"earlier,omitempty"` // the last ten of the same server, device and class before it
	Deeds      []DeskEntry    `json:"deeds,omitempty"`   // the last 1000, oldest first
	Silences   []Silence      `json:"silences,omitempty"`
}

// NotificationQuery selects notifications. Empty fields match all.
type NotificationQuery struct {
	State    NotificationState // "" = both
	Server   record.ID
	Device   string // "physical_drive c0/e252/s4"
	Severity string
	Class    string
	RuleID   string
	Site     string
	Text     string
	IDs      []string // any of; empty = all
	Muted    *bool    // nil = both; muted includes folded and held
	Acked    *bool    // nil = both
	Assigned *bool    // nil = both
	Assignee string
	Owner    string // of the server, as it is now
	// Since and Before select what was open at some time in between.
	Since, Before time.Time
	// ResolvedSince also lists resolved ones that closed at or after; with
	// State Firing. It is what a sender asks for.
	ResolvedSince time.Time
	OpenAt        time.Time // were open at this time
	Offset        int
	Limit         int // 0 = 100, at most 1000; senders may say 100,000
}

// NotificationPage is one page and the number of all matches.
type NotificationPage struct {
	Notifications []Notification `json:"notifications"`
	Total         int            `json:"total"`
}

// Pipeline says how far the ruler is.
type Pipeline struct {
	Partitions []PartitionStatus `json:"partitions"`
	Ledger     LedgerTotals      `json:"ledger"`
	// Bytes on disk of the store, with its log.
	Bytes int64 `json:"store_bytes"`
}

// PartitionStatus is one partition's position as committed.
type PartitionStatus struct {
	Partition  int       `json:"partition"`
	Position   Position  `json:"position"`
	Epoch      uint64    `json:"epoch"` // fencing
	Owner      string    `json:"owner"`
	StreamTime time.Time `json:"stream_time,omitzero"` // append time of the last entry
	Clock      time.Time `json:"clock,omitzero"`       // operators' clock: stands still without good ticks
	Committed  time.Time `json:"committed,omitzero"`   // wall clock
	Frozen     string    `json:"frozen,omitempty"`     // why the clock stands still
	Ledger     LedgerTotals
	Losses     StreamLosses `json:"losses"`
}

// LedgerTotals are the sums of a ledger, in records.
type LedgerTotals struct {
	Received  int64 `json:"received"`
	Duplicate int64 `json:"duplicate"`
	Late      int64 `json:"late"`
	Declared  int64 `json:"declared_lost"`
	Missing   int64 `json:"missing"`
	Rejected  int64 `json:"rejected_frames"`
	Sequences int64 `json:"sequences"`
}

// Add sums two totals.
func (t LedgerTotals) Add(o LedgerTotals) LedgerTotals {
	t.Received += o.Received
	t.Duplicate += o.Duplicate
	t.Late += o.Late
	t.Declared += o.Declared
	t.Missing += o.Missing
	t.Rejected += o.Rejected
	t.Sequences += o.Sequences
	return t
}

// StreamLosses counts what the stream itself lost before the ruler read it.
type StreamLosses struct {
	VolumeLost   int64 `json:"volume_lost"`   // times the stream was another incarnation, or its head lay behind
	LogTruncated int64 `json:"log_truncated"` // entries deleted before they were read
}
