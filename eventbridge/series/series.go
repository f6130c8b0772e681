// Package series makes metric samples from records.
//
// Append is a pure function of a record, what is known of its server, and the
// clock skew that the bridge measured when the frame arrived: the same stream
// gives the same samples, however often it is read. The one thing that needs
// memory is the end of a series whose label changed (a drive that was Onln
// and is Failed, a server that moved to another rack): State keeps what is
// open per server and ends it with a staleness marker, so that a query never
// sees both.
//
// Serial numbers stand in _info series only. Names, labels and limits are
// listed by Families. A State belongs to one goroutine; the rest is safe for
// concurrent use. To test: go test ./eventbridge/series.
package series

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"nocturne/internal/record"
)

// Label is one label of a sample.
type Label struct{ Name, Value string }

// Sample is one value of one series.
type Sample struct {
	Name   string
	Labels []Label // sorted by name; server and server_id are among them
	Value  float64
	Millis int64 // Unix time
}

// Server is what the registry says of a server.
type Server struct {
	Name, Site, Rack, Role string
	OS                     string // from its heartbeats
	Simulated              bool
}

// Limits of what one record can become.
const (
	MaxSamples    = 4096 // per record
	MaxLabelValue = 256  // bytes; VictoriaMetrics drops series beyond its own limit without a word
	// MaxSkew is how far a server's clock may be off before its samples are
	// moved by the measured skew. Below it a sample's time depends on the
	// record alone.
	MaxSkew = time.Hour
)

// StaleNaN ends a series (prometheus model/value.StaleNaN).
var StaleNaN = math.Float64frombits(0x7ff0000000000002)

// IsStale tells whether a value ends a series.
func IsStale(v float64) bool { return math.Float64bits(v) == 0x7ff0000000000002 }

// SampleTime returns the time of a record's samples: when the producer
// observed it, moved only where the producer's clock is more than MaxSkew off.
// skew is receive time minus send time.
func SampleTime(r *record.Record, skew time.Duration) (at time.Time, moved bool) {
	at = r.Observed
	if at.IsZero() {
		at = r.Time
	}
	if skew > MaxSkew || skew < -MaxSkew {
		return at.Add(skew), true
	}
	return at, false
}

