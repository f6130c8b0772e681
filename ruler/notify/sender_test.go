package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/notify"
)

func TestChangesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		begin := time.Now()
		n := r.open("n1")
		got := r.am.of("n1", begin)
		if len(got) != 1 || !got[0].at.Equal(begin) || !got[0].firing() || got[0].ends.Sub(begin) != 24*time.Hour || !got[0].starts.Equal(begin) ||
			got[0].generator != "http://console/notifications/n1" || got[0].annotation["summary"] != "it is bad" {
			t.Fatalf("%+v", got)
		}
		time.Sleep(30 * time.Second)
		end := time.Now()
		r.close(n)
		got = r.am.of("n1", end)
		if len(got) != 1 || got[0].firing() || !got[0].ends.Equal(end) {
			t.Fatalf("%+v", got)
		}
		if len(r.src.all()) != 2 || r.src.all()[0].State != notify.Firing || r.src.all()[1].State != notify.Resolved || r.src.all()[1].Version != 2 ||
			r.src.all()[0].Target != "http://am.example:9093/prefix/" || r.src.all()[0].Attempts != 1 {
			t.Errorf("%+v", r.src.all())
		}
		if r.am.auth == "" {
			t.Error("no credentials")
		}
		if n := counter(t, r, "ruler_notify_handover_seconds", ""); n != 2 {
			t.Errorf("%v handovers", n)
		}
	})
}

func TestEveryMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		n := r.open("n1")
		begin := time.Now()
		time.Sleep(10*time.Minute + time.Second)
		got := r.am.of("n1", begin.Add(time.Second))
		if len(got) != 10 {
			t.Fatalf("told %d times in 10 minutes", len(got))
		}
		for _, a := range got {
			if !a.firing() || a.ends.Sub(a.at) != 24*time.Hour || !a.starts.Equal(n.Opened) {
				t.Errorf("%+v", a)
			}
		}
		if len(r.src.all()) != 1 {
			t.Errorf("%d results stored for one state", len(r.src.all()))
		}
		end := time.Now()
		r.close(n)
		time.Sleep(20 * time.Minute)
		last := r.am.of("n1", end)
		if len(last) < 15 || len(last) > 17 {
			t.Errorf("the end was told %d times", len(last))
		}
		for _, a := range last {
			if a.firing() {
				t.Errorf("told as firing after its end: %+v", a)
			}
		}
		time.Sleep(time.Hour)
		if n := len(r.am.of("n1", end.Add(17*time.Minute))); n != 0 {
			t.Errorf("told %d times long after its end", n)
		}
	})
}

// Alertmanager flushes a new group after group_wait: an end that comes sooner
// would undo the beginning before anybody was told.
func TestShortProblemIsToldWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		begin := time.Now()
		n := r.open("n1")
		time.Sleep(time.Second)
		r.close(n)
		time.Sleep(8 * time.Second)
		if got := r.am.of("n1", begin); len(got) != 1 || !got[0].firing() {
			t.Fatalf("within 9 s: %+v", got)
		}
		time.Sleep(2 * time.Second)
		got := r.am.of("n1", begin)
		if len(got) != 2 || got[1].firing() || got[1].at.Sub(begin) != 10*time.Second {
			t.Errorf("%+v", got)
		}
	})
}

// What began and ended while Alertmanager was away is told too, once.
func TestOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.am.set(func() { r.am.down = errors.New("connection refused") })
		begin := time.Now()
		n := r.open("n1")
		time.Sleep(5 * time.Minute)
		n = r.close(n)
		time.Sleep(30 * time.Minute)
		if v := r.sender.Troubles(); len(v) != 1 || v[0].Waiting != 1 || v[0].Target != "http://am.example:9093/prefix/" || !strings.Contains(v[0].Error, "connection refused") {
			t.Errorf("troubles while it is away: %+v", v)
		}
		r.am.set(func() { r.am.down = nil })
		back := time.Now()
		time.Sleep(30 * time.Second)
		if v := r.sender.Troubles(); len(v) != 0 {
			t.Errorf("troubles once it is back: %+v", v)
		}
		got := r.am.of("n1", begin)
		if len(got) < 2 || !got[0].firing() || got[0].at.Sub(back) > 5*time.Second || got[1].firing() || got[1].at.Sub(got[0].at) != 10*time.Second || !got[1].ends.Equal(n.Resolved) {
			t.Fatalf("%+v", got)
		}
		for _, a := range got[2:] {
			if a.firing() {
				t.Errorf("told as firing again: %+v", a)
			}
		}
		var failures int
		for _, d := range r.src.all() {
			if d.Error != "" {
				failures++
			}
		}
		if last := r.src.all()[len(r.src.all())-1]; failures != 2 || last.State != notify.Resolved || last.Error != "" {
			t.Errorf("%d failures stored; last %+v", failures, last)
		}
		if f := counter(t, r, "ruler_notify_requests_total", "failed"); f < 300 || f > 2*35*60/5 {
			t.Errorf("%v requests failed in 35 minutes: the back-off is wrong", f)
		}
	})
}

