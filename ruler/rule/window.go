package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no zones of these names

	"go.yaml.in/yaml/v3"
)

// Window is when changes of some servers are planned. Rules of kind change say
// nothing then: what they would have said is kept in the history with who and
// why. It is either one span of time, or weekly.
type Window struct {
	ID      string
	Who     string
	Why     string
	Servers Selector  // nil = all
	From    time.Time // one span
	To      time.Time
	Days    []time.Weekday // weekly
	Start   time.Duration  // since midnight
	Length  time.Duration
	Zone    string
	zone    *time.Location
}

// maxWindow bounds a window: a plan that never ends is a rule that is off.
const (
	maxWindow  = 31 * 24 * time.Hour
	maxWindows = 200
)

// Covers tells whether a time is in the window, and until when.
func (w *Window) Covers(now time.Time) (until time.Time, ok bool) {
	if len(w.Days) == 0 {
		return w.To, !now.Before(w.From) && now.Before(w.To)
	}
	local := now.In(w.zone)
	for back := 0; time.Duration(back)*24*time.Hour <= w.Length+24*time.Hour; back++ {
		y, m, d := local.Date()
		midnight := time.Date(y, m, d-back, 0, 0, 0, 0, w.zone)
		if !slices.Contains(w.Days, midnight.Weekday()) {
			continue
		}
		// By the clock on the wall: a day with 23 hours is shorter in the night.
		start := time.Date(y, m, d-back, 0, int(w.Start/time.Minute), 0, 0, w.zone)
		end := time.Date(y, m, d-back, 0, int((w.Start+w.Length)/time.Minute), 0, 0, w.zone)
		if !now.Before(start) && now.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// Next is the first time from now on at which the window begins, and when it ends
// then; ok is false when it never does again.
func (w *Window) Next(now time.Time) (from, to time.Time, ok bool) {
	if len(w.Days) == 0 {
		return w.From, w.To, !w.From.Before(now)
	}
	y, m, d := now.In(w.zone).Date()
	for ahead := range 9 { // a week, and today's that may have begun
		if !slices.Contains(w.Days, time.Date(y, m, d+ahead, 0, 0, 0, 0, w.zone).Weekday()) {
			continue
		}
		from = time.Date(y, m, d+ahead, 0, int(w.Start/time.Minute), 0, 0, w.zone)
		to = time.Date(y, m, d+ahead, 0, int((w.Start+w.Length)/time.Minute), 0, 0, w.zone)
		if !from.Before(now) {
			return from, to, true
		}
	}
	return time.Time{}, time.Time{}, false
}

// String says who planned what.
func (w *Window) String() string { return fmt.Sprintf("%s (%s, %s)", w.ID, w.Who, w.Why) }

// Plan gives windows to all rules of kind change, on copies. The rules given
// are not changed.
func Plan(rules []*Rule, windows []*Window) []*Rule {
	if len(windows) == 0 {
		return rules
	}
	out := slices.Clone(rules)
	for i, r := range out {
		if c, ok := r.Spec.(*Change); ok {
			copied, spec := *r, *c
			spec.Windows = append(slices.Clone(c.Windows), windows...)
			copied.Spec = &spec
			copied.seal()
			out[i] = &copied
		}
	}
	return out
}

func (d *decoder) windows(n *yaml.Node) []*Window {
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, "windows is "+nodeKind(n), `write a list: "- id: …"`)
		return nil
	}
	if len(n.Content) > maxWindows {
		d.fail(n.Line, fmt.Sprintf("%d windows", len(n.Content)), fmt.Sprintf("at most %d a file; take those out that are over", maxWindows))
		return nil
	}
	var out []*Window
	seen := map[string]bool{}
	for _, c := range n.Content {
		w := d.oneWindow(c)
		if w == nil {
			continue
		}
		if seen[w.ID] {
			d.fail(c.Line, fmt.Sprintf("window %q is there twice", w.ID), "give each its own id")
		}
		seen[w.ID] = true
		out = append(out, w)
	}
	return out
}

const windowHint = `for example "weekly: {days: [tue], from: \"22:00\", to: \"02:00\", zone: Europe/Zurich}", or "from: 2026-12-01T20:00:00Z" and "to: 2026-12-02T04:00:00Z"`

