//go:build linux

package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/deploy/nocturne/simulate"
	"nocturne/deploy/nocturne/stack"
	"nocturne/ruler/api"
)

// TestChaos kills every part with -9 at random while 200 simulated servers send
// and scripted incidents happen, and counts afterwards: nothing missing in the
// ledger, one firing and one resolved message per incident, nobody called
// silent who was not, every record in the log store. A minute in CI; `make
// chaos` takes ten.
//
// The servers are simulated; everything else is real.
func TestChaos(t *testing.T) {
	c := chaosConfig{servers: 200, kill: 50 * time.Second, pause: 0, pace: 0.5, drives: 5, silences: 4, seed: 7}
	if d := os.Getenv("NOCTURNE_CHAOS"); d != "" {
		var err error
		if c.kill, err = time.ParseDuration(d); err != nil {
			t.Fatalf("NOCTURNE_CHAOS: %v", err)
		}
		c.pause, c.pace, c.drives, c.silences, c.seed = 90*time.Second, 1, 25, 20, uint64(time.Now().UnixNano())
		c.silence = 4 * time.Minute
	}
	t.Logf("seed %d", c.seed)
	c.run(t)
}

type chaosConfig struct {
	servers          int
	kill             time.Duration // how long parts are killed
	pause            time.Duration // once, how long the ruler stands still while servers send
	pace             float64       // of the drive incidents; 1 = two minutes
	drives, silences int
	// silence is how long a silent server is: 0 = 75 s. The ruler's clock stands
	// still while the bridge is away and some time after, so that where it is
	// killed for ten minutes on a busy machine a short silence is rightly none.
	silence time.Duration
	seed    uint64
}

// plan spreads the incidents over the time of the killing, one per server.
func (c chaosConfig) plan(r *rand.Rand) []simulate.Planned {
	fleet := simulate.Fleet(c.seed, c.servers)
	r.Shuffle(len(fleet), func(i, j int) { fleet[i], fleet[j] = fleet[j], fleet[i] })
	var plan []simulate.Planned
	for i := range c.drives + c.silences {
		p := simulate.Planned{Kind: simulate.KindDrive, Server: fleet[i].Name, After: 20*time.Second + time.Duration(r.Int64N(int64(c.kill-10*time.Second)))}
		if i >= c.drives {
			p.Kind = simulate.KindSilence
		}
		plan = append(plan, p)
	}
	return plan
}

