package updates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// maxPending bounds what a machine can claim to wait for.
const maxPending = 4096

const (
	maxTitle    = 512
	maxPackages = 512
)

// record states a report.
func (r *Report) record(limit int, now time.Time) record.Record {
	s := &record.Snapshot{Sections: []record.Section{{Type: record.DeviceUpdateStatus}}}
	left := 0
	if r.PendingKnown {
		// A list that is cut off is not all there is, so what is missing is not gone.
		if left = max(0, len(r.Pending)-maxPending); left == 0 {
			s.Sections = append(s.Sections, record.Section{Type: record.DeviceUpdatePending})
		}
		s.Devices = append(s.Devices, pendingDevices(r.Pending[:len(r.Pending)-left])...)
	}
	if r.InstalledKnown {
		kept, months := window(r.Installed, limit, now)
		s.Sections = append(s.Sections, months...)
		taken := map[string]bool{}
		for _, a := range attempts(kept) {
			s.Devices = append(s.Devices, a.device(taken))
		}
	}
	s.Devices = append(s.Devices, r.status())
	slices.SortFunc(s.Devices, func(a, b record.Device) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Place, b.Place))
	})
	rec := record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Snapshot: s, Body: r.summary()}
	if left += source.Bound(&rec, record.DeviceUpdatePending) + source.Bound(&rec, record.DeviceUpdateInstalled); left > 0 {
		rec.Body += fmt.Sprintf("; %d left out, more than a record holds", left)
	}
	return rec
}

func (r *Report) summary() string {
	parts := []string{"updates: what waits is not known"}
	if r.PendingKnown {
		parts[0] = fmt.Sprintf("updates: %d wait", len(r.Pending))
		if n := r.security(); n > 0 {
			parts[0] += fmt.Sprintf(", %d of them for security", n)
		}
	}
	if s := r.Status; s.Reboot != nil && *s.Reboot {
		parts = append(parts, "a restart is required")
	}
	if r.Status.Service == serviceDisabled {
		parts = append(parts, "the update service is disabled")
	}
	if !r.Status.LastSuccess.IsZero() {
		parts = append(parts, "last success "+r.Status.LastSuccess.UTC().Format(time.DateOnly))
	}
	return strings.Join(parts, "; ")
}

func (r *Report) security() int {
	n := 0
	for i := range r.Pending {
		if r.Pending[i].Security {
			n++
		}
	}
	return n
}

const serviceDisabled = "disabled"

// state is one word for the whole.
func (r *Report) state() string {
	switch s := r.Status; {
	case s.Service == serviceDisabled:
		return "service_disabled"
	case s.Reboot != nil && *s.Reboot:
		return "reboot_required"
	case !r.PendingKnown:
		return "unknown"
	case len(r.Pending) > 0:
		return "pending"
	}
	return "up_to_date"
}

func (r *Report) status() record.Device {
	s := r.Status
	fields := []record.Attr{
		source.Text(record.FieldState, r.state()), source.Text("source", s.Source), source.Text("update_server", s.Server), source.Text("service", s.Service), source.Text("automatic", s.Automatic),
		source.Known("reboot_required", s.Reboot), reasons(s),
		source.Moment("last_search", s.LastSearch), seconds("last_search_seconds", s.LastSearch),
		source.Moment("last_success", s.LastSuccess), seconds("last_success_seconds", s.LastSuccess),
		source.Moment("last_definitions", s.LastDefinitions),
		source.Text("last_error", clip(s.LastError, maxTitle)), source.Moment("last_error_at", s.LastErrorTime),
	}
	if r.PendingKnown {
		fields = append(fields, number("pending_count", len(r.Pending)), number("pending_security_count", r.security()), number("pending_definitions_count", s.Definitions))
	}
	return record.Device{Type: record.DeviceUpdateStatus, Fields: source.Fields(fields...)}
}

func seconds(key string, t time.Time) record.Attr {
	if t.IsZero() {
		return record.Attr{Key: key}
	}
	return record.Attr{Key: key, Value: record.Int(t.Unix())}
}

func number(key string, n int) record.Attr {
	return record.Attr{Key: key, Value: record.Int(int64(n))}
}

func pendingDevices(list []Pending) []record.Device {
	shared := map[string]int{}
	for i := range list {
		shared[list[i].KB]++
	}
	taken := map[string]bool{}
	out := make([]record.Device, 0, len(list))
	for i := range list {
		p := &list[i]
		id := cmp.Or(p.ID, p.Title)
		out = append(out, record.Device{
			Type: record.DeviceUpdatePending, Place: numbered(name(p.KB, id, shared[p.KB] > 1), taken),
			Fields: source.Fields(source.Text("title", clip(p.Title, maxTitle)), source.Text("kb", p.KB), source.Text("category", p.Category), source.Text("severity", p.Severity),
				source.Text("version", p.Version), source.Text("installed_version", p.Installed), source.Text("published", p.Published),
				source.Yes("security", p.Security), source.Yes("mandatory", p.Mandatory), source.Known("downloaded", p.Downloaded), source.Known("reboot", p.Reboot)),
		})
	}
	return out
}

func (a *attempt) device(taken map[string]bool) record.Device {
	return record.Device{
		Type: record.DeviceUpdateInstalled, Place: numbered(a.place, taken),
		Fields: source.Fields(source.Text(record.FieldState, a.State), source.Text("title", clip(a.Title, maxTitle)), source.Text("kb", a.KB), source.Text("operation", a.Operation),
			source.Moment("date", a.When), source.Text("error", a.Code), source.Text("packages", clip(a.Packages, maxPackages)), source.Count("attempt_count", int64(a.tries))),
	}
}

// clip bounds a text and makes it printable.
func clip(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
}

// reasons says "none" when no restart is required, or an old reason would stay
// known.
func reasons(s Status) record.Attr {
	text := strings.Join(s.RebootReasons, ", ")
	if text == "" && s.Reboot != nil && !*s.Reboot {
		text = "none"
	}
	return source.Text("reboot_reasons", clip(text, maxTitle))
}
