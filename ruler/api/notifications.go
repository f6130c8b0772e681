package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"nocturne/alerts"
	"nocturne/ruler/notify"
	"nocturne/ruler/runbook"
	"nocturne/ruler/store"
)

func (s *server) notificationRoutes() []route {
	return []route{
		{method: "GET", path: "/notifications", name: "notifications", summary: "List notifications",
			params: []param{
				enum("state", "default: both", string(store.Firing), string(store.Resolved)), enum("severity", "the worst of its parts", severities...),
				{name: "server", kind: kindServer, doc: "server id"}, text("class", "problem class"), text("rule", "id of a rule that opened it"),
				text("site", "exactly this site"), text("search", "part of the text"),
				{name: "muted", kind: kindBool, doc: "only muted or folded ones, or only others"},
				text("owner", "exactly this owner of the server"), {name: "acked", kind: kindBool, doc: "only acknowledged ones, or only others"},
				{name: "assigned", kind: kindBool, doc: "only those that somebody has, or only others"}, text("assignee", "exactly this person"),
				{name: "since", kind: kindTime, doc: "that were open at this time or later"}, {name: "before", kind: kindTime, doc: "that opened before"},
				limitParam(), offsetParam(),
			}, result: NotificationList{}, handle: s.notifications},
		{method: "GET", path: "/notifications/{id}", name: "notification", summary: "One notification with why, evidence and deliveries",
			params: []param{{name: "id", kind: kindText, max: 64, path: true, doc: "notification id"}}, result: NotificationDetail{}, handle: s.notification},
	}
}

func (s *server) notifications(r *request) (any, error) {
	q := store.NotificationQuery{
		State: store.NotificationState(r.text("state")), Server: r.id("server"), Severity: r.text("severity"), Class: r.text("class"),
		RuleID: r.text("rule"), Site: r.text("site"), Text: r.text("search"), Muted: r.bool("muted"),
		Owner: r.text("owner"), Acked: r.bool("acked"), Assigned: r.bool("assigned"), Assignee: r.text("assignee"), Since: r.time("since"), Before: r.time("before"),
		Offset: r.int("offset"), Limit: r.int("limit"),
	}
	page, err := s.reader.Notifications(r.ctx, q)
	if err != nil {
		return nil, err
	}
	quiet, err := s.quiet(r.ctx)
	if err != nil {
		return nil, err
	}
	shown := func(n store.Notification) Notification {
		out := notificationOf(n)
		quiet.tell(&n, &out)
		return out
	}
	return NotificationList{Items: mapSlice(page.Notifications, shown), Total: page.Total, Limit: q.Limit, Offset: q.Offset}, nil
}

func (s *server) notification(r *request) (any, error) {
	d, err := s.reader.Notification(r.ctx, r.text("id"))
	if err != nil {
		return nil, err
	}
	escalations := escalationsOf(&d.Notification)
	out := NotificationDetail{
		Notification: notificationOf(d.Notification),
		Labels:       mapFacts(d.Labels),
		Escalated: mapSlice(escalations, func(e notify.Escalation) LabelSet {
			return LabelSet{At: at(e.At), Severity: clip(e.Severity, maxName), Labels: mapFacts(e.Labels)}
		}),
		Annotations: mapFacts(d.Annotations),
		Why:         mapSlice(d.Parts, partOf),
		Evidence:    mapSlice(d.Evidence, evidenceOf),
		Deliveries:  mapSlice(d.Deliveries, func(v store.Delivery) Delivery { return deliveryOf(&d.Notification, escalations, v) }),
		Members:     mapSlice(d.Members, notificationOf),
		Earlier:     mapSlice(d.Earlier, notificationOf),
		Silences:    mapSlice(d.Silences, s.silenceShown),
		Deeds: mapSlice(d.Deeds, func(e store.DeskEntry) Deed {
			return Deed{At: at(e.At), By: clip(e.Actor, maxName), Kind: string(e.Kind), Text: clip(e.Text, maxText)}
		}),
	}
	quiet, err := s.quiet(r.ctx)
	if err != nil {
		return nil, err
	}
	quiet.tell(&d.Notification, &out.Notification)
	slices.SortStableFunc(out.Why, func(a, b Part) int {
		switch {
		case a.Cause == b.Cause:
			return rank(b.Severity) - rank(a.Severity)
		case a.Cause:
			return -1
		default:
			return 1
		}
	})
	slices.SortStableFunc(out.Evidence, func(a, b Evidence) int { return compareTimes(a.ReceivedAt, b.ReceivedAt) })
	out.Before, out.After = beforeAfter(&out)
	out.Timeline = timeline(&d, escalations, out.Deliveries)
	_, place, _ := strings.Cut(out.Notification.Device, " ")
	out.Runbook = s.runbook(d.Annotations[notify.AnnotationRunbook], place)
	return out, nil
}

