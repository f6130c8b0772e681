package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"nocturne/ruler/store"
)

func (s *server) serialRoutes() []route {
	return []route{
		{method: "GET", path: "/serials", name: "serials", summary: "Serial numbers of parts, and where they sat",
			params: []param{
				{name: "search", kind: kindText, max: maxName, doc: "part of a serial number or of a model"}, text("device_type", "such as physical_drive"),
				{name: "server", kind: kindServer, doc: "server id"}, limitParam(), offsetParam(),
			}, result: SerialList{}, handle: s.serials},
		{method: "GET", path: "/serials/{serial}", name: "serial", summary: "The life of a serial number across servers: every place, states, failures",
			params: []param{{name: "serial", kind: kindText, max: maxName, path: true, doc: "serial number, exactly"}, text("device_type", "of several parts with one number only these")},
			result: Serial{}, handle: s.serial},
	}
}

func (s *server) serials(r *request) (any, error) {
	q := store.OccupantQuery{Text: r.text("search"), Type: r.text("device_type"), Server: r.id("server"), Offset: r.int("offset"), Limit: r.int("limit")}
	page, err := s.reader.Occupants(r.ctx, q)
	if err != nil {
		return nil, err
	}
	return SerialList{Items: mapSlice(page.Occupants, stayOf), Total: page.Total, Limit: q.Limit, Offset: q.Offset}, nil
}

func stayOf(o store.Occupant) Stay {
	last := o.Until
	if last.IsZero() {
		last = o.LastSeen
	}
	return Stay{
		Serial: clip(o.Serial, maxName), Model: clip(o.Model, maxName), DeviceType: clip(o.Type, maxName), TypeText: typeText(o.Type), ServerID: o.Server.String(), Server: clip(o.Name, maxName),
		Simulated: o.Simulated, Category: o.Category.String(), Place: clip(o.Place, maxName), Since: at(o.Since), Until: at(o.Until), LastSeen: at(last),
	}
}

func (s *server) serial(r *request) (any, error) {
	number := r.text("serial")
	page, err := s.reader.Occupants(r.ctx, store.OccupantQuery{Serial: number, Type: r.text("device_type"), Limit: 1000})
	if err != nil {
		return nil, err
	}
	if len(page.Occupants) == 0 {
		return nil, &problem{status: http.StatusNotFound, msg: "no part with this serial number was ever seen", hint: "GET " + Prefix + "/serials?search=… looks for parts of it"}
	}
	changes, err := s.reader.Changes(r.ctx, store.ChangeQuery{Serial: number, Type: r.text("device_type"), Limit: 1000})
	if err != nil {
		return nil, err
	}
	out := Serial{Serial: clip(number, maxName), Stays: mapSlice(page.Occupants, stayOf), Changes: mapSlice(changes.Changes, changeOf), Notifications: []Notification{}}
	var problems []store.Notification
	for i := range page.Occupants {
		found, err := s.problemsOf(r, &page.Occupants[i])
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	slices.SortStableFunc(problems, func(a, b store.Notification) int { return b.Opened.Compare(a.Opened) })
	problems = slices.CompactFunc(problems, func(a, b store.Notification) bool { return a.ID == b.ID })
	out.Notifications = mapSlice(problems[:min(len(problems), 1000)], notificationOf)
	out.tell(page.Occupants)
	return out, nil
}

// problemsOf lists the notifications about a place that were open while the
// part sat there.
func (s *server) problemsOf(r *request, o *store.Occupant) ([]store.Notification, error) {
	page, err := s.reader.Notifications(r.ctx, store.NotificationQuery{Server: o.Server, Device: deviceName(o.Type, o.Place), Limit: 1000})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(page.Notifications, func(n store.Notification) bool {
		// One that opens when the part goes is about this part; one that is over
		// before it came is not.
		return n.State == store.Resolved && n.Resolved.Before(o.Since) || !o.Until.IsZero() && n.Opened.After(o.Until.Add(time.Minute))
	}), nil
}

func deviceName(typ, place string) string {
	if place == "" {
		return typ
	}
	return typ + " " + place
}

// tell sums up a life.
func (out *Serial) tell(stays []store.Occupant) {
	servers := map[string]bool{}
	var first, last time.Time
	here := 0
	for i := range stays {
		o := &stays[i]
		servers[o.Server.String()] = true
		if first.IsZero() || o.Since.Before(first) {
			first = o.Since
		}
		seen := o.Until
		if o.Until.IsZero() {
			here++
			seen = o.LastSeen
		}
		if seen.After(last) {
			last = seen
		}
	}
	out.FirstSeen, out.LastSeen, out.Present, out.Several = at(first), at(last), here > 0, here > 1
	what := typeText(stays[0].Type)
	places := fmt.Sprintf("%d places on %s", len(stays), countServers(len(servers)))
	if len(stays) == 1 {
		places = "one place"
	}
	now := "not in any server now"
	if here > 0 {
		stay := stays[slices.IndexFunc(stays, func(o store.Occupant) bool { return o.Until.IsZero() })]
		now = "now " + inline(stay.Place) + " of " + cmp.Or(inline(stay.Name), stay.Server.String())
	}
	out.Text = fmt.Sprintf("%s, seen at %s, %s.", what, places, now)
}