func (d *decoder) oneWindow(n *yaml.Node) *Window {
	before := len(d.errs)
	w := &Window{}
	d.mapping(n, "the window",
		field{"id", func(n *yaml.Node) {
			w.ID = d.form(n, "id", idForm, "words in lower case with dashes, such as bern-patching")
		}},
		field{"who", func(n *yaml.Node) { w.Who = d.line(n, "who") }},
		field{"why", func(n *yaml.Node) { w.Why = d.line(n, "why") }},
		field{"servers", func(n *yaml.Node) { w.Servers = d.selector(n) }},
		field{"from", func(n *yaml.Node) { w.From = d.moment(n, "from") }},
		field{"to", func(n *yaml.Node) { w.To = d.moment(n, "to") }},
		field{"weekly", func(n *yaml.Node) { d.weekly(n, w) }})
	if n.Kind != yaml.MappingNode || len(d.errs) > before {
		return nil
	}
	d.need(n, "the window", "who plans what has to be told to whoever asks later", "id", "who", "why")
	absolute := hasKey(n, "from") || hasKey(n, "to")
	switch {
	case absolute == hasKey(n, "weekly"):
		d.fail(n.Line, "the window says no time, or two", windowHint)
	case absolute && !w.From.Before(w.To):
		d.fail(n.Line, "the window ends before it begins", windowHint)
	case absolute && w.To.Sub(w.From) > maxWindow:
		d.fail(n.Line, "the window is longer than 31 days", "nobody would be told for so long; make it shorter")
	}
	if len(d.errs) > before {
		return nil
	}
	return w
}

// line reads a short text.
func (d *decoder) line(n *yaml.Node, what string) string {
	const most = 120
	s := Clean(d.text(n, what), most+1)
	if len(s) > most {
		d.fail(n.Line, what+" is long", fmt.Sprintf("at most %d bytes", most))
	}
	return s
}

func (d *decoder) moment(n *yaml.Node, what string) time.Time {
	t, err := time.Parse(time.RFC3339, d.text(n, what))
	if err != nil {
		d.fail(n.Line, fmt.Sprintf("%s %.40q", what, n.Value), "write it as 2026-12-01T20:00:00Z or 2026-12-01T21:00:00+01:00")
	}
	return t.UTC()
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (d *decoder) weekly(n *yaml.Node, w *Window) {
	before := len(d.errs)
	var from, to time.Duration
	w.Zone = "UTC"
	d.mapping(n, "weekly",
		field{"days", func(n *yaml.Node) {
			for _, day := range d.words(n, "days", weekdays) {
				w.Days = append(w.Days, time.Weekday(slices.Index(weekdays, day)))
			}
		}},
		field{"from", func(n *yaml.Node) { from = d.clock(n, "from") }},
		field{"to", func(n *yaml.Node) { to = d.clock(n, "to") }},
		field{"zone", func(n *yaml.Node) { w.Zone = d.text(n, "zone") }})
	if n.Kind != yaml.MappingNode || len(d.errs) > before {
		return
	}
	d.need(n, "weekly", windowHint, "days", "from", "to")
	zone, err := time.LoadLocation(w.Zone)
	if err != nil || w.Zone == "Local" || strings.TrimSpace(w.Zone) == "" {
		d.fail(n.Line, fmt.Sprintf("zone %.40q is not known", w.Zone), "write a name such as Europe/Zurich, or leave it out for UTC")
		return
	}
	w.zone, w.Start, w.Length = zone, from, to-from
	if w.Length <= 0 {
		w.Length += 24 * time.Hour // over midnight
	}
}

// clock reads "22:00".
func (d *decoder) clock(n *yaml.Node, what string) time.Duration {
	s := d.text(n, what)
	h, m, ok := strings.Cut(s, ":")
	hour, errH := strconv.Atoi(h)
	minute, errM := strconv.Atoi(m)
	if !ok || errH != nil || errM != nil || hour < 0 || hour > 24 || minute < 0 || minute > 59 || hour == 24 && minute > 0 || len(m) != 2 {
		d.fail(n.Line, fmt.Sprintf("%s %.40q", what, s), `write hours and minutes in quotes: "22:00"`)
	}
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
}
