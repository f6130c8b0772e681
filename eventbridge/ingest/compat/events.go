package compat

import (
	"strings"
	"time"

	"nocturne/internal/record"
)

// eventLog is one entry of a classic event log. Date is when the agent sent it,
// up to some seconds after the event; the event's own time was not sent. Id is
// the instance id: the event's id with severity and facility above it.
type eventLog struct {
	Source       *string
	ID           *int64 `json:"Id"`
	Description  *string
	Date         stamp
	Severity     *string
	HostName     string
	EventLogName *string
}

// Attributes of an event from the old agent beside those of package record.
const (
	attrInstanceID = "event.instance_id"
	attrTimeIs     = "event.time_is" // "sent": not when it happened
)

// severities are .NET's EventLogEntryType.
var severities = map[string]struct {
	level    string
	severity record.Severity
}{
	"error": {"error", record.Error}, "warning": {"warning", record.Warn}, "information": {"info", record.Info},
	"successaudit": {"audit_success", record.Info}, "failureaudit": {"audit_failure", record.Warn},
}

func (e *eventLog) message(received time.Time) (Message, error) {
	r := record.Record{Time: e.Date.or(received), Observed: received, Name: record.NameWindowsEvent, Body: clip(value(e.Description), maxText)}
	var f fields
	f.text(record.AttrChannel, e.EventLogName)
	f.text(record.AttrProvider, e.Source)
	if e.ID != nil {
		id := *e.ID & 0xffff
		f.number(record.AttrEventID, &id)
		f.number(attrInstanceID, e.ID)
	}
	if s, ok := severities[strings.ToLower(value(e.Severity))]; ok {
		r.Severity = s.severity
		f.text(record.AttrLevel, &s.level)
	}
	f.text(record.AttrComputer, &e.HostName)
	r.Attrs = append(f, text(attrTimeIs, "sent"))
	return Message{Host: e.HostName, Category: record.EventLog, Record: r}, nil
}

// heartbeat is a sign of life, every two minutes as a rule.
type heartbeat struct {
	HostName        string
	OperatingSystem *string
	Version         *string
	BuildNumber     *string
	LastBootUpTime  stamp
	DateTime        stamp
}

func (h *heartbeat) message(received time.Time) (Message, error) {
	r := record.Record{Time: h.DateTime.or(received), Observed: received, Severity: record.Info, Name: record.NameHeartbeat, Body: "alive: " + clip(h.HostName, maxHost)}
	windows := "windows" // the old agent ran nowhere else
	var f fields
	f.text(record.AttrName, &h.HostName)
	f.text(record.AttrOSType, &windows)
	f.text(record.AttrOSName, h.OperatingSystem)
	f.text(record.AttrOSVersion, h.Version)
	f.text(record.AttrOSBuild, h.BuildNumber)
	if !h.LastBootUpTime.IsZero() {
		boot := h.LastBootUpTime.UnixNano()
		f.number(record.AttrBootTime, &boot)
	}
	r.Attrs = f
	return Message{Host: h.HostName, Category: record.Heartbeat, Record: r}, nil
}
