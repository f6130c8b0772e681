package simulate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"nocturne/exporter/source/raid"
	"nocturne/internal/record"
)

var (
	errBad  = errors.New("cannot be done")
	errBusy = errors.New("busy")
)

// Settings say how fast simulated time is filled.
type Settings struct {
	Heartbeat time.Duration // default 2 min
	RAID      time.Duration // between RAID snapshots; default 1 min
	Hardware  time.Duration // between snapshots of hardware, updates, software and sensors; default 1 h
	Events    float64       // Windows events per server and minute; default 3
	Silence   time.Duration // how long a silent server is silent; default 7.5 heartbeats
	Pace      float64       // stretches the scripts of incidents; default 1, for which a drive takes 2 min
}

func (s *Settings) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&s.Heartbeat, 2*time.Minute)
	set(&s.RAID, time.Minute)
	set(&s.Hardware, time.Hour)
	set(&s.Silence, s.Heartbeat*15/2)
	if s.Events == 0 {
		s.Events = 3
	}
	if s.Pace == 0 {
		s.Pace = 1
	}
}

// State is what a machine must remember across restarts of the simulator.
type State struct {
	Boot      time.Time         `json:"boot"`
	Revision  int               `json:"revision"` // of the build: 20348.<revision>
	Starts    int               `json:"starts"`   // epochs so far
	Numbers   map[string]uint64 `json:"numbers"`  // EventRecordID by channel
	Drives    []Drive           `json:"drives"`
	Incidents int               `json:"incidents"`
	Incident  *Incident         `json:"incident,omitempty"`
	Cut       bool              `json:"cut,omitempty"` // the network is cut: records wait
	Off       bool              `json:"off,omitempty"` // there are no records
}

// Output is a record that a machine made.
type Output struct {
	Category record.Category
	Record   record.Record
	// Epoch says that a new epoch begins with this record.
	Epoch bool
}

// Turn is a step that an incident took.
type Turn struct {
	Incident Incident
	Step     string
	At       time.Time
	Over     bool
}

// Machine is one simulated server: a pure function of its specification, seed,
// state, and the times at which it is stepped. It reads no clock and belongs
// to one goroutine.
type Machine struct {
	spec Spec
	set  Settings
	seed uint64
	st   State
	rnd  *rand.Rand

	due      [dues]time.Time
	lastRAID string // what the last RAID snapshot said, to add the raw documents to changes only
	out      []Output
	turns    []Turn
	epoch    bool
}

// What is due at some time.
const (
	dueHeartbeat = iota
	dueIncident
	dueRAID
	dueHardware
	dueEvent
	dues
)

var never = time.Unix(math.MaxInt32*100, 0)

// NewMachine returns a machine that was never started, or as it was in state.
func NewMachine(spec Spec, set Settings, seed uint64, state *State) *Machine {
	set.defaults()
	m := &Machine{spec: spec, set: set, seed: seed, rnd: rng(seed, spec.Index, "noise")}
	if state != nil {
		m.st = *state
	}
	if m.st.Numbers == nil {
		m.st.Numbers = map[string]uint64{}
	}
	r := rng(seed, spec.Index, "parts")
	for i := len(m.st.Drives); i < spec.Drives; i++ {
		m.st.Drives = append(m.st.Drives, newDrive(r))
	}
	if m.st.Revision == 0 {
		m.st.Revision = 1500 + r.IntN(900)
	}
	for i := range m.due {
		m.due[i] = never
	}
	return m
}

// Spec returns what the machine is made of, State what it is like now.
func (m *Machine) Spec() Spec { return m.spec }

// State returns a copy of what must be remembered.
func (m *Machine) State() State {
	s := m.st
	s.Drives = append([]Drive(nil), s.Drives...)
	s.Numbers = make(map[string]uint64, len(m.st.Numbers))
	for k, v := range m.st.Numbers {
		s.Numbers[k] = v
	}
	if s.Incident != nil {
		i := *s.Incident
		s.Incident = &i
	}
	return s
}

// Start begins an epoch, as the start of an exporter does, and returns its
// first records. A machine that is off stays off.
func (m *Machine) Start(now time.Time) []Output {
	if m.st.Boot.IsZero() {
		m.st.Boot = now.Add(-time.Duration(1+rng(m.seed, m.spec.Index, "uptime").IntN(60*24)) * time.Hour)
	}
	m.incidentDue()
	if !m.st.Off {
		m.begin(now)
	}
	return m.take()
}