var devices = named([]device{
	{
		typ: record.DeviceController, prefix: prefixController, what: "RAID controller", state: true,
		info:   []attr{{"firmware", record.FieldFirmware}, {"model", record.FieldModel}, {"serial", ""}},
		values: []value{{suffix: "temperature_celsius", field: "temperature_celsius", help: "Temperature of the RAID controller's chip."}},
	},
	{
		typ: record.DeviceEnclosure, prefix: prefixEnclosure, what: "enclosure", state: true,
		info: []attr{{"model", record.FieldModel}, {"serial", ""}},
	},
	{
		typ: record.DevicePhysicalDrive, prefix: prefixPhysical, what: "physical drive", state: true,
		info: []attr{{"firmware", record.FieldFirmware}, {"interface", "interface"}, {"media", "media"}, {"model", record.FieldModel}, {"serial", ""}},
		values: []value{
			{suffix: "media_errors", field: "media_errors", help: "Media errors the controller counts for this drive."},
			{suffix: "other_errors", field: "other_errors", help: "Other errors the controller counts for this drive."},
			{suffix: "predictive_failures", field: "predictive_failures", help: "Failure predictions the controller counts for this drive."},
			{suffix: "smart_alert", field: "smart_alert", help: "1 when the controller says that the drive raised a SMART alert."},
			{suffix: "temperature_celsius", field: "temperature_celsius", help: "Temperature of the drive."},
			{suffix: "progress_ratio", field: "progress_percent", scale: 0.01, help: "How far the drive's rebuild, copyback or other operation is, 0 to 1."},
			{suffix: "size_bytes", field: record.FieldSize, help: "Size of the drive."},
		},
	},
	{
		typ: record.DeviceVirtualDrive, prefix: prefixVirtual, what: "virtual drive", state: true,
		info: []attr{{"level", "level"}, {"name", "name"}},
		values: []value{
			{suffix: "progress_ratio", field: "progress_percent", scale: 0.01, help: "How far the virtual drive's initialisation, check or migration is, 0 to 1."},
			{suffix: "size_bytes", field: record.FieldSize, help: "Size of the virtual drive."},
		},
	},
	{
		typ: record.DeviceBattery, prefix: prefixBattery, what: "battery or CacheVault", state: true,
		info:   []attr{{"model", record.FieldModel}, {"serial", ""}},
		values: []value{{suffix: "temperature_celsius", field: "temperature_celsius", help: "Temperature of the battery or CacheVault."}},
	},
	{
		typ: record.DeviceMDArray, prefix: prefixMDArray, what: "array of Linux' software RAID", state: true,
		info: []attr{{"level", "level"}, {"serial", ""}},
		values: []value{
			{suffix: "members_wanted", field: "members_wanted", help: "Members that the array has when it is whole."},
			{suffix: "members_working", field: "members_working", help: "Members that the array uses."},
			{suffix: "progress_ratio", field: "progress_percent", scale: 0.01, help: "How far the array's recovery, resync, reshape or check is, 0 to 1."},
			{suffix: "size_bytes", field: record.FieldSize, help: "Size of the array."},
		},
	},
	{
		typ: record.DeviceSMARTDrive, prefix: prefixSMART, what: "disk asked through SMART", state: true,
		info: []attr{{"firmware", record.FieldFirmware}, {"model", record.FieldModel}, {"protocol", "protocol"}, {"serial", ""}},
		values: []value{
			{suffix: "temperature_celsius", field: "temperature_celsius", help: "Temperature of the disk."},
			{suffix: "power_on_seconds", field: "power_on_hours", scale: 3600, help: "How long the disk has been on."},
			{suffix: "reallocated_sectors", field: "reallocated_sectors_count", help: "Sectors that the disk replaced by spare ones; of SAS, grown defects."},
			{suffix: "pending_sectors", field: "pending_sectors_count", help: "Sectors that could not be read and wait to be written."},
			{suffix: "uncorrectable_errors", field: "uncorrectable_errors", help: "Errors that the disk could not correct."},
			{suffix: "crc_errors", field: "crc_errors", help: "Errors between disk and controller: often the cable."},
			{suffix: "media_errors", field: "media_errors", help: "Media errors that an NVMe disk counts."},
			{suffix: "life_left_ratio", field: "life_left_percent", scale: 0.01, help: "How much of an SSD's endurance is left, 0 to 1."},
			{suffix: "written_bytes", field: "written_bytes_total", help: "Bytes written to the disk in its life."},
		},
	},
	{
		typ: record.DeviceSensor, prefix: prefixSensor, what: "sensor", state: true,
		info: []attr{{"kind", "kind"}},
		values: []value{
			{suffix: "temperature_celsius", field: "temperature_celsius", help: "What the sensor measures, a temperature."},
			{suffix: "speed_rpm", field: "speed_rpm", help: "What the sensor measures, a fan's speed."},
			{suffix: "potential_volts", field: "potential_volts", help: "What the sensor measures, a voltage."},
			{suffix: "flow_amperes", field: "flow_amperes", help: "What the sensor measures, a current."},
			{suffix: "power_watts", field: "power_watts", help: "What the sensor measures, a power."},
		},
	},
	{typ: record.DeviceCheck, prefix: prefixCheck, what: "check", state: true, bare: true},
	{
		typ: record.DeviceUpdateStatus, prefix: prefixUpdates, what: "updating of the server", state: true,
		info: []attr{{"automatic", "automatic"}, {"service", "service"}, {"source", "source"}},
		values: []value{
			{suffix: "pending", field: "pending_count", help: "Updates that wait, without definition updates."},
			{suffix: "pending_security", field: "pending_security_count", help: "Updates that wait and are for security."},
			{suffix: "reboot_required", field: "reboot_required", help: "1 when the server has to be restarted to complete updates."},
			{suffix: "last_success_timestamp_seconds", field: "last_success_seconds", help: "When the server last installed an update; definition updates do not count."},
			{suffix: "last_search_timestamp_seconds", field: "last_search_seconds", help: "When the server last learnt which updates there are."},
		},
	},
	hardware(record.DeviceSystem), hardware(record.DeviceBIOS), hardware(record.DeviceBoard), hardware(record.DeviceCPU),
	hardware(record.DeviceMemory), hardware(record.DeviceDisk), hardware(record.DeviceNIC),
})

