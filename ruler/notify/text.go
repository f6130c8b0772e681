package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// Alert labels. They are frozen when a notification opens; only LabelSimulated
// may be missing, and device and site where they are empty.
const (
	LabelAlertname    = "alertname"
	LabelRule         = "rule_id"
	LabelServerID     = "server_id"
	LabelServer       = "server"
	LabelDevice       = "device"
	LabelSeverity     = "severity"
	LabelSite         = "site"
	LabelNotification = "notification_id"
	LabelSimulated    = "simulated"
	// LabelJob is [Job] in alerts about the ruler itself, so that its Watchdog is
	// told from another one at the same Alertmanager.
	LabelJob = "job"
)

// Job is the value of LabelJob.
const Job = "nocturne"

// Annotations of alerts. They may change while a notification is open.
const (
	AnnotationSummary     = "summary"
	AnnotationDescription = "description"
	AnnotationRunbook     = "runbook"
	AnnotationReason      = "reason"
	AnnotationParts       = "parts"        // the other parts, one a line
	AnnotationSeverityNow = "severity_now" // worst of what still fires
	AnnotationProbe       = "probe"        // whether the silent machine answered
	AnnotationEvidence    = "evidence"     // id of the record that opened the cause
)

const (
	maxLabel      = 200
	maxAnnotation = 4 << 10
	maxPartLines  = 10
)

func labels(r *rule.Rule, v operator.Verdict, facts operator.ServerFacts, e *entry) map[string]string {
	l := map[string]string{}
	if v.Texts != nil {
		for key, value := range v.Texts.Labels {
			if value = rule.Clean(value, maxLabel); value != "" {
				l[key] = value
			}
		}
	}
	server := ""
	if !e.Server.IsZero() { // a problem of no server in particular has none
		server = e.Server.String()
	}
	for key, value := range map[string]string{
		LabelAlertname: r.Name, LabelRule: r.ID, LabelServerID: server, LabelServer: facts.Name, LabelDevice: e.Device,
		LabelSeverity: v.Severity, LabelSite: facts.Site, LabelNotification: e.ID,
	} {
		if value = rule.Clean(value, maxLabel); value != "" {
			l[key] = value
		}
	}
	if facts.Simulated {
		l[LabelSimulated] = "true"
	}
	return l
}

// fields are what the rule's templates may show.
func fields(r *rule.Rule, v operator.Verdict, facts operator.ServerFacts) rule.Fields {
	get := func(key string) string {
		for i := range v.Fields {
			if v.Fields[i].Key == key {
				return v.Fields[i].Value.Text()
			}
		}
		return ""
	}
	_, place, _ := strings.Cut(v.Device, " ")
	return rule.Fields{
		Server: cmp.Or(facts.Name, v.Server.String()), ServerID: v.Server.String(), Site: facts.Site, Rack: facts.Rack, Role: facts.Role, Owner: facts.Owner, OS: facts.OS,
		Device: v.Device, Place: place, Serial: get(operator.FieldSerial), Model: get(operator.FieldModel),
		Before: v.Before, After: v.After, Reason: v.Reason, Rule: r.Name, Class: v.Class, Severity: v.Severity,
		Message: get(operator.FieldMessage), Channel: get(operator.FieldChannel), Provider: get(operator.FieldProvider), EventID: get(operator.FieldEventID),
	}
}

// rewrite makes title and annotations anew: the cause speaks for all.
func (e *entry) rewrite(v operator.Verdict, at At) {
	slices.SortStableFunc(e.Parts, compareParts)
	cause := &e.Parts[0]
	e.Title, e.Reason, e.Changed = cause.Summary, e.reason(v), at.Time
	a := map[string]string{AnnotationSummary: cause.Summary, AnnotationRunbook: cause.Runbook, AnnotationReason: e.Reason}
	if e.State == Resolved {
		a[AnnotationReason] = fmt.Sprintf("%s (open for %s)", e.Reason, lasted(&e.Notification))
	}
	if lines := e.partLines(); lines != "" {
		a[AnnotationParts] = lines
	}
	if cause.Description != "" {
		a[AnnotationDescription] = cause.Description
	}
	if s := e.severityNow(); s != "" {
		a[AnnotationSeverityNow] = s
	}
	if cause.RecordID != "" {
		a[AnnotationEvidence] = cause.RecordID
	}
	for k, s := range a {
		a[k] = rule.Cut(strings.ToValidUTF8(s, "\ufffd"), maxAnnotation)
	}
	e.Annotations = a
}

// reason says why it fires: the end of one part is no reason of the others.
// Once all is over, the last verdict says why.
func (e *entry) reason(v operator.Verdict) string {
	device, reason := v.Device, v.Reason
	if p := e.worst(); p != nil {
		device, reason = p.Device, p.Reason
	}
	if device != e.Device && device != "" {
		return device + ": " + reason
	}
	return reason
}

// worst returns the worst part that fires, the cause before its equals, or nil.
func (e *entry) worst() *Part {
	var worst *Part
	for i := range e.Parts {
		if p := &e.Parts[i]; p.State == Firing && (worst == nil || rule.Worse(p.Severity, worst.Severity)) {
			worst = p
		}
	}
	return worst
}

func (e *entry) severityNow() string {
	if p := e.worst(); p != nil {
		return p.Severity
	}
	return ""
}

// partLines lists the parts besides the cause, bounded.
func (e *entry) partLines() string {
	var b strings.Builder
	for i := range e.Parts[1:] {
		p := &e.Parts[1+i]
		if i == maxPartLines {
			b.WriteString("… and " + strconv.Itoa(len(e.Parts)-1-maxPartLines) + " more\n")
			break
		}
		what := p.Device
		if what == "" {
			what = "server"
		}
		fmt.Fprintf(&b, "%s: %s (%s since %s)\n", what, p.Reason, p.State, p.Changed.UTC().Format(time.TimeOnly))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
