// Package apitest holds a store.Reader in memory and a fixed fleet to fill it
// with, for tests of the API and of the page, and for looking at the page.
package apitest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// Fleet is a store.Reader over plain lists. It filters, orders and pages as
// the interface says. It is safe for concurrent readers while nobody
// writes the register.
type Fleet struct {
	Rules
	List          []store.ServerDetail
	Entries       []store.HistoryEntry
	ChangeLog     []store.Change // newest first
	Problems      []store.NotificationDetail
	PipelineState store.Pipeline
	Contents      map[store.Hash][]byte // snapshots by content
	Book          []store.RegisterEntry // the register, by name
	Gone          []store.Occupant      // stays that are over, beside those of the devices
	// Err is what every call answers, where it is set.
	Err error
}

var _ store.Reader = (*Fleet)(nil)

// Servers implements store.Reader.
func (f *Fleet) Servers(_ context.Context, q store.ServerQuery) (store.ServerPage, error) {
	var page store.ServerPage
	for _, d := range f.List {
		if s := f.summed(parted(&d)); (len(q.IDs) == 0 || slices.Contains(q.IDs, s.ID)) && matches(&s, &q) && fits(&s, &q) {
			page.Servers = append(page.Servers, s)
		}
	}
	slices.SortStableFunc(page.Servers, func(a, b store.Server) int {
		c := order(&a, &b, q.Sort)
		if q.Sort == store.BySupport {
			c = supportOrder(&a, &b, &q)
		}
		if q.Reverse {
			c = -c
		}
		return cmp.Or(c, strings.Compare(a.Name, b.Name), strings.Compare(a.ID.String(), b.ID.String()))
	})
	page.Total = len(page.Servers)
	page.Servers = cut(page.Servers, q.Offset, q.Limit)
	return page, f.Err
}

// summed counts the open notifications of a server.
func (f *Fleet) summed(s store.Server) store.Server {
	for _, n := range f.Problems {
		if n.Server == s.ID && n.State == store.Firing && !silenced(n.Notification) {
			s.Open++
			if store.SeverityRank(n.Severity) > store.SeverityRank(s.Worst) {
				s.Worst = n.Severity
			}
		}
	}
	return s
}

// silenced tells whether nobody is told of a notification.
func silenced(n store.Notification) bool { return n.Muted != "" || n.FoldedInto != "" || n.Held }

func matches(s *store.Server, q *store.ServerQuery) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	found := q.Text == ""
	for _, v := range []string{s.Name, s.ReportedName, s.ID.String(), s.Site, s.Rack, s.Role, s.Owner, s.OSName} {
		found = found || strings.Contains(strings.ToLower(v), strings.ToLower(q.Text))
	}
	state := slices.Contains(q.State, s.State) || len(q.State) == 0 && (q.Cases != nil || s.State != store.StateDecommissioned)
	return found && state && is(q.Site, s.Site) && is(q.Rack, s.Rack) && is(q.Role, s.Role) && is(q.Owner, s.Owner) && is(q.Severity, s.Worst) &&
		(q.Simulated == nil || *q.Simulated == s.Simulated) && (q.Clones == nil || *q.Clones == s.Clones)
}

func order(a, b *store.Server, by store.SortKey) int {
	bad := func(s *store.Server) int {
		rank := 2 * store.SeverityRank(s.Worst)
		if s.State == store.StateSilent {
			rank++
		}
		return rank
	}
	switch by {
	case store.ByName:
		return strings.Compare(a.Name, b.Name)
	case store.BySite:
		return strings.Compare(a.Site, b.Site)
	case store.ByState:
		return strings.Compare(string(a.State), string(b.State))
	case store.ByLastSeen:
		return b.LastSeen.Compare(a.LastSeen)
	case store.ByModel:
		return cmp.Or(last(a.Model == "", b.Model == ""), strings.Compare(a.Model, b.Model))
	case store.ByUpdates:
		waiting := func(s *store.Server) int {
			if s.Updates == nil {
				return -1
			}
			return *s.Updates
		}
		return cmp.Or(waiting(b)-waiting(a), b.UpdatesSecurity-a.UpdatesSecurity)
	case store.ByOS:
		return strings.Compare(a.OSName, b.OSName)
	default:
		return bad(b) - bad(a)
	}
}

