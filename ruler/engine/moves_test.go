package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

type drive = [3]string

// movers is four minutes in which drives are carried between servers: Z1 from srv01 to
// srv02, where it is seen before it is missed; Z2 from srv01 to srv03 in place of
// another; Z3 to a server that is new. DUP is in two servers at once and leaves
// one of them; ONCE goes from slot to slot.
func movers(t testing.TB) *world {
	w := newWorld(t)
	for i := range 5 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", "r1")
	}
	a, b, c, d := w.sims[0], w.sims[1], w.sims[2], w.sims[3]
	on := func(place, serial string) drive { return drive{"c0/e252/" + place, serial, "Onln"} }
	w.run(4*time.Minute, func(second int) {
		switch second {
		case 5:
			a.raid(on("s1", "Z1"), on("s2", "Z2"), on("s3", "Z3"), on("s4", "DUP"), on("s5", "ONCE"), on("s6", "00000000"))
		case 6:
			b.raid(on("s1", "B1"))
			c.raid(on("s1", "C1"), on("s2", "DUP"))
		case 60:
			b.raid(on("s1", "B1"), on("s2", "Z1"), on("s3", "00000000"))
		case 90:
			a.raid(on("s2", "Z2"), on("s3", "Z3"), on("s4", "DUP"), on("s6", "ONCE"))
		case 120:
			a.raid(on("s3", "Z3"), on("s6", "ONCE"))
		case 150:
			c.raid(on("s1", "Z2"), on("s2", "DUP"))
		case 180:
			a.raid(on("s6", "ONCE"))
		case 200:
			d.raid(on("s1", "Z3"))
		case 220:
			d.raid(on("s1", "Z3"))
		}
	})
	return w
}

func moves(t testing.TB, s store.Store) string {
	t.Helper()
	p, err := s.Changes(ctx, store.ChangeQuery{Kind: "moved"})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range p.Changes {
		c := p.Changes[len(p.Changes)-1-i]
		from := ""
		if !c.FromServer.IsZero() {
			from = c.FromName + " "
		}
		out = append(out, fmt.Sprintf("%s %s %s -> %s %s", c.Stream.Sub(t0), c.Occupant, from+c.From, c.Name, c.Place))
	}
	return strings.Join(out, "\n")
}

