package api

import "time"

// The types of the answers. Names are snake_case, times RFC 3339 in UTC, a
// quantity's unit is in its name. Fields are added, never renamed. The doc tags
// become the descriptions in the OpenAPI document.
//
// All text that came from a server is hostile: it is bounded (see clip) and
// encoded as JSON, and whoever shows it must show it as text.

// Status is what a person should think of a server or a device, worst last.
type Status string

// The closed set of statuses.
const (
	StatusOK             Status = "ok"
	StatusPlanned        Status = "planned"        // said goodbye: stopped on purpose
	StatusNew            Status = "new"            // enrolled, not heard yet
	StatusInfo           Status = "info"           // an open notification that asks for nothing
	StatusWarning        Status = "warning"        //
	StatusCritical       Status = "critical"       //
	StatusSilent         Status = "silent"         // no heartbeat past its deadline
	StatusDecommissioned Status = "decommissioned" // left the fleet
	StatusRevoked        Status = "revoked"        // its credential was taken away
)

// Statuses returns the closed set.
func Statuses() []Status {
	return []Status{StatusOK, StatusPlanned, StatusNew, StatusInfo, StatusWarning, StatusCritical, StatusSilent, StatusDecommissioned, StatusRevoked}
}

// Server is one row of the list.
type Server struct {
	ID                string     `json:"id" doc:"32 hexadecimal digits, issued at enrolment"`
	Name              string     `json:"name" doc:"name in the register; the name the server reports where the register has none"`
	Status            Status     `json:"status" doc:"what to think of it: computed from its open notifications and its state"`
	StatusText        string     `json:"status_text" doc:"why the status is what it is, in a sentence"`
	State             string     `json:"state" doc:"waiting, up, silent, stopped, revoked or decommissioned"`
	StateSince        *time.Time `json:"state_since"`
	Site              string     `json:"site"`
	Rack              string     `json:"rack"`
	Role              string     `json:"role"`
	Owner             string     `json:"owner"`
	OSType            string     `json:"os_type" doc:"windows, linux or empty while not known"`
	OSName            string     `json:"os_name"`
	OSVersion         string     `json:"os_version"`
	ExporterVersion   string     `json:"exporter_version"`
	Simulated         bool       `json:"simulated" doc:"true: this server does not exist, the simulator plays it"`
	Clone             bool       `json:"clone" doc:"true: two live machines speak under this identity; each is a line of its own"`
	CloneOf           string     `json:"clone_of" doc:"the issued id this line was split off from; empty for the first line"`
	OpenNotifications int        `json:"open_notifications"`
	WorstSeverity     string     `json:"worst_severity" doc:"of the open notifications; empty = none"`
	LastSeen          *time.Time `json:"last_seen" doc:"stream time of its last record, exact to a minute; null = never"`
	BootTime          *time.Time `json:"boot_time" doc:"by the server's own clock; null = not known"`
	EnrolledAt        *time.Time `json:"enrolled_at"`
	Model             string     `json:"model" doc:"of the machine; empty = not known"`
	OSRelease         string     `json:"os_release" doc:"the release in the table of support ends; empty = not in it"`
	SupportEnd        *time.Time `json:"support_end" doc:"last day with security updates at no further price; null = not known"`
	UpdatesPending    *int       `json:"updates_pending" doc:"updates that wait; null = not known"`
	UpdatesSecurity   int        `json:"updates_security" doc:"of them for security, as the system's own tool says"`
	RebootRequired    bool       `json:"reboot_required"`
	LabelsVersion     string     `json:"labels_version" doc:"changes when a label does; a change of labels names it"`
	WarrantyUntil     string     `json:"warranty_until" doc:"last day, as the register says, 2028-03-31; in /servers and /servers/{id} only"`
	Contract          string     `json:"contract" doc:"as the register says; likewise"`
}

// ServerList is a page of servers.
type ServerList struct {
	Items  []Server `json:"items"`
	Total  int      `json:"total" doc:"servers that match, on all pages"`
	Limit  int      `json:"limit"`
	Offset int      `json:"offset"`
}

