package simulate

import (
	"fmt"
	"time"

	"nocturne/internal/record"
)

// inventory makes the snapshots that change seldom, so that the pages of a
// simulated server show what those of a real one do: updates, programs and
// sensors. They are made up, like everything here.
func (m *Machine) inventory(at time.Time) {
	m.updateState(at)
	m.software(at)
	m.sensors(at)
	m.bootDisk(at)
}

// devices collects a made-up snapshot.
type devices struct{ record.Snapshot }

func (d *devices) observed(types ...string) {
	for _, typ := range types {
		d.Sections = append(d.Sections, record.Section{Type: typ})
	}
}

func (d *devices) add(typ, place string, fields ...record.Attr) {
	d.Devices = append(d.Devices, record.Device{Type: typ, Place: place, Fields: fields})
}

func said(key, v string) record.Attr { return record.Attr{Key: key, Value: record.String(v)} }

func count(key string, n int) record.Attr { return record.Attr{Key: key, Value: record.Int(int64(n))} }

func (m *Machine) state(c record.Category, at time.Time, d *devices, body string) {
	m.emit(c, record.Record{Time: at, Observed: at, Severity: record.Info, Name: record.NameSnapshot, Snapshot: &d.Snapshot, Body: body})
}

// updateState says what waits: on every other server one update, until its
// patch day.
func (m *Machine) updateState(at time.Time) {
	d := &devices{}
	d.observed(record.DeviceUpdateStatus, record.DeviceUpdatePending)
	state, waiting := "up_to_date", 0
	if m.st.Revision%2 == 0 {
		state, waiting = "pending", 1
		kb := fmt.Sprintf("KB50%05d", 40000+(m.st.Revision+97)%50000)
		d.add(record.DeviceUpdatePending, kb, said("title", "Cumulative Update for Windows Server ("+kb+")"), said("kb", kb), said("category", "Security Updates"),
			record.Attr{Key: "security", Value: record.Bool(true)})
	}
	d.add(record.DeviceUpdateStatus, "", said(record.FieldState, state), said("source", "WSUS"), said("service", "manual"), said("automatic", "download"),
		record.Attr{Key: "reboot_required", Value: record.Bool(false)}, count("pending_count", waiting), count("pending_security_count", waiting))
	m.state(record.Updates, at, d, fmt.Sprintf("updates: %d wait", waiting))
}

var programs = [][2]string{
	{"7-Zip 23.01 (x64)", "23.01"}, {"Microsoft Edge", "142.0.3595.80"}, {"Microsoft Visual C++ 2022 X64 Minimum Runtime", "14.42.34433"}, {"Nocturne exporter (simulated)", "0"},
	{"Notepad++ (64-bit x64)", "8.7.1"}, {"PowerShell 7-x64", "7.5.4.0"}, {"Windows Admin Center", "2.5.0"},
}

func (m *Machine) software(at time.Time) {
	d := &devices{}
	d.observed(record.DeviceProgram, record.DeviceDriver)
	for _, p := range programs {
		d.add(record.DeviceProgram, p[0], said("version", p[1]))
	}
	if m.spec.Role == "sql-server" {
		d.add(record.DeviceProgram, "Microsoft SQL Server 2022 (64-bit)", said("version", "16.0.1000.6"), said(record.FieldVendor, "Microsoft Corporation"))
	}
	d.add(record.DeviceDriver, m.spec.Controller, said("version", "7.724.2.0"), said("signer", "Microsoft Windows Hardware Compatibility Publisher"))
	m.state(record.Software, at, d, fmt.Sprintf("software: %d programs, 1 driver", len(d.Devices)-1))
}

func (m *Machine) sensors(at time.Time) {
	d := &devices{}
	d.observed(record.DeviceSensor)
	add := func(place, kind, field string, v float64) {
		d.add(record.DeviceSensor, "ipmi/"+place, said(record.FieldState, "ok"), said("kind", kind), record.Attr{Key: field, Value: record.Double(v)})
	}
	r := rng(m.seed, m.spec.Index, fmt.Sprint("sensors ", at.Unix()))
	add("Inlet Temp", "temperature", "temperature_celsius", float64(21+r.IntN(4)))
	for i := range m.spec.CPUs {
		add(fmt.Sprintf("CPU%d Temp", i+1), "temperature", "temperature_celsius", float64(48+r.IntN(12)))
	}
	for i := range 4 {
		add(fmt.Sprintf("Fan%d", i+1), "fan", "speed_rpm", float64(5400+120*r.IntN(8)))
	}
	for i := range 2 {
		add(fmt.Sprintf("PS%d Power", i+1), "power", "power_watts", float64(150+2*r.IntN(30)))
	}
	m.state(record.Sensors, at, d, fmt.Sprintf("sensors: %d, none past its limits", len(d.Devices)))
}

// bootDisk is the one disk that no RAID controller hides: a healthy NVMe, a
// little more worn with every year of its server.
func (m *Machine) bootDisk(at time.Time) {
	const perHour = 8 << 30 // bytes written
	hours := int64(8000 + 400*(m.spec.Index%20))
	if age := at.Sub(m.st.Boot); age > 0 {
		hours += int64(age.Hours())
	}
	d := &devices{}
	d.observed(record.DeviceSMARTDrive)
	r := rng(m.seed, m.spec.Index, fmt.Sprint("smart ", at.Unix()))
	number := func(key string, n int64) record.Attr { return record.Attr{Key: key, Value: record.Int(n)} }
	d.add(record.DeviceSMARTDrive, "nvme0", said(record.FieldState, "ok"), said("protocol", "NVMe"), said(record.FieldModel, "SAMSUNG MZ1L2960HCJR-00A07"), said(record.FieldFirmware, "GDC7302Q"),
		number(record.FieldSize, 960197124096), number("temperature_celsius", int64(34+r.IntN(6))), number("power_on_hours", hours), number("life_left_percent", max(1, 100-hours/2000)),
		number("media_errors", 0), number("written_bytes_total", hours*perHour))
	d.Devices[0].Occupant = "S6" + m.spec.Serial
	m.state(record.SMART, at, d, "smart: 1 disk, all passed")
}
