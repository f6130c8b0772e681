package api

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// deedDocs says what each deed is, for the document.
var deedDocs = map[store.DeedKind]string{
	store.Acknowledge:   "Acknowledge it: nobody is told of it again until it is over or gets worse",
	store.Unacknowledge: "Take the acknowledgement back",
	store.Comment:       "Comment on it",
	store.Assign:        "Assign it to somebody, or to nobody",
	store.SilenceIt:     "Silence it until a time, whatever becomes of it",
	store.Unsilence:     "End its silence",
}

func (s *server) deedRoutes() []route {
	var out []route
	for _, kind := range store.DeedKinds() {
		out = append(out, route{
			method: "POST", path: "/notifications/{id}/" + string(kind), name: "notification_" + string(kind), summary: deedDocs[kind], role: roleEditor,
			params: []param{{name: "id", kind: kindText, max: 64, path: true, doc: "notification id"}}, body: DeedRequest{}, result: Work{},
			handle: func(r *request) (any, error) {
				var q DeedRequest
				if err := r.decode(&q); err != nil {
					return nil, err
				}
				w, err := s.do(r, r.text("id"), kind, q.Revision, &q)
				if err != nil {
					return nil, err
				}
				return workOf(w), nil
			},
		})
	}
	return append(out, route{
		method: "POST", path: "/deeds", name: "deeds", summary: "Do the same with many notifications; each answers for itself", role: roleEditor,
		body: BulkRequest{}, result: BulkAnswer{}, handle: s.bulk,
	})
}

// DeedRequest is what somebody does with a notification. Which fields count
// depends on the deed.
type DeedRequest struct {
	Revision        int64      `json:"revision" doc:"work.revision that you saw; another one by now is refused with 409. -1 = whatever it is. A comment needs none"`
	Text            string     `json:"text" doc:"the comment, or the reason; at most 4096 bytes"`
	Assignee        string     `json:"assignee" doc:"assign: who; empty = nobody"`
	Until           *time.Time `json:"until" doc:"silence: its end, at most a year ahead"`
	DurationSeconds int        `json:"duration_seconds" doc:"silence: instead of until"`
}

// BulkRequest does one deed with many notifications.
type BulkRequest struct {
	Deed            string       `json:"deed" doc:"acknowledge, unacknowledge, comment, assign, silence or unsilence"`
	Notifications   []BulkTarget `json:"notifications" doc:"at most 500"`
	Text            string       `json:"text"`
	Assignee        string       `json:"assignee"`
	Until           *time.Time   `json:"until"`
	DurationSeconds int          `json:"duration_seconds"`
}

// BulkTarget names one notification.
type BulkTarget struct {
	ID       string `json:"id"`
	Revision int64  `json:"revision" doc:"as in a single deed"`
}

// BulkAnswer says how each went.
type BulkAnswer struct {
	Items  []BulkItem `json:"items"`
	Done   int        `json:"done"`
	Failed int        `json:"failed"`
}

// BulkItem is how one went.
type BulkItem struct {
	ID    string `json:"id"`
	OK    bool   `json:"ok"`
	Error string `json:"error"`
	Work  Work   `json:"work"`
}

// Work is what people made of a notification.
type Work struct {
	Revision int64      `json:"revision" doc:"say it with the next deed"`
	AckedBy  string     `json:"acked_by" doc:"empty = not acknowledged"`
	AckedAt  *time.Time `json:"acked_at"`
	Assignee string     `json:"assignee"`
	Comments int        `json:"comments"`
}

func workOf(w store.Work) Work {
	return Work{Revision: w.Revision, AckedBy: clip(w.AckedBy, maxName), AckedAt: at(w.Acked), Assignee: clip(w.Assignee, maxName), Comments: w.Comments}
}

const (
	maxBulk    = 500
	maxSilence = 366 * 24 * time.Hour
)

// desk is where deeds are kept, or why there is none.
func (s *server) desk() (store.DeskStore, error) {
	if s.cfg.Desk == nil {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "this ruler only shows", hint: "ask the one that keeps the store"}
	}
	return s.cfg.Desk, nil
}

func (s *server) bulk(r *request) (any, error) {
	var q BulkRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	kind := store.DeedKind(q.Deed)
	if !slices.Contains(store.DeedKinds(), kind) {
		return nil, badRequest("acknowledge, unacknowledge, comment, assign, silence or unsilence", "deed: %.80q does not fit", q.Deed)
	}
	if len(q.Notifications) == 0 || len(q.Notifications) > maxBulk {
		return nil, badRequest("1 to 500", "notifications: %d do not fit", len(q.Notifications))
	}
	deed := DeedRequest{Text: q.Text, Assignee: q.Assignee, Until: q.Until, DurationSeconds: q.DurationSeconds}
	out := BulkAnswer{Items: []BulkItem{}}
	var cause error
	for _, n := range q.Notifications {
		w, err := s.do(r, n.ID, kind, n.Revision, &deed)
		item := BulkItem{ID: clip(n.ID, maxName), OK: err == nil, Work: workOf(w)}
		var p *problem
		switch {
		case err == nil:
			out.Done++
		case errors.Is(err, store.ErrNotFound):
			item.Error = "no such notification"
		case errors.As(err, &p) && p.status == http.StatusConflict:
			item.Error = p.msg
		case errors.As(err, &p):
			return nil, err // wrong for all of them, so for the first one too
		default:
			if cause == nil { // the others fail for the same reason
				s.log.Error("deed failed", "deed", kind, "notification", item.ID, "err", err)
			}
			cause = err
			item.Error = "the ruler could not answer; its log says why"
		}
		if err != nil {
			out.Failed++
		}
		out.Items = append(out.Items, item)
	}
	return out, nil
}

