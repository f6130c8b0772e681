package store

import (
	"encoding/json"
	"time"

	"nocturne/internal/record"
)

// ServerState says how a server stands. The set is closed.
type ServerState string

// The states of a server.
const (
	StateWaiting        ServerState = "waiting"        // enrolled, nothing heard yet
	StateUp             ServerState = "up"             // heard from within its deadline
	StateSilent         ServerState = "silent"         // past its deadline
	StateStopped        ServerState = "stopped"        // said goodbye: planned
	StateRevoked        ServerState = "revoked"        // its credential is refused
	StateDecommissioned ServerState = "decommissioned" // taken out of service
)

// ServerStates returns every state.
func ServerStates() []ServerState {
	return []ServerState{StateWaiting, StateUp, StateSilent, StateStopped, StateRevoked, StateDecommissioned}
}

// Server is a row of the server list.
type Server struct {
	ID record.ID `json:"id"`
	// CloneOf is the issued id this line of epochs was split off from, when two
	// live machines use one identity; empty for every other server.
	CloneOf string `json:"clone_of,omitempty"`
	// Clones is set on every line of an identity that is used twice.
	Clones bool `json:"clones"`

	Name  string `json:"name"`
	Site  string `json:"site"`
	Rack  string `json:"rack"`
	Role  string `json:"role"`
	Owner string `json:"owner"`
	// LabelsFrom says where each label comes from: "site=register rack=pattern".
	LabelsFrom string `json:"labels_from"`
	Simulated  bool   `json:"simulated"`

	State       ServerState `json:"state"`
	StateReason string      `json:"state_reason,omitempty"`
	StateSince  time.Time   `json:"state_since,omitzero"`

	OSName          string    `json:"os_name"`
	OSType          string    `json:"os_type"`
	OSVersion       string    `json:"os_version"`
	OSBuild         string    `json:"os_build"`
	BootTime        time.Time `json:"boot_time,omitzero"`
	ExporterVersion string    `json:"exporter_version"`
	// ReportedName, MachineID and SMBIOSUUID are evidence: what the agent says.
	ReportedName string `json:"reported_name"`
	MachineID    string `json:"machine_id,omitempty"`
	SMBIOSUUID   string `json:"smbios_uuid,omitempty"`

	// Address is that of its last connection, as a bridge saw it; "" = not known,
	// or one that names no machine, such as loopback.
	Address string `json:"address,omitempty"`

	Enrolled time.Time `json:"enrolled,omitzero"`
	// LastSeen is stream time, written at most once a minute.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// Interval is the announced heartbeat interval.
	Interval time.Duration `json:"heartbeat_interval_ns"`
	// Skew is received minus sent of the last frame measured; its clock is
	// ahead when negative.
	Skew time.Duration `json:"skew_ns"`

	// Model is that of the machine, as its snapshots of hardware say.
	Model string `json:"model"`
	// Updates wait; nil = not known. UpdatesSecurity of them are for security.
	Updates         *int `json:"updates_pending"`
	UpdatesSecurity int  `json:"updates_security"`
	Reboot          bool `json:"reboot_required"`

	// Open and Worst sum up the open, unmuted notifications of the server.
	Open  int    `json:"open_notifications"`
	Worst string `json:"worst_severity"`
}

// Device is a part of a server as last known.
type Device struct {
	Category record.Category `json:"category"`
	Type     string          `json:"type"`
	Place    string          `json:"place"`
	// Occupant is the last known serial: failed drives stop reporting theirs.
	Occupant string `json:"occupant"`
	State    string `json:"state"`
	// Fields is a JSON object.
	Fields  json.RawMessage `json:"fields,omitempty"`
	First   time.Time       `json:"first_seen"`
	Changed time.Time       `json:"changed"`
	// Removed is set when a snapshot that covers the place lacked the device.
	Removed time.Time `json:"removed,omitzero"`
}

