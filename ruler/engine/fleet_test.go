package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// TestFleetStories: each step is "seconds kind server site rack", or
// "seconds tick"; printed is what comes of it. State is saved and loaded before
// every step.
func TestFleetStories(t *testing.T) {
	sizes := []store.GroupSize{{Site: "fra", Rack: "r1", Servers: 5}, {Site: "fra", Rack: "r2", Servers: 5}, {Site: "fra", Rack: "r3", Servers: 10}, {Site: "muc", Servers: 4}, {Site: "muc", Servers: 50, Simulated: true}}
	for _, c := range []struct{ name, in, want string }{
		{"one server alone is told at once", `
			0 overdue a fra r1
			9 silent a fra r1
			20 back a fra r1`, `
			9 alone a`},
		{"a rack: the first deadline folds, the neighbours are overdue", `
			0 overdue a fra r1
			1 overdue b fra r1
			2 overdue c fra r1
			9 silent a fra r1
			10 silent b fra r1
			11 silent c fra r1
			30 back a fra r1
			31 back b fra r1
			32 back c fra r1`, `
			9 firing rack r1 at fra
			9 folded a
			10 folded b
			11 folded c
			32 resolved rack r1 at fra: all of them are back`},
		{"two of five are two", `
			0 overdue a fra r1
			1 overdue b fra r1
			9 silent a fra r1
			10 silent b fra r1`, `
			9 alone a
			10 alone b`},
		{"three of ten are three", `
			0 overdue a fra r3
			1 overdue b fra r3
			2 overdue c fra r3
			9 silent a fra r3`, `
			9 alone a`},
		{"a site, over its racks", `
			0 overdue a fra r1
			0 overdue b fra r1
			0 overdue c fra r2
			0 overdue d fra r2
			0 overdue e fra r3
			0 overdue f fra r3
			0 overdue g fra r3
			0 overdue h fra r3
			0 overdue i fra r3
			0 overdue j fra r3
			9 silent a fra r1
			10 silent e fra r3`, `
			9 firing site fra
			9 folded a
			10 folded e`},
		{"a site without racks", `
			0 overdue a muc -
			0 overdue b muc -
			9 silent c muc -`, `
			9 firing site muc
			9 folded c`},
		{"overdue ones that come back in time do not count", `
			0 overdue a fra r1
			1 overdue b fra r1
			2 overdue c fra r1
			3 back b fra r1
			9 silent a fra r1`, `
			9 alone a`},
		{"stragglers are told by name", `
			0 overdue a fra r1
			1 overdue b fra r1
			2 overdue c fra r1
			9 silent a fra r1
			10 silent b fra r1
			11 silent c fra r1
			30 back a fra r1
			31 back b fra r1
			200 tick
			400 tick`, `
			9 firing rack r1 at fra
			9 folded a
			10 folded b
			11 folded c
			400 alone c
			400 resolved rack r1 at fra: most are back, 1 stay silent and are told by name`},
		{"decommissioned while silent", `
			0 overdue a fra r1
			1 overdue b fra r1
			9 silent c fra r1
			20 gone c fra r1`, `
			9 firing rack r1 at fra
			9 folded c
			20 resolved rack r1 at fra: all of them are back`},
		{"what was told stays told", `
			0 overdue a fra r1
			9 silent a fra r1
			20 overdue b fra r1
			21 overdue c fra r1
			22 overdue d fra r1
			30 silent b fra r1`, `
			9 alone a
			30 firing rack r1 at fra
			30 folded b`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fleetStory(t, c.in, sizes); got != unindent(c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, unindent(c.want))
			}
		})
	}
}

func unindent(s string) string {
	var out []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

func fleetStory(t *testing.T, in string, sizes []store.GroupSize) string {
	f := newFleet()
	var out []string
	open := map[string]bool{}
	for row := range strings.Lines(unindent(in)) {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		f = newFleet()
		if err := json.Unmarshal(b, f); err != nil {
			t.Fatal(err)
		}
		w := strings.Fields(row)
		var sec int
		if _, err := fmt.Sscan(w[0], &sec); err != nil {
			t.Fatal(err)
		}
		at := t0.Add(time.Duration(sec) * time.Second)
		var o outcome
		if w[1] == "tick" {
			f.tick(at, &o)
		} else {
			x := store.Fact{Kind: store.FactKind(w[1]), At: at, Server: record.ID{w[2][0]}, Site: w[3], Rack: strings.Trim(w[4], "-"), Notification: w[2]}
			if err := f.apply(x, func() ([]store.GroupSize, error) { return sizes, nil }, &o); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range o.notes {
			if n.State == "firing" && open[n.ID] {
				continue // told anew with another number
			}
			open[n.ID] = true
			line := fmt.Sprintf("%s %s %s", w[0], n.State, n.Device)
			if n.State == "resolved" {
				line += ": " + n.Reason
			}
			defer func() {
				if n.Labels["notification_id"] != n.ID || n.Labels["alertname"] == "" || n.Annotations["summary"] == "" {
					t.Errorf("labels %v annotations %v", n.Labels, n.Annotations)
				}
			}()
			if n.State == "firing" {
				out = append(out, line)
				continue
			}
			out = append(out, folds(w[0], &o)...)
			o.folds = nil
			out = append(out, line)
		}
		out = append(out, folds(w[0], &o)...)
	}
	return strings.Join(out, "\n")
}

func folds(at string, o *outcome) []string {
	var out []string
	for _, d := range o.folds {
		if d.Into == "" {
			out = append(out, at+" alone "+d.Notification)
		} else {
			out = append(out, at+" folded "+d.Notification)
		}
	}
	return out
}

func TestBridgeProblemIsToldOnce(t *testing.T) {
	f := newFleet()
	var o outcome
	for i := range 5 {
		f.bridges(frozenProbe, t0.Add(time.Duration(i)*time.Minute), &o)
	}
	if len(o.notes) != 1 || o.notes[0].State != "firing" || o.notes[0].Version != 1 {
		t.Fatalf("notes %+v", o.notes)
	}
	f.bridges("", t0.Add(time.Hour), &o)
	f.bridges("", t0.Add(2*time.Hour), &o)
	if len(o.notes) != 1 || o.notes[0].State != "resolved" || !o.notes[0].Resolved.Equal(t0.Add(time.Hour)) {
		t.Fatalf("notes %+v", o.notes)
	}
}
