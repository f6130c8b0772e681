package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// values returns the counters and gauges by name and label.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(f.GetName(), "exporter_journal_")
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			out[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func counted(t *testing.T, s *spool, cfg func(c *Config), lines ...string) (m map[string]float64, calls string) {
	t.Helper()
	src, dir := setup(t, s, lines...)
	write(t, filepath.Join(dir, "once"), "", 0o644)
	j := src.(*journal)
	cfg(&j.o.Config)
	reg := prometheus.NewRegistry()
	var err error
	if j.o.Metrics, err = NewMetrics(reg); err != nil {
		t.Fatal(err)
	}
	if err := src.Run(t.Context(), s.emit); err == nil {
		t.Error("journalctl ended, and nothing says so")
	}
	b, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return values(t, reg), string(b)
}

func TestGapsAreCounted(t *testing.T) {
	s := newSpool()
	s.position = []byte(cursorOf(2))
	m, _ := counted(t, s, func(*Config) {}, entryLine(9, "much later"))
	if n, _ := s.recs[0].Attr(record.AttrMissing).Int(); n != 6 || m["missing_total removed"] != 6 || m["read_total"] != 1 {
		t.Errorf("%d missing, %v", n, m)
	}
	f := func(from, to string, want uint64, ok bool) {
		t.Helper()
		if n, fine := between(from, to); n != want || fine != ok {
			t.Errorf("%s to %s: %d %v", from, to, n, fine)
		}
	}
	f("s=a;i=ff;b=1", "s=a;i=102;b=2", 2, true)
	f("s=a;i=5", "s=b;i=9", 0, false) // another journal
	f("s=a;i=9", "s=a;i=5", 0, false)
	f("", "s=a;i=5", 0, false)
	f("s=a;i=x", "s=a;i=5", 0, false)
}

func TestFiltersAndBalance(t *testing.T) {
	s := newSpool()
	noisy := strings.Replace(entryLine(2, "noise"), `"kernel"`, `"noisy"`, 1)
	m, calls := counted(t, s, func(c *Config) {
		c.Units, c.Identifiers, c.ExcludeIdentifiers = []string{"ssh.service", "x.service"}, []string{"kernel"}, []string{"noisy"}
	}, entryLine(1, "one"), noisy, "no entry", entryLine(3, "three"))
	if !strings.Contains(calls, "--unit=ssh.service --unit=x.service --identifier=kernel") {
		t.Errorf("calls %s", calls)
	}
	if len(s.recs) != 3 || string(s.position) != cursorOf(3) {
		t.Errorf("%d records, position %s", len(s.recs), s.position)
	}
	if m["read_total"] != 4 || m["levels_total error"] != 2 || m["dropped_total excluded"] != 1 || m["missing_total unreadable"] != 1 || m["dropped_total rate"] != 0 {
		t.Errorf("%v", m)
	}
	if m["lag_seconds"] <= 0 || m["newest_entry_timestamp_seconds"] < 1.7e9 {
		t.Errorf("lag %v, newest %v", m["lag_seconds"], m["newest_entry_timestamp_seconds"])
	}
}

func TestFloodIsLeftOutAndSaid(t *testing.T) {
	s := newSpool()
	var lines []string
	for i := range 40 {
		lines = append(lines, entryLine(i+1, "flood")) // a microsecond apart
	}
	m, _ := counted(t, s, func(c *Config) { c.MaxRate = 2 }, lines...)
	if m["dropped_total rate"] != 20 || m["levels_total error"] != 20 || string(s.position) != cursorOf(40) {
		t.Errorf("%v, position %s: want a window's worth", m, s.position)
	}
	left := 0 // it is said with each batch, and a busy machine reads the lines in several
	for _, r := range s.recs {
		if r.Name != record.NameSourceFailed {
			continue
		}
		var n int
		said := r.Attr(record.AttrError).Str()
		if _, err := fmt.Sscan(said, &n); err != nil || said != fmt.Sprintf(`%d entries were left out, being more than 2 a second: %d of "kernel"`, n, n) {
			t.Errorf("said %q, %v", said, err)
		}
		left += n
	}
	if left != 20 {
		t.Errorf("said that %d were left out, want 20", left)
	}
}

func TestLimiter(t *testing.T) {
	at := time.Unix(1e9, 0)
	l := newLimiter(1)
	through := func(who string, n int, at time.Time) (passed int) {
		for range n {
			if l.allow(who, at) {
				passed++
			}
		}
		return passed
	}
	if n := through("a", 15, at); n != 10 {
		t.Errorf("%d of a burst of 15 in one second", n)
	}
	if n := through("b", 5, at); n != 5 {
		t.Errorf("%d of another's 5", n)
	}
	if n := through("a", 15, at.Add(4*time.Second)); n != 4 {
		t.Errorf("%d after four seconds", n)
	}
	if n := through("a", 15, at.Add(-time.Hour)); n != 0 {
		t.Errorf("%d when the clock was set back", n)
	}
	if n := through("a", 15, at.Add(-time.Hour+3*time.Second)); n != 3 {
		t.Errorf("%d three seconds later: the clock that was set back goes on", n)
	}
	if text, n := l.summary(); n != 43 || !strings.HasPrefix(text, `43 entries were left out, being more than 1 a second: 43 of "a"`) {
		t.Errorf("%s", text)
	}
	if _, n := l.summary(); n != 0 {
		t.Error("said twice")
	}
	for i := range 3 * maxBuckets {
		l.allow(fmt.Sprint("x", i), at.Add(time.Hour))
	}
	if len(l.buckets) > maxBuckets+1 {
		t.Errorf("%d buckets", len(l.buckets))
	}
	if l = newLimiter(0); through("a", 100, at) != 100 {
		t.Error("no limit")
	}
}

func TestDamagedCursorIsSaid(t *testing.T) {
	s := newSpool()
	s.position = []byte("--help")
	_, calls := counted(t, s, func(*Config) {}, entryLine(1, "x"))
	if len(s.recs) != 2 || !strings.Contains(s.recs[0].Body, "the stored cursor") || strings.Contains(calls, "--help") {
		t.Errorf("%+v, calls %s", s.recs, calls)
	}
}

func TestValidateFilters(t *testing.T) {
	f := func(change func(c *Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Units = []string{""} }, `journal filter "": write the name of a unit or an identifier`)
	f(func(c *Config) { c.MaxRate = -1 }, "journal max_rate -1: write a number from 1 to 1000000, or 0 for no limit")
	f(func(c *Config) { c.Matches, c.Units = []string{"A=b", "+", "C=d"}, []string{"x.service"} }, "journal matches with + stand beside units or identifiers: write either")
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(entryLine(1, "hello") + "\n" + entryLine(2, "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := DefaultConfig()
		c.MaxRate = 1
		j := New(Options{Config: c}).(*journal)
		j.limit = newLimiter(1)
		s := newSpool()
		lines := make(chan line, 1024)
		readLines(t.Context(), strings.NewReader(string(b)+"\n"), 4096, lines)
		close(lines)
		_ = (&batch{j: j, emit: func(ctx context.Context, recs []record.Record, position []byte) error {
			if len(position) > 0 && !validCursor(string(position)) {
				t.Fatalf("position %q", position)
			}
			return s.emit(ctx, recs, position)
		}, resumed: cursorOf(1)}).collect(t.Context(), lines)
	})
}
