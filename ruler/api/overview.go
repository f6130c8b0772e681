package api

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"nocturne/ruler/store"
)

func (s *server) fleetRoutes() []route {
	return []route{
		{method: "GET", path: "/overview", name: "overview", summary: "The fleet in one answer: counts, sites, what this installation can do",
			result: Overview{}, handle: s.overview},
		{method: "GET", path: "/silent", name: "silent", summary: "Servers that stopped speaking, longest first",
			params: []param{{name: "planned", kind: kindBool, def: "false", doc: "also those that said goodbye"}, limitParam(), offsetParam()},
			result: SilentList{}, handle: s.silent},
	}
}

func (s *server) overview(r *request) (any, error) {
	o, err := s.reader.Overview(r.ctx)
	if err != nil {
		return nil, err
	}
	now := s.now().UTC()
	out := Overview{
		Now: &now,
		Servers: ServerCounts{
			Total: o.Servers, Simulated: o.Simulated, Clones: o.Clones,
			Up: o.ByState[store.StateUp], Silent: o.ByState[store.StateSilent], Planned: o.ByState[store.StateStopped],
			New: o.ByState[store.StateWaiting], Revoked: o.ByState[store.StateRevoked],
		},
		Notifications: o.Open,
		Sites: mapSlice(o.Sites, func(g store.Group) SiteCounts {
			return SiteCounts{Site: clip(g.Name, maxName), Servers: g.Servers, Silent: g.Silent, Open: g.Open}
		}),
		Features: Features{Demo: s.cfg.Demo.SimulatorURL != "", Delivered: s.cfg.Demo.ReceiverURL != "", AddServer: s.cfg.Bridge.URL != "", Charts: s.cfg.Charts != nil},
	}
	for severity, n := range o.BySeverity {
		switch severityStatus(severity) {
		case StatusCritical:
			out.Servers.Critical += n
		case StatusWarning:
			out.Servers.Warning += n
		case StatusInfo:
			out.Servers.Info += n
		}
	}
	slices.SortStableFunc(out.Sites, func(a, b SiteCounts) int {
		if c := b.Silent - a.Silent; c != 0 {
			return c
		}
		if c := b.Open - a.Open; c != 0 {
			return c
		}
		if (a.Site == "") != (b.Site == "") {
			return strings.Compare(b.Site, a.Site) // servers without a site come last
		}
		return naturalCompare(a.Site, b.Site)
	})
	out.Status, out.Text = fleetStatus(out.Servers)
	p, err := s.judgedPipeline(r.ctx)
	if err != nil {
		return nil, err
	}
	out.addPipeline(p)
	return out, nil
}

// addPipeline keeps the fleet from looking well when nobody can see it.
func (out *Overview) addPipeline(p *Pipeline) {
	out.PipelineOK, out.PipelineText, out.SilenceJudged = p.OK, p.Text, p.ClocksRun
	if p.OK || out.Status != StatusOK {
		return
	}
	out.Status = StatusWarning
	out.Text = strings.TrimSuffix(out.Text, ".") + ", as far as is known: the pipeline has problems."
}

// fleetStatus is the fleet in a word and in a sentence, worst first.
func fleetStatus(c ServerCounts) (Status, string) {
	if c.Total == 0 {
		return StatusNew, "No servers yet."
	}
	var parts []string
	st := StatusOK
	say := func(n int, status Status, text string) {
		if n == 0 {
			return
		}
		if st == StatusOK {
			st = status
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, text))
	}
	say(c.Silent, StatusSilent, "silent")
	say(c.Critical, StatusCritical, "critical")
	say(c.Warning, StatusWarning, "with a warning")
	if st == StatusOK {
		return st, fmt.Sprintf("Nothing is open on %s.", countServers(c.Total))
	}
	return st, fmt.Sprintf("Of %s: %s.", countServers(c.Total), strings.Join(parts, ", "))
}

func countServers(n int) string { return counted(n, "server", "servers") }

// counted is "1 record", "3 records".
func counted[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (s *server) silent(r *request) (any, error) {
	list, err := s.reader.Silent(r.ctx)
	if err != nil {
		return nil, err
	}
	all := mapSlice(list, func(v store.SilentServer) SilentServer {
		return SilentServer{Server: s.serverOf(v.Server), Since: at(v.StateSince), NotificationID: v.Notification, FoldedInto: v.FoldedInto}
	})
	if r.text("planned") == "true" {
		page, err := s.reader.Servers(r.ctx, store.ServerQuery{State: []store.ServerState{store.StateStopped}, Sort: store.ByLastSeen, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, v := range page.Servers {
			all = append(all, SilentServer{Server: s.serverOf(v), Planned: true, Since: at(v.StateSince)})
		}
	}
	slices.SortStableFunc(all, func(a, b SilentServer) int { return compareTimes(a.Since, b.Since) })
	limit, offset := r.int("limit"), r.int("offset")
	from := min(offset, len(all))
	return SilentList{Items: all[from:min(from+limit, len(all))], Total: len(all), Limit: limit, Offset: offset}, nil
}

// discovery lists the real servers of the fleet for Prometheus. The address is
// the name that the server reports: the register knows no addresses.
func (s *server) discovery(r *request) (any, error) {
	real := false
	groups := []TargetGroup{}
	q := store.ServerQuery{Simulated: &real, Sort: store.ByName, Limit: store.MaxServers}
	for {
		page, err := s.reader.Servers(r.ctx, q)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Servers {
			host := v.ReportedName
			if host == "" {
				host = v.Name
			}
			if !validHost(host) || v.State == store.StateRevoked || v.CloneOf != "" {
				continue
			}
			groups = append(groups, TargetGroup{
				Targets: []string{net.JoinHostPort(host, strconv.Itoa(s.cfg.ExporterPort))},
				Labels: map[string]string{
					"server_id": v.ID.String(), "server": clip(v.Name, maxName),
					"__meta_nocturne_site": clip(v.Site, maxName), "__meta_nocturne_rack": clip(v.Rack, maxName),
					"__meta_nocturne_role": clip(v.Role, maxName), "__meta_nocturne_os_type": clip(v.OSType, maxName),
				},
			})
		}
		if q.Offset += len(page.Servers); len(page.Servers) == 0 || q.Offset >= page.Total {
			return groups, nil
		}
	}
}

// validHost keeps Prometheus from being sent anywhere but to a host's name:
// the name is what a server says of itself.
func validHost(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	for _, c := range h {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}
