package api

import (
	"strings"
	"time"
	"unicode"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func (s *server) changeRoutes() []route {
	category := enum("category", "of the snapshots", categoryNames()...)
	return []route{
		{method: "GET", path: "/servers/{id}/history", name: "server_history", summary: "Every configuration a server had, and every change",
			params: []param{serverID, category, limitParam(), beforeID(), {name: "before", kind: kindTime, doc: "snapshots older than this: next_before of the page before"}}, result: History{}, handle: s.history},
		{method: "GET", path: "/servers/{id}/diff", name: "server_diff", summary: "What differs on one server between any two times",
			params: []param{serverID, {name: "from", kind: kindTime, doc: "the earlier time, RFC 3339"}, {name: "to", kind: kindTime, doc: "the later time; default: now"}},
			result: ServerDiff{}, handle: s.serverDiff},
		{method: "GET", path: "/changes", name: "changes", summary: "What changed across the fleet",
			params: []param{
				{name: "server", kind: kindServer, doc: "server id; of a part that moved between servers, either"}, category, enum("kind", "of change", changeKinds...),
				text("device_type", "such as physical_drive"), text("place", "such as c0/e252/s4"), text("field", "of kind field, such as firmware"),
				{name: "serial", kind: kindText, max: maxName, doc: "of the device, or of a part that came or left"},
				{name: "planned", kind: kindBool, doc: "only planned ones, of which nobody was told, or only others"},
				{name: "since", kind: kindTime, doc: "at or after, RFC 3339"}, {name: "before", kind: kindTime, doc: "earlier than, RFC 3339"},
				limitParam(), beforeID(),
			}, result: ChangeList{}, handle: s.changes},
	}
}

func (s *server) history(r *request) (any, error) {
	id := r.id("id")
	if _, err := s.reader.Server(r.ctx, id); err != nil {
		return nil, err
	}
	category := categoryOf(r.text("category"))
	entries, err := s.reader.History(r.ctx, store.HistoryQuery{Server: id, Category: category, Before: r.time("before"), Limit: 1000})
	if err != nil {
		return nil, err
	}
	entries, next := historyPage(entries, r.int("limit"))
	page, err := s.reader.Changes(r.ctx, store.ChangeQuery{Server: id, Category: category, BeforeID: int64(r.int("before_id")), Limit: r.int("limit")})
	if err != nil {
		return nil, err
	}
	return History{
		ServerID: id.String(), Snapshots: mapSlice(entries, snapshotOf), Changes: mapSlice(page.Changes, changeOf),
		Limit: r.int("limit"), NextBeforeID: page.Next, NextBefore: next,
	}, nil
}

// historyPage cuts a page and says where the next one begins. Snapshots of one
// moment, such as those of one frame, stay together: a page ends between times.
func historyPage(all []store.HistoryEntry, limit int) ([]store.HistoryEntry, *time.Time) {
	n := min(limit, len(all))
	for n > 0 && n < len(all) && all[n].At.Equal(all[n-1].At) {
		n++
	}
	if n == len(all) && n < 1000 {
		return all, nil
	}
	return all[:n], at(all[n-1].At)
}

func (s *server) changes(r *request) (any, error) {
	q := store.ChangeQuery{
		Server: r.id("server"), Category: categoryOf(r.text("category")), Kind: r.text("kind"), Type: r.text("device_type"), Place: r.text("place"), Field: r.text("field"), Serial: r.text("serial"), Planned: r.bool("planned"),
		Since: r.time("since"), Before: r.time("before"), BeforeID: int64(r.int("before_id")), Limit: r.int("limit"),
	}
	page, err := s.reader.Changes(r.ctx, q)
	if err != nil {
		return nil, err
	}
	return ChangeList{Items: mapSlice(page.Changes, changeOf), Limit: q.Limit, NextBeforeID: page.Next}, nil
}

// categoryOf reads a name that parse has checked; "" = all = 0.
func categoryOf(name string) record.Category {
	c, _ := record.ParseCategory(name)
	return c
}

func snapshotOf(h store.HistoryEntry) Snapshot {
	return Snapshot{Category: h.Category.String(), At: at(h.At), Hash: h.Hash.String(), RecordID: h.RecordID, Changes: h.Changes}
}

func changeOf(c store.Change) Change {
	return Change{
		ID: c.ID, At: at(c.At), ReceivedAt: at(c.Stream), ServerID: c.Server.String(), Server: clip(c.Name, maxName), Simulated: c.Simulated, Category: c.Category.String(),
		Kind: c.Kind, DeviceType: clip(c.Type, maxName), Place: clip(c.Place, maxName), FromPlace: clip(c.From, maxName), Field: clip(c.Field, maxName),
		Before: clip(c.Before, maxText), After: clip(c.After, maxText), Serial: clip(c.Occupant, maxName), RecordID: c.RecordID, Hash: c.Hash.String(), Text: changeText(&c), Muted: clip(c.Muted, maxText), PlanID: clip(c.Plan.ID, maxName), PlanWho: clip(c.Plan.Who, maxName), PlanWhy: clip(c.Plan.Why, maxText),
		FromID: idText(c.FromServer), FromServer: clip(c.FromName, maxName),
	}
}

// idText is an id, or nothing.
func idText(id record.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// changeText says a change in a sentence.
func changeText(c *store.Change) string {
	subject := strings.TrimSpace(typeText(c.Type) + " " + inline(c.Place))
	switch c.Kind {
	case "added":
		return subject + " appeared" + serial(" (serial ", c.After, ")")
	case "removed":
		return subject + " is gone" + serial(" (serial ", c.Before, ")")
	case "replaced":
		return subject + " was replaced: serial " + inline(c.Before) + " left, " + inline(c.After) + " came"
	case "moved":
		if !c.FromServer.IsZero() {
			return typeText(c.Type) + serial(" ", c.Occupant, "") + " moved from " + inline(c.FromName+" "+c.From) + " to " + inline(c.Name+" "+c.Place)
		}
		return typeText(c.Type) + serial(" ", c.After, "") + " moved from " + inline(c.From) + " to " + inline(c.Place)
	default:
		return subject + ": " + words(c.Field) + " " + orNothing(c.Before) + " → " + orNothing(c.After)
	}
}

// typeTexts are types of devices whose names are no words.
var typeTexts = map[string]string{
	record.DeviceBIOS: "BIOS", record.DeviceBoard: "mainboard", record.DeviceCPU: "CPU", record.DeviceMemory: "memory module",
	record.DeviceNIC: "network card", record.DeviceOS: "operating system", record.DeviceBattery: "cache battery", record.DevicePCI: "PCI card",
	record.DeviceMDArray: "software RAID", record.DeviceMDMember: "member of software RAID", record.DeviceSMARTDrive: "disk (SMART)",
}

func typeText(typ string) string {
	if t, ok := typeTexts[typ]; ok {
		return t
	}
	return words(typ)
}

func words(name string) string { return strings.ReplaceAll(inline(name), "_", " ") }

func serial(before, s, after string) string {
	if s == "" {
		return ""
	}
	return before + inline(s) + after
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return inline(s)
}

// inline makes foreign text fit into a sentence of ours: short, one line, and
// without the control and direction marks that could turn the rest around.
func inline(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
	return clip(s, maxName)
}