// last puts the one that lacks something behind the one that has it.
func last(a, b bool) int {
	switch {
	case a && !b:
		return 1
	case b && !a:
		return -1
	}
	return 0
}

func cut[T any](list []T, offset, limit int) []T {
	if limit == 0 {
		limit = 100
	}
	from := min(offset, len(list))
	return list[from:min(from+limit, len(list))]
}

// Server implements store.Reader.
func (f *Fleet) Server(_ context.Context, id record.ID) (store.ServerDetail, error) {
	for _, d := range f.List {
		if d.ID == id {
			d.Server = f.summed(parted(&d))
			return d, f.Err
		}
	}
	return store.ServerDetail{}, cmp.Or(f.Err, fmt.Errorf("server %s: %w", id, store.ErrNotFound))
}

// History implements store.Reader.
func (f *Fleet) History(_ context.Context, q store.HistoryQuery) ([]store.HistoryEntry, error) {
	var out []store.HistoryEntry
	for _, h := range f.Entries {
		if h.Server == q.Server && (q.Category == 0 || q.Category == h.Category) && (q.Before.IsZero() || h.At.Before(q.Before)) {
			out = append(out, h)
		}
	}
	return cut(out, 0, q.Limit), f.Err
}

// Changes implements store.Reader.
func (f *Fleet) Changes(_ context.Context, q store.ChangeQuery) (store.ChangePage, error) {
	var page store.ChangePage
	is := func(want, got string) bool { return want == "" || want == got }
	for _, c := range f.ChangeLog {
		if (q.Server.IsZero() || q.Server == c.Server || q.Server == c.FromServer) && (q.Category == 0 || q.Category == c.Category) && is(q.Kind, c.Kind) && is(q.Type, c.Type) &&
			is(q.Place, c.Place) && is(q.Field, c.Field) && about(&c, q.Serial) && (q.Planned == nil || *q.Planned == (c.Muted != "")) && !c.At.Before(q.Since) && (q.Before.IsZero() || c.At.Before(q.Before)) && (q.BeforeID == 0 || c.ID < q.BeforeID) {
			for i := range f.List {
				c.Simulated = c.Simulated || f.List[i].ID == c.Server && f.List[i].Simulated
			}
			page.Changes = append(page.Changes, c)
		}
	}
	all := len(page.Changes)
	page.Changes = cut(page.Changes, 0, q.Limit)
	if n := len(page.Changes); n > 0 && n < all {
		page.Next = page.Changes[n-1].ID
	}
	return page, f.Err
}

// Notifications implements store.Reader.
func (f *Fleet) Notifications(_ context.Context, q store.NotificationQuery) (store.NotificationPage, error) {
	var page store.NotificationPage
	is := func(want, got string) bool { return want == "" || want == got }
	for _, n := range f.Problems {
		text := strings.ToLower(n.Title + "\n" + n.Name + "\n" + n.Device + "\n" + n.Reason + "\n" + n.Class + "\n" + n.ID)
		state := q.State == "" || q.State == n.State || !q.ResolvedSince.IsZero() && !n.Resolved.Before(q.ResolvedSince)
		if state && (q.Server.IsZero() || q.Server == n.Server) && is(q.Device, n.Device) && openAt(&n.Notification, q.OpenAt) && is(q.Severity, n.Severity) && is(q.Class, n.Class) && is(q.RuleID, n.RuleID) &&
			is(q.Site, n.Labels["site"]) && f.desk(&n.Notification, &q) && (q.Muted == nil || *q.Muted == silenced(n.Notification)) && strings.Contains(text, strings.ToLower(q.Text)) {
			page.Notifications = append(page.Notifications, n.Notification)
		}
	}
	slices.SortStableFunc(page.Notifications, func(a, b store.Notification) int {
		return cmp.Or(b.Changed.Compare(a.Changed), strings.Compare(a.ID, b.ID))
	})
	page.Total = len(page.Notifications)
	page.Notifications = cut(page.Notifications, q.Offset, q.Limit)
	return page, f.Err
}

