package series

// Family describes one metric that the bridge makes from records.
type Family struct {
	Name string
	Help string
	// Labels beside server and server_id.
	Labels []string
}

// Names of the metrics; they are frozen.
const (
	HeartbeatTime     = "nocturne_heartbeat_timestamp_seconds"
	GoodbyeTime       = "nocturne_goodbye_timestamp_seconds"
	HeartbeatInterval = "nocturne_heartbeat_interval_seconds"
	ServerInfo        = "nocturne_server_info"
	BootTime          = "nocturne_server_boot_time_seconds"
	ClockSkew         = "nocturne_server_clock_skew_seconds"
	ExporterInfo      = "nocturne_exporter_info"
	SpoolRecords      = "nocturne_exporter_spool_records"
	SpoolBytes        = "nocturne_exporter_spool_bytes"
	SnapshotTime      = "nocturne_snapshot_timestamp_seconds"
	SnapshotDevices   = "nocturne_snapshot_devices"
	CheckValue        = "nocturne_check_value"
	CheckDuration     = "nocturne_check_duration_seconds"
)

// device says which series one device type becomes. An empty name is a
// series that this type does not have.
type device struct {
	typ    string // record.Device constant
	prefix string // metric names start with it
	what   string // for the help texts
	info   []attr // labels of <prefix>_info beside place
	state  bool   // <prefix>_state{place,state}
	values []value
	// generic devices share one family and carry their type as a label.
	generic bool
	// bare devices have no info series: they are no hardware.
	bare bool

	infoName, stateName string // set by named
}

// attr is one label of an info series and the field it is read from; the
// field "" is the occupant.
type attr struct{ label, field string }

// value is one gauge of a device and the field it is read from.
type value struct {
	suffix, field, help string
	scale               float64 // 0 = 1

	name string // set by named
}

const (
	prefixController = "nocturne_raid_controller"
	prefixEnclosure  = "nocturne_raid_enclosure"
	prefixPhysical   = "nocturne_raid_physical_drive"
	prefixVirtual    = "nocturne_raid_virtual_drive"
	prefixBattery    = "nocturne_raid_battery"
	prefixMDArray    = "nocturne_md_array"
	prefixSMART      = "nocturne_smart_drive"
	prefixSensor     = "nocturne_sensor"
	prefixHardware   = "nocturne_hardware_device"
	prefixCheck      = "nocturne_check"
	prefixUpdates    = "nocturne_updates"
)

// named fills in the names of the metrics, once.
func named(ds []device) []device {
	for i := range ds {
		d := &ds[i]
		d.infoName, d.stateName = d.prefix+"_info", d.prefix+"_state"
		if d.bare {
			d.infoName = ""
		}
		for k := range d.values {
			d.values[k].name = d.prefix + "_" + d.values[k].suffix
			if d.values[k].scale == 0 {
				d.values[k].scale = 1
			}
		}
	}
	return ds
}

func (d *device) family() []Family {
	place := []string{"place"}
	if d.generic {
		place = []string{"place", "type"}
	}
	labels := append([]string(nil), place...)
	for _, a := range d.info {
		labels = append(labels, a.label)
	}
	var out []Family
	if !d.bare {
		out = append(out, Family{d.infoName, "What sits at this place: " + d.what + ". Always 1; the only series that carries a serial number.", labels})
	}
	if d.state {
		out = append(out, Family{d.stateName, "1 for the state that the tool reported for this " + d.what + ", in the tool's own word.", []string{"place", "state"}})
	}
	for _, v := range d.values {
		out = append(out, Family{v.name, v.help, place})
	}
	return out
}

// Families returns every metric this package makes. Nobody else may push
// series under these names.
func Families() []Family {
	out := []Family{
		{HeartbeatTime, "When the server's last heartbeat was made.", nil},
		{GoodbyeTime, "When the server's exporter last said that it stops on purpose.", nil},
		{ClockSkew, "The bridge's clock less the server's when its heartbeat arrived: negative = the server's is ahead.", nil},
		{HeartbeatInterval, "How often the server promised to send a heartbeat.", nil},
		{ServerInfo, "What is known of a server; joins every other series by server_id. Always 1.", []string{"site", "rack", "role", "os", "simulated"}},
		{BootTime, "When the server was started.", nil},
		{ExporterInfo, "The exporter's version. Always 1.", []string{"version"}},
		{SpoolRecords, "Records waiting in the exporter's spool at its last heartbeat.", nil},
		{SpoolBytes, "Bytes waiting in the exporter's spool at its last heartbeat.", nil},
		{SnapshotTime, "When the last snapshot of a category was taken.", []string{"category"}},
		{SnapshotDevices, "Devices in the last snapshot of a category; not for checks, each of which has its own.", []string{"category"}},
		{CheckValue, "What a check measured, in the unit that it said.", []string{"place", "name", "unit"}},
		{CheckDuration, "How long a check's last run took.", []string{"place"}},
	}
	for i := range devices {
		if i > 0 && devices[i].prefix == devices[i-1].prefix {
			continue // generic types share a family
		}
		out = append(out, devices[i].family()...)
	}
	return out
}