// do carries out one deed.
func (s *server) do(r *request, id string, kind store.DeedKind, revision int64, q *DeedRequest) (store.Work, error) {
	desk, err := s.desk()
	if err != nil {
		return store.Work{}, err
	}
	d := store.Deed{Notification: id, Kind: kind, Revision: revision, Text: strings.TrimSpace(q.Text), Assignee: strings.TrimSpace(q.Assignee), At: s.now().UTC(), Actor: r.who.name, Via: r.who.via}
	if err := s.checkDeed(&d, q); err != nil {
		return store.Work{}, err
	}
	if kind == store.Acknowledge || kind == store.SilenceIt {
		n, err := s.reader.Notification(r.ctx, id)
		if err != nil {
			return store.Work{}, err
		}
		d.Silence = s.silenceOf(&d, &n.Notification, q)
	}
	w, err := desk.Do(r.ctx, d)
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return w, &problem{status: http.StatusConflict, msg: conflict.Detail, hint: "look at it again, and say the revision that you see then"}
	}
	if err != nil {
		return w, err
	}
	s.silencesChanged()
	return w, nil
}

func (s *server) checkDeed(d *store.Deed, q *DeedRequest) error {
	switch {
	case len(d.Text) > maxText:
		return badRequest("at most 4096 bytes", "text: %d bytes do not fit", len(d.Text))
	case d.Kind == store.Comment && d.Text == "":
		return badRequest("say something", "text: nothing does not fit")
	case d.Kind == store.Assign && (len(d.Assignee) > maxUser || inline(d.Assignee) != d.Assignee):
		return badRequest("at most 128 bytes of plain text", "assignee: %.80q does not fit", d.Assignee)
	case d.Kind != store.Assign && d.Assignee != "":
		return badRequest("leave it out, or use assign", "assignee: means nothing to %s", d.Kind)
	case d.Kind != store.SilenceIt && (q.Until != nil || q.DurationSeconds != 0):
		return badRequest("leave it out, or use silence", "until: means nothing to %s", d.Kind)
	case d.Kind == store.SilenceIt:
		_, err := s.end(s.now(), q.Until, q.DurationSeconds)
		return err
	}
	return nil
}

// end reads when something ends that starts at a time.
func (s *server) end(starts time.Time, until *time.Time, seconds int) (time.Time, error) {
	var ends time.Time
	switch {
	case until != nil && seconds != 0:
		return ends, badRequest("give one of them", "until and duration_seconds do not go together")
	case until != nil:
		ends = until.UTC()
	case seconds > 0 && seconds <= int(maxSilence/time.Second):
		ends = starts.Add(time.Duration(seconds) * time.Second).UTC()
	}
	if !storable(ends) || !ends.After(starts) || !ends.After(s.now()) || ends.Sub(starts) > maxSilence {
		return ends, badRequest("a time that is still to come, at most a year after the start, or duration_seconds from 1", "the end does not fit")
	}
	return ends, nil
}

// silenceOf is the silence that a deed makes. An acknowledgement matches the
// label sets that are there, so that one that is added when the problem gets
// worse is told. Where nobody says why, it says who and what.
func (s *server) silenceOf(d *store.Deed, n *store.Notification, q *DeedRequest) *store.Silence {
	did := "acknowledged"
	if d.Kind == store.SilenceIt {
		did = "silenced"
	}
	out := s.newSilence(d.At, d.Actor, d.Via, cmp.Or(d.Text, fmt.Sprintf("%s by %s: %s", did, d.Actor, cmp.Or(n.Title, n.Class))))
	out.Notification = n.ID
	out.Matchers = []store.Matcher{{Name: notify.LabelNotification, Value: n.ID}}
	if d.Kind == store.SilenceIt {
		out.Kind = store.SilenceOne
		out.Ends, _ = s.end(d.At, q.Until, q.DurationSeconds) // checked before
		return out
	}
	out.Kind = store.SilenceAck
	escalations := escalationsOf(n)
	out.Sets = 1 + len(escalations)
	for _, label := range []string{notify.LabelSeverity, notify.LabelRule} {
		values := []string{regexp.QuoteMeta(n.Labels[label])}
		for _, e := range escalations {
			values = append(values, regexp.QuoteMeta(e.Labels[label]))
		}
		slices.Sort(values)
		if values = slices.Compact(values); values[0] != "" {
			out.Matchers = append(out.Matchers, store.Matcher{Name: label, Value: strings.Join(values, "|"), Regex: true})
		}
	}
	return out
}

func (s *server) newSilence(now time.Time, actor, via, reason string) *store.Silence {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return &store.Silence{ID: hex.EncodeToString(id), Starts: now, Created: now, Actor: actor, Via: via, Reason: reason}
}

func (s *server) silencesChanged() {
	if s.cfg.SilencesChanged != nil {
		s.cfg.SilencesChanged()
	}
}