// counter reads a metric: a counter's value, a histogram's count.
func counter(t *testing.T, r *rig, name, result string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (result == "" || m.GetLabel()[0].GetValue() == result) {
				return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// An Alertmanager that swallows requests for hours, as one does whose machine is
// off, hears afterwards of what came and went meanwhile.
func TestSilentAlertmanager(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(time.Minute)
		r.am.set(func() { r.am.slow = time.Hour })
		short := r.open("short")
		time.Sleep(time.Minute)
		r.close(short)
		stays := r.open("stays")
		time.Sleep(5 * time.Hour)
		r.am.set(func() { r.am.slow = 0 })
		back := time.Now()
		time.Sleep(10 * time.Minute)
		if got := r.am.of(short.ID, back); len(got) < 2 || !got[0].firing() || got[len(got)-1].firing() {
			t.Errorf("of what came and went it was told %+v", got)
		}
		if got := r.am.of(stays.ID, back); len(got) == 0 || !got[0].firing() {
			t.Errorf("of what fires it was told %+v", got)
		}
	})
}

func TestRefusedOneDoesNotHinderOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.am.set(func() { r.am.refuse = "bad" })
		begin := time.Now()
		var rows []notify.Notification
		for _, id := range []string{"a", "bad", "c"} {
			rows = append(rows, r.src.put(notify.Notification{ID: id, State: notify.Firing, Opened: begin, Changed: begin, Version: 1, Labels: map[string]string{"alertname": "X", "notification_id": id}}))
		}
		r.sender.Changed(rows...)
		time.Sleep(time.Second)
		if len(r.am.of("a", begin)) == 0 || len(r.am.of("c", begin)) == 0 {
			t.Error("the others were not told")
		}
		i := slices.IndexFunc(r.src.all(), func(d notify.Delivery) bool { return d.Notification == "bad" })
		if i < 0 || !strings.Contains(r.src.all()[i].Error, "bad label") || strings.Contains(r.src.all()[i].Error, "secret") {
			t.Errorf("%+v", r.src.all())
		}
		posts := r.am.requests()
		time.Sleep(50 * time.Second)
		if more := r.am.requests() - posts; more != 0 {
			t.Errorf("%d requests more", more)
		}
	})
}

// Alerts live in Alertmanager's memory: a new process is told everything at
// once, and what the old one may have died with is told from the beginning.
func TestAlertmanagerRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		old, over := r.open("old"), r.open("over")
		time.Sleep(50 * time.Second)
		r.close(over)
		time.Sleep(50 * time.Second)
		doubtful := r.open("doubtful")
		r.am.set(func() { r.am.started = "2" })
		restart := time.Now()
		r.close(doubtful)
		time.Sleep(6 * time.Second)
		for _, n := range []notify.Notification{old, doubtful} {
			if got := r.am.of(n.ID, restart.Add(time.Millisecond)); len(got) == 0 || !got[0].firing() {
				t.Errorf("%s: %+v", n.ID, got)
			}
		}
		time.Sleep(20 * time.Second)
		if got := r.am.of("doubtful", restart); len(got) == 0 || got[len(got)-1].firing() {
			t.Errorf("%+v", got)
		}
		for _, a := range r.am.of("over", restart) {
			if a.firing() {
				t.Errorf("what was over long ago fires again: %+v", a)
			}
		}
		if n := counter(t, r, "ruler_notify_alertmanager_restarts_total", ""); n != 1 {
			t.Errorf("%v restarts", n)
		}
	})
}

// A ruler that was restarted knows from the store what was told.
func TestOurRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		now := time.Now()
		row := func(id string, accepted ...notify.State) {
			r.src.put(notify.Notification{ID: id, State: notify.Resolved, Opened: now.Add(-time.Hour), Changed: now, Resolved: now.Add(-time.Minute), Version: 2,
				Labels: map[string]string{"alertname": "X", "notification_id": id}})
			r.src.mu.Lock()
			defer r.src.mu.Unlock()
			for _, s := range accepted {
				r.src.accepted[id] = append(r.src.accepted[id], notify.Delivery{Notification: id, Target: "http://am.example:9093/prefix/", State: s, Version: 1, First: now.Add(-time.Hour), At: now})
			}
		}
		row("never told")
		row("beginning told", notify.Firing)
		row("all told", notify.Firing, notify.Resolved)
		time.Sleep(62 * time.Second)
		for id, firing := range map[string]bool{"never told": true, "beginning told": false, "all told": false} {
			if got := r.am.of(id, now); len(got) == 0 || got[0].firing() != firing {
				t.Errorf("%s: %+v", id, got)
			}
		}
		time.Sleep(10 * time.Second)
		if got := r.am.of("never told", now); len(got) != 2 || got[1].firing() {
			t.Errorf("%+v", got)
		}
	})
}

