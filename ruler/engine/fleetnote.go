package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"nocturne/ruler/notify"
	"nocturne/ruler/probe"
)

func (f *fleet) describe(g group, d *fold, at time.Time) {
	n := &d.Notification
	n.Annotations = map[string]string{
		notify.AnnotationSummary:     n.Title,
		notify.AnnotationRunbook:     "server#group-silent",
		notify.AnnotationDescription: fmt.Sprintf("%d of %d servers of %s sent no heartbeat past their deadline; the others are overdue too, or follow. Look at power and network first.", d.silent, d.Size, g),
	}
	change(n, "servers fell silent together", at)
}

// change notes a new version with its one part.
func change(n *notify.Notification, reason string, at time.Time) {
	n.Version++
	n.Changed, n.Reason = at, reason
	n.Annotations[notify.AnnotationReason] = reason
	since := n.Opened
	n.Parts = []notify.Part{{RuleID: n.RuleID, Rule: n.Labels[notify.LabelAlertname], Device: n.Device, State: n.State, Severity: n.Severity, Reason: reason, Since: since, Changed: at, Count: 1}}
}

func fleetLabels(name string, g group, n notify.Notification) map[string]string {
	l := map[string]string{notify.LabelAlertname: name, notify.LabelRule: n.RuleID, notify.LabelDevice: n.Device, notify.LabelSeverity: n.Severity, notify.LabelNotification: n.ID}
	if g.site != "" {
		l[notify.LabelSite] = g.site
	}
	if n.Simulated {
		l[notify.LabelSimulated] = "true"
	}
	return l
}

func fleetID(class, subject string, seq uint64) string {
	h := sha256.New()
	h.Write([]byte(class + "\x00" + subject + "\x00"))
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], seq)
	h.Write(b[:])
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// groupAnswer sums up what machines of a group answered.
func groupAnswer(answers []string) string {
	count := map[probe.State]int{}
	for _, a := range answers {
		count[probe.State(a)]++
	}
	asked := count[probe.Answers] + count[probe.Unreachable]
	switch {
	case asked == 0:
		return "none of its machines could be asked whether it answers"
	case count[probe.Answers] == 0:
		return fmt.Sprintf("unreachable: none of %d machines that were asked answers", asked)
	case count[probe.Unreachable] == 0:
		return fmt.Sprintf("%d machines that were asked answer, their agents do not: look at the way to the eventbridge", asked)
	default:
		return fmt.Sprintf("%d of %d machines that were asked answer", count[probe.Answers], asked)
	}
}

const (
	classBridge = "bridge"
	ruleBridge  = "bridge-silence"
)

// bridges opens one notification while servers cannot be judged, and closes it
// when they can: "" = they can.
func (f *fleet) bridges(problem string, at time.Time, o *outcome) {
	n := f.Alerts[classBridge]
	switch {
	case problem != "" && n == nil:
		f.Seq++
		n = &notify.Notification{ID: fleetID(classBridge, at.String(), f.Seq), Device: "eventbridge", Class: classBridge, State: notify.Firing, Severity: notify.Critical,
			RuleID: ruleBridge, Title: "Servers cannot be judged: " + problem, Opened: at}
		n.Labels = fleetLabels("BridgeSilent", group{}, *n)
		n.Annotations = map[string]string{notify.AnnotationSummary: n.Title, notify.AnnotationRunbook: "nocturne#bridge-silent",
			notify.AnnotationDescription: "No server is called silent while this lasts. Look at the eventbridge, its listener, its certificate and its network."}
		change(n, problem, at)
		f.Alerts[classBridge] = n
		o.note(*n)
	case problem == "" && n != nil:
		delete(f.Alerts, classBridge)
		n.State, n.Resolved = notify.Resolved, at
		change(n, "the eventbridge takes in records again", at)
		o.note(*n)
	}
}
