package store

import (
	"context"

	"nocturne/internal/record"
)

// Fleet is the part of a Reader that counts and lists across all servers.
type Fleet interface {
	// OSVersions counts the servers of each operating system, decommissioned
	// ones left out.
	OSVersions(ctx context.Context) ([]OSVersion, error)
	// ServerFacets counts servers by what the list can be filtered by.
	ServerFacets(ctx context.Context) (map[string][]Count, error)
	// Devices lists devices across the fleet, and how many there are.
	Devices(ctx context.Context, q DeviceQuery) (DevicePage, error)
	// DeviceFacets counts the devices of a query by type, model, firmware,
	// state and rank, the most first, at most FacetLimit each.
	DeviceFacets(ctx context.Context, q DeviceQuery) (map[string][]Count, error)
	// PendingUpdates lists the updates that wait on servers, the most frequent
	// first.
	PendingUpdates(ctx context.Context, limit int) ([]PendingUpdate, error)
}

// OSVersion is an operating system and how many servers run it.
type OSVersion struct {
	Type, Name, Version string
	Servers             int
}

// FacetLimit bounds how many values are counted apart.
const FacetLimit = 200

// Count is a value and how often it occurs.
type Count struct {
	Value string
	N     int
}

// The names of facets of servers and devices.
const (
	FacetSite     = "site"
	FacetOS       = "os"
	FacetModel    = "model"
	FacetExporter = "exporter_version"
	FacetRole     = "role"
	FacetOwner    = "owner"
	FacetType     = "type"
	FacetFirmware = "firmware"
	FacetState    = "state"
	FacetRack     = "rack"
	FacetStanding = "standing"        // of servers: state and worst open severity, "up critical"
	FacetUpdates  = "updates_pending" // of servers: true, false, or empty where it is not known
	FacetReboot   = "reboot_required" // of servers: true, false
	FacetReal     = "simulated"       // of servers: true, false
	FacetRank     = "rank"            // of devices, as in DeviceProblem; 0 = nothing open
)

// DeviceQuery selects devices that are there. Empty fields match all; without
// type and category, updates and software are left out.
type DeviceQuery struct {
	Category record.Category
	Type     string
	Model    string
	Firmware string
	State    string
	Text     string // part of serial, place, model or server name
	Site     string
	Server   record.ID
	// Problems are the devices that something is open about, worst first.
	Problems []DeviceProblem
	// Ranks keeps devices with these ranks; 0 = nothing open. nil = all.
	Ranks  []int
	Offset int
	Limit  int // 0 = 100, at most 1000
}

// DeviceProblem ranks a device by what is open about it.
type DeviceProblem struct {
	Server record.ID
	Device string // "physical_drive c0/e252/s4"
	Rank   int
}

// DevicePage is one page of devices, those with the highest rank first, then by
// type, model, firmware, state and serial.
type DevicePage struct {
	Devices []DeviceRow
	Total   int
}

// DeviceRow is a device and where it is.
type DeviceRow struct {
	Device
	Server    record.ID
	Name      string
	Site      string
	Simulated bool
}

// PendingUpdate is an update and how many servers wait for it.
type PendingUpdate struct {
	Place    string // its KB or package
	Title    string
	Severity string
	Security bool
	Servers  int
}
