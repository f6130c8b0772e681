package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func (s *server) serverRoutes() []route {
	return []route{
		{method: "GET", path: "/servers", name: "servers", summary: "List servers",
			params: []param{
				{name: "search", kind: kindText, max: maxName, doc: "part of name, id, site, rack, role, owner or operating system"},
				text("site", "exactly this site"), text("rack", "exactly this rack"), text("role", "exactly this role"), text("owner", "exactly this owner"),
				{name: "state", kind: kindList, enum: stateNames(), doc: "any of these; default: all but decommissioned"},
				enum("severity", "worst open notification", severities...),
				{name: "simulated", kind: kindBool, doc: "only simulated or only real ones"},
				{name: "clones", kind: kindBool, doc: "only identities that are used twice, or only others"},
				{name: "status", kind: kindList, enum: statusNames(), doc: "any of these"},
				enum("os_type", "kind of operating system", "windows", "linux"), text("os", "exactly this operating system's name"), text("model", "exactly this model of machine"),
				text("exporter_version", "exactly this version"), {name: "updates_pending", kind: kindBool, doc: "updates wait, or none does; servers that do not say are neither"},
				{name: "reboot_required", kind: kindBool, doc: "a restart is required, or not"},
				{name: "support_ends_before", kind: kindTime, doc: "whose operating system gets no security updates from a day before this time on"},
				{name: "support", kind: kindList, enum: []string{supportEnded, supportSoon, supportActive, supportUnknown}, doc: "any of these: no security updates any more, none in half a year, there are some, not in the table"},
				{name: "sort", kind: kindEnum, enum: sortKeys, def: "worst", doc: "order; a minus in front reverses it"},
				limitParam(), offsetParam(),
			}, result: ServerList{}, handle: s.servers},
		{method: "GET", path: "/servers/{id}", name: "server", summary: "One server: facts, devices, open notifications; now or as of any time",
			params: []param{serverID, {name: "at", kind: kindTime, doc: "as it was then, RFC 3339; devices without what is volatile"}}, result: ServerDetail{}, handle: s.server},
		{method: "GET", path: "/servers/{id}/ledger", name: "server_ledger", summary: "What of one server's records arrived, per sequence",
			params: []param{serverID}, result: ServerLedger{}, handle: s.ledger},
		{method: "GET", path: "/discovery", name: "discovery", summary: "Targets for Prometheus' HTTP service discovery",
			result: []TargetGroup{}, handle: s.discovery},
	}
}

func (s *server) servers(r *request) (any, error) {
	q := store.ServerQuery{
		Text: r.text("search"), Site: r.text("site"), Rack: r.text("rack"), Role: r.text("role"), Owner: r.text("owner"),
		Severity: r.text("severity"), Simulated: r.bool("simulated"), Clones: r.bool("clones"),
		Sort: store.SortKey(strings.TrimPrefix(r.text("sort"), "-")), Reverse: strings.HasPrefix(r.text("sort"), "-"),
		OSType: r.text("os_type"), OS: r.text("os"), Model: r.text("model"), Exporter: r.text("exporter_version"), Updates: r.bool("updates_pending"), Reboot: r.bool("reboot_required"),
		Cases: statusCases(r.list("status")), Offset: r.int("offset"), Limit: r.int("limit"),
	}
	if err := s.bySupport(r, &q); err != nil {
		return nil, err
	}
	for _, st := range r.list("state") {
		q.State = append(q.State, store.ServerState(st))
	}
	page, err := s.reader.Servers(r.ctx, q)
	if err != nil {
		return nil, err
	}
	out := ServerList{Items: mapSlice(page.Servers, s.serverOf), Total: page.Total, Limit: q.Limit, Offset: q.Offset}
	return out, s.addRegister(r, out.Items, page.Servers)
}

func (s *server) server(r *request) (any, error) {
	if then := r.time("at"); !then.IsZero() {
		return s.serverPast(r, then)
	}
	id := r.id("id")
	d, err := s.reader.Server(r.ctx, id)
	if err != nil {
		return nil, err
	}
	open, err := s.reader.Notifications(r.ctx, store.NotificationQuery{State: store.Firing, Server: id, Limit: 1000})
	if err != nil {
		return nil, err
	}
	out := ServerDetail{
		Server:        s.serverOf(d.Server),
		Facts:         factsOf(d.Server),
		Devices:       mapSlice(d.Devices, deviceOf),
		Observed:      mapSlice(d.Observed, observedOf),
		Lines:         mapSlice(d.Lines, s.serverOf),
		Notifications: mapSlice(open.Notifications, notificationOf),
	}
	if out.Register, err = s.entriesFor(r, &d.Server); err != nil {
		return nil, err
	}
	if len(out.Register) > 0 {
		out.Server.WarrantyUntil, out.Server.Contract = out.Register[0].WarrantyUntil, out.Register[0].Contract
	}
	out.Labels = labelsOf(&d.Server)
	slices.SortStableFunc(out.Notifications, func(a, b Notification) int { return rank(b.Severity) - rank(a.Severity) })
	judgeDevices(out.Devices, out.Notifications, partsOf(open.Notifications))
	slices.SortStableFunc(out.Devices, compareDevices)
	return out, nil
}