// hardware describes the types that share one family.
func hardware(typ string) device {
	return device{
		typ: typ, prefix: prefixHardware, what: "part of the server", generic: true,
		info:   []attr{{"firmware", record.FieldFirmware}, {"model", record.FieldModel}, {"serial", ""}, {"vendor", record.FieldVendor}},
		values: []value{{suffix: "size_bytes", field: record.FieldSize, help: "Size of the part: a memory module, a disk."}},
	}
}

func deviceOf(typ string) *device {
	for i := range devices {
		if devices[i].typ == typ {
			return &devices[i]
		}
	}
	return nil
}

// Append appends the samples that one record becomes and returns how many it
// left out because of MaxSamples or a place named twice. Records of most
// categories become none.
func Append(dst []Sample, srv Server, h *record.Header, r *record.Record, skew time.Duration) (out []Sample, cut int) {
	at, _ := SampleTime(r, skew)
	b := builder{out: dst, start: len(dst), srv: srv, id: h.Subject.String(), millis: at.UnixMilli()}
	switch {
	case r.Snapshot != nil:
		b.snapshot(h.Category, r.Snapshot)
		if h.Category == record.Check {
			b.check(r)
		}
	case h.Category == record.Heartbeat && r.Name == record.NameHeartbeat:
		b.heartbeat(r, at, skew)
	case h.Category == record.Heartbeat && r.Name == record.NameGoodbye:
		b.gauge(GoodbyeTime, seconds(at))
	case fromRegistry(h) && registryName(r.Name):
		b.serverInfo()
	}
	return b.out, b.cut
}

// fromRegistry tells whether a bridge's registry wrote the record: an exporter
// can send category agent too, and is not believed.
func fromRegistry(h *record.Header) bool {
	return h.Category == record.Agent && strings.HasPrefix(h.Producer, "bridge/") && strings.HasSuffix(h.Producer, "/registry")
}

