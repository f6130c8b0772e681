package api

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"nocturne/ruler/lifecycle"
	"nocturne/ruler/store"
)

func (s *server) systemRoutes() []route {
	return []route{
		{method: "GET", path: "/server-facets", name: "server_facets", summary: "How many servers there are of each site, rack, role, owner, operating system, model, exporter version, status, state of support; with and without updates that wait, a restart, a simulator",
			result: Facets{}, handle: s.serverFacets},
		{method: "GET", path: "/systems", name: "systems", summary: "Operating systems of the fleet and until when they get security updates",
			result: Systems{}, handle: s.systems},
		{method: "GET", path: "/updates", name: "updates", summary: "Updates that wait, across the fleet",
			params: []param{limitParam()}, result: Updates{}, handle: s.updates},
	}
}

func statusNames() []string {
	var out []string
	for _, st := range Statuses() {
		out = append(out, string(st))
	}
	return out
}

// statusCases says of which states and severities a status is made; see status.
func statusCases(names []string) []store.ServerCase {
	if len(names) == 0 {
		return nil
	}
	spoken := []store.ServerState{store.StateWaiting, store.StateUp, store.StateStopped}
	calm := []string{"", "info"}
	cases := map[Status]store.ServerCase{
		StatusDecommissioned: {States: []store.ServerState{store.StateDecommissioned}},
		StatusRevoked:        {States: []store.ServerState{store.StateRevoked}},
		StatusSilent:         {States: []store.ServerState{store.StateSilent}},
		StatusCritical:       {States: spoken, Worst: []string{"critical"}},
		StatusWarning:        {States: spoken, Worst: []string{"warning"}},
		StatusPlanned:        {States: []store.ServerState{store.StateStopped}, Worst: calm},
		StatusNew:            {States: []store.ServerState{store.StateWaiting}, Worst: calm},
		StatusInfo:           {States: []store.ServerState{store.StateUp}, Worst: []string{"info"}},
		StatusOK:             {States: []store.ServerState{store.StateUp}, Worst: []string{""}},
	}
	out := []store.ServerCase{}
	for _, name := range names {
		out = append(out, cases[Status(name)])
	}
	return out
}

// release finds an operating system in the table of support ends.
func (s *server) release(osType, name, version string) (lifecycle.Release, bool) {
	table, _ := s.lifecycle.Table(s.now()) // what is wrong with the file is told by /systems
	return table.Find(osType, name, version)
}