// runbook returns what to do about the part at a place, nothing where nothing is written.
func (s *server) runbook(name, place string) Runbook {
	shipped, err := fs.Sub(alerts.Files(), "runbooks")
	if err != nil {
		return Runbook{Also: []RunbookSection{}} // the name is a constant
	}
	section, err := runbook.Find(name, s.cfg.Runbooks, shipped)
	if err != nil && !errors.Is(err, runbook.ErrUnknown) {
		s.log.Warn("a runbook cannot be read", "name", name, "err", err)
	}
	if section.Title == "" {
		return Runbook{Also: []RunbookSection{}}
	}
	text := func(s runbook.Section) string {
		if !s.Own {
			s.Text = runbook.At(s.Text, place)
		}
		return clip(s.Text, maxRunbook)
	}
	also := mapSlice(runbook.Named(name, section, s.cfg.Runbooks, shipped), func(s runbook.Section) RunbookSection {
		return RunbookSection{Title: clip(s.Title, maxName), Text: text(s)}
	})
	return Runbook{Name: name, Title: clip(section.Title, maxName), Text: text(section), Own: section.Own, Also: also}
}

// maxRunbook bounds one section of a runbook.
const maxRunbook = 32 << 10

// escalationsOf reads the label sets beyond the first one. They are in the row
// as its owner keeps it; a row without them was never told again.
func escalationsOf(n *store.Notification) []notify.Escalation {
	var saved struct {
		Escalations []notify.Escalation
	}
	if len(n.Saved) == 0 || json.Unmarshal(n.Saved, &saved) != nil {
		return nil
	}
	return saved.Escalations
}

// beforeAfter says what changed: by the cause where it says so, else by the
// newest evidence that does.
func beforeAfter(d *NotificationDetail) (before, after string) {
	for _, p := range d.Why {
		if p.Before != "" || p.After != "" {
			return p.Before, p.After
		}
	}
	for _, e := range slices.Backward(d.Evidence) {
		if e.Before != "" || e.After != "" {
			return e.Before, e.After
		}
	}
	return "", ""
}

// timeline tells the life of a notification: opened, what the records said,
// resolved, when it got worse, and when each receiver was told of which.
func timeline(d *store.NotificationDetail, escalations []notify.Escalation, deliveries []Delivery) []Event {
	out := []Event{{At: at(d.Opened), Kind: "opened", Text: "by rule " + clip(d.RuleID, maxName), RuleID: d.RuleID}}
	for _, e := range d.Evidence {
		out = append(out, Event{At: at(e.At), Kind: e.Effect, Text: clip(e.Reason, maxText), RuleID: e.RuleID, RecordID: e.RecordID})
	}
	for _, e := range escalations {
		out = append(out, Event{At: at(e.At), Kind: "escalated", Text: "to " + inline(e.Severity) + " by rule " + inline(e.Labels[notify.LabelRule]), RuleID: clip(e.Labels[notify.LabelRule], maxName)})
	}
	for _, v := range deliveries {
		if v.OK && v.FirstAt != nil {
			what := v.State
			if v.Severity != "" {
				what += " as " + inline(v.Severity)
			}
			out = append(out, Event{At: v.FirstAt, Kind: "delivered", Text: what + " handed to " + v.Target})
		}
	}
	for _, e := range d.Deeds {
		out = append(out, Event{At: at(e.At), Kind: string(e.Kind), Text: strings.TrimSpace("by " + inline(e.Actor) + ". " + clip(e.Text, maxText))})
	}
	saysSo := func(e store.Evidence) bool { return e.Effect == string(store.Resolved) }
	if !d.Resolved.IsZero() && !slices.ContainsFunc(d.Evidence, saysSo) {
		// Nothing said it: the rule was deleted, a deadline passed …
		out = append(out, Event{At: at(d.Resolved), Kind: string(store.Resolved), Text: clip(d.Reason, maxText)})
	}
	slices.SortStableFunc(out, func(a, b Event) int { return compareTimes(a.At, b.At) })
	return out
}