// One Alertmanager was given up and another one took its place. What ended
// meanwhile is listed for the old one's sake: the new one must not tell people
// of the beginning, days later.
func TestAnotherAlertmanagerTakesOver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		begin := time.Now()
		r.src.put(notify.Notification{ID: "n1", State: notify.Resolved, Opened: begin.Add(-48 * time.Hour), Changed: begin.Add(-24 * time.Hour), Resolved: begin.Add(-24 * time.Hour), Version: 2,
			Labels: map[string]string{"alertname": "X", "notification_id": "n1"}})
		r.src.mu.Lock()
		r.src.accepted["n1"] = []notify.Delivery{{Notification: "n1", Target: "http://gone:9093", State: notify.Firing, Version: 1, First: begin.Add(-48 * time.Hour), At: begin.Add(-48 * time.Hour)}}
		r.src.mu.Unlock()
		time.Sleep(5 * time.Minute)
		if got := r.am.of("n1", begin); len(got) != 0 {
			t.Errorf("told of what was over a day before: %+v", got)
		}
	})
}

func TestOnlyTheOwnerSends(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		n := r.open("n1")
		time.Sleep(time.Second)
		r.owner.Store(false)
		lost := time.Now()
		r.close(n)
		time.Sleep(5 * time.Minute)
		r.am.mu.Lock()
		for _, a := range r.am.alerts {
			if a.at.After(lost) {
				t.Errorf("told %v", a.labels)
			}
		}
		r.am.mu.Unlock()
		r.owner.Store(true)
		time.Sleep(time.Minute + time.Second)
		if got := r.am.of("n1", lost); len(got) == 0 || got[0].firing() {
			t.Errorf("the new owner told %+v", got)
		}
	})
}

func TestWatchdog(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(5*time.Minute + time.Second)
		r.am.mu.Lock()
		defer r.am.mu.Unlock()
		n := 0
		for _, a := range r.am.alerts {
			if a.labels["alertname"] == "Watchdog" {
				n++
				if a.ends.Sub(a.at) != 5*time.Minute || a.labels["simulated"] != "" || a.labels["job"] != "nocturne" {
					t.Errorf("%+v", a)
				}
			}
		}
		if n != 6 {
			t.Errorf("%d Watchdogs in 5 minutes", n)
		}
	})
}

// While several label sets fire the worst one comes first, and it goes last: at
// no moment does a lesser one stand uninhibited.
// A ruler that can store nothing tells so itself, also when it can read nothing.
func TestStuckIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.src.mu.Lock()
		r.src.fail = errors.New("disk is full")
		r.src.mu.Unlock()
		count := func() (n int) {
			r.am.mu.Lock()
			defer r.am.mu.Unlock()
			for _, a := range r.am.alerts {
				if a.labels["alertname"] == "RulerStuck" && a.labels["severity"] == "critical" && a.annotation["reason"] == "disk is full" && a.ends.Sub(a.at) == 5*time.Minute {
					n++
				}
			}
			return n
		}
		time.Sleep(2 * time.Minute)
		if n := count(); n != 0 {
			t.Errorf("told %d times though all is well", n)
		}
		r.stuck.Store("disk is full")
		r.am.set(func() { r.am.down = errors.New("connection refused") })
		time.Sleep(90 * time.Second)
		r.am.set(func() { r.am.down = nil })
		time.Sleep(6 * time.Second)
		if n := count(); n != 1 {
			t.Errorf("told %d times once Alertmanager is back, want 1", n)
		}
		time.Sleep(3 * time.Minute)
		if n := count(); n != 4 {
			t.Errorf("told %d times three minutes later, want 4", n)
		}
		r.stuck.Store("")
		time.Sleep(3 * time.Minute)
		if n := count(); n != 4 {
			t.Errorf("told %d times after all, want 4: it ends by itself", n)
		}
	})
}

