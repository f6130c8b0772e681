package alertmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/alerts"
	"nocturne/deploy/nocturne/alertmanager"
	"nocturne/internal/freeport"
	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// inbox takes the messages of every receiver of alerts/alertmanager.yml.
type inbox struct {
	mu       sync.Mutex
	messages []inboxMessage
	news     chan struct{}
}

type inboxMessage struct {
	at       time.Time
	receiver string
	Status   string `json:"status"`
	Alerts   []struct {
		Status string            `json:"status"`
		Labels map[string]string `json:"labels"`
	} `json:"alerts"`
}

func (b *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	m := inboxMessage{at: time.Now(), receiver: strings.TrimPrefix(r.URL.Path, "/")}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		panic(err)
	}
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	b.news <- struct{}{}
}

// of lists the messages about a server: "demo firing critical+warning".
func (b *inbox) of(server string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, m := range b.messages {
		if m.Alerts[0].Labels["server"] == server {
			out = append(out, m.receiver+" "+m.Status)
		}
	}
	return out
}

// wait waits until a server has that many messages.
func (b *inbox) wait(t *testing.T, server string, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for len(b.of(server)) < n {
		select {
		case <-b.news:
		case <-limit:
			t.Fatalf("%s: %q after a minute, want %d messages", server, b.of(server), n)
		}
	}
}

// source keeps the rows as the ruler's store does.
type source struct {
	mu   sync.Mutex
	rows map[string]notify.Desired
}

func (s *source) Desired(context.Context, time.Time) ([]notify.Desired, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []notify.Desired
	for _, d := range s.rows {
		out = append(out, d)
	}
	return out, nil
}

func (s *source) Delivered(_ context.Context, results []notify.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range results {
		d := s.rows[r.Notification]
		d.Accepted = append(d.Accepted, r)
		s.rows[r.Notification] = d
	}
	return nil
}

// night is a table, a sender and a real Alertmanager with our configuration.
type night struct {
	t      *testing.T
	table  *notify.Table
	rules  map[string]*rule.Rule
	src    *source
	sender *notify.Sender
	inbox  *inbox
	quiet  *quiet // nil = nobody silences anything
	entry  uint64
	dir    string
	addr   string
}