// begin schedules everything and makes the first records of an epoch: a
// heartbeat first.
func (m *Machine) begin(now time.Time) {
	m.st.Starts++
	m.rnd = rng(m.seed, m.spec.Index, fmt.Sprint("noise ", m.st.Starts))
	m.epoch = true
	m.lastRAID = ""
	m.beat(now)
	m.due[dueHeartbeat] = now.Add(m.set.Heartbeat)
	m.hardware(now)
	m.inventory(now)
	m.due[dueHardware] = now.Add(m.set.Hardware)
	m.raid(now)
	m.due[dueRAID] = now.Add(m.set.RAID)
	m.due[dueEvent] = now.Add(m.pause())
}

// pause is the time until the next event of the catalogue: exponential.
func (m *Machine) pause() time.Duration {
	return time.Duration(m.rnd.ExpFloat64() / m.set.Events * float64(time.Minute))
}

// Next returns when something is due next.
func (m *Machine) Next() time.Time {
	t := never
	for i, due := range m.due {
		if due.Before(t) && (!m.st.Off || i == dueIncident) {
			t = due
		}
	}
	return t
}

// tooLate is how long something may be overdue (a suspended laptop) and still
// be made up for; later, time goes on from now.
const tooLate = time.Minute

// Step makes everything that is due until now, in order, and returns it with
// the turns that incidents took.
func (m *Machine) Step(now time.Time) ([]Output, []Turn) {
	for {
		at := m.Next()
		if at.After(now) {
			return m.take(), m.takeTurns()
		}
		if now.Sub(at) > tooLate {
			at = now
		}
		m.one(at)
	}
}

// one does the first thing that is due.
func (m *Machine) one(at time.Time) {
	first := dueIncident
	for i, due := range m.due {
		if due.Before(m.due[first]) && !m.st.Off {
			first = i
		}
	}
	switch first {
	case dueIncident:
		m.advance(at)
	case dueHeartbeat:
		m.beat(at)
		m.due[first] = at.Add(m.set.Heartbeat)
	case dueRAID:
		m.raid(at)
		m.due[first] = at.Add(m.set.RAID)
	case dueHardware:
		m.hardware(at)
		m.inventory(at)
		m.due[first] = at.Add(m.set.Hardware)
	case dueEvent:
		m.event(at, noise(m.rnd))
		m.due[first] = at.Add(m.pause())
	}
}

// incidentDue schedules the next step of the incident.
func (m *Machine) incidentDue() {
	m.due[dueIncident] = never
	if i := m.st.Incident; i != nil {
		if steps := m.script(i.Kind); i.Done < len(steps) {
			m.due[dueIncident] = i.Began.Add(steps[i.Done].after)
		}
	}
}

// advance takes the incident's next step.
func (m *Machine) advance(at time.Time) {
	i := m.st.Incident
	steps := m.script(i.Kind)
	s := steps[i.Done]
	s.do(m, at)
	i.Done++
	over := i.Done == len(steps)
	m.turns = append(m.turns, Turn{*i, s.name, at, over})
	if over {
		m.st.Incident = nil
	}
	m.incidentDue()
}

func (m *Machine) emit(c record.Category, r record.Record) {
	m.out = append(m.out, Output{c, r, m.epoch})
	m.epoch = false
}

func (m *Machine) take() []Output {
	out := m.out
	m.out = nil
	return out
}

func (m *Machine) takeTurns() []Turn {
	t := m.turns
	m.turns = nil
	return t
}

func (m *Machine) event(at time.Time, e event) {
	if m.st.Numbers[e.channel] == 0 {
		m.st.Numbers[e.channel] = uint64(100000 + 7919*m.spec.Index)
	}
	m.st.Numbers[e.channel]++
	m.emit(record.EventLog, e.record(m.spec.Name, m.st.Numbers[e.channel], at))
}

// Version is what simulated exporters call themselves.
const Version = "simulated"

func (m *Machine) beat(at time.Time) {
	s := &m.spec
	build := fmt.Sprintf("%d.%d", s.Build, m.st.Revision)
	str := func(k, v string) record.Attr { return record.Attr{Key: k, Value: record.String(v)} }
	m.emit(record.Heartbeat, record.Record{
		Time: at, Observed: at, Severity: record.Info, Name: record.NameHeartbeat, Body: "alive: " + s.Name + ", " + s.OSName,
		Attrs: []record.Attr{
			str(record.AttrName, s.Name), str(record.AttrOSType, "windows"), str(record.AttrOSName, s.OSName), str(record.AttrOSVersion, s.OSVersion), str(record.AttrOSBuild, build),
			{Key: record.AttrBootTime, Value: record.Int(m.st.Boot.UnixNano())}, {Key: record.AttrVirtual, Value: record.Bool(false)},
			str(record.AttrMachineID, s.MachineID), str(record.AttrSMBIOSUUID, s.UUID), str(record.AttrExporterVersion, Version),
			{Key: record.AttrInterval, Value: record.Int(m.set.Heartbeat.Milliseconds())},
			{Key: record.AttrSpoolRecords, Value: record.Int(0)}, {Key: record.AttrSpoolBytes, Value: record.Int(0)},
		},
	})
}