// bySupport resolves what a question says of support ends: the store knows none.
func (s *server) bySupport(r *request, q *store.ServerQuery) error {
	before, states := r.time("support_ends_before"), r.list("support")
	if q.Sort != store.BySupport && before.IsZero() && len(states) == 0 {
		return nil
	}
	versions, err := s.reader.OSVersions(r.ctx)
	if err != nil {
		return err
	}
	ends := map[store.OSVersion]time.Time{}
	if !before.IsZero() || len(states) > 0 {
		q.Ended = []store.OSVersion{}
	}
	for _, o := range versions {
		rel, ok := s.release(o.Type, o.Name, o.Version)
		if ok {
			ends[o] = rel.End
			q.Support = append(q.Support, o)
		}
		if (before.IsZero() || ok && rel.End.Before(before)) && (len(states) == 0 || slices.Contains(states, supportState(rel.End, s.now()))) {
			q.Ended = append(q.Ended, o)
		}
	}
	if before.IsZero() && len(states) == 0 {
		q.Ended = nil
	}
	slices.SortStableFunc(q.Support, func(a, b store.OSVersion) int {
		return cmp.Or(ends[a].Compare(ends[b]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return nil
}

func (s *server) serverFacets(r *request) (any, error) {
	all, err := s.reader.ServerFacets(r.ctx)
	if err != nil {
		return nil, err
	}
	standing := map[Status]int{}
	for _, c := range all[store.FacetStanding] {
		state, worst, _ := strings.Cut(c.Value, " ")
		st, _ := status(&store.Server{State: store.ServerState(state), Worst: worst, Open: len(worst)})
		standing[st] += c.N
	}
	delete(all, store.FacetStanding)
	all["status"] = countsOf(standing)
	versions, err := s.reader.OSVersions(r.ctx)
	if err != nil {
		return nil, err
	}
	support := map[string]int{}
	for _, o := range versions {
		rel, _ := s.release(o.Type, o.Name, o.Version)
		support[supportState(rel.End, s.now())] += o.Servers
	}
	all["support"] = countsOf(support)
	return facetsOf(all), nil
}

// countsOf lists counted words, the most first.
func countsOf[W ~string](n map[W]int) []store.Count {
	out := []store.Count{}
	for word, count := range n {
		out = append(out, store.Count{Value: string(word), N: count})
	}
	slices.SortFunc(out, func(a, b store.Count) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Value, b.Value)) })
	return out
}

func facetsOf(all map[string][]store.Count) Facets {
	out := Facets{Facets: []Facet{}}
	for name, counts := range all {
		f := Facet{Name: name, Values: mapSlice(counts, func(c store.Count) FacetCount { return FacetCount{Value: clip(c.Value, maxName), Count: c.N} })}
		out.Facets = append(out.Facets, f)
	}
	slices.SortFunc(out.Facets, func(a, b Facet) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// soon is how long before its end a support is said to end soon.
const soon = 180 * 24 * time.Hour

// The states of a support, a closed set.
const (
	supportEnded   = "ended"
	supportSoon    = "ends_soon"
	supportActive  = "active"
	supportUnknown = "unknown"
)

// supportState judges the end of a support; the last day still counts.
func supportState(end, now time.Time) string {
	switch last := end.Add(24 * time.Hour); {
	case end.IsZero():
		return supportUnknown
	case !now.Before(last):
		return supportEnded
	case last.Sub(now) <= soon:
		return supportSoon
	}
	return supportActive
}

func (s *server) systems(r *request) (any, error) {
	versions, err := s.reader.OSVersions(r.ctx)
	if err != nil {
		return nil, err
	}
	table, problem := s.lifecycle.Table(s.now())
	out := Systems{Items: []System{}, TableUpdated: at(table.Updated)}
	if problem != nil {
		out.Problem = clip(problem.Error(), maxText)
	}
	for _, o := range versions {
		rel, _ := table.Find(o.Type, o.Name, o.Version)
		v := System{OSType: clip(o.Type, maxName), OSName: clip(o.Name, maxName), OSVersion: clip(o.Version, maxName), Servers: o.Servers, Release: rel.Name, Family: rel.Family,
			ActiveEnd: at(rel.ActiveEnd), SupportEnd: at(rel.End), PaidEnd: at(rel.PaidEnd), Source: rel.Source, State: supportState(rel.End, s.now())}
		switch v.State {
		case supportEnded:
			out.Ended += o.Servers
		case supportSoon:
			out.Soon += o.Servers
		case supportUnknown:
			out.Unknown += o.Servers
		default:
			out.Active += o.Servers
		}
		out.Items = append(out.Items, v)
	}
	slices.SortStableFunc(out.Items, func(a, b System) int {
		switch {
		case a.SupportEnd == nil && b.SupportEnd == nil:
			return 0
		case a.SupportEnd == nil:
			return 1
		case b.SupportEnd == nil:
			return -1
		}
		return a.SupportEnd.Compare(*b.SupportEnd)
	})
	return out, nil
}

func (s *server) updates(r *request) (any, error) {
	yes, no := true, false
	count := func(q store.ServerQuery) (int, error) {
		q.Limit = 1
		page, err := s.reader.Servers(r.ctx, q)
		return page.Total, err
	}
	out := Updates{Limit: r.int("limit")}
	var all int
	for _, c := range []struct {
		n *int
		q store.ServerQuery
	}{{&all, store.ServerQuery{}}, {&out.ServersPending, store.ServerQuery{Updates: &yes}}, {&out.ServersUpToDate, store.ServerQuery{Updates: &no}}, {&out.ServersReboot, store.ServerQuery{Reboot: &yes}}} {
		n, err := count(c.q)
		if err != nil {
			return nil, err
		}
		*c.n = n
	}
	out.ServersUnknown = all - out.ServersPending - out.ServersUpToDate
	list, err := s.reader.PendingUpdates(r.ctx, out.Limit)
	if err != nil {
		return nil, err
	}
	out.Items = mapSlice(list, func(u store.PendingUpdate) PendingUpdate {
		return PendingUpdate{Name: clip(u.Place, maxName), Title: clip(u.Title, maxText), Severity: clip(u.Severity, maxName), Security: u.Security, Servers: u.Servers}
	})
	return out, nil
}
