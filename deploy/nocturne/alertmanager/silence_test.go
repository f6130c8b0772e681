package alertmanager_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
)

// quiet is what people asked not to hear of.
type quiet struct {
	mu   sync.Mutex
	list []notify.Silence
	took chan notify.SilenceResult
}

func (q *quiet) Silences(context.Context) ([]notify.Silence, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.list), nil
}

func (q *quiet) Silenced(_ context.Context, results []notify.SilenceResult) error {
	for _, r := range results {
		q.took <- r
	}
	return nil
}

// set changes the list and waits until the Alertmanager has what is new in it.
func (n *night) silence(add *notify.Silence, lift string) {
	n.t.Helper()
	n.quiet.mu.Lock()
	n.quiet.list = slices.DeleteFunc(n.quiet.list, func(s notify.Silence) bool { return s.ID == lift })
	if add != nil {
		n.quiet.list = append(n.quiet.list, *add)
	}
	n.quiet.mu.Unlock()
	n.sender.SilencesChanged()
	if add != nil {
		if r := <-n.quiet.took; r.Silence != add.ID || r.Error != "" {
			n.t.Fatalf("silence %s: %+v", add.ID, r)
		}
	}
}

// held lists what the Alertmanager silences now, by comment.
func (n *night) held() []string {
	resp, err := http.Get("http://" + n.addr + "/api/v2/silences")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []struct {
		Comment string
		Status  struct{ State string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		n.t.Fatal(err)
	}
	var out []string
	for _, s := range list {
		if s.Status.State != "expired" {
			out = append(out, s.Comment)
		}
	}
	slices.Sort(out)
	return out
}

// open is the id of a server's notification.
func (n *night) open(server string) string {
	n.src.mu.Lock()
	defer n.src.mu.Unlock()
	for id, d := range n.src.rows {
		if d.Name == server {
			return id
		}
	}
	n.t.Fatalf("nothing is open for %s", server)
	return ""
}

func equal(name, value string) notify.Matcher {
	return notify.Matcher{Name: name, Value: value, IsEqual: true}
}

// Acknowledged problems and planned work, at a real Alertmanager: what people
// get, and what they do not.
func TestSilencesToPeople(t *testing.T) {
	n := newNight(t)
	n.quiet = &quiet{took: make(chan notify.SilenceResult, 10)}
	stopManager := n.alertmanager()
	stopSender := n.run()
	const pd = "physical_drive c0/e252/s4"
	ack := func(id, server, severity, rule string) *notify.Silence {
		of := n.open(server)
		return &notify.Silence{ID: id, Ended: of, Starts: time.Now(), By: "alice", Comment: "on it", Matchers: []notify.Matcher{
			equal("notification_id", of), {Name: "severity", Value: severity, IsRegex: true, IsEqual: true}, {Name: "rule_id", Value: rule, IsRegex: true, IsEqual: true}}}
	}

	// Planned work: nobody hears of it; what is still open afterwards is told.
	n.silence(&notify.Silence{ID: "work", Starts: time.Now(), Ends: time.Now().Add(time.Hour), By: "bob", Comment: "new board", Matchers: []notify.Matcher{equal("server", "work1")}}, "")
	n.say(operator.Firing, "work1", false, "disk-bad-block", "disk 1")
	n.say(operator.Firing, "other2", false, "disk-bad-block", "disk 1")
	n.inbox.wait(t, "other2", 1)
	if got := n.inbox.of("work1"); len(got) != 0 {
		t.Errorf("told during planned work: %q", got)
	}
	n.silence(nil, "work")
	n.inbox.wait(t, "work1", 1)

	// Acknowledged: the end is told, and that it got worse.
	n.say(operator.Firing, "acked3", false, "disk-bad-block", "disk 1")
	n.say(operator.Firing, "worse4", false, "raid-drive-predicted", pd)
	n.inbox.wait(t, "acked3", 1)
	n.inbox.wait(t, "worse4", 1)
	n.silence(ack("a1", "acked3", "warning", "disk-bad-block"), "")
	n.silence(ack("a2", "worse4", "warning", "raid-drive-predicted"), "")
	if got, want := n.held(), []string{"on it [nocturne a1]", "on it [nocturne a2]"}; !slices.Equal(got, want) {
		t.Errorf("held %q, want %q", got, want)
	}
	n.say(operator.Firing, "worse4", false, "raid-drive-failed", pd)
	n.inbox.wait(t, "worse4", 2)

	// An Alertmanager that lost its silences gets them again.
	stopManager()
	if err := os.Remove(filepath.Join(n.dir, "data", "silences")); err != nil {
		t.Fatal(err)
	}
	stopManager = n.alertmanager()
	for deadline := time.Now().Add(time.Minute); len(n.held()) < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("held after it was lost: %q", n.held())
		}
		<-time.After(50 * time.Millisecond)
	}

	n.quiet.mu.Lock()
	n.quiet.list = nil // the store: both are over
	n.quiet.mu.Unlock()
	n.say(operator.Resolved, "acked3", false, "disk-bad-block", "disk 1")
	n.inbox.wait(t, "acked3", 2)
	stopSender()
	stopManager()
	for server, want := range map[string]string{"acked3": "warning firing, warning resolved", "worse4": "warning firing, critical firing", "work1": "warning firing"} {
		if got := strings.Join(n.inbox.of(server), ", "); got != want {
			t.Errorf("%s: %s, want %s", server, got, want)
		}
	}
}
