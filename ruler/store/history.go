package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"nocturne/internal/record"
)

// Hash is the content hash of a snapshot: the first 16 bytes of SHA-256.
type Hash [16]byte

// String returns 32 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero tells whether the hash was never set.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText writes what String returns.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) {
		return fmt.Errorf("snapshot hash %.40q: want 32 hexadecimal digits", b)
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return fmt.Errorf("snapshot hash %.40q: want 32 hexadecimal digits", b)
	}
	return nil
}

// HistoryEntry is a configuration a server had from At on.
type HistoryEntry struct {
	Server   record.ID       `json:"server_id"`
	Category record.Category `json:"category"`
	At       time.Time       `json:"at"`
	Hash     Hash            `json:"hash"`
	RecordID string          `json:"record_id"`
	// Changes is how many changes this snapshot made against the one before.
	Changes int `json:"changes"`
}

// HistoryQuery selects snapshots of one server.
type HistoryQuery struct {
	Server   record.ID
	Category record.Category // 0 = all
	Before   time.Time       // zero = now
	Limit    int             // 0 = 100, at most 1000
}

// Change is a difference between two snapshots of one server.
type Change struct {
	ID       int64           `json:"id"`
	Server   record.ID       `json:"server_id"`
	Name     string          `json:"server"` // filled in by readers
	Category record.Category `json:"category"`
	At       time.Time       `json:"at"`         // event time, clamped by skew
	Stream   time.Time       `json:"stream_at"`  // append time
	Kind     string          `json:"kind"`       // added removed replaced moved field
	Type     string          `json:"type"`       // device type
	Place    string          `json:"place"`      //
	Field    string          `json:"field"`      // of kind field
	Before   string          `json:"before"`     // value, or the occupant that left
	After    string          `json:"after"`      // value, or the occupant that came
	From     string          `json:"from_place"` // of kind moved
	Occupant string          `json:"occupant"`   // known serial of the device; of kind removed, the last known one
	RecordID string          `json:"record_id"`
	Hash     Hash            `json:"hash"` // of the snapshot that showed it
	// FromServer is where a part came from that moved between servers; zero = of
	// one server. Its name is filled in by readers.
	FromServer record.ID `json:"from_server_id"`
	FromName   string    `json:"from_server"`
	// Muted says why nobody was told of it although a rule would have: it was
	// planned. "" = it was told, or no rule is about it.
	Muted string `json:"muted"`
	// Plan is the planned work that it was part of; no id = none, or older than
	// this is kept.
	Plan Plan `json:"plan"`
	// Simulated tells that the server is; filled in by readers.
	Simulated bool `json:"simulated"`
}

// Plan is a window of planned work as it was then.
type Plan struct {
	ID  string `json:"id"`
	Who string `json:"who"`
	Why string `json:"why"`
}

// ChangeQuery selects changes. Empty fields match all.
type ChangeQuery struct {
	Server   record.ID // one of the two, where a part moved between servers
	Category record.Category
	Kind     string
	Type     string
	Place    string
	Field    string
	Serial   string // of the device, or of one that came or left
	Planned  *bool  // nobody was told, for it was planned; or the others
	Since    time.Time
	Before   time.Time
	BeforeID int64 // for paging: only ids below
	Limit    int   // 0 = 100, at most 1000
}

// ChangePage is one page; Next is the BeforeID of the page after, 0 at the end.
type ChangePage struct {
	Changes []Change `json:"changes"`
	Next    int64    `json:"next,omitempty"`
}

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID      int64           `json:"id"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`         // "ruler", "local", a token's name, a person whom the plugin named
	Via     string          `json:"via,omitempty"` // of a caller: "loopback", "api.token_file", "token <id>", "plugin <id>"
	Action  string          `json:"action"`
	Subject string          `json:"subject"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

// AuditQuery selects entries. Empty fields match all.
type AuditQuery struct {
	Actor    string
	Action   string // exactly, or all below it: "token" finds "token.create"
	Subject  string
	Text     string // part of anything
	Since    time.Time
	Before   time.Time
	BeforeID int64 // for paging: only ids below
	Limit    int   // 0 = 100, at most 1000
}
