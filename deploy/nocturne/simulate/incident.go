package simulate

import (
	"fmt"
	"slices"
	"time"

	"nocturne/exporter/source/heartbeat"
	"nocturne/internal/record"
)

// Kinds of incidents.
const (
	KindDrive    = "drive"    // predicted → failed, array degraded → other serial, rebuild → optimal
	KindFailure  = "failure"  // predicted → failed, array degraded; it stays so
	KindReplace  = "replace"  // the failed drive: other serial, rebuild → optimal
	KindSilence  = "silence"  // the network is cut, and comes back
	KindRack     = "rack"     // the same for every server of a rack
	KindReboot   = "reboot"   // announced: goodbye, a while off, a new boot
	KindPatchday = "patchday" // updates, a reboot, another build
)

// Kinds returns every kind of incident.
func Kinds() []string {
	return []string{KindDrive, KindFailure, KindReplace, KindSilence, KindRack, KindReboot, KindPatchday}
}

// Incident is something that goes wrong with one server.
type Incident struct {
	ID    string    `json:"id"`
	Kind  string    `json:"kind"`
	Began time.Time `json:"began"`
	Done  int       `json:"done"` // steps taken
	Slot  int       `json:"slot,omitempty"`
}

// Expect is a notification that an incident must lead to, resolved in the end.
type Expect struct {
	Server string `json:"server,omitempty"`
	Rack   string `json:"rack,omitempty"`   // instead of a server
	Device string `json:"device,omitempty"` // as in notifications: "physical_drive c0/e252/s4"
	Class  string `json:"class"`
	// Severities are those it passes through, one firing message for each.
	Severities []string `json:"severities,omitempty"`
	// Folded says that it is a part of another notification of this incident
	// and gives no message of its own.
	Folded bool `json:"folded,omitempty"`
}

// expects says what an incident must lead to. An announced restart gives nothing, nor does the replacement, with which
// the end of a failure comes.
func (i *Incident) expects(s *Spec) []Expect {
	switch i.Kind {
	case KindDrive, KindFailure:
		return []Expect{
			{Server: s.Name, Device: fmt.Sprintf("%s c0/e%d/s%d", record.DevicePhysicalDrive, enclosure, i.Slot), Class: "drive", Severities: []string{"warning", "critical"}},
			{Server: s.Name, Device: record.DeviceVirtualDrive + " c0/v0", Class: "virtual-drive", Folded: true},
		}
	case KindSilence:
		return []Expect{{Server: s.Name, Class: "silence", Severities: []string{"critical"}}}
	case KindRack:
		return []Expect{{Server: s.Name, Class: "silence", Folded: true}}
	}
	return nil
}

// step is one turn of an incident.
type step struct {
	name  string
	after time.Duration // since the incident began
	do    func(m *Machine, at time.Time)
}

// script returns the steps of a kind of incident.
func (m *Machine) script(kind string) []step {
	p := func(seconds float64) time.Duration {
		return time.Duration(seconds * m.set.Pace * float64(time.Second))
	}
	switch kind {
	case KindDrive:
		return []step{
			{"predicted", 0, (*Machine).drivePredicted},
			{"failed", p(15), (*Machine).driveFailed},
			{"replaced", p(50), (*Machine).driveReplaced},
			{"rebuilding", p(75), func(m *Machine, at time.Time) { m.driveRebuilding(at, 35) }},
			{"rebuilding", p(95), func(m *Machine, at time.Time) { m.driveRebuilding(at, 78) }},
			{"optimal", p(115), (*Machine).driveOptimal},
		}
	case KindFailure:
		return []step{{"predicted", 0, (*Machine).drivePredicted}, {"failed", p(15), (*Machine).driveFailed}}
	case KindReplace:
		return []step{
			{"replaced", 0, (*Machine).driveReplaced},
			{"rebuilding", p(25), func(m *Machine, at time.Time) { m.driveRebuilding(at, 35) }},
			{"rebuilding", p(45), func(m *Machine, at time.Time) { m.driveRebuilding(at, 78) }},
			{"optimal", p(65), (*Machine).driveOptimal},
		}
	case KindSilence, KindRack:
		return []step{
			{"cut", 0, func(m *Machine, _ time.Time) { m.st.Cut = true }},
			{"back", m.set.Silence, func(m *Machine, _ time.Time) { m.st.Cut = false }},
		}
	case KindReboot:
		return []step{
			{"shutdown", 0, func(m *Machine, at time.Time) { m.shutdown(at, "Operating System: Recovery (Planned)") }},
			{"boot", p(40), (*Machine).boot},
		}
	case KindPatchday:
		return []step{
			{"downloading", 0, func(m *Machine, at time.Time) { m.updates(at, 44, "started downloading an update") }},
			{"installing", p(8), func(m *Machine, at time.Time) { m.updates(at, 43, "started the installation of the following update") }},
			{"installed", p(25), func(m *Machine, at time.Time) { m.updates(at, 19, "successfully installed the following update") }},
			{"shutdown", p(30), func(m *Machine, at time.Time) {
				m.st.Revision += 97
				m.shutdown(at, "Operating System: Service pack (Planned)")
			}},
			{"boot", p(75), (*Machine).boot},
		}
	}
	return nil
}

