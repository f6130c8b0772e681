package api

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func (s *server) demoRoutes() []route {
	return []route{
		{method: "GET", path: "/delivered", name: "delivered", summary: "Messages at the demo receiver, newest first",
			params: []param{limitParam()}, result: Delivered{}, handle: s.delivered},
		{method: "POST", path: "/demo/incident", name: "demo_incident", summary: "Break a simulated server; refused for a real one",
			body: IncidentRequest{}, result: IncidentAnswer{}, role: roleEditor, handle: s.incident},
	}
}

// webhook is what Alertmanager posts (webhook payload, version 4), as the demo
// receiver keeps it.
type webhook struct {
	At     time.Time      `json:"received_at"`
	Status string         `json:"status"`
	Alerts []webhookAlert `json:"alerts"`
}

type webhookAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func (s *server) delivered(r *request) (any, error) {
	if s.cfg.Demo.ReceiverURL == "" {
		return nil, &problem{status: http.StatusNotFound, msg: "there is no demo receiver here", hint: "nocturne demo has one; elsewhere Alertmanager's own receivers get the messages"}
	}
	var answer struct {
		Messages []webhook `json:"messages"`
	}
	if err := s.ask(r.ctx, http.MethodGet, s.cfg.Demo.ReceiverURL+"/messages", "", nil, &answer); err != nil {
		return nil, through("the demo receiver", "is nocturne demo still running?", err)
	}
	slices.SortStableFunc(answer.Messages, func(a, b webhook) int { return b.At.Compare(a.At) })
	out := Delivered{Total: len(answer.Messages)}
	answer.Messages = answer.Messages[:min(len(answer.Messages), r.int("limit"))]
	out.Items = mapSlice(answer.Messages, messageOf)
	return out, nil
}

func messageOf(w webhook) Message {
	m := Message{At: at(w.At), Status: clip(w.Status, maxName), Alerts: foldAlerts(mapSlice(w.Alerts, messageAlertOf))}
	if len(m.Alerts) > 0 {
		m.Title = m.Alerts[0].Summary
	}
	return m
}

// foldAlerts makes one of the alerts of a notification: after an escalation it
// has several label sets, and a person was told of one problem. What fires
// speaks before what is over, then the worst.
func foldAlerts(list []MessageAlert) []MessageAlert {
	out := make([]MessageAlert, 0, len(list))
	seen := map[string]int{}
	over := func(a *MessageAlert) bool { return a.Status == string(store.Resolved) }
	for _, a := range list {
		i, known := seen[a.NotificationID]
		if !known || a.NotificationID == "" {
			seen[a.NotificationID] = len(out)
			out = append(out, a)
			continue
		}
		kept := &out[i]
		sets := kept.LabelSets + a.LabelSets
		if over(kept) && !over(&a) || over(kept) == over(&a) && rank(a.Severity) > rank(kept.Severity) {
			*kept = a
		}
		kept.LabelSets = sets
	}
	return out
}

func messageAlertOf(a webhookAlert) MessageAlert {
	return MessageAlert{
		LabelSets: 1, Status: clip(a.Status, maxName), Summary: clip(cmp.Or(a.Annotations["summary"], a.Labels["alertname"]), maxText),
		ServerID: clip(a.Labels["server_id"], maxName), Server: clip(a.Labels["server"], maxName), Device: clip(a.Labels["device"], maxName),
		Severity: clip(a.Labels["severity"], maxName), Simulated: a.Labels["simulated"] == "true", NotificationID: clip(a.Labels["notification_id"], maxName),
		StartsAt: at(a.StartsAt), EndsAt: at(a.EndsAt), Labels: mapFacts(a.Labels), Annotations: mapFacts(a.Annotations),
	}
}

// incidents is the closed set of what the simulator can break.
var incidents = []string{"drive", "failure", "replace", "silence", "rack", "reboot", "patchday"}

func (s *server) incident(r *request) (any, error) {
	if s.cfg.Demo.SimulatorURL == "" {
		return nil, &problem{status: http.StatusNotFound, msg: "there is no simulator here", hint: "nocturne demo has one"}
	}
	var q IncidentRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	if !slices.Contains(incidents, q.Kind) {
		return nil, badRequest("one of "+strings.Join(incidents, ", "), "kind: %.80q does not fit", q.Kind)
	}
	id, err := record.ParseID(q.ServerID)
	if err != nil {
		return nil, badRequest("the id of a simulated server, 32 hexadecimal digits", "server_id: %.80q does not fit", q.ServerID)
	}
	d, err := s.reader.Server(r.ctx, id)
	if err != nil {
		return nil, err
	}
	if !d.Simulated {
		return nil, &problem{status: http.StatusForbidden, msg: "this server is real", hint: "only simulated servers can be broken from here"}
	}
	var answer struct {
		Text string `json:"text"`
	}
	ask := map[string]string{"kind": q.Kind, "server": d.Name}
	if err := s.ask(r.ctx, http.MethodPost, s.cfg.Demo.SimulatorURL+"/incident", "", ask, &answer); err != nil {
		return nil, through("the simulator", "is nocturne demo still running?", err)
	}
	s.log.Info("incident begun", "kind", q.Kind, "server", d.Name)
	s.audit(r, "demo.incident", id.String(), map[string]any{"kind": q.Kind, "server": d.Name})
	return IncidentAnswer{
		Kind: q.Kind, ServerID: id.String(), Server: clip(d.Name, maxName), Simulated: true,
		Text: cmp.Or(inline(answer.Text), "Simulated: "+q.Kind+" on "+inline(d.Name)+". Watch the notifications."),
	}, nil
}

var errNoBridge = errors.New("no eventbridge configured")
