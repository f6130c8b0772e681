package engine

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/probe"
	"nocturne/ruler/store"
)

// answered waits for what machines answer, as the runner does.
func (d *driver) answered() {
	d.t.Helper()
	commits, stop := context.WithCancel(ctx)
	defer stop()
	go d.engine.committer.run(commits)
	if err := d.fleet.answered(ctx, <-d.fleet.answers); err != nil {
		d.t.Fatal(err)
	}
}

// A server falls silent whose machine still answers: people are told once, and
// the message says so, though the ruler was killed while it asked.
func TestSilentMachineIsAsked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	prober := probe.New(probe.Config{Enabled: true, Ports: []uint16{port}, Timeout: 5 * time.Second, PerSecond: 100}, nil)

	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r2")
	a.address = "127.0.0.1" // which a bridge would not state
	a.registryRecord(record.NameLabels)
	w.run(25 * time.Second)
	a.silent = true
	w.run(time.Minute)

	s := openStore(t)
	var told []notify.Notification
	rules := func(ask func(context.Context, string) probe.Answer) *driver {
		d := newDriver(t, w.log, s)
		d.engine.cfg.Probe = ask
		d.engine.cfg.Changed = func(n ...notify.Notification) { told = append(told, n...) }
		d.engine.cfg.Now = func() time.Time { return w.now }
		return d
	}
	killed, kill := context.WithCancel(ctx)
	d := rules(func(context.Context, string) probe.Answer { <-killed.Done(); return probe.Not("killed") })
	d.must()
	if len(told) != 0 {
		t.Fatalf("told before the machine was asked: %+v", told)
	}
	kill() // its answer goes nowhere
	out, err := Outbox{Store: s}.Desired(ctx, t0)
	if err != nil || len(out) != 0 {
		t.Fatalf("the sender's round tells of it: %+v %v", out, err)
	}

	d = rules(prober.Ask)
	d.must()
	d.answered()
	d.must()
	if len(told) != 1 || told[0].State != notify.Firing {
		t.Fatalf("told %+v", told)
	}
	const words = "machine answers, agent does not (127.0.0.1: TCP "
	for _, key := range []string{notify.AnnotationProbe, notify.AnnotationDescription} {
		if got := told[0].Annotations[key]; !strings.Contains(got, words) {
			t.Errorf("%s %q", key, got)
		}
	}
	n, err := s.Notification(ctx, told[0].ID)
	if err != nil || n.Held || !strings.Contains(n.Probe, words) || !strings.Contains(n.Evidence[len(n.Evidence)-1].Reason, words) {
		t.Errorf("%+v %v", n, err)
	}
	if out, err = (Outbox{Store: s}).Desired(ctx, t0); err != nil || len(out) != 1 || !strings.Contains(out[0].Annotations[notify.AnnotationProbe], words) {
		t.Errorf("the sender's round: %+v %v", out, err)
	}
	// What the ruler that was killed had asked changes nothing any more.
	d = rules(prober.Ask)
	d.must()
	a.silent = false
	w.run(20 * time.Second)
	d.must()
	if v, err := s.Server(ctx, a.id); err != nil || v.State != store.StateUp || v.Address != "127.0.0.1" || v.Open != 0 {
		t.Errorf("%+v %v", v.Server, err)
	}
}

// Two servers behind one address: its answer would be that of a proxy.
func TestSharedAddressIsNotAsked(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"db1", "db2"} {
		s := w.add(i+1, name, "fra", "r"+name)
		s.address = "192.0.2.7"
		s.registryRecord(record.NameLabels)
	}
	w.run(25 * time.Second)
	w.sims[0].silent = true
	w.run(time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.engine.cfg.Probe = func(context.Context, string) probe.Answer {
		t.Error("asked")
		return probe.Answer{}
	}
	d.must()
	d.answered()
	p, err := s.Notifications(ctx, store.NotificationQuery{})
	if err != nil || p.Total != 1 || p.Notifications[0].Held || p.Notifications[0].Probe != "not probed (2 servers connect from 192.0.2.7: a proxy, or translated addresses)" {
		t.Errorf("%+v %v", p, err)
	}
}

// Twenty servers are patched and restart: nobody is told anything. Then a rack
// loses its power: one message.
func TestPatchDayAndPowerLoss(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.add(i+1, "srv"+string(rune('a'+i)), "fra", []string{"r1", "r2"}[i/10])
	}
	w.run(time.Minute)
	hardware := func(s *sim) {
		s.send(record.Hardware, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameSnapshot, Snapshot: &record.Snapshot{
			Sections: []record.Section{{Type: record.DeviceCPU}}, Devices: []record.Device{{Type: record.DeviceCPU, Place: "0", Fields: []record.Attr{{Key: "model", Value: record.String("x")}}}}}})
	}
	for _, s := range w.sims {
		hardware(s)
		s.updates(true)
		s.event("Microsoft-Windows-WindowsUpdateClient", 19)
		s.goodbye("shutdown", "restart")
	}
	w.run(3*time.Minute, func(second int) {
		if second < 100 || (second-100)%4 != 0 || (second-100)/4 >= len(w.sims) {
			return
		}
		s := w.sims[(second-100)/4]
		s.start()
		s.silent = false
		s.beat()
		hardware(s)
		s.updates(false)
	})
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Fatalf("patch day: %q", got)
	}
	for _, s := range w.sims[:10] {
		s.silent = true
	}
	w.run(time.Minute)
	d.must()
	alone := 0
	for _, line := range told(t, s) {
		if !strings.HasSuffix(line, " folded") {
			alone++
		}
	}
	if alone != 1 {
		t.Errorf("power loss: %q", told(t, s))
	}
}