// Begin starts an incident. One server has one at a time.
func (m *Machine) Begin(kind, id string, now time.Time) (Incident, error) {
	if !slices.Contains(Kinds(), kind) {
		return Incident{}, fmt.Errorf("%w: there is no kind %.40q", errBad, kind)
	}
	if m.st.Incident != nil {
		return Incident{}, fmt.Errorf("%w: %s is in the middle of %q since %s", errBusy, m.spec.Name, m.st.Incident.Kind, m.st.Incident.Began.Format(time.TimeOnly))
	}
	failed := slices.IndexFunc(m.st.Drives, func(d Drive) bool { return d.State == "Failed" })
	switch {
	case kind == KindReplace && failed < 0:
		return Incident{}, fmt.Errorf("%w: no drive of %s has failed", errBad, m.spec.Name)
	case (kind == KindDrive || kind == KindFailure) && failed >= 0:
		return Incident{}, fmt.Errorf("%w: the drive in slot %d of %s has failed already", errBusy, failed, m.spec.Name)
	}
	m.st.Incidents++
	slot := rng(m.seed, m.spec.Index, fmt.Sprint("incident ", m.st.Incidents)).IntN(m.spec.Drives)
	if kind == KindReplace {
		slot = failed
	}
	m.st.Incident = &Incident{ID: id, Kind: kind, Began: now, Slot: slot}
	m.incidentDue()
	return *m.st.Incident, nil
}

func (m *Machine) drive() *Drive { return &m.st.Drives[m.st.Incident.Slot] }

func (m *Machine) megaraid(at time.Time, id int, level, format string, args ...any) {
	m.event(at, event{channelApp, providerMegaRAID, id, level, "Controller ID:  0   " + fmt.Sprintf(format, args...), nil})
}

func (m *Machine) drivePredicted(at time.Time) {
	d := m.drive()
	d.Predicted, d.Media, d.Other = 1, d.Media+17, d.Other+2
	m.megaraid(at, 96, levelWarning, "PD Predictive failure:  %s", m.pd())
	m.raid(at)
}

func (m *Machine) driveFailed(at time.Time) {
	d := m.drive()
	d.State, d.Media, d.Other = "Failed", d.Media+204, d.Other+11
	m.megaraid(at, 114, levelWarning, "State change:   PD   =   %s   Previous   =   Online   Current   =   Failed", m.pd())
	m.megaraid(at, 251, levelError, "VD is now DEGRADED   VD   0")
	m.raid(at)
}

func (m *Machine) driveReplaced(at time.Time) {
	r := rng(m.seed, m.spec.Index, fmt.Sprint("drive ", m.st.Incidents))
	*m.drive() = newDrive(r)
	m.drive().State = "Rbld"
	m.megaraid(at, 91, levelInfo, "PD inserted:  %s", m.pd())
	m.megaraid(at, 106, levelInfo, "Rebuild automatically started:  %s", m.pd())
	m.raid(at)
}

func (m *Machine) driveRebuilding(at time.Time, percent int) {
	m.drive().Progress = percent
	m.megaraid(at, 103, levelInfo, "Rebuild progress:   PD  %s  Progress  %d%%", m.pd(), percent)
	m.raid(at)
}

func (m *Machine) driveOptimal(at time.Time) {
	d := m.drive()
	d.State, d.Progress = "Onln", 0
	m.megaraid(at, 100, levelInfo, "Rebuild complete:  %s", m.pd())
	m.megaraid(at, 249, levelInfo, "VD is now OPTIMAL   VD   0")
	m.raid(at)
}

func (m *Machine) pd() string { return fmt.Sprintf("PD   =   -:-:%d", m.st.Incident.Slot) }

func (m *Machine) updates(at time.Time, id int, what string) {
	for _, kb := range []string{"Security Intelligence Update for Microsoft Defender Antivirus - KB2267602", fmt.Sprintf("2026-11 Cumulative Update for Windows Server (KB50%05d)", 40000+m.st.Revision%50000)} {
		m.event(at, event{channelSystem, providerUpdate, id, levelInfo, "Installation: Windows " + what + ": " + kb, []string{"updateTitle", kb}})
	}
}

// shutdown says goodbye and goes off.
func (m *Machine) shutdown(at time.Time, reason string) {
	m.event(at, event{channelSystem, "User32", 1074, levelInfo,
		"The process C:\\Windows\\system32\\svchost.exe has initiated the restart of computer " + m.spec.Name + " on behalf of user NT AUTHORITY\\SYSTEM for the following reason: " + reason,
		[]string{"param2", m.spec.Name, "param3", reason, "param5", "restart"}})
	m.event(at, event{channelSystem, "EventLog", 6006, levelInfo, "The Event log service was stopped.", nil})
	m.emit(record.Heartbeat, heartbeat.Goodbye(heartbeat.Cause{Reason: heartbeat.ReasonShutdown}, at))
	m.st.Off = true
}

// boot starts a new epoch.
func (m *Machine) boot(at time.Time) {
	m.st.Off = false
	m.st.Boot = at.Add(-20 * time.Second)
	m.begin(at)
	m.event(at, event{channelSystem, providerKernel, 12, levelInfo, "The operating system started at system time " + m.st.Boot.UTC().Format(time.RFC3339Nano) + ".", nil})
	m.event(at, event{channelSystem, "EventLog", 6009, levelInfo, fmt.Sprintf("Microsoft (R) Windows (R) 10.00. %d  Multiprocessor Free.", m.spec.Build), nil})
	m.event(at, event{channelSystem, "EventLog", 6005, levelInfo, "The Event log service was started.", nil})
}
