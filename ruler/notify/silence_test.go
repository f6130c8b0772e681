package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"

	"nocturne/ruler/notify"
)

// hush is a Silencer that notes results.
type hush struct {
	mu      sync.Mutex
	asked   int
	list    []notify.Silence
	results []string
}

func (h *hush) Silences(context.Context) ([]notify.Silence, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	return slices.Clone(h.list), nil
}

func (h *hush) Silenced(_ context.Context, rs []notify.SilenceResult) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range rs {
		h.results = append(h.results, strings.TrimSpace(r.Silence+" "+r.Error))
	}
	return nil
}

func (h *hush) set(list ...notify.Silence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = list
}

// silenced are the silences of the stand-in for Alertmanager.
type silenced struct {
	next int
	list map[string]models.PostableSilence
	log  []string
}

// silences answers their part of API v2; manager.mu is held.
func (m *manager) silences(w http.ResponseWriter, req *http.Request) {
	s := &m.quiet
	switch {
	case req.Method == http.MethodGet:
		out := models.GettableSilences{}
		for id, p := range s.list {
			state, updated := "active", strfmt.DateTime(time.Now())
			out = append(out, &models.GettableSilence{ID: &id, Silence: p.Silence, UpdatedAt: &updated, Status: &models.SilenceStatus{State: &state}})
		}
		_ = json.NewEncoder(w).Encode(out)
	case req.Method == http.MethodPost:
		var p models.PostableSilence
		if err := json.NewDecoder(req.Body).Decode(&p); err != nil {
			m.t.Error(err)
		}
		if err := p.Validate(strfmt.Default); err != nil {
			m.t.Errorf("against the schema: %v", err)
		}
		if p.ID == "" {
			s.next++
			p.ID = fmt.Sprintf("remote-%d", s.next)
			s.log = append(s.log, "made "+*p.Comment)
		} else {
			s.log = append(s.log, "prolonged "+*p.Comment)
		}
		s.list[p.ID] = p
		_ = json.NewEncoder(w).Encode(map[string]string{"silenceID": p.ID})
	case req.Method == http.MethodDelete:
		id := req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]
		p, ok := s.list[id]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.log = append(s.log, "lifted "+*p.Comment)
		delete(s.list, id)
	}
}

// did returns what was done since the last call.
func (m *manager) did() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.quiet.log
	m.quiet.log = nil
	return out
}

func wantDid(t *testing.T, r *rig, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.am.did(); !slices.Equal(got, want) {
		t.Errorf("did %q, want %q", got, want)
	}
}

func TestSilences(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		n := r.open("n1")
		ack := notify.Silence{ID: "a", Ended: n.ID, Starts: time.Now(), By: "alice", Comment: "on it", Matchers: []notify.Matcher{{Name: "notification_id", Value: "n1", IsEqual: true}}}
		work := notify.Silence{ID: "w", Starts: time.Now().Add(time.Hour), Ends: time.Now().Add(2 * time.Hour), By: "bob", Comment: "power",
			Matchers: []notify.Matcher{{Name: "site", Value: "b.*", IsRegex: true, IsEqual: true}, {Name: "severity", Value: "info"}}}
		r.hush.set(ack, work)
		r.sender.SilencesChanged()
		wantDid(t, r, "made on it [nocturne a]", "made power [nocturne w]")
		r.am.set(func() {
			for _, p := range r.am.quiet.list {
				if *p.Comment == "power [nocturne w]" && (!time.Time(*p.StartsAt).Equal(work.Starts) || !time.Time(*p.EndsAt).Equal(work.Ends) || *p.CreatedBy != "bob") {
					t.Errorf("%+v", p)
				}
				if *p.Comment == "on it [nocturne a]" && time.Until(time.Time(*p.EndsAt)) < 23*time.Hour {
					t.Errorf("an acknowledgement ends %s", *p.EndsAt)
				}
			}
		})
		time.Sleep(30 * time.Minute)
		wantDid(t, r) // it has them
		r.am.set(func() { r.am.quiet.list = map[string]models.PostableSilence{} })
		time.Sleep(time.Minute)
		wantDid(t, r, "made on it [nocturne a]", "made power [nocturne w]") // lost
		r.hush.set(ack)
		r.sender.SilencesChanged()
		wantDid(t, r, "lifted power [nocturne w]")
		time.Sleep(13 * time.Hour)
		wantDid(t, r, "prolonged on it [nocturne a]")

		// The end of the problem: first the silence goes, then the end is told.
		r.hush.set()
		before := r.am.requests()
		r.am.set(func() {
			r.am.onPost = func() {
				if len(r.am.quiet.list) > 0 {
					t.Error("the end was told while it was silenced")
				}
			}
		})
		r.close(n)
		if r.am.requests() == before {
			t.Error("the end was not told")
		}
		wantDid(t, r, "lifted on it [nocturne a]")
		if got, want := r.hush.results, []string{"a", "w"}; !slices.Equal(got, want) {
			t.Errorf("results %q, want %q", got, want)
		}
	})
}

