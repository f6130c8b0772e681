package store

import (
	"net/netip"
	"time"

	"nocturne/internal/record"
)

// Partitions of servers are 0..15; FleetPartition is the fleet operator's own
// row among the positions: its entry counts its commits, its incarnation is "facts".
const FleetPartition = 1000

// MetricPartition is the row of who evaluates metric rules: its epoch fences
// others off, and a commit at least once a minute renews it. When several
// rulers share the groups, each share gets a row of its own from here on.
const MetricPartition = 1001

// Claim is what a new owner starts from.
type Claim struct {
	Partition int
	Epoch     uint64
	Position  Position
	Losses    StreamLosses
	// Generation is the one whose rules the working state belongs to; 0 = not known.
	// Marks are its rules.
	Generation uint64
	Marks      map[string]RuleMark
	// Base and Deltas are working state, oldest first: load Base, then every
	// delta over it.
	Base   []byte
	Deltas [][]byte
	// Servers are the rows of servers in this partition, clones included, and
	// Hashes their current snapshots.
	Servers []Server
	Current []CurrentSnapshot
	// Notifications are the open ones of this partition.
	Notifications []Notification
}

// CurrentSnapshot names the merged snapshot of a server and category.
type CurrentSnapshot struct {
	Server   record.ID
	Category record.Category
	Hash     Hash
}

// PartitionCommit is all that one partition's batch changed, and its position.
type PartitionCommit struct {
	Partition int
	Epoch     uint64
	From, To  Position

	StreamTime, Clock time.Time
	Committed         time.Time // wall clock, for the page only
	Frozen            string
	Ledger            LedgerTotals
	Losses            StreamLosses

	// Generation is set once by the first commit under new rules: they hold after
	// the entry From.
	Generation uint64
	RuleCounts []RuleCount

	// Delta is appended. When Base is set it replaces base and all deltas, and
	// Delta is empty.
	Delta []byte
	Base  []byte

	Servers   []ServerWrite
	Devices   []DeviceWrite
	Snapshots []SnapshotWrite
	History   []HistoryEntry
	Changes   []Change
	// Notifications replace rows. FoldedInto and Held belong to the fleet
	// operator: they are written only when the row is new.
	Notifications []Notification
	Evidence      []Evidence
	Facts         []Fact
	Audit         []AuditEntry

	// Folds are written by the fleet operator alone.
	Folds []Fold
	// FactsDone deletes facts by their sequence numbers.
	FactsDone []uint64
}

// ServerWrite changes parts of a server's row; nil parts stay. The row is
// created when it does not exist.
type ServerWrite struct {
	ID        record.ID
	Partition int
	Labels    *ServerLabels
	// LabelsSince is from when on Labels hold, in stream time; zero = that of the
	// commit.
	LabelsSince time.Time
	Facts       *ServerFacts
	State       *StateWrite
	// Was are the states that it went through before State, the first one first:
	// how far a commit reaches must not matter to who asks what was when.
	Was     []StateWrite
	Seen    *SeenWrite
	Clones  *CloneWrite
	Address *string // of its last connection
}

// ServerLabels come from the registry, never from the agent.
type ServerLabels struct {
	Name, Site, Rack, Role, Owner string
	// From says where each comes from: "site=register rack=pattern".
	From      string
	Simulated bool
	Enrolled  time.Time // zero = leave
}

// ServerFacts are what the heartbeat says.
type ServerFacts struct {
	OSName, OSType, OSVersion, OSBuild  string
	ExporterVersion                     string
	ReportedName, MachineID, SMBIOSUUID string
	BootTime                            time.Time
	Interval                            time.Duration
}

// StateWrite changes a server's state.
type StateWrite struct {
	State  ServerState
	Reason string
	Since  time.Time
}

// SeenWrite moves last seen and the measured skew.
type SeenWrite struct {
	At   time.Time
	Skew time.Duration
}

// CloneWrite marks a line of an identity that is used twice.
type CloneWrite struct {
	Of     record.ID // zero: this is the issued id's own line
	Clones bool
}

// DeviceWrite replaces one device's row; Delete removes it altogether.
type DeviceWrite struct {
	Server record.ID
	Device
	Delete bool
}

// SnapshotWrite keeps a snapshot's bytes, once per content, and makes it the
// current one of its server and category.
type SnapshotWrite struct {
	Server   record.ID
	Category record.Category
	At       time.Time
	Hash     Hash
	Bytes    []byte // record.AppendRecords of one record with the snapshot, packed
}

// Fold is the fleet operator's verdict about one notification.
type Fold struct {
	Notification string
	Into         string // "" = stands for itself
	Muted        string // reason when folded
	Probe        string // what the machine answered; "" = leave
	At           time.Time
}

// FactKind says what a partition tells the fleet operator. The set is closed.
type FactKind string

// The kinds of facts.
const (
	FactOverdue FactKind = "overdue" // missed a heartbeat, deadline not reached
	FactSilent  FactKind = "silent"  // past its deadline; Notification is held
	FactBack    FactKind = "back"    // heard again, or said goodbye
	FactGone    FactKind = "gone"    // decommissioned or revoked
	FactMissing FactKind = "missing" // expected and never heard; Notification is held
	FactFound   FactKind = "found"   // heard after all, or not expected any more
	FactParts   FactKind = "parts"   // serial numbers came to the server, or left it
)

// Fact is one thing a partition tells the fleet operator.
type Fact struct {
	Seq          uint64 // given by the store
	Partition    int
	Kind         FactKind
	At           time.Time // stream time
	Server       record.ID
	Site, Rack   string
	Simulated    bool
	Address      string // of its last connection
	Notification string // of FactSilent and FactMissing
	// Of FactParts: the category of the snapshot that showed it, when the one
	// before was taken in (zero = not known), and the record.
	Category record.Category
	Seen     time.Time
	RecordID string
}

// ClassSilent is the problem class of a server's own silence.
const ClassSilent = "silence"

// GroupSize counts the servers of a rack and subnet that should be heard from.
type GroupSize struct {
	Site, Rack, Subnet string
	Simulated          bool
	Servers            int
}

// Subnet names what servers near an address have in common: its /24, or its
// /64. It is "" for what is no address.
func Subnet(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	bits := 64
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
