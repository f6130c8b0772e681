package store

import (
	"context"
	"time"
)

// ConflictError says what stands against a change. It is an ErrConflict.
type ConflictError struct{ Detail string }

func (e *ConflictError) Error() string { return e.Detail }

// Unwrap makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// Work is what people made of a notification so far.
type Work struct {
	// Revision rises with every deed but a comment; 0 = nobody did anything.
	Revision int64     `json:"revision"`
	AckedBy  string    `json:"acked_by,omitempty"` // "" = not acknowledged
	Acked    time.Time `json:"acked,omitzero"`
	Assignee string    `json:"assignee,omitempty"`
	Comments int       `json:"comments,omitempty"`
}

// DeedKind is something that a person does with a notification.
type DeedKind string

// The deeds, a closed set.
const (
	Acknowledge   DeedKind = "acknowledge"
	Unacknowledge DeedKind = "unacknowledge"
	Comment       DeedKind = "comment"
	Assign        DeedKind = "assign"
	SilenceIt     DeedKind = "silence"
	Unsilence     DeedKind = "unsilence"
)

// DeedKinds returns all of them.
func DeedKinds() []DeedKind {
	return []DeedKind{Acknowledge, Unacknowledge, Comment, Assign, SilenceIt, Unsilence}
}

// AnyRevision is the Revision of a deed that does not mind what others did.
const AnyRevision = -1

// Deed is one change that a person makes to one notification.
type Deed struct {
	Notification string
	Kind         DeedKind
	Revision     int64 // that he has seen; it does not matter to a comment
	Text         string
	Assignee     string   // of Assign; "" = nobody
	Silence      *Silence // of Acknowledge and SilenceIt
	At           time.Time
	Actor, Via   string
}

// DeskEntry is a deed as it is remembered; the ruler does some itself.
type DeskEntry struct {
	ID    int64     `json:"id"`
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`
	Via   string    `json:"via,omitempty"`
	Kind  DeedKind  `json:"kind"`
	Text  string    `json:"text"`
}

// The kinds of silences.
const (
	SilenceAck         = "acknowledge" // of one notification, until its recovery or until it gets worse
	SilenceOne         = "silence"     // of one notification, until a time
	SilenceMaintenance = "maintenance" // of whatever matches, from a time until another
)

// Silence keeps alerts at Alertmanager from being told. What it covers goes on
// in the store as if it were not there.
type Silence struct {
	ID           string    `json:"id"` // 16 hexadecimal digits
	Kind         string    `json:"kind"`
	Notification string    `json:"notification,omitempty"` // of the first two kinds
	Matchers     []Matcher `json:"matchers"`
	Starts       time.Time `json:"starts"`
	Ends         time.Time `json:"ends,omitzero"` // zero = at recovery
	Reason       string    `json:"reason"`
	// Sets is how many label sets an acknowledgement covers: one more, and it
	// got worse since.
	Sets       int       `json:"sets,omitempty"`
	Actor      string    `json:"actor"`
	Via        string    `json:"via,omitempty"`
	Created    time.Time `json:"created"`
	Lifted     time.Time `json:"lifted,omitzero"`
	LiftedBy   string    `json:"lifted_by,omitempty"`
	LiftReason string    `json:"lift_reason,omitempty"`

	// Targets says what each Alertmanager made of it; filled in by readers.
	Targets []SilenceTarget `json:"targets,omitempty"`
}

// In tells whether it holds at a time.
func (s *Silence) In(t time.Time) bool {
	return s.Lifted.IsZero() && !t.Before(s.Starts) && (s.Ends.IsZero() || t.Before(s.Ends))
}

// Matcher is one condition on an alert's label, as Alertmanager has them.
type Matcher struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Regex bool   `json:"regex,omitempty"` // anchored RE2
	Not   bool   `json:"not,omitempty"`
}

// SilenceTarget is the result of handing a silence to an Alertmanager.
type SilenceTarget struct {
	Silence string    `json:"-"`
	Target  string    `json:"target"` // URL without credentials
	At      time.Time `json:"at"`     // since when it is so
	Error   string    `json:"error,omitempty"`
}

// StandingSilence is one that holds or will, with what decides whether it
// still should.
type StandingSilence struct {
	Silence
	// State and Saved are the notification's; "" without one.
	State NotificationState
	Saved []byte
}

// Lift ends a silence.
type Lift struct {
	ID     string
	Reason string
}

// SilenceQuery selects silences. Empty fields match all.
type SilenceQuery struct {
	Standing time.Time // not lifted and not ended at that time
	Kind     string
	Limit    int // 0 = 100, at most 1000
}

// DeskStore keeps what people do with notifications.
type DeskStore interface {
	// Do carries out a deed with its line of the audit log. ErrNotFound when
	// there is no such notification, a *ConflictError when somebody did something
	// since the revision, or when there is nothing to do it with.
	Do(ctx context.Context, d Deed) (Work, error)
	// AddSilence adds one that belongs to no notification.
	AddSilence(ctx context.Context, s Silence, e AuditEntry) error
	// LiftSilence ends a silence by hand, whatever its kind. ErrNotFound, or a
	// *ConflictError when it is over.
	LiftSilence(ctx context.Context, id string, e AuditEntry) (Silence, error)
	// Silences lists the newest first.
	Silences(ctx context.Context, q SilenceQuery) ([]Silence, error)

	// StandingSilences are those that Alertmanagers should have at a time.
	StandingSilences(ctx context.Context, at time.Time) ([]StandingSilence, error)
	// LiftSilences ends silences in the ruler's name; those that are over stay.
	LiftSilences(ctx context.Context, ls []Lift, at time.Time) error
	// RecordSilences notes results at Alertmanagers.
	RecordSilences(ctx context.Context, ts []SilenceTarget) error
}