// What is not ours is left alone, and two of the same are no harm: members of a
// cluster tell each other.
func TestSilencesOfOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		yes, no, name, value, by, theirs, ours := true, false, "site", "x", "somebody", "by hand", "twice [nocturne a]"
		starts, ends := strfmt.DateTime(time.Now()), strfmt.DateTime(time.Now().Add(20*time.Hour))
		matchers := models.Matchers{{Name: &name, Value: &value, IsRegex: &no, IsEqual: &yes}}
		r.am.set(func() {
			for id, comment := range map[string]*string{"r1": &theirs, "r2": &ours, "r3": &ours} {
				r.am.quiet.list[id] = models.PostableSilence{ID: id, Silence: models.Silence{Comment: comment, CreatedBy: &by, Matchers: matchers, StartsAt: &starts, EndsAt: &ends}}
			}
		})
		r.hush.set(notify.Silence{ID: "a", Ended: "n1", By: "alice", Comment: "twice", Matchers: []notify.Matcher{{Name: "site", Value: "x", IsEqual: true}}})
		r.sender.SilencesChanged()
		wantDid(t, r)
		r.hush.set()
		r.sender.SilencesChanged()
		wantDid(t, r, "lifted "+ours, "lifted "+ours)
		if len(r.am.quiet.list) != 1 {
			t.Errorf("left %v", r.am.quiet.list)
		}
	})
}

func TestSilencesWhenAlertmanagerIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.am.set(func() { r.am.down = errors.New("no route") })
		r.hush.set(notify.Silence{ID: "a", By: "alice", Comment: "c", Ends: time.Now().Add(time.Hour), Matchers: []notify.Matcher{{Name: "site", Value: "x", IsEqual: true}}})
		r.sender.SilencesChanged()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if len(r.hush.results) != 1 || !strings.Contains(r.hush.results[0], "no route") {
			t.Errorf("results %q, want one failure", r.hush.results)
		}
		r.am.set(func() { r.am.down = nil })
		time.Sleep(6 * time.Second)
		wantDid(t, r, "made c [nocturne a]")
		if len(r.hush.results) != 2 || r.hush.results[1] != "a" {
			t.Errorf("results %q", r.hush.results)
		}
		r.owner.Store(false)
		r.hush.set()
		r.sender.SilencesChanged()
		wantDid(t, r) // another ruler's business
	})
}

// Without an Alertmanager nobody else makes acknowledgements end.
func TestSilencesWithoutAlertmanager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hush{}
		s, err := notify.NewSender(notify.Options{Source: &memory{}, Silences: h})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(150 * time.Second)
		cancel()
		if err := <-done; err != nil || h.asked != 3 {
			t.Errorf("asked %d times, %v", h.asked, err)
		}
	})
}
