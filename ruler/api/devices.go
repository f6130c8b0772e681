package api

import (
	"slices"
	"strconv"
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func (s *server) deviceRoutes() []route {
	filters := func(more ...param) []param {
		return append([]param{
			{name: "search", kind: kindText, max: maxName, doc: "part of serial number, place, model or server name"},
			enum("category", "of the snapshots; updates and software only when they are named", categoryNames()...),
			text("device_type", "such as physical_drive"), text("model", "exactly this model"), text("firmware", "exactly this firmware"), text("state", "the word of the tool, exactly"),
			{name: "status", kind: kindList, enum: deviceStatuses, doc: "any of these"}, text("site", "exactly this site"), {name: "server", kind: kindServer, doc: "server id"},
		}, more...)
	}
	return []route{
		{method: "GET", path: "/devices", name: "devices", summary: "Devices across the fleet, those with a problem first",
			params: filters(limitParam(), offsetParam()), result: DeviceList{}, handle: s.devices},
		{method: "GET", path: "/device-facets", name: "device_facets", summary: "How many devices of a question there are by type, model, firmware, state, status",
			params: filters(), result: Facets{}, handle: s.deviceFacets},
	}
}

// deviceStatuses are those that a device can have.
var deviceStatuses = []string{string(StatusOK), string(StatusInfo), string(StatusWarning), string(StatusCritical)}

// deviceQuery reads the filters, and what is open about which device.
func (s *server) deviceQuery(r *request) (store.DeviceQuery, map[string]verdict, error) {
	q := store.DeviceQuery{
		Text: r.text("search"), Category: categoryOf(r.text("category")), Type: r.text("device_type"), Model: r.text("model"), Firmware: r.text("firmware"), State: r.text("state"),
		Site: r.text("site"), Server: r.id("server"), Offset: r.int("offset"), Limit: r.int("limit"),
	}
	open, err := s.reader.Notifications(r.ctx, store.NotificationQuery{State: store.Firing, Server: q.Server, Limit: 100_000})
	if err != nil {
		return q, nil, err
	}
	worst := map[string]verdict{}
	for i := range open.Notifications {
		n := &open.Notifications[i]
		v := notificationOf(*n)
		judge(worst, n.Server.String()+" ", []Notification{v}, partsOf(open.Notifications[i:i+1]))
	}
	for key, v := range worst {
		id, device, _ := strings.Cut(key, " ")
		server, err := record.ParseID(id)
		if err != nil || device == "" {
			continue // about the server itself
		}
		q.Problems = append(q.Problems, store.DeviceProblem{Server: server, Device: device, Rank: rank(v.severity)})
	}
	slices.SortFunc(q.Problems, func(a, b store.DeviceProblem) int {
		return strings.Compare(a.Server.String()+a.Device, b.Server.String()+b.Device)
	})
	for _, name := range r.list("status") {
		q.Ranks = append(q.Ranks, slices.Index(Statuses(), Status(name)))
	}
	return q, worst, nil
}

func (s *server) devices(r *request) (any, error) {
	q, worst, err := s.deviceQuery(r)
	if err != nil {
		return nil, err
	}
	page, err := s.reader.Devices(r.ctx, q)
	if err != nil {
		return nil, err
	}
	return DeviceList{Items: mapSlice(page.Devices, func(d store.DeviceRow) FleetDevice {
		v := deviceOf(d.Device)
		if w, ok := worst[d.Server.String()+" "+deviceName(d.Type, d.Place)]; ok {
			v.Status, v.StatusText = severityStatus(w.severity), w.text
		}
		out := FleetDevice{Device: v, ServerID: d.Server.String(), Server: clip(d.Name, maxName), Site: clip(d.Site, maxName), Simulated: d.Simulated, Errors: []Fact{}}
		for _, f := range v.Fields {
			if isError(f) {
				out.Errors = append(out.Errors, f)
			}
		}
		return out
	}), Total: page.Total, Limit: q.Limit, Offset: q.Offset}, nil
}

// isError tells whether a field counts errors and has some.
func isError(f Fact) bool {
	if f.Value == "" || f.Value == "0" || f.Value == "false" {
		return false
	}
	return strings.HasSuffix(f.Name, "_errors") || strings.HasSuffix(f.Name, "_failures") || strings.HasSuffix(f.Name, "_errors_count") || f.Name == "smart_alert"
}

func (s *server) deviceFacets(r *request) (any, error) {
	q, _, err := s.deviceQuery(r)
	if err != nil {
		return nil, err
	}
	all, err := s.reader.DeviceFacets(r.ctx, q)
	if err != nil {
		return nil, err
	}
	statuses := all[store.FacetRank]
	delete(all, store.FacetRank)
	out := facetsOf(all)
	status := Facet{Name: "status", Values: []FacetCount{}}
	for _, c := range statuses {
		if n, err := strconv.Atoi(c.Value); err == nil && n >= 0 && n < len(Statuses()) {
			status.Values = append(status.Values, FacetCount{Value: string(Statuses()[n]), Count: c.N})
		}
	}
	out.Facets = append(out.Facets, status)
	return out, nil
}
