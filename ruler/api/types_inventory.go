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