// ServerDetail is everything that is known of one server now.
type ServerDetail struct {
	Server        Server          `json:"server"`
	Facts         []Fact          `json:"facts" doc:"what the server says of itself; evidence, not identity"`
	Devices       []Device        `json:"devices" doc:"sorted by group, type and place, numbers by value"`
	Observed      []Observed      `json:"observed" doc:"the present snapshot of each category"`
	Lines         []Server        `json:"lines" doc:"the other lines of the same identity, when it is used twice"`
	Notifications []Notification  `json:"notifications" doc:"those that are open, worst first"`
	AsOf          *time.Time      `json:"as_of" doc:"the time that was asked for; null = now"`
	Labels        []Label         `json:"labels" doc:"where the labels come from"`
	Register      []RegisterEntry `json:"register" doc:"what people say of it: owner, warranty, contract; mostly one entry or none"`
	KnownSince    *time.Time      `json:"known_since" doc:"with at: nothing older is known; else null"`
}

// Fact is a named value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Device is a part of a server at a place.
type Device struct {
	Category   string     `json:"category" doc:"which snapshots it is from: raid, hardware, smart …"`
	Type       string     `json:"type" doc:"controller, physical_drive, virtual_drive, memory …"`
	TypeText   string     `json:"type_text" doc:"the type in words"`
	Place      string     `json:"place" doc:"from the outside in, such as c0/e252/s4"`
	Group      string     `json:"group" doc:"the controller it hangs on, such as c0; empty for parts of the machine itself"`
	Serial     string     `json:"serial" doc:"the last serial number known at this place; empty = never known"`
	State      string     `json:"state" doc:"the word of the tool that reported it, such as Onln"`
	Status     Status     `json:"status" doc:"computed from the open notifications about it"`
	StatusText string     `json:"status_text"`
	Model      string     `json:"model"`
	Firmware   string     `json:"firmware"`
	SizeBytes  *int64     `json:"size_bytes" doc:"null = not known"`
	Fields     []Fact     `json:"fields" doc:"everything else that was reported"`
	FirstSeen  *time.Time `json:"first_seen"`
	ChangedAt  *time.Time `json:"changed_at" doc:"when it took its present form"`
	RemovedAt  *time.Time `json:"removed_at" doc:"null = it is there"`
}

// Observed is the present snapshot of one category.
type Observed struct {
	Category  string     `json:"category"`
	Hash      string     `json:"hash" doc:"of the content; equal content has equal hashes"`
	ChangedAt *time.Time `json:"changed_at"`
}

// ServerLedger proves, sequence by sequence, what of a server's records arrived.
type ServerLedger struct {
	ServerID  string     `json:"server_id"`
	Text      string     `json:"text" doc:"the whole in a sentence"`
	Sequences []Sequence `json:"sequences"`
}

// Sequence is the ledger of one sequence = (producer, subject, category).
type Sequence struct {
	Producer   string     `json:"producer"`
	Category   string     `json:"category"`
	Received   uint64     `json:"received_records"`
	Duplicate  uint64     `json:"duplicate_records" doc:"arrived again, counted once"`
	Late       uint64     `json:"late_records" doc:"filled a hole after it was seen"`
	Declared   uint64     `json:"declared_lost_records" doc:"the producer said that it dropped them, and why"`
	Missing    uint64     `json:"missing_records" doc:"holes that nobody explained"`
	Rejected   uint64     `json:"rejected_records" doc:"received in a frame that could not be decoded"`
	Unassured  bool       `json:"unassured" doc:"true: the source numbers nothing, holes cannot be seen"`
	EpochStart *time.Time `json:"epoch_start" doc:"when the producer's present run began, by its own clock"`
	LastSeq    uint64     `json:"last_seq" doc:"of the present run"`
}