func newNight(t *testing.T) *night {
	all, err := rule.ParseFS(alerts.Files(), "records")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := freeport.Find(1) // for one after the other
	if err != nil {
		t.Fatal(err)
	}
	n := &night{t: t, table: notify.NewTable(all), rules: map[string]*rule.Rule{}, src: &source{rows: map[string]notify.Desired{}}, inbox: &inbox{news: make(chan struct{}, 1000)}, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	for _, r := range all {
		n.rules[r.ID] = r
	}
	hook := httptest.NewServer(n.inbox)
	t.Cleanup(hook.Close)
	n.config(hook.URL)
	return n
}

// config writes alerts/alertmanager.yml with every receiver's own address and
// shorter times.
func (n *night) config(url string) {
	text, err := alerts.Files().ReadFile("alertmanager.yml")
	if err != nil {
		n.t.Fatal(err)
	}
	receiver, out := "", ""
	name := regexp.MustCompile(`^  - name: (\w+)`)
	for line := range strings.Lines(string(text)) {
		if m := name.FindStringSubmatch(line); m != nil {
			receiver = m[1]
		}
		line = strings.Replace(line, "http://127.0.0.1:9481/webhook", url+"/"+receiver, 1)
		line = strings.Replace(line, "group_interval: 5s", "group_interval: 500ms", 1)
		out += line
	}
	if err := os.WriteFile(filepath.Join(n.dir, "alertmanager.yml"), []byte(out), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// alertmanager starts one; stop waits until it has ended.
func (n *night) alertmanager() (stop func()) {
	am, err := alertmanager.New(alertmanager.Options{ConfigFile: filepath.Join(n.dir, "alertmanager.yml"), DataDir: filepath.Join(n.dir, "data"), Listen: n.addr})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- am.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
		if err := am.Close(); err != nil {
			n.t.Error(err)
		}
	}
}

func (n *night) run() (stop func()) {
	o := notify.Options{Config: notify.Config{Targets: []string{"http://" + n.addr}}, Source: n.src}
	if n.quiet != nil {
		o.Silences = n.quiet
	}
	s, err := notify.NewSender(o)
	if err != nil {
		n.t.Fatal(err)
	}
	n.sender = s
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	}
}

// say gives a verdict and hands over what it changed.
func (n *night) say(kind operator.VerdictKind, server string, simulated bool, id, device string) {
	n.entry++
	r := n.rules[id]
	facts := operator.ServerFacts{ID: record.ID{byte(len(server)), server[len(server)-1]}, Name: server, Simulated: simulated}
	tr := n.table.Apply(operator.Verdict{RuleID: id, Server: facts.ID, Device: device, Class: r.Class, Kind: kind, Severity: r.Severity, Reason: fmt.Sprint(id, " ", kind), Group: "c0"},
		facts, notify.At{Time: time.Now(), Incarnation: "i", Entry: n.entry})
	if !tr.Deliver {
		return
	}
	n.src.mu.Lock()
	d := n.src.rows[tr.Notification.ID]
	d.Notification = tr.Notification
	n.src.rows[d.ID] = d
	n.src.mu.Unlock()
	n.sender.Changed(tr.Notification)
}

// The ruler's sender and a real Alertmanager with alerts/alertmanager.yml: what
// people get.
func TestRulerToPeople(t *testing.T) {
	n := newNight(t)
	stopManager := n.alertmanager()
	stopSender := n.run()
	const pd, vd = "physical_drive c0/e252/s4", "virtual_drive c0/v0"

	began := time.Now()
	n.say(operator.Firing, "real7", false, "raid-drive-failed", pd)
	n.say(operator.Firing, "real7", false, "raid-virtual-drive-degraded", vd)
	n.say(operator.Firing, "sim7", true, "raid-drive-predicted", pd)
	n.say(operator.Firing, "real8", false, "disk-bad-block", "disk 1")
	n.say(operator.Resolved, "real8", false, "disk-bad-block", "disk 1") // over before anybody was told
	n.inbox.wait(t, "real7", 1)
	n.inbox.wait(t, "sim7", 1)
	n.inbox.wait(t, "real8", 1)
	t.Logf("first messages after %s", time.Since(began).Round(time.Millisecond))
	n.say(operator.Firing, "sim7", true, "raid-drive-failed", pd) // it got worse
	n.say(operator.Firing, "sim7", true, "raid-virtual-drive-degraded", vd)
	n.inbox.wait(t, "sim7", 2)
	n.inbox.wait(t, "real8", 2) // its end had to wait for its beginning

	for _, s := range []struct {
		name      string
		simulated bool
	}{{"real7", false}, {"sim7", true}} {
		n.say(operator.Resolved, s.name, s.simulated, "raid-drive-failed", pd)
		n.say(operator.Resolved, s.name, s.simulated, "raid-drive-predicted", pd)
		n.say(operator.Resolved, s.name, s.simulated, "raid-virtual-drive-degraded", vd)
	}
	n.inbox.wait(t, "real7", 2)
	n.inbox.wait(t, "sim7", 3)

	// A new Alertmanager process knows nothing but its log: it repeats nothing.
	n.say(operator.Firing, "real9", false, "server-silent", "")
	n.inbox.wait(t, "real9", 1)
	stopManager()
	n.say(operator.Resolved, "real9", false, "server-silent", "") // while it is away
	stopManager = n.alertmanager()
	n.say(operator.Firing, "sim9", true, "server-silent", "")
	n.inbox.wait(t, "sim9", 1)
	n.say(operator.Resolved, "sim9", true, "server-silent", "")
	n.inbox.wait(t, "real9", 2)
	n.inbox.wait(t, "sim9", 2)
	stopSender()
	stopManager()

	for server, want := range map[string]string{
		"real7": "critical firing, critical resolved",
		"real8": "warning firing, warning resolved",
		"sim7":  "demo firing, demo firing, demo resolved",
		"real9": "critical firing, critical resolved",
		"sim9":  "demo firing, demo resolved",
	} {
		if got := strings.Join(n.inbox.of(server), ", "); got != want {
			t.Errorf("%s: %s, want %s", server, got, want)
		}
	}
}