func TestPartsThatMoveBetweenServers(t *testing.T) {
	w := movers(t)
	s := openStore(t)
	newDriver(t, w.log, s).must()
	want := unindent(`
		1m31s ONCE c0/e252/s5 -> srv01 c0/e252/s6
		1m31s Z1 srv01 c0/e252/s1 -> srv02 c0/e252/s2
		2m31s Z2 srv01 c0/e252/s2 -> srv03 c0/e252/s1
		3m21s Z3 srv01 c0/e252/s3 -> srv04 c0/e252/s1`)
	if got := moves(t, s); got != want {
		t.Errorf("moved:\n%s\nwant:\n%s", got, want)
	}
	p, err := s.Notifications(ctx, store.NotificationQuery{RuleID: "part-from-another-server"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Total != 3 {
		t.Errorf("%d told of parts that moved: %+v", p.Total, p.Notifications)
	}
	for _, n := range p.Notifications {
		d, err := s.Notification(ctx, n.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Evidence) != 1 || d.Evidence[0].RecordID == "" || !strings.Contains(n.Title, "moved here from srv01") {
			t.Errorf("%q, evidence %+v", n.Title, d.Evidence)
		}
	}
	for _, server := range []*sim{w.sims[0], w.sims[1]} { // the history of both has it
		c, err := s.Changes(ctx, store.ChangeQuery{Server: server.id, Kind: "moved", Serial: "Z1"})
		if err != nil || len(c.Changes) != 1 {
			t.Errorf("history of %s: %+v, %v", server.name, c.Changes, err)
		}
	}
	v, err := s.RuleVerdicts(ctx, t0.Add(-24*time.Hour))
	if err != nil || !strings.Contains(fmt.Sprint(v), "{part-from-another-server opened 3") {
		t.Errorf("verdicts %+v, %v", v, err)
	}
}

func TestCrashWhilePartsMove(t *testing.T) {
	crashAtEveryCommit(t, movers(t), 211)
}

// retirements is three minutes in which srv01 is switched off and decommissioned.
// Z1 sits in srv02 before that, Z2 in srv03 after it. Z3 is where it was, under a
// new identity of the same machine; Z4 where a machine of the same name is.
func retirements(t testing.TB) *world {
	w := newWorld(t)
	for i := range 3 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", "r1")
	}
	a, b, c := w.sims[0], w.sims[1], w.sims[2]
	on := func(place, serial string) drive { return drive{"c0/e252/" + place, serial, "Onln"} }
	w.run(4*time.Minute, func(second int) {
		switch second {
		case 5:
			a.raid(on("s1", "Z1"), on("s2", "Z2"), on("s3", "Z3"), on("s4", "Z4"))
		case 6:
			b.raid(on("s1", "B1"))
			c.raid(on("s1", "C1"))
		case 60:
			a.silent = true
		case 80:
			b.raid(on("s1", "B1"), on("s2", "Z1"))
		case 100:
			a.registryRecord(record.NameDecommissioned)
		case 130:
			c.raid(on("s1", "C1"), on("s7", "Z2"))
		case 140:
			w.add(5, "anew", "fra", "r1").board = a.board
			w.add(6, "SRV01.example.com", "fra", "r1")
		case 160:
			w.sims[3].raid(on("s3", "Z3"))
			w.sims[4].raid(on("s4", "Z4"))
		}
	})
	return w
}

func TestPartsOfADecommissionedServer(t *testing.T) {
	w := retirements(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	want := unindent(`
		1m41s Z1 srv01 c0/e252/s1 -> srv02 c0/e252/s2
		2m11s Z2 srv01 c0/e252/s2 -> srv03 c0/e252/s7`)
	if got := moves(t, s); got != want {
		t.Errorf("moved:\n%s\nwant:\n%s", got, want)
	}
	p, err := s.Notifications(ctx, store.NotificationQuery{RuleID: "part-from-another-server"})
	if err != nil || p.Total != 2 || !strings.Contains(p.Notifications[0].Title, "moved here from decommissioned srv01 c0/e252/s2 (serial Z2)") {
		t.Errorf("told %+v, %v", p.Notifications, err)
	}
	for _, serial := range []string{"Z1", "Z4"} { // its life story, too
		o, err := s.Occupants(ctx, store.OccupantQuery{Serial: serial, Server: w.sims[0].id})
		if err != nil || len(o.Occupants) != 1 || !o.Occupants[0].Until.Equal(t0.Add(101*time.Second)) {
			t.Errorf("%s in srv01: %+v, %v", serial, o.Occupants, err)
		}
	}
	// Taken back into service without Z1: that it moved was told.
	a := w.sims[0]
	a.enrol()
	a.silent = false
	a.start()
	w.run(20*time.Second, func(second int) {
		if second == 5 {
			a.raid(drive{"c0/e252/s3", "Z3", "Onln"}, drive{"c0/e252/s4", "Z4", "Onln"})
		}
	})
	d.must()
	if got := moves(t, s); got != want {
		t.Errorf("after its return:\n%s\nwant:\n%s", got, want)
	}
	if o, err := s.Occupants(ctx, store.OccupantQuery{Serial: "Z4", Server: a.id}); err != nil || len(o.Occupants) != 1 || !o.Occupants[0].Until.IsZero() {
		t.Errorf("Z4 is there again: %+v, %v", o.Occupants, err)
	}
}

func TestCrashWhileAServerIsDecommissioned(t *testing.T) {
	crashAtEveryCommit(t, retirements(t), 211)
}

// What is open of moves survives a restart, ends by itself, and with its rule.
func TestMovesEnd(t *testing.T) {
	w := movers(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	d.crash()
	d.must()
	var o outcome
	d.fleet.renew(&o, t0.Add(time.Hour))
	if n := len(d.fleet.moves.Open()); n != 3 {
		t.Fatalf("%d are open after a restart", n)
	}
	o.say(d.fleet.moves.Tick(moveAt(t0.Add(24*time.Hour + 2*time.Minute))))
	if len(o.notes) != 1 || o.notes[0].Reason != "shown for 24h" || !o.notes[0].Resolved.Equal(t0.Add(24*time.Hour+91*time.Second)) {
		t.Fatalf("after a day: %+v", o.notes)
	}
	if err := d.engine.Reload(Generation{Number: 2, Rules: testRules(t)[:1], Gone: map[string]string{"part-from-another-server": "was switched off by ann"}}); err != nil {
		t.Fatal(err)
	}
	o = outcome{}
	d.fleet.renew(&o, t0.Add(25*time.Hour))
	if len(o.notes) != 2 || !strings.Contains(o.notes[0].Reason, "was switched off by ann") {
		t.Fatalf("without the rule: %+v", o.notes)
	}
}

// A state that an older ruler saved loads, and knows no times of snapshots.
func TestSeenLoads(t *testing.T) {
	w := movers(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	a := w.sims[0]
	n := stream.Partition(a.id)
	before := d.parts[n].lines[a.id].current[0].seen
	d.crash()
	p, err := d.part(n)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.lines[a.id].current[0].seen; got != before || before == 0 {
		t.Errorf("last snapshot at %d, was %d", got, before)
	}
}
