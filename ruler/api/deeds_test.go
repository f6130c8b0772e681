package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

const problemID = "a1b2c3d4e5f60718"

// post does something and reads the answer into T.
func post[T any](b *bench, target, body string, code int) T {
	b.t.Helper()
	var v T
	w := b.call("POST", Prefix+target, body, nil)
	if w.Code != code {
		b.t.Fatalf("POST %s %s answered %d, want %d: %s", target, body, w.Code, code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

func TestDeeds(t *testing.T) {
	changed := 0
	b, s := stored(t, func(c *Config) { c.SilencesChanged = func() { changed++ } })
	at := "/notifications/" + problemID
	w := post[Work](b, at+"/acknowledge", `{"revision":0,"text":"on it"}`, 200)
	if w.Revision != 1 || w.AckedBy != "local" || !w.AckedAt.Equal(now) || changed != 1 {
		t.Errorf("acknowledged: %+v, told %d times", w, changed)
	}
	if p := post[Problem](b, at+"/assign", `{"revision":0,"assignee":"bob"}`, 409); !strings.Contains(p.Error, "acknowledge by local") || p.Hint == "" {
		t.Errorf("an old revision: %+v", p)
	}
	post[Work](b, at+"/assign", `{"revision":1,"assignee":"bob"}`, 200)
	post[Work](b, at+"/comment", `{"text":"swapped <b>it</b>"}`, 200)
	post[Work](b, at+"/silence", `{"revision":2,"duration_seconds":3600,"text":"tomorrow"}`, 200)
	d := get[NotificationDetail](b, at)
	if n := d.Notification; n.Work.Assignee != "bob" || n.Work.Comments != 1 || n.Work.Revision != 3 || n.SilencedUntil == nil || n.SilenceReason != "tomorrow (local)" {
		t.Errorf("%+v", n)
	}
	var kinds []string
	for _, e := range d.Deeds {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []string{"acknowledge", "assign", "comment", "silence"}) || len(d.Silences) != 2 {
		t.Errorf("deeds %q, silences %+v", kinds, d.Silences)
	}
	standing, err := s.StandingSilences(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	matchers := map[string]string{}
	for _, v := range standing {
		for _, m := range v.Matchers {
			matchers[v.Kind] += fmt.Sprintf("%s %s %v; ", m.Name, m.Value, m.Regex)
		}
	}
	if matchers[store.SilenceOne] != "notification_id "+problemID+" false; " || !strings.HasPrefix(matchers[store.SilenceAck], "notification_id "+problemID+" false; severity ") {
		t.Errorf("matchers %q", matchers)
	}
	if got := get[NotificationList](b, "/notifications?acked=true&assignee=bob"); got.Total != 1 || got.Items[0].ID != problemID || got.Items[0].SilencedUntil == nil {
		t.Errorf("list %+v", got)
	}
	post[Work](b, at+"/unsilence", `{"revision":3}`, 200)
	post[Work](b, at+"/silence", `{"revision":4,"duration_seconds":60}`, 200)
	n := get[NotificationDetail](b, at).Notification
	if want := "silenced by local: " + n.Title; n.SilenceReason != want {
		t.Errorf("without a reason: %q, want %q", n.SilenceReason, want)
	}
	post[Work](b, at+"/unsilence", `{"revision":5}`, 200)
	post[Work](b, at+"/silence", `{"revision":6,"duration_seconds":60,"text":"localisation of the fault"}`, 200)
	if n := get[NotificationDetail](b, at).Notification; n.SilenceReason != "localisation of the fault (local)" {
		t.Errorf("with a reason: %q", n.SilenceReason)
	}
	post[Work](b, at+"/unsilence", `{"revision":7}`, 200)
	post[Work](b, at+"/unacknowledge", `{"revision":8}`, 200)
	if d := get[NotificationDetail](b, at).Notification; d.SilencedUntil != nil || d.Work.AckedBy != "" {
		t.Errorf("after it was taken back: %+v", d)
	}
	for ask, code := range map[string]int{
		at + `/comment {"text":" "}`: 400, at + `/comment {"text":"` + strings.Repeat("a", 4097) + `"}`: 400, at + `/assign {"revision":9,"assignee":"a\u0007"}`: 400,
		at + `/acknowledge {"revision":9,"assignee":"a"}`: 400, at + `/acknowledge {"revision":9,"duration_seconds":5}`: 400, at + `/silence {"revision":9}`: 400,
		at + `/silence {"revision":9,"duration_seconds":-1}`: 400, at + `/silence {"revision":9,"until":"2020-01-01T00:00:00Z"}`: 400, at + `/silence {"revision":9,"until":"2036-01-01T00:00:00Z"}`: 400,
		at + `/silence {"revision":9,"until":"2026-12-01T00:00:00Z","duration_seconds":60}`: 400, at + `/silence {"revision":9,"until":"2026-12-01T00:00:00Z"}`: 200,
		`/notifications/none/comment {"text":"x"}`: 404, `/notifications/none/acknowledge {}`: 404, at + `/delete {}`: 404, at + `/comment {"txt":"x"}`: 400,
	} {
		target, body, _ := strings.Cut(ask, " ")
		if w := b.call("POST", Prefix+target, body, nil); w.Code != code {
			t.Errorf("%.120s answered %d, want %d: %s", ask, w.Code, code, w.Body)
		}
	}
}

func TestBulk(t *testing.T) {
	b, _ := stored(t, nil)
	var targets []string
	for _, n := range get[NotificationList](b, "/notifications?state=firing&limit=3").Items {
		targets = append(targets, fmt.Sprintf(`{"id":%q,"revision":0}`, n.ID))
	}
	ask := `{"deed":"acknowledge","text":"storm","notifications":[` + strings.Join(targets, ",") + `,{"id":"none"}]}`
	got := post[BulkAnswer](b, "/deeds", ask, 200)
	if got.Done != len(targets) || got.Failed != 1 || got.Items[len(targets)].Error != "no such notification" {
		t.Errorf("%+v", got)
	}
	if again := post[BulkAnswer](b, "/deeds", ask, 200); again.Done != 0 || !strings.Contains(again.Items[0].Error, "meanwhile") {
		t.Errorf("again: %+v", again)
	}
	for _, bad := range []string{`{"deed":"close","notifications":[{"id":"x"}]}`, `{"deed":"comment","text":"x","notifications":[]}`, `{"deed":"silence","notifications":[{"id":"x"}]}`} {
		post[Problem](b, "/deeds", bad, 400)
	}
	if n := len(get[AuditList](b, "/audit?action=notification.acknowledge").Items); n != len(targets) {
		t.Errorf("%d lines in the audit log, want %d", n, len(targets))
	}
}

func TestSilenceOfPlannedWork(t *testing.T) {
	b, _ := stored(t, nil)
	some := get[NotificationList](b, "/notifications?state=firing&muted=false").Items[0]
	one := post[Silence](b, "/silences", `{"server_id":"`+some.ServerID+`","duration_seconds":600,"reason":"new board"}`, 200)
	if one.State != "active" || one.Kind != "maintenance" || !slices.Equal(one.Matchers, []Matcher{{notify.LabelServerID, "=", some.ServerID}}) {
		t.Errorf("%+v", one)
	}
	later := post[Silence](b, "/silences", `{"site":"north","matchers":[{"name":"severity","op":"!~","value":"crit.*"}],"starts_at":"2026-11-22T00:00:00Z","ends_at":"2026-11-22T04:00:00Z","reason":"power"}`, 200)
	if later.State != "pending" || len(later.Matchers) != 2 {
		t.Errorf("%+v", later)
	}
	if got := get[SilenceList](b, "/silences"); len(got.Items) != 2 {
		t.Errorf("%+v", got)
	}
	b.call("DELETE", Prefix+"/silences/"+one.ID, "", nil)
	if w := b.call("DELETE", Prefix+"/silences/"+one.ID, "", nil); w.Code != 409 {
		t.Errorf("lifted twice: %d", w.Code)
	}
	if got := get[SilenceList](b, "/silences?standing=false"); len(got.Items) != 2 || len(get[SilenceList](b, "/silences").Items) != 1 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{
		`{"site":"north","duration_seconds":60}`, `{"duration_seconds":60,"reason":"x"}`, `{"site":"north","reason":"x"}`, `{"server_id":"x","duration_seconds":60,"reason":"x"}`,
		`{"matchers":[{"name":"site","op":"=~","value":".*"}],"duration_seconds":60,"reason":"x"}`, `{"matchers":[{"name":"site","op":"!=","value":"a"}],"duration_seconds":60,"reason":"x"}`,
		`{"matchers":[{"name":"site","op":"=~","value":"("}],"duration_seconds":60,"reason":"x"}`, `{"matchers":[{"name":"a-b","op":"=","value":"x"}],"duration_seconds":60,"reason":"x"}`,
		`{"matchers":[{"name":"site","op":"==","value":"x"}],"duration_seconds":60,"reason":"x"}`, `{"site":"north","ends_at":"2026-11-20T00:00:00Z","reason":"x"}`,
		`{"site":"north","starts_at":"2026-11-22T04:00:00Z","ends_at":"2026-11-22T03:00:00Z","reason":"x"}`,
	} {
		post[Problem](b, "/silences", bad, 400)
	}
}
