package api

import "time"

// ServerDiff is what one server was made of and called, at one time and at another.
type ServerDiff struct {
	ServerID   string         `json:"server_id"`
	Server     string         `json:"server"`
	From       *time.Time     `json:"from"`
	To         *time.Time     `json:"to"`
	KnownSince *time.Time     `json:"known_since" doc:"nothing older is known of this server; null = nothing at all"`
	Same       bool           `json:"same" doc:"true: nothing differs in what was known at both times"`
	Labels     []FieldDiff    `json:"labels" doc:"name, site, rack, role, owner"`
	Facts      []FieldDiff    `json:"facts" doc:"operating system, version of the exporter, boot time …"`
	Categories []CategoryDiff `json:"categories"`
}

// FieldDiff is one value that differs.
type FieldDiff struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// CategoryDiff is what differs in the snapshots of one category.
type CategoryDiff struct {
	Category string     `json:"category"`
	FromHash string     `json:"from_hash" doc:"empty: not observed by then"`
	FromAt   *time.Time `json:"from_at" doc:"when that configuration began"`
	ToHash   string     `json:"to_hash"`
	ToAt     *time.Time `json:"to_at"`
	Note     string     `json:"note" doc:"why it could not be compared; empty = it was"`
	Changes  []Change   `json:"changes" doc:"of kind added, removed, replaced, moved or field; without id and record"`
}

// SerialList is a page of serial numbers and where they sat, the latest arrival first.
type SerialList struct {
	Items  []Stay `json:"items"`
	Total  int    `json:"total"`
	Limit  int    `json:"limit"`
	Offset int    `json:"offset"`
}

// Stay is a serial number at a place for a time.
type Stay struct {
	Serial     string     `json:"serial"`
	Model      string     `json:"model"`
	DeviceType string     `json:"device_type"`
	TypeText   string     `json:"type_text"`
	ServerID   string     `json:"server_id"`
	Server     string     `json:"server"`
	Simulated  bool       `json:"simulated"`
	Category   string     `json:"category"`
	Place      string     `json:"place"`
	Since      *time.Time `json:"since"`
	Until      *time.Time `json:"until" doc:"null = as far as is known it is there"`
	LastSeen   *time.Time `json:"last_seen" doc:"until, or when its server was last heard"`
}

// Serial is the life of a serial number across servers.
type Serial struct {
	Serial        string         `json:"serial"`
	Text          string         `json:"text" doc:"its life in a sentence"`
	FirstSeen     *time.Time     `json:"first_seen"`
	LastSeen      *time.Time     `json:"last_seen"`
	Present       bool           `json:"present" doc:"true: as far as is known it sits in a server now"`
	Several       bool           `json:"at_several_places" doc:"true: it sits at more than one place now; two parts share the number, or a silent server still counts it"`
	Stays         []Stay         `json:"stays" doc:"every place and server, newest first"`
	Changes       []Change       `json:"changes" doc:"states, firmware, arrivals and departures, newest first; at most 1000"`
	Notifications []Notification `json:"notifications" doc:"problems of its place while it sat there, newest first; at most 1000"`
}

// Facets count what a list can be filtered by.
type Facets struct {
	Facets []Facet `json:"facets"`
}

// Facet is one filter and its values, the most frequent first, at most 200.
type Facet struct {
	Name   string       `json:"name"`
	Values []FacetCount `json:"values"`
}

// FacetCount is a value and how often it occurs.
type FacetCount struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// DeviceList is a page of devices, the worst first, then by type, model, firmware,
// state and serial number.
type DeviceList struct {
	Items  []FleetDevice `json:"items"`
	Total  int           `json:"total"`
	Limit  int           `json:"limit"`
	Offset int           `json:"offset"`
}

// FleetDevice is a device and where it is.
type FleetDevice struct {
	Device    Device `json:"device"`
	ServerID  string `json:"server_id"`
	Server    string `json:"server"`
	Site      string `json:"site"`
	Simulated bool   `json:"simulated"`
	Errors    []Fact `json:"errors" doc:"counters of errors that are not 0, as they were when the device last changed"`
}

// Systems are the operating systems of the fleet; what ends first comes first.
type Systems struct {
	Items        []System   `json:"items"`
	Ended        int        `json:"servers_ended" doc:"servers without security updates"`
	Soon         int        `json:"servers_ending_soon" doc:"servers whose updates end within 180 days"`
	Active       int        `json:"servers_active"`
	Unknown      int        `json:"servers_unknown" doc:"servers whose system is not in the table"`
	TableUpdated *time.Time `json:"table_updated"`
	Problem      string     `json:"problem" doc:"why the file of own entries was not taken; empty = it was, or there is none"`
}

// System is one version of an operating system.
type System struct {
	OSType     string     `json:"os_type"`
	OSName     string     `json:"os_name"`
	OSVersion  string     `json:"os_version"`
	Servers    int        `json:"servers"`
	Family     string     `json:"family"`
	Release    string     `json:"release" doc:"in the table of support ends; empty = not in it"`
	State      string     `json:"state" doc:"active, ends_soon (180 days), ended or unknown"`
	ActiveEnd  *time.Time `json:"active_end" doc:"last day with improvements"`
	SupportEnd *time.Time `json:"support_end" doc:"last day with security updates at no further price"`
	PaidEnd    *time.Time `json:"paid_end" doc:"last day of updates that are sold apart"`
	Source     string     `json:"source" doc:"where the dates are published"`
}

// Updates are what waits across the fleet, the most frequent first.
type Updates struct {
	ServersPending  int             `json:"servers_pending"`
	ServersUpToDate int             `json:"servers_up_to_date"`
	ServersUnknown  int             `json:"servers_unknown" doc:"servers that did not say"`
	ServersReboot   int             `json:"servers_reboot_required"`
	Items           []PendingUpdate `json:"items"`
	Limit           int             `json:"limit"`
}

// PendingUpdate is an update and how many servers wait for it.
type PendingUpdate struct {
	Name     string `json:"name" doc:"its KB or package"`
	Title    string `json:"title"`
	Severity string `json:"severity" doc:"as the system's own tool says"`
	Security bool   `json:"security"`
	Servers  int    `json:"servers"`
}