func registryName(name string) bool {
	return name == record.NameEnrolled || name == record.NameLabels
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// builder collects the samples of one record.
type builder struct {
	out    []Sample
	start  int
	cut    int
	srv    Server
	id     string
	millis int64
}

// labels returns server and server_id and the pairs given, sorted, without
// empty values, which mean the same as no label.
func (b *builder) labels(pairs ...string) []Label {
	ls := make([]Label, 0, 2+len(pairs)/2)
	ls = insert(ls, "server", serverLabel(b.srv, b.id))
	ls = insert(ls, "server_id", b.id)
	for i := 0; i+1 < len(pairs); i += 2 {
		ls = insert(ls, pairs[i], clamp(pairs[i+1]))
	}
	return ls
}

// serverLabel is the registry's name, or the id where the registry's record
// has not been seen; never a name that the server gave itself.
func serverLabel(s Server, id string) string {
	if s.Name == "" {
		return id
	}
	return clamp(s.Name)
}

func insert(ls []Label, name, value string) []Label {
	if value == "" {
		return ls
	}
	i := len(ls)
	for i > 0 && ls[i-1].Name > name {
		i--
	}
	ls = append(ls, Label{})
	copy(ls[i+1:], ls[i:])
	ls[i] = Label{name, value}
	return ls
}

// clamp cuts a label value to its limit, between characters.
func clamp(s string) string {
	s = strings.TrimSpace(s)
	if len(s) <= MaxLabelValue {
		return s
	}
	n := MaxLabelValue
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (b *builder) gauge(name string, v float64, pairs ...string) {
	if len(b.out)-b.start >= MaxSamples {
		b.cut++
		return
	}
	b.out = append(b.out, Sample{Name: name, Labels: b.labels(pairs...), Value: v, Millis: b.millis})
}

func (b *builder) serverInfo() {
	simulated := ""
	if b.srv.Simulated {
		simulated = "true"
	}
	b.gauge(ServerInfo, 1, "site", b.srv.Site, "rack", b.srv.Rack, "role", b.srv.Role, "os", b.srv.OS, "simulated", simulated)
}

func (b *builder) heartbeat(r *record.Record, at time.Time, skew time.Duration) {
	b.gauge(HeartbeatTime, seconds(at))
	b.gauge(ClockSkew, skew.Seconds())
	b.serverInfo()
	if ns, ok := r.Attr(record.AttrBootTime).Int(); ok && ns > 0 {
		boot := time.Unix(0, ns)
		if skew > MaxSkew || skew < -MaxSkew {
			boot = boot.Add(skew)
		}
		b.gauge(BootTime, seconds(boot))
	}
	if ms, ok := r.Attr(record.AttrInterval).Int(); ok && ms > 0 {
		b.gauge(HeartbeatInterval, float64(ms)/1000)
	}
	if v := r.Attr(record.AttrExporterVersion).Str(); v != "" {
		b.gauge(ExporterInfo, 1, "version", v)
	}
	b.number(SpoolRecords, r.Attr(record.AttrSpoolRecords), 1)
	b.number(SpoolBytes, r.Attr(record.AttrSpoolBytes), 1)
}

// number writes a gauge when the value is a finite number or a boolean.
func (b *builder) number(name string, v record.Value, scale float64, pairs ...string) {
	f, ok := v.Float()
	if v.Kind() == record.KindBool {
		ok = true
		if f = 0; v.Bool() {
			f = 1
		}
	}
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return
	}
	b.gauge(name, f*scale, pairs...)
}

func (b *builder) snapshot(c record.Category, s *record.Snapshot) {
	b.gauge(SnapshotTime, float64(b.millis)/1000, "category", c.String())
	if c != record.Check {
		b.gauge(SnapshotDevices, float64(len(s.Devices)), "category", c.String())
	}
	seen := make(map[[2]string]bool, len(s.Devices))
	for i := range s.Devices {
		dev := &s.Devices[i]
		d := deviceOf(dev.Type)
		if d == nil {
			continue
		}
		key := [2]string{dev.Type, clamp(dev.Place)}
		if seen[key] {
			b.cut++
			continue
		}
		seen[key] = true
		b.device(d, dev)
	}
}

// check writes what one run of a check measured; of two values with one name
// the first counts.
func (b *builder) check(r *record.Record) {
	place := r.Attr(record.AttrCheckName).Text()
	if place == "" {
		return // the roster
	}
	b.number(CheckDuration, r.Attr(record.AttrCheckDuration), 1, "place", place)
	seen := map[[2]string]bool{}
	for _, v := range r.Attr(record.AttrCheckValues).List() {
		var name, unit string
		var number record.Value
		for _, a := range v.Map() {
			switch a.Key {
			case "name":
				name = clamp(a.Value.Text())
			case "unit":
				unit = clamp(a.Value.Text())
			case "value":
				number = a.Value
			}
		}
		if key := [2]string{name, unit}; seen[key] {
			b.cut++
		} else {
			seen[key] = true
			b.number(CheckValue, number, 1, "place", place, "name", name, "unit", unit)
		}
	}
}

func (b *builder) device(d *device, dev *record.Device) {
	place := []string{"place", dev.Place}
	if d.generic {
		place = append(place, "type", d.typ)
	}
	info := append(make([]string, 0, 16), place...)
	for _, a := range d.info {
		v := dev.Occupant
		if a.field != "" {
			v = dev.Field(a.field).Text()
		}
		info = append(info, a.label, v)
	}
	if !d.bare {
		b.gauge(d.infoName, 1, info...)
	}
	if state := dev.Field(record.FieldState).Text(); d.state && state != "" {
		b.gauge(d.stateName, 1, "place", dev.Place, "state", state)
	}
	for _, v := range d.values {
		b.number(v.name, dev.Field(v.field), v.scale, place...)
	}
}