// Change is the difference between two snapshots of one subject.
type Change struct {
	ID         int64      `json:"id"`
	At         *time.Time `json:"at" doc:"the event's own time, clamped by the skew of the server's clock"`
	ReceivedAt *time.Time `json:"received_at" doc:"stream time"`
	ServerID   string     `json:"server_id"`
	Server     string     `json:"server"`
	Simulated  bool       `json:"simulated" doc:"true: the server does not exist, the simulator plays it"`
	Category   string     `json:"category"`
	Kind       string     `json:"kind" doc:"added, removed, replaced, moved or field"`
	DeviceType string     `json:"device_type"`
	Place      string     `json:"place"`
	FromPlace  string     `json:"from_place" doc:"of kind moved"`
	FromID     string     `json:"from_server_id" doc:"of a part that moved between servers: where it was; empty = within server_id"`
	FromServer string     `json:"from_server" doc:"its name"`
	Field      string     `json:"field" doc:"of kind field"`
	Before     string     `json:"before" doc:"the value before, or the serial that left"`
	After      string     `json:"after" doc:"the value after, or the serial that came"`
	Serial     string     `json:"serial" doc:"of the device, where it is known; of kind removed, the last known one"`
	RecordID   string     `json:"record_id" doc:"the record that showed it"`
	Hash       string     `json:"hash" doc:"of the snapshot that showed it"`
	Muted      string     `json:"muted" doc:"why nobody was told although a rule is about it: it was planned, by whom and why"`
	PlanID     string     `json:"plan_id" doc:"the planned work that it was part of, an id of /windows; empty = none, or noted before this was kept"`
	PlanWho    string     `json:"plan_who" doc:"who planned it"`
	PlanWhy    string     `json:"plan_why"`
	Text       string     `json:"text" doc:"the change in a sentence"`
}

// ChangeList is a page of changes, newest first.
type ChangeList struct {
	Items        []Change `json:"items"`
	Limit        int      `json:"limit"`
	NextBeforeID int64    `json:"next_before_id" doc:"say before_id=this for the next page; 0 = this was the last"`
}

// Snapshot is one configuration that a server had from a time on.
type Snapshot struct {
	Category string     `json:"category"`
	At       *time.Time `json:"at"`
	Hash     string     `json:"hash" doc:"of the content; equal content has equal hashes"`
	RecordID string     `json:"record_id"`
	Changes  int        `json:"changes" doc:"how many changes it made against the one before"`
}

// History is what one server was.
type History struct {
	ServerID     string     `json:"server_id"`
	Snapshots    []Snapshot `json:"snapshots" doc:"newest first"`
	Changes      []Change   `json:"changes" doc:"newest first"`
	Limit        int        `json:"limit"`
	NextBeforeID int64      `json:"next_before_id" doc:"the next page of changes; 0 = this was the last"`
	NextBefore   *time.Time `json:"next_before" doc:"the next page of snapshots; null = this was the last"`
}

// Notification is one problem of one subject, from first sight to recovery.
type Notification struct {
	ID         string     `json:"id"`
	ServerID   string     `json:"server_id"`
	Server     string     `json:"server" doc:"its name when the notification opened"`
	Site       string     `json:"site"`
	Simulated  bool       `json:"simulated"`
	Device     string     `json:"device" doc:"type and place, such as physical_drive c0/e252/s4; empty = the server itself"`
	Class      string     `json:"class" doc:"the problem class; with server and device it is the notification's key"`
	Title      string     `json:"title" doc:"what a person reads first"`
	Severity   string     `json:"severity" doc:"the worst of its parts"`
	State      string     `json:"state" doc:"firing or resolved"`
	Reason     string     `json:"reason" doc:"of the worst rule that fires; once resolved, of the last transition"`
	RuleID     string     `json:"rule_id" doc:"the rule that opened it"`
	OpenedAt   *time.Time `json:"opened_at"`
	ChangedAt  *time.Time `json:"changed_at"`
	ResolvedAt *time.Time `json:"resolved_at" doc:"null while it fires"`
	Muted      string     `json:"muted" doc:"why nobody is told; empty = people are told"`
	FoldedInto string     `json:"folded_into" doc:"the notification that speaks for it; empty = itself"`
	Work       Work       `json:"work" doc:"what people made of it"`
	// Of a silence that holds now; an acknowledgement is in work.
	SilencedUntil *time.Time `json:"silenced_until" doc:"null = not silenced"`
	SilenceReason string     `json:"silence_reason"`
	Probe         string     `json:"probe" doc:"what a silent machine answered when it was asked; empty = it was not silent, or not asked"`
}

