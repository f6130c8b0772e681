package record

// Names of records (OTLP event_name).
const (
	NameHeartbeat      = "nocturne.heartbeat"
	NameGoodbye        = "nocturne.goodbye" // category heartbeat, so it stays in order with them
	NameSnapshot       = "nocturne.snapshot"
	NameSourceFailed   = "nocturne.source.failed"
	NameWindowsEvent   = "windows.event"
	NameJournal        = "journal.entry"
	NameEnrolled       = "nocturne.server.enrolled" // category agent, written by the bridge's registry
	NameRevoked        = "nocturne.server.revoked"
	NameDecommissioned = "nocturne.server.decommissioned"
	NameLabels         = "nocturne.server.labels"
)

// Attributes of events. A Windows event's identity is (channel, provider,
// event id), never the id alone; providers compare without case.
const (
	AttrChannel  = "event.channel"   // "System", "Security", …; "journal" on Linux
	AttrProvider = "event.provider"  // Windows provider; SYSLOG_IDENTIFIER on Linux
	AttrEventID  = "event.id"        // int; 0 on Linux
	AttrLevel    = "event.level"     // critical error warning info verbose audit_success audit_failure
	AttrRecordID = "event.record_id" // int; EventRecordID on Windows
	AttrComputer = "event.computer"  // what the event itself says; not an identity
	AttrUnit     = "event.unit"      // systemd unit
	AttrData     = "event.data."     // prefix of the event's own data fields
	AttrRaw      = "raw"             // the document as the tool printed it, for evidence
)

// Attributes of heartbeats. What an exporter says of itself starts with
// "reported." or names software; none of it is an identity.
const (
	AttrOSName          = "os.name"          // "Windows Server 2022 Standard", "Debian GNU/Linux 12"
	AttrOSType          = "os.type"          // "windows", "linux"
	AttrOSVersion       = "os.version"       // "10.0.20348", "12"
	AttrOSBuild         = "os.build_id"      // "20348.2340"; kernel release on Linux
	AttrBootTime        = "host.boot_time"   // int, Unix nanoseconds
	AttrVirtual         = "host.virtual"     // bool
	AttrExporterVersion = "exporter.version" //
	AttrInterval        = "heartbeat.interval_ms"
	AttrSpoolRecords    = "spool.records"
	AttrSpoolBytes      = "spool.bytes"
	AttrName            = "reported.name"        // host name
	AttrMachineID       = "reported.machine_id"  // machine GUID or /etc/machine-id
	AttrSMBIOSUUID      = "reported.smbios_uuid" //
	AttrReportedSite    = "reported.site"        // what the machine's own files say; no label
	AttrReportedRack    = "reported.rack"        //
	AttrReportedRole    = "reported.role"        //
	AttrReportedOwner   = "reported.owner"       //
	AttrReason          = "goodbye.reason"       // stop shutdown update
	AttrShutdownAction  = "shutdown.action"      // of a goodbye: what the system says of its own end
	AttrShutdownProcess = "shutdown.process"     //
	AttrShutdownUser    = "shutdown.user"        //
	AttrShutdownReason  = "shutdown.reason"      //
	AttrShutdownPlanned = "shutdown.planned"     // bool
	AttrSource          = "source.name"          // of NameSourceFailed
	AttrError           = "source.error"
	AttrMissing         = "source.missing" // int; how many events a source knows to be lost before it, at most
)

// Attributes of the registry's records (category agent).
const (
	AttrServer    = "server.name"
	AttrSite      = "server.site"
	AttrRack      = "server.rack"
	AttrRole      = "server.role"
	AttrOwner     = "server.owner"
	AttrSimulated = "server.simulated" // bool
	AttrAddress   = "server.address"   // of its last connection, as the bridge saw it

	AttrLabelsFrom = "server.labels_from" // "site=register rack=pattern": register, enrolment or pattern
)

// Device types; every one stands in deviceTypes (check.go), too.
const (
	DeviceController    = "controller"
	DeviceEnclosure     = "enclosure"
	DevicePhysicalDrive = "physical_drive"
	DeviceVirtualDrive  = "virtual_drive"
	DeviceBattery       = "battery" // BBU or CacheVault of a controller
	DeviceSystem        = "system"
	DeviceBIOS          = "bios"
	DeviceBoard         = "board"
	DeviceCPU           = "cpu"
	DeviceMemory        = "memory"
	DeviceDisk          = "disk"
	DeviceNIC           = "nic"
	DeviceVolume        = "volume"
	DeviceOS            = "os"
	DeviceMDArray       = "md_array" // software RAID of Linux
	DeviceMDMember      = "md_member"
	DeviceSensor        = "sensor"
	DeviceSMARTDrive    = "smart_drive"

	DeviceUpdateStatus    = "update_status"    // one, at the place ""
	DeviceUpdatePending   = "update_pending"   // at its KB, its package, its number
	DeviceUpdateInstalled = "update_installed" // at month and KB, "2026-11/KB5031364"
	DeviceProgram         = "program"          // or package, at its name
	DeviceDriver          = "driver"

	DevicePCI         = "pci"  // a card or chip at its address
	DeviceSlot        = "slot" // for cards
	DevicePowerSupply = "power_supply"
	DeviceTPM         = "tpm"
)

// Device fields with a meaning of their own.
const (
	FieldState    = "state"    // words of the tool: "Onln", "Optl", "Dgrd" …
	FieldModel    = "model"    //
	FieldFirmware = "firmware" //
	FieldVendor   = "vendor"
	FieldSize     = "size_bytes"
)

// AttrIdentifiedBy says who vouches for a record's server when it is not a
// credential of that server: IdentifiedByBroker.
const (
	AttrIdentifiedBy   = "identified_by"
	IdentifiedByBroker = "broker"
	// IdentifiedByRegister marks a server that people expect and nobody heard.
	IdentifiedByRegister = "register"
)