func (c chaosConfig) run(t *testing.T) {
	r := rand.New(rand.NewPCG(c.seed, 1))
	// The demo's periods: heartbeats every 10 s, silent after 30 s.
	n := newNocturne(t, "demo", "--servers", "1")
	n.start()

	plan := c.plan(r)
	sim, err := simulate.New(simulate.Config{
		Bridge: stack.URL(n.ports.Ingest), JoinToken: simulate.AdminTokens(n.bridge()), Dir: filepath.Join(t.TempDir(), "sim"),
		Servers: c.servers, Seed: c.seed, Metrics: -1, Control: "none", Plan: plan, Log: slog.New(slog.DiscardHandler),
		Settings: simulate.Settings{Heartbeat: 10 * time.Second, RAID: 15 * time.Second, Events: 6, Pace: c.pace, Silence: c.silence},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(ctx) }()
	wait(t, 5*time.Minute, "every server to be enrolled", func() error {
		for _, s := range sim.Servers() {
			if s.ServerID == "" {
				return fmt.Errorf("%s is %s: %s", s.Name, s.State, s.Error)
			}
		}
		return nil
	})
	kills := c.killParts(t, n, r)
	t.Logf("killed with -9: %v", kills)

	wait(t, 5*time.Minute, "the incidents to be over and everything sent", func() error {
		for _, s := range sim.Servers() {
			if s.Incident != nil || s.Waiting > 0 {
				return fmt.Errorf("%s: incident %v, %d frames waiting, %s", s.Name, s.Incident, s.Waiting, s.Error)
			}
		}
		return nil
	})
	checkMessages(t, n, sim, plan, kills["alertmanager"]+kills["nocturne"])
	stop()
	if err := <-ended; err != nil {
		t.Errorf("simulator: %v", err)
	}
	checkLedger(t, n, sim)
}

// killParts kills a random part every few seconds and returns how often which.
func (c chaosConfig) killParts(t *testing.T, n *nocturne, r *rand.Rand) map[string]int {
	t.Helper()
	kills := map[string]int{}
	parts := []string{"eventbridge", "ruler", "exporter", "victoria-metrics", "victoria-logs", "alertmanager", "nocturne"}
	end := time.Now().Add(c.kill)
	pauseAt := time.Now().Add(c.kill / 3)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for i := 0; time.Now().Before(end); i++ {
		timer.Reset(2*time.Second + time.Duration(r.Int64N(int64(4*time.Second))))
		<-timer.C
		part := parts[r.IntN(len(parts))]
		if i < len(parts) {
			part = parts[i] // each at least once
		}
		if part == "nocturne" {
			n.kill()
			kills[part]++
			n.start()
			continue
		}
		pid := n.pid(part)
		if pid == 0 {
			continue // on its way up
		}
		if part == "ruler" && c.pause > 0 && time.Now().After(pauseAt) {
			// Down for longer than three deadlines of silence, while servers send.
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			timer.Reset(c.pause)
			<-timer.C
			c.pause = 0
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			kills[part]++
		}
	}
	for _, part := range parts {
		if kills[part] == 0 {
			t.Errorf("%s was never killed", part)
		}
	}
	return kills
}

// pid returns the process of a part, 0 while it is down.
func (n *nocturne) pid(part string) int {
	state, err := stack.ReadState(n.data)
	if err != nil {
		return 0
	}
	for _, p := range state.Parts {
		if p.Name == part {
			return p.PID
		}
	}
	return 0
}

// told counts the messages about one notification.
type told struct{ firing, resolved, severities int }

// checkMessages waits until every incident was told and resolved, then counts
// the messages at the receiver. A kill of Alertmanager may repeat one: those
// are counted apart.
func checkMessages(t *testing.T, n *nocturne, sim *simulate.Sim, plan []simulate.Planned, alertmanagerKills int) {
	t.Helper()
	class := map[string]string{} // server → class of its incident
	for _, p := range plan {
		class[p.Server] = map[string]string{simulate.KindDrive: "drive", simulate.KindSilence: "silence"}[p.Kind]
	}
	var found []api.Notification
	messages := map[string]*told{}
	wait(t, 4*time.Minute, "a firing and a resolved message of every incident", func() error {
		var list api.NotificationList
		if err := n.api("notifications?limit=1000", &list); err != nil {
			return err
		}
		found = list.Items
		got, err := n.messages()
		if err != nil {
			return err
		}
		clear(messages)
		for _, m := range got {
			id := m.GroupLabels["notification_id"]
			if messages[id] == nil {
				messages[id] = &told{}
			}
			severities := map[string]bool{}
			for _, a := range m.Alerts {
				severities[a.Labels["severity"]] = true
			}
			messages[id].severities = max(messages[id].severities, len(severities))
			if m.Status == "firing" {
				messages[id].firing++
			} else {
				messages[id].resolved++
			}
		}
		done := map[string]bool{}
		for _, f := range found {
			if m := messages[f.ID]; m != nil && m.firing > 0 && m.resolved > 0 && class[f.Server] == f.Class {
				done[f.Server] = true
			}
		}
		for server, want := range class {
			if !done[server] {
				return fmt.Errorf("%d of %d incidents told and resolved; not %s (%s): %s", len(done), len(class), server, want, describe(found, messages, server))
			}
		}
		return nil
	})
	perServer, repeated := map[string]int{}, 0
	ours := map[string]bool{}
	for _, s := range sim.Servers() {
		ours[s.ServerID] = true
	}
	for _, f := range found {
		if !ours[f.ServerID] {
			continue // the demo's own servers have incidents of their own
		}
		switch {
		case class[f.Server] == f.Class:
			perServer[f.Server]++
		case f.Class == "silence":
			t.Errorf("%s was called silent, and was not: %s", f.Server, f.Reason)
		default:
			t.Errorf("%s has a notification that nothing led to: %s %s: %s", f.Server, f.Class, f.Device, f.Title)
		}
		m := messages[f.ID]
		if m == nil {
			continue
		}
		// An escalation is a second alert by definition; nothing else is.
		repeated += max(0, m.firing-max(1, m.severities)) + max(0, m.resolved-1)
	}
	for server, count := range perServer {
		if count != 1 {
			t.Errorf("%s: one incident became %d notifications: %s", server, count, describe(found, messages, server))
		}
	}
	t.Logf("%d incidents, each told and resolved; %d messages repeated after %d kills of Alertmanager", len(class), repeated, alertmanagerKills)
	if repeated > alertmanagerKills {
		t.Errorf("%d messages were repeated, Alertmanager was killed %d times", repeated, alertmanagerKills)
	}
}

func describe(found []api.Notification, messages map[string]*told, server string) string {
	var b strings.Builder
	for _, f := range found {
		if f.Server == server {
			fmt.Fprintf(&b, "%s %s %s %s %+v; ", f.ID, f.Class, f.Device, f.State, messages[f.ID])
		}
	}
	return b.String()
}

// checkLedger waits until the pipeline is empty and counts: nothing missing,
// and every record of the simulated servers in the log store.
func checkLedger(t *testing.T, n *nocturne, sim *simulate.Sim) {
	t.Helper()
	var p api.Pipeline
	wait(t, 3*time.Minute, "the pipeline to be empty", func() error {
		if err := n.api("pipeline", &p); err != nil {
			return err
		}
		if p.LagEntries == nil || *p.LagEntries > 64 { // ticks keep coming
			return fmt.Errorf("the ruler is behind: %v", p.Problems)
		}
		for _, s := range p.Sinks {
			if !s.OK || s.LagEntries > 64 {
				return fmt.Errorf("sink %s is %d entries behind: %s", s.Name, s.LagEntries, s.Error)
			}
		}
		return nil
	})
	t.Logf("ledger: %+v", p.Ledger)
	if p.Ledger.Missing != 0 || p.Ledger.Declared != 0 || p.Ledger.Rejected != 0 {
		t.Errorf("ledger: %d missing, %d declared lost, %d rejected; want none", p.Ledger.Missing, p.Ledger.Declared, p.Ledger.Rejected)
	}
	if p.Losses.VolumeLost != 0 || p.Losses.LogTruncated != 0 {
		t.Errorf("losses: %+v", p.Losses)
	}
	ids := make([]string, 0, 200)
	for _, s := range sim.Servers() {
		ids = append(ids, s.ServerID)
	}
	query := fmt.Sprintf("server_id:in(%s) | stats count() rows, count_uniq(record_id) unique", strings.Join(ids, ","))
	var received uint64
	wait(t, 3*time.Minute, "every record in the log store", func() error {
		received = 0
		for _, id := range ids {
			var l api.ServerLedger
			if err := n.api("servers/"+id+"/ledger", &l); err != nil {
				return err
			}
			for _, q := range l.Sequences {
				received += q.Received
			}
		}
		rows, err := n.events(query)
		if err != nil {
			return err
		}
		if len(rows) != 1 {
			return errors.New("no answer")
		}
		if rows[0]["unique"] != fmt.Sprint(received) || rows[0]["rows"] != rows[0]["unique"] {
			return fmt.Errorf("%s rows, %s unique records; the ledger received %d", rows[0]["rows"], rows[0]["unique"], received)
		}
		return nil
	})
	totals := sim.Totals()
	t.Logf("%d records of %d servers: sent %d, stored %d, in the ledger %d, as many rows in the log store", received, len(ids), totals.Sent, totals.Acked, received)
}