// judgeDevices gives each device the worst status of its open notifications,
// and of what it does to those of others.
func judgeDevices(devices []Device, open []Notification, parts []store.Part) {
	worst := map[string]verdict{}
	judge(worst, "", open, parts)
	for i := range devices {
		if v, ok := worst[deviceName(devices[i].Type, devices[i].Place)]; ok {
			devices[i].Status, devices[i].StatusText = severityStatus(v.severity), v.text
		}
	}
}

// verdict is the worst that is open about a device, and why.
type verdict struct{ severity, text string }

// judge notes the worst about each device under prefix and its name.
func judge(worst map[string]verdict, prefix string, open []Notification, parts []store.Part) {
	say := func(device, severity, text string) {
		if v, ok := worst[prefix+device]; !ok || rank(severity) > rank(v.severity) {
			worst[prefix+device] = verdict{severity, text}
		}
	}
	for _, n := range open {
		say(n.Device, n.Severity, n.Title)
	}
	for _, p := range parts {
		say(p.Device, p.Severity, clip(cmp.Or(p.Rule, p.RuleID)+": "+p.Reason, maxText))
	}
}

// partsOf lists what fires in notifications about other devices: a degraded
// array in that of a failed drive.
func partsOf(open []store.Notification) []store.Part {
	var out []store.Part
	for _, n := range open {
		for _, p := range n.Parts {
			if p.State == store.Firing && p.Device != n.Device {
				out = append(out, p)
			}
		}
	}
	return out
}

// severityStatus is what an open notification means for its subject. The rules'
// words are few, but a rule file may say others.
func severityStatus(severity string) Status {
	switch strings.ToLower(severity) {
	case "":
		return StatusOK
	case "critical", "fatal", "error":
		return StatusCritical
	case "warning", "warn":
		return StatusWarning
	default:
		return StatusInfo
	}
}

func rank(severity string) int { return slices.Index(Statuses(), severityStatus(severity)) }

// status is what to think of a server, and why.
func status(v *store.Server) (Status, string) {
	because := func(text string) string { return clip(cmp.Or(v.StateReason, text), maxText) }
	switch v.State {
	case store.StateDecommissioned:
		return StatusDecommissioned, because("taken out of service")
	case store.StateRevoked:
		return StatusRevoked, because("its credential is refused")
	case store.StateSilent:
		return StatusSilent, because("not heard past its deadline")
	}
	if st := severityStatus(v.Worst); st == StatusCritical || st == StatusWarning {
		return st, openText(v.Open)
	}
	switch v.State {
	case store.StateStopped:
		return StatusPlanned, because("said goodbye")
	case store.StateWaiting:
		if !v.LastSeen.IsZero() { // an import sends none
			return StatusNew, "records arrived, but no heartbeat yet"
		}
		return StatusNew, "enrolled, nothing heard yet"
	}
	if v.Open > 0 {
		return StatusInfo, openText(v.Open)
	}
	return StatusOK, "heard in time, nothing open"
}

func openText(n int) string { return counted(n, "open notification", "open notifications") }

func (s *server) serverOf(v store.Server) Server {
	st, why := status(&v)
	name := v.Name
	if name == "" {
		name = v.ReportedName
	}
	out := Server{
		ID: v.ID.String(), Name: clip(name, maxName), Status: st, StatusText: why, State: string(v.State), StateSince: at(v.StateSince),
		Site: clip(v.Site, maxName), Rack: clip(v.Rack, maxName), Role: clip(v.Role, maxName), Owner: clip(v.Owner, maxName),
		OSType: clip(v.OSType, maxName), OSName: clip(v.OSName, maxName), OSVersion: clip(v.OSVersion, maxName),
		ExporterVersion: clip(v.ExporterVersion, maxName), Simulated: v.Simulated, Clone: v.Clones, CloneOf: v.CloneOf,
		OpenNotifications: v.Open, WorstSeverity: v.Worst, LastSeen: at(v.LastSeen), BootTime: at(v.BootTime), EnrolledAt: at(v.Enrolled),
		Model: clip(v.Model, maxName), UpdatesPending: v.Updates, UpdatesSecurity: v.UpdatesSecurity, RebootRequired: v.Reboot, LabelsVersion: labelsVersion(&v),
	}
	if rel, ok := s.release(v.OSType, v.OSName, v.OSVersion); ok {
		out.OSRelease, out.SupportEnd = rel.Name, at(rel.End)
	}
	return out
}