// NotificationList is a page of notifications, newest change first.
type NotificationList struct {
	Items  []Notification `json:"items"`
	Total  int            `json:"total"`
	Limit  int            `json:"limit"`
	Offset int            `json:"offset"`
}

// NotificationDetail is a notification with its evidence.
type NotificationDetail struct {
	Notification Notification   `json:"notification"`
	Labels       []Fact         `json:"labels" doc:"of the alert, frozen when it opened"`
	Escalated    []LabelSet     `json:"escalated_labels" doc:"label sets under which it was told again because it got worse, oldest first; they fire beside the first one until the end"`
	Annotations  []Fact         `json:"annotations"`
	Why          []Part         `json:"why" doc:"the rules that feed it, the cause first"`
	Timeline     []Event        `json:"timeline" doc:"oldest first"`
	Before       string         `json:"before" doc:"what was, by the cause where it says so, else by the newest evidence"`
	After        string         `json:"after"`
	Evidence     []Evidence     `json:"evidence" doc:"the records that made it, oldest first, bounded"`
	Deliveries   []Delivery     `json:"deliveries" doc:"what was handed to each Alertmanager"`
	Members      []Notification `json:"members" doc:"the notifications it speaks for"`
	Earlier      []Notification `json:"earlier" doc:"the last ten problems of the same class of the same thing before it, the newest first"`
	Deeds        []Deed         `json:"deeds" doc:"what people did with it, oldest first; the last 1000"`
	Silences     []Silence      `json:"silences" doc:"that were made for it, the newest first"`
	Runbook      Runbook        `json:"runbook" doc:"what to do"`
}

// Runbook is what to do about a problem.
type Runbook struct {
	Name  string           `json:"name" doc:"file and section, such as raid#drive-failed; empty = nothing is written, or it stands elsewhere: see the annotations"`
	Title string           `json:"title"`
	Text  string           `json:"text" doc:"Markdown"`
	Own   bool             `json:"own" doc:"from the administrator's folder api.runbooks"`
	Also  []RunbookSection `json:"also" doc:"sections that the text names in emphasis, as *Drive failed*, and those that they name"`
}

// RunbookSection is a section that another one points to.
type RunbookSection struct {
	Title string `json:"title"`
	Text  string `json:"text" doc:"Markdown"`
}

// Deed is something that was done with a notification.
type Deed struct {
	At   *time.Time `json:"at"`
	By   string     `json:"by" doc:"ruler: it did so by itself"`
	Kind string     `json:"kind" doc:"acknowledge, unacknowledge, comment, assign, silence or unsilence"`
	Text string     `json:"text"`
}

// LabelSet is what an alert was told under from a time on, frozen since.
type LabelSet struct {
	At       *time.Time `json:"at"`
	Severity string     `json:"severity"`
	Labels   []Fact     `json:"labels"`
}

// Part is one rule's share in a notification.
type Part struct {
	RuleID    string     `json:"rule_id"`
	Rule      string     `json:"rule" doc:"the rule's name"`
	Device    string     `json:"device"`
	State     string     `json:"state"`
	Severity  string     `json:"severity"`
	Reason    string     `json:"reason"`
	Since     *time.Time `json:"since"`
	ChangedAt *time.Time `json:"changed_at"`
	Cause     bool       `json:"cause" doc:"true: the others follow from it"`
	Version   string     `json:"rule_version" doc:"the rule as it was when the part opened"`
	Before    string     `json:"before"`
	After     string     `json:"after"`
	RecordID  string     `json:"record_id" doc:"the record that opened it"`
	Count     int        `json:"firing_verdicts" doc:"how often the rule said so"`
}

// Event is a step in the life of a notification.
type Event struct {
	At       *time.Time `json:"at"`
	Kind     string     `json:"kind" doc:"opened, firing, escalated, noted, resolved or delivered"`
	Text     string     `json:"text"`
	RuleID   string     `json:"rule_id"`
	RecordID string     `json:"record_id"`
}