// ServerDetail is a server with all it is made of.
type ServerDetail struct {
	Server
	Devices []Device `json:"devices"`
	// Observed says when each category's snapshot last changed its meaning.
	Observed []Observed `json:"observed"`
	// Lines are the other lines of the same identity, when it is used twice.
	Lines []Server `json:"lines,omitempty"`
}

// Observed is the current snapshot of a category.
type Observed struct {
	Category record.Category `json:"category"`
	At       time.Time       `json:"at"`
	Hash     Hash            `json:"hash"`
}

// SortKey orders the server list. The set is closed; "-" in front reverses.
type SortKey string

// The orders of the server list. ByWorst is the default: what needs attention
// comes first, then by name.
const (
	ByWorst    SortKey = "worst"
	ByName     SortKey = "name"
	BySite     SortKey = "site"
	ByState    SortKey = "state"
	ByLastSeen SortKey = "last_seen"
	ByOS       SortKey = "os"
	ByModel    SortKey = "model"
	ByRack     SortKey = "rack"
	ByOwner    SortKey = "owner"
	ByExporter SortKey = "exporter_version"
	ByUpdates  SortKey = "updates"
	ByBoot     SortKey = "boot_time"
	BySupport  SortKey = "support_end" // in the order of ServerQuery.Support
)

// MaxServers bounds a page of servers: what lists all of them reads few pages,
// for each of which they are sorted.
const MaxServers = 20_000

// ServerQuery filters and orders the server list. Empty fields match all.
type ServerQuery struct {
	IDs       []record.ID // any of; empty = all
	Text      string      // part of name, reported name, id, site, rack, role, owner or OS
	Site      string
	Rack      string
	Role      string
	Owner     string
	State     []ServerState // any of; empty = all but decommissioned
	Severity  string        // worst open severity is this
	Simulated *bool
	Clones    *bool
	OSType    string
	OS        string // exactly this name
	Model     string
	Exporter  string // exactly this version
	Updates   *bool  // some wait, or none
	Reboot    *bool  // a restart is required
	// Cases keeps servers that one of these fits, whatever State says; nil = all.
	Cases []ServerCase
	// Support orders operating systems by the end of their support, the earliest
	// first; those that are not in it come last. Ended keeps servers whose
	// operating system is one of these; nil = all.
	Support []OSVersion
	Ended   []OSVersion
	Sort    SortKey
	Reverse bool
	Offset  int
	Limit   int // 0 = 100, at most MaxServers
}

// ServerCase is one of these states with one of these worst severities.
type ServerCase struct {
	States []ServerState
	Worst  []string // nil = any; "" = nothing open
}

// ServerPage is one page of the server list.
type ServerPage struct {
	Servers []Server `json:"servers"`
	Total   int      `json:"total"`
}

// SilentServer is a server past its deadline.
type SilentServer struct {
	Server
	// Notification is the id of the open notification about the silence.
	Notification string `json:"notification_id,omitempty"`
	// FoldedInto is the fleet notification that speaks for it, if any.
	FoldedInto string `json:"folded_into,omitempty"`
}

// Overview counts the fleet, decommissioned servers left out.
type Overview struct {
	Servers   int                 `json:"servers"`
	Simulated int                 `json:"simulated"`
	Clones    int                 `json:"clones"`
	ByState   map[ServerState]int `json:"by_state"`
	// BySeverity counts servers by their worst open notification; "" = none.
	BySeverity map[string]int `json:"by_severity"`
	Sites      []Group        `json:"sites"`
	// Open counts open, unmuted notifications.
	Open int `json:"open_notifications"`
}

// Group counts the servers of a site.
type Group struct {
	Name    string `json:"name"`
	Servers int    `json:"servers"`
	Silent  int    `json:"silent"`
	Open    int    `json:"with_open_notifications"`
}

// Severities returns the words of rules, the least first.
func Severities() []string { return []string{"info", "warning", "critical"} }

// SeverityRank orders severities: 0 for none, higher is worse. A word outside
// Severities ranks as info, so that it is not lost.
func SeverityRank(word string) int {
	if word == "" {
		return 0
	}
	for i, s := range Severities() {
		if s == word {
			return i + 1
		}
	}
	return 1
}