func compareTimes(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	default:
		return a.Compare(*b)
	}
}

func notificationOf(n store.Notification) Notification {
	title := n.Title
	if title == "" {
		title = n.Class
	}
	return Notification{
		ID: n.ID, ServerID: n.Server.String(), Server: clip(n.Name, maxName), Site: clip(n.Labels["site"], maxName), Simulated: n.Simulated,
		Device: clip(n.Device, maxName), Class: n.Class, Title: clip(title, maxText), Severity: n.Severity, State: string(n.State),
		Reason: clip(reason(&n), maxText), RuleID: n.RuleID, OpenedAt: at(n.Opened), ChangedAt: at(n.Changed), ResolvedAt: at(n.Resolved),
		Muted: clip(n.Muted, maxText), FoldedInto: n.FoldedInto, Work: workOf(n.Work), Probe: clip(n.Probe, maxText),
	}
}

// reason says why a notification is what it is: the worst part that fires, the
// cause before others. The last transition may have been another part's end.
func reason(n *store.Notification) string {
	worst := -1
	for i, p := range n.Parts {
		if p.State != store.Firing || p.Reason == "" {
			continue
		}
		if worst < 0 || store.SeverityRank(p.Severity) > store.SeverityRank(n.Parts[worst].Severity) {
			worst = i // the cause stands first and is kept against its equals
		}
	}
	if n.State != store.Firing || worst < 0 {
		return n.Reason
	}
	if p := &n.Parts[worst]; p.Device != n.Device && p.Device != "" {
		return p.Device + ": " + p.Reason
	}
	return n.Parts[worst].Reason
}

func partOf(p store.Part) Part {
	return Part{
		RuleID: p.RuleID, Rule: clip(p.Rule, maxName), Device: clip(p.Device, maxName), State: string(p.State), Severity: p.Severity,
		Reason: clip(p.Reason, maxText), Since: at(p.Since), ChangedAt: at(p.Changed), Cause: p.Cause,
		Version: clip(p.RuleVersion, maxName), Before: clip(p.Before, maxText), After: clip(p.After, maxText), RecordID: p.RecordID, Count: p.Count,
	}
}

func evidenceOf(e store.Evidence) Evidence {
	return Evidence{
		RecordID: e.RecordID, At: at(e.Event), ReceivedAt: at(e.At), Effect: e.Effect, RuleID: e.RuleID, Reason: clip(e.Reason, maxText),
		Category: e.Category.String(), Name: clip(e.Name, maxName), Body: clip(e.Body, maxText), Fields: objectFacts(e.Attrs),
		Raw: clip(e.Raw, maxRaw), Before: clip(e.Before, maxText), After: clip(e.After, maxText), Cut: e.Cut,
	}
}

// deliveryOf says which label set was handed over. The end is one of all sets.
func deliveryOf(n *store.Notification, escalations []notify.Escalation, d store.Delivery) Delivery {
	state, severity := string(d.State), ""
	set := notify.State(d.State).Escalated()
	switch {
	case set > 0:
		state = string(store.Firing)
		if set <= len(escalations) {
			severity = escalations[set-1].Severity
		}
	case d.State == store.Firing:
		severity = cmp.Or(n.Labels[notify.LabelSeverity], n.Severity)
	}
	return Delivery{
		Target: clip(d.Target, maxName), State: state, Set: set, Severity: clip(severity, maxName), FirstAt: at(d.First), At: at(d.At),
		OK: d.Error == "", Attempts: d.Attempts, Error: clip(d.Error, maxText),
	}
}