func TestEscalatedLabelSets(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		n := r.open("n1")
		time.Sleep(time.Minute)
		up := time.Now()
		n.Escalations = []notify.Escalation{{At: up, Severity: "critical", Labels: map[string]string{"alertname": "Y", "notification_id": "n1", "severity": "critical"}}}
		n.Version, n.Changed = 2, up
		r.sender.Changed(r.src.put(n))
		time.Sleep(time.Second)
		names := func(since time.Time) string {
			var s []string
			for _, a := range r.am.of("n1", since) {
				s = append(s, fmt.Sprintf("%s:%t", a.labels["alertname"], a.firing()))
			}
			return strings.Join(s, " ")
		}
		if got := names(up); !strings.HasSuffix(got, "Y:true X:true") {
			t.Errorf("escalated: %s", got)
		}
		if got := r.am.of("n1", up); !got[len(got)-2].starts.Equal(up) {
			t.Errorf("the second label set starts at %s", got[0].starts)
		}
		time.Sleep(20 * time.Second)
		n.Version++ // another change: the hand-over of the second set stays what it was
		r.sender.Changed(r.src.put(n))
		time.Sleep(time.Second)
		end := time.Now()
		r.close(n)
		if got := names(end); got != "X:false Y:false" {
			t.Errorf("resolved: %s", got)
		}
		var sets []notify.Delivery
		for _, d := range r.src.all() {
			if d.State.Escalated() > 0 {
				sets = append(sets, d)
			}
		}
		if len(sets) != 1 || sets[0].State != "escalated-1" || !sets[0].First.Equal(up) || !sets[0].At.Equal(up) || sets[0].Error != "" || sets[0].Version != 2 {
			t.Errorf("hand-overs of the second label set: %+v", sets)
		}
	})
}

// One request at a time, so one per notification; what changes meanwhile is
// told in its newest form, and never an older one after it.
func TestOneRequestInFlight(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.am.set(func() { r.am.slow = 3 * time.Second })
		begin := time.Now()
		n := r.open("n1")
		for v := range uint64(20) {
			time.Sleep(100 * time.Millisecond)
			n.Version = 2 + v
			n.Annotations = map[string]string{"v": fmt.Sprint(n.Version)}
			r.sender.Changed(r.src.put(n))
		}
		older := n
		older.Version = 3
		older.Annotations = map[string]string{"v": "3"}
		r.sender.Changed(older)
		time.Sleep(10 * time.Second)
		got := r.am.of("n1", begin)
		if len(got) != 2 || got[1].annotation["v"] != "21" || got[1].at.Sub(begin) != 6*time.Second {
			t.Errorf("%+v", got)
		}
	})
}

func TestTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.am.set(func() { r.am.slow = time.Hour })
		begin := time.Now()
		r.open("n1")
		time.Sleep(11 * time.Second)
		r.am.set(func() { r.am.slow, r.am.status = 0, http.StatusServiceUnavailable })
		time.Sleep(20 * time.Second)
		r.am.set(func() { r.am.status = 0 })
		time.Sleep(10 * time.Second)
		if got := r.am.of("n1", begin); len(got) != 1 {
			t.Errorf("told %d times", len(got))
		}
	})
}

// A failing store costs repeated requests, no message.
func TestStoreFails(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.src.mu.Lock()
		r.src.fail = errors.New("disk full")
		r.src.mu.Unlock()
		begin := time.Now()
		r.open("n1")
		time.Sleep(3 * time.Minute)
		if got := r.am.of("n1", begin); len(got) != 1 {
			t.Errorf("told %d times", len(got))
		}
	})
}

func TestConfig(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		c := notify.Config{Targets: []string{target}}
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", target, err)
		}
	}
	f("http://127.0.0.1:9093", "")
	f("https://am.example/prefix", "")
	f("127.0.0.1:9093", "write http://HOST:PORT")
	f("ftp://x", "write http://HOST:PORT")
	f("http://", "write http://HOST:PORT")
	f("http://x?y", "write http://HOST:PORT")
	if _, err := notify.NewSender(notify.Options{}); err == nil {
		t.Error("a sender without a source")
	}
	if _, err := notify.NewSender(notify.Options{Source: &memory{}, Config: notify.Config{Targets: []string{"x"}}}); err == nil {
		t.Error("a sender with a wrong target")
	}
}

// Over a real connection: 2000 notifications at once are all handed over, each
// well within a second.
func TestOverHTTP(t *testing.T) {
	am := &manager{t: t, started: "1"}
	srv := httptest.NewServer(am)
	defer srv.Close()
	src := &memory{rows: map[string]notify.Notification{}, accepted: map[string][]notify.Delivery{}}
	s, err := notify.NewSender(notify.Options{Config: notify.Config{Targets: []string{srv.URL}}, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	begin := time.Now()
	const n = 2000
	for i := range n {
		id := fmt.Sprintf("n%d", i)
		s.Changed(notify.Notification{ID: id, State: notify.Firing, Opened: begin, Changed: begin, Version: 1, Labels: map[string]string{"alertname": "X", "notification_id": id},
			Annotations: map[string]string{"summary": strings.Repeat("x", 200)}})
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		src.mu.Lock()
		got := len(src.results)
		src.mu.Unlock()
		if got >= n {
			break
		}
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("%d of %d handed over", got, n)
		}
	}
	t.Logf("%d notifications in %s, %d requests", n, time.Since(begin).Round(time.Millisecond), am.requests())
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