// AttrOrigin marks snapshots whose documents no real controller printed.
const (
	AttrOrigin  = "raid.origin"
	constructed = "constructed from documentation"
)

// raid renders what storcli would print and reads it as the exporter does.
func (m *Machine) raid(at time.Time) {
	docs := storcli(&m.spec, m.st.Drives, at)
	snap, _, err := raid.Parse(docs...)
	if err != nil {
		// Our own document: a bug that the tests find. Say it as an exporter would.
		m.emit(record.Agent, record.Record{Time: at, Observed: at, Severity: record.Error, Name: record.NameSourceFailed, Attrs: []record.Attr{
			{Key: record.AttrSource, Value: record.String("raid")}, {Key: record.AttrError, Value: record.String(err.Error())},
		}})
		return
	}
	drives, state := snap.Devices, virtualState(m.spec.Level, m.st.Drives)
	rec := record.Record{
		Time: at, Observed: at, Severity: record.Info, Name: record.NameSnapshot, Snapshot: snap,
		Body:  fmt.Sprintf("1 controller, %d drives, 1 virtual drive %s, %d devices in all", len(m.st.Drives), state, len(drives)),
		Attrs: []record.Attr{{Key: AttrOrigin, Value: record.String(constructed)}},
	}
	if now := fmt.Sprintf("%+v", m.st.Drives); now != m.lastRAID {
		m.lastRAID = now
		rec.Attrs = append(rec.Attrs, record.Attr{Key: record.AttrRaw, Value: record.String(raid.Raw(docs...))})
	}
	m.emit(record.RAID, rec)
}

func (m *Machine) hardware(at time.Time) {
	s := &m.spec
	snap := &record.Snapshot{}
	add := func(typ, place, serial string, pairs ...any) {
		d := record.Device{Type: typ, Place: place, Occupant: serial}
		for i := 0; i+1 < len(pairs); i += 2 {
			v := record.Value{}
			switch x := pairs[i+1].(type) {
			case string:
				v = record.String(x)
			case int:
				v = record.Int(int64(x))
			case int64:
				v = record.Int(x)
			}
			d.Fields = append(d.Fields, record.Attr{Key: pairs[i].(string), Value: v})
		}
		snap.Devices = append(snap.Devices, d)
	}
	for _, typ := range []string{record.DeviceSystem, record.DeviceBIOS, record.DeviceBoard, record.DeviceCPU, record.DeviceMemory, record.DeviceNIC} {
		snap.Sections = append(snap.Sections, record.Section{Type: typ})
	}
	add(record.DeviceSystem, "", s.Serial, record.FieldVendor, s.Vendor, record.FieldModel, s.Model, "uuid", s.UUID)
	add(record.DeviceBIOS, "", "", record.FieldVendor, s.Vendor, record.FieldFirmware, s.BIOS)
	add(record.DeviceBoard, "", s.Serial+"B0", record.FieldVendor, s.Vendor, record.FieldModel, s.Model)
	r := rng(m.seed, s.Index, "hardware")
	for i := range s.CPUs {
		add(record.DeviceCPU, fmt.Sprintf("CPU%d", i+1), "", record.FieldVendor, "Intel(R) Corporation", record.FieldModel, s.CPU, "cores", s.Cores, "threads", 2*s.Cores)
	}
	for i := range s.DIMMs {
		add(record.DeviceMemory, fmt.Sprintf("DIMM_%c%d", 'A'+i%8, 1+i/8), "SIM"+letters(r, 8), record.FieldVendor, "Samsung", record.FieldModel, "M393A2K43DB3-CWE", record.FieldSize, s.DIMMSize, "memory_type", "DDR4", "speed_mts", 3200)
	}
	for i := range 2 {
		add(record.DeviceNIC, fmt.Sprintf("Ethernet %d", i+1), fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", s.Index>>8&255, s.Index&255, r.IntN(256), i), record.FieldState, "up", record.FieldModel, "Intel(R) Ethernet Controller X710")
	}
	m.emit(record.Hardware, record.Record{
		Time: at, Observed: at, Severity: record.Info, Name: record.NameSnapshot, Snapshot: snap,
		Body: fmt.Sprintf("%s %s, %d processors, %d memory modules", s.Vendor, s.Model, s.CPUs, s.DIMMs),
	})
}