// factsOf lists what is known of a server beside the columns of the list.
func factsOf(v store.Server) []Fact {
	facts := []Fact{}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, Fact{Name: name, Value: clip(value, maxText)})
		}
	}
	add("reported_name", v.ReportedName)
	add("machine_id", v.MachineID)
	add("smbios_uuid", v.SMBIOSUUID)
	add("os_build", v.OSBuild)
	add("address", v.Address)
	if v.Interval > 0 {
		add("heartbeat_interval_seconds", fmt.Sprintf("%g", v.Interval.Seconds()))
	}
	if v.Skew != 0 {
		add("clock_skew_seconds", fmt.Sprintf("%.3f", v.Skew.Seconds()))
	}
	return facts
}

func observedOf(o store.Observed) Observed {
	return Observed{Category: o.Category.String(), Hash: o.Hash.String(), ChangedAt: at(o.At)}
}

func deviceOf(d store.Device) Device {
	out := Device{
		Category: d.Category.String(), Type: clip(d.Type, maxName), TypeText: typeText(d.Type), Place: clip(d.Place, maxName), Serial: clip(d.Occupant, maxName),
		State: clip(d.State, maxName), Status: StatusOK, Fields: []Fact{},
		FirstSeen: at(d.First), ChangedAt: at(d.Changed), RemovedAt: at(d.Removed),
	}
	if first, _, _ := strings.Cut(out.Place, "/"); d.Category == record.RAID && isController(first) {
		out.Group = first
	}
	for _, f := range objectFacts(d.Fields) {
		switch f.Name {
		case record.FieldModel:
			out.Model = clip(f.Value, maxName)
		case record.FieldFirmware:
			out.Firmware = clip(f.Value, maxName)
		case record.FieldState:
		case record.FieldSize:
			var n int64
			if _, err := fmt.Sscan(f.Value, &n); err == nil {
				out.SizeBytes = &n
			}
		default:
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// isController tells whether a place is that of a RAID controller: "c0", or
// "storcli2:c0" where two tools count from 0. Arrays of Linux' software RAID
// are records of the same category, without one.
func isController(place string) bool {
	n, ok := strings.CutPrefix(place[strings.LastIndexByte(place, ':')+1:], "c")
	return ok && n != "" && digits(n) == len(n)
}

// objectFacts reads a JSON object as named texts, in the order of the names.
func objectFacts(raw json.RawMessage) []Fact {
	var m map[string]json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &m) != nil {
		return []Fact{}
	}
	out := make([]Fact, 0, len(m))
	for name, v := range m {
		value := string(v)
		var str string
		if json.Unmarshal(v, &str) == nil {
			value = str
		}
		if value == "null" {
			value = ""
		}
		out = append(out, Fact{Name: clip(name, maxName), Value: clip(value, maxText)})
	}
	sortFacts(out)
	return out
}

func mapFacts(m map[string]string) []Fact {
	out := make([]Fact, 0, len(m))
	for k, v := range m {
		out = append(out, Fact{Name: clip(k, maxName), Value: clip(v, maxText)})
	}
	sortFacts(out)
	return out
}

func sortFacts(f []Fact) {
	slices.SortFunc(f, func(a, b Fact) int { return strings.Compare(a.Name, b.Name) })
}

// compareDevices puts the parts of the machine first, then each controller
// with what hangs on it; parts that are gone come last.
func compareDevices(a, b Device) int {
	gone := func(d Device) int {
		if d.RemovedAt != nil {
			return 1
		}
		return 0
	}
	if c := gone(a) - gone(b); c != 0 {
		return c
	}
	if c := naturalCompare(a.Group, b.Group); c != 0 {
		return c
	}
	if c := typeRank(a.Type) - typeRank(b.Type); c != 0 {
		return c
	}
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return naturalCompare(a.Place, b.Place)
}

var typeOrder = []string{
	record.DeviceSystem, record.DeviceBIOS, record.DeviceBoard, record.DeviceOS, record.DeviceCPU, record.DeviceMemory,
	record.DeviceController, record.DeviceBattery, record.DeviceVirtualDrive, record.DeviceEnclosure, record.DevicePhysicalDrive,
	record.DeviceDisk, record.DeviceVolume, record.DeviceNIC,
}

func typeRank(typ string) int {
	if i := slices.Index(typeOrder, typ); i >= 0 {
		return i
	}
	return len(typeOrder)
}

// naturalCompare compares texts with runs of digits by value: s2 before s10.
func naturalCompare(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			na, nb := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if len(na) != len(nb) {
				return len(na) - len(nb)
			}
			if c := strings.Compare(na, nb); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// at makes a time an answer: UTC, null when not known.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// mapSlice converts a list; an empty one stays a list, never null.
func mapSlice[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i := range in {
		out[i] = f(in[i])
	}
	return out
}