// desk filters by what people made of a notification, and by its time.
func (f *Fleet) desk(n *store.Notification, q *store.NotificationQuery) bool {
	is := func(want *bool, got bool) bool { return want == nil || *want == got }
	owner := q.Owner == "" || slices.ContainsFunc(f.List, func(d store.ServerDetail) bool { return d.ID == n.Server && d.Owner == q.Owner })
	return owner && is(q.Acked, !n.Work.Acked.IsZero()) && is(q.Assigned, n.Work.Assignee != "") && (q.Assignee == "" || q.Assignee == n.Work.Assignee) &&
		(n.State == store.Firing || !n.Resolved.Before(q.Since)) && (q.Before.IsZero() || n.Opened.Before(q.Before))
}

// Notification implements store.Reader.
func (f *Fleet) Notification(_ context.Context, id string) (store.NotificationDetail, error) {
	for _, n := range f.Problems {
		if n.ID != id {
			continue
		}
		for _, o := range f.Problems {
			if o.Server == n.Server && o.Device == n.Device && o.Class == n.Class && o.ID != id && !o.Opened.After(n.Opened) {
				n.Earlier = append(n.Earlier, o.Notification)
			}
		}
		slices.SortFunc(n.Earlier, func(a, b store.Notification) int {
			return cmp.Or(b.Opened.Compare(a.Opened), strings.Compare(a.ID, b.ID))
		})
		n.Earlier = n.Earlier[:min(len(n.Earlier), 10)]
		return n, f.Err
	}
	return store.NotificationDetail{}, cmp.Or(f.Err, fmt.Errorf("notification %s: %w", id, store.ErrNotFound))
}

// Silent implements store.Reader.
func (f *Fleet) Silent(context.Context) ([]store.SilentServer, error) {
	var out []store.SilentServer
	for _, d := range f.List {
		if d.State != store.StateSilent {
			continue
		}
		v := store.SilentServer{Server: f.summed(parted(&d))}
		for _, n := range f.Problems {
			if n.Server == d.ID && n.Class == store.ClassSilent && n.State == store.Firing {
				v.Notification, v.FoldedInto = n.ID, n.FoldedInto
			}
		}
		out = append(out, v)
	}
	slices.SortStableFunc(out, func(a, b store.SilentServer) int { return a.StateSince.Compare(b.StateSince) })
	return out, f.Err
}

// Overview implements store.Reader.
func (f *Fleet) Overview(context.Context) (store.Overview, error) {
	o := store.Overview{ByState: map[store.ServerState]int{}, BySeverity: map[string]int{}}
	sites := map[string]*store.Group{}
	for _, d := range f.List {
		s := f.summed(d.Server)
		o.ByState[s.State]++
		if s.State == store.StateDecommissioned {
			continue
		}
		o.Servers++
		o.BySeverity[s.Worst]++
		g := sites[s.Site]
		if g == nil {
			g = &store.Group{Name: s.Site}
			sites[s.Site] = g
		}
		g.Servers++
		for _, c := range []struct {
			yes bool
			n   *int
		}{{s.Simulated, &o.Simulated}, {s.Clones, &o.Clones}, {s.State == store.StateSilent, &g.Silent}, {s.Open > 0, &g.Open}} {
			if c.yes {
				*c.n++
			}
		}
	}
	for _, g := range sites {
		o.Sites = append(o.Sites, *g)
	}
	slices.SortFunc(o.Sites, func(a, b store.Group) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range f.Problems {
		if n.State == store.Firing && !silenced(n.Notification) {
			o.Open++
		}
	}
	return o, f.Err
}

// Pipeline implements store.Reader. Its times follow the clock: a fixed one
// would look late after a while.
func (f *Fleet) Pipeline(context.Context) (store.Pipeline, error) { return f.PipelineState, f.Err }

// Noise implements store.Reader: nobody heard anything.
func (f *Fleet) Noise(_ context.Context, since time.Time) (store.Noise, error) {
	return store.Noise{From: since, Servers: len(f.List)}, f.Err
}

// AuditLog implements store.Reader.
func (f *Fleet) AuditLog(context.Context, store.AuditQuery) ([]store.AuditEntry, error) {
	return []store.AuditEntry{{ID: 1, At: time.Unix(0, 0), Actor: "ruler", Action: "start"}}, f.Err
}