// Evidence is a record as it was seen.
type Evidence struct {
	RecordID   string     `json:"record_id"`
	At         *time.Time `json:"at" doc:"the event's own time, clamped by the skew of the server's clock"`
	ReceivedAt *time.Time `json:"received_at" doc:"stream time"`
	Effect     string     `json:"effect" doc:"firing, resolved or noted"`
	RuleID     string     `json:"rule_id"`
	Reason     string     `json:"reason"`
	Category   string     `json:"category"`
	Name       string     `json:"name"`
	Body       string     `json:"body"`
	Fields     []Fact     `json:"fields"`
	Raw        string     `json:"raw" doc:"the document as the tool printed it"`
	Before     string     `json:"before"`
	After      string     `json:"after"`
	Cut        bool       `json:"cut" doc:"true: something was too long and was cut"`
}

// Delivery is what happened to a notification at one receiver.
type Delivery struct {
	Target   string     `json:"target" doc:"address of the Alertmanager"`
	State    string     `json:"state" doc:"what was told: firing or resolved"`
	Set      int        `json:"escalation" doc:"which label set: 0 = the first one, else the number in escalated_labels; an end is of all sets"`
	Severity string     `json:"severity" doc:"of the label set; empty for an end"`
	FirstAt  *time.Time `json:"first_at" doc:"of the first attempt; of an escalated set, when it was accepted"`
	At       *time.Time `json:"at" doc:"of the last attempt"`
	OK       bool       `json:"ok"`
	Attempts int        `json:"attempts"`
	Error    string     `json:"error"`
}

// SilentServer is a server that stopped speaking.
type SilentServer struct {
	Server         Server     `json:"server"`
	Planned        bool       `json:"planned" doc:"true: it said goodbye first"`
	Since          *time.Time `json:"since" doc:"when it was called silent or said goodbye"`
	NotificationID string     `json:"notification_id" doc:"empty for a planned stop"`
	FoldedInto     string     `json:"folded_into" doc:"the notification of its rack that speaks for it; empty = none"`
}

// SilentList is every silent server, longest first.
type SilentList struct {
	Items  []SilentServer `json:"items"`
	Total  int            `json:"total"`
	Limit  int            `json:"limit"`
	Offset int            `json:"offset"`
}

// Overview is the fleet in one answer.
type Overview struct {
	Now           *time.Time   `json:"now" doc:"the ruler's clock"`
	Status        Status       `json:"status" doc:"the worst of the fleet: ok, warning, critical or silent"`
	Text          string       `json:"text" doc:"the fleet in a sentence"`
	Servers       ServerCounts `json:"servers"`
	Notifications int          `json:"open_notifications" doc:"open and not muted"`
	Sites         []SiteCounts `json:"sites" doc:"worst first"`
	Features      Features     `json:"features"`
	PipelineOK    bool         `json:"pipeline_ok" doc:"what /pipeline says of itself; false: what is shown may be old, or people may not be told"`
	PipelineText  string       `json:"pipeline_text" doc:"the pipeline in a sentence"`
	SilenceJudged bool         `json:"silence_judged" doc:"false: clocks stand still or lag, so a server that stops speaking is not noticed now"`
}

// ServerCounts counts servers; decommissioned ones are left out.
type ServerCounts struct {
	Total     int `json:"total"`
	Simulated int `json:"simulated"`
	Clones    int `json:"clones"`
	Up        int `json:"up"`
	Silent    int `json:"silent"`
	Planned   int `json:"planned"`
	New       int `json:"new"`
	Revoked   int `json:"revoked"`
	Critical  int `json:"critical" doc:"whose worst open notification is critical"`
	Warning   int `json:"warning"`
	Info      int `json:"info"`
}

// SiteCounts is one site.
type SiteCounts struct {
	Site    string `json:"site" doc:"empty = servers without a site"`
	Servers int    `json:"servers"`
	Silent  int    `json:"silent"`
	Open    int    `json:"with_open_notifications"`
}

// Features says what this installation can do, so that a page shows no dead button.
type Features struct {
	Demo      bool `json:"demo" doc:"true: simulated servers can be broken with demo/incident"`
	Delivered bool `json:"delivered" doc:"true: the demo receiver shows what Alertmanager delivered"`
	AddServer bool `json:"add_server" doc:"true: join tokens can be made here"`
	Charts    bool `json:"charts" doc:"true: there is a metrics store to draw charts from"`
}

// Message is one message at the demo receiver: what a person would have got.
type Message struct {
	At     *time.Time     `json:"at"`
	Status string         `json:"status" doc:"firing or resolved"`
	Title  string         `json:"title"`
	Alerts []MessageAlert `json:"alerts"`
}

// MessageAlert is one alert in a message.
type MessageAlert struct {
	Status         string     `json:"status"`
	Summary        string     `json:"summary"`
	ServerID       string     `json:"server_id"`
	Server         string     `json:"server"`
	Device         string     `json:"device"`
	Severity       string     `json:"severity"`
	Simulated      bool       `json:"simulated"`
	NotificationID string     `json:"notification_id"`
	LabelSets      int        `json:"label_sets" doc:"alerts of this notification in the message; more than one after an escalation, the worst is shown"`
	StartsAt       *time.Time `json:"starts_at"`
	EndsAt         *time.Time `json:"ends_at"`
	Labels         []Fact     `json:"labels"`
	Annotations    []Fact     `json:"annotations"`
}

// Delivered is what reached the demo receiver, newest first.
type Delivered struct {
	Items []Message `json:"items"`
	Total int       `json:"total"`
}

// IncidentRequest asks the simulator to break something.
type IncidentRequest struct {
	Kind     string `json:"kind" doc:"drive, failure, replace, silence, rack, reboot or patchday"`
	ServerID string `json:"server_id" doc:"a simulated server"`
}

// IncidentAnswer says what was begun.
type IncidentAnswer struct {
	Kind      string `json:"kind"`
	ServerID  string `json:"server_id"`
	Server    string `json:"server"`
	Simulated bool   `json:"simulated" doc:"always true"`
	Text      string `json:"text"`
}

// JoinRequest asks for a join token. Labels come from here, never from the
// server that joins.
type JoinRequest struct {
	Site       string `json:"site"`
	Rack       string `json:"rack"`
	Role       string `json:"role"`
	Owner      string `json:"owner"`
	Uses       int    `json:"uses" doc:"how many servers may join with it, 1 to 1000; 0 = 1"`
	TTLSeconds int    `json:"ttl_seconds" doc:"60 to 2592000; 0 = one hour"`
}

// JoinAnswer holds the lines to paste. The token in them is a secret.
type JoinAnswer struct {
	ID        string     `json:"id"`
	ExpiresAt *time.Time `json:"expires_at"`
	Uses      int        `json:"uses"`
	Network   bool       `json:"network" doc:"false: the bridge listens on loopback only"`
	Linux     string     `json:"linux" doc:"for the program alone, in a POSIX shell"`
	Windows   string     `json:"windows" doc:"for the program alone, in PowerShell"`
	Deb       string     `json:"deb" doc:"for the Debian package"`
	MSI       string     `json:"msi" doc:"for the MSI, in PowerShell"`
	Note      string     `json:"note"`
}

// AuditList is the newest entries of the audit log, newest first.
type AuditList struct {
	Items        []AuditEntry `json:"items"`
	Limit        int          `json:"limit"`
	NextBeforeID int64        `json:"next_before_id" doc:"before_id of the next page; 0 at the end"`
}

// AuditEntry is one change that a person or a program made.
type AuditEntry struct {
	ID      int64      `json:"id"`
	At      *time.Time `json:"at"`
	Actor   string     `json:"actor" doc:"who: ruler, local (a caller on the ruler's machine), token (a caller with api.token_file), a token's or a user's name, a person that the plugin named"`
	Via     string     `json:"via" doc:"by which door: loopback, session (logged in), link (a password was chosen by a one-time link), api.token_file, token or plugin with the token's id; empty for the ruler"`
	Action  string     `json:"action"`
	Subject string     `json:"subject"`
	Detail  []Fact     `json:"detail"`
}

// TargetGroup is one element of Prometheus' HTTP service discovery.
type TargetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// Problem is every error's body.
type Problem struct {
	Error string `json:"error" doc:"what went wrong"`
	Hint  string `json:"hint" doc:"what to do about it"`
	Code  string `json:"code" doc:"no_logs or no_metrics: this ruler knows no such store; else empty"`
}
