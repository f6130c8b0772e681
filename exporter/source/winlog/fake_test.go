package winlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

func xmlOf(id int) string {
	return xmlFrom("System", "disk", "db7", id)
}

func xmlFrom(channel, provider, computer string, id int) string {
	return fmt.Sprintf(`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='%s'/><EventID Qualifiers='49156'>%d</EventID><Level>2</Level><TimeCreated SystemTime='2026-01-02T03:04:05.1234567Z'/><EventRecordID>%d</EventRecordID><Channel>%s</Channel><Computer>%s</Computer></System><EventData><Data>\Device\Harddisk1\DR1</Data><Binary>0A0B</Binary></EventData></Event>`, provider, id, id, channel, computer)
}

// fakeLog is an event log of one channel whose calls fail as the test says.
type fakeLog struct {
	mu     sync.Mutex
	events []int            // record ids, ascending
	fail   map[string]error // of the next call: "subscribe", "next"
	bad    int              // the event with which every answer fails
	broken int              // the event that cannot be rendered
	calls  []string
	wake   chan struct{}
	xml    func(id int) string
}

func (f *fakeLog) failing(call string) error {
	err := f.fail[call]
	delete(f.fail, call)
	return err
}

func (f *fakeLog) Kept(string) (oldest, count uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failing("oldest"); err != nil || len(f.events) == 0 {
		return 0, 0, err
	}
	return uint64(f.events[0]), uint64(len(f.events)), nil
}

func bookmark(id int) string { return bookmarkAt("System", uint64(id)) }

func (f *fakeLog) Subscribe(ch Channel, from Start) (Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeSub{log: f}
	if from.Bookmark != "" {
		at := bookmarkRecord.FindStringSubmatch(from.Bookmark)
		if at == nil {
			return nil, errors.New("a bookmark that is none")
		}
		if _, err := fmt.Sscan(at[2], &s.after); err != nil {
			return nil, err
		}
	}
	how := fmt.Sprint(s.after)
	switch {
	case from.Near:
		how += " near"
	case from.Oldest:
		how = "oldest"
	}
	f.calls = append(f.calls, "subscribe "+ch.Name+" "+how)
	if err := f.failing("subscribe"); err != nil {
		return nil, err
	}
	switch {
	case from.Bookmark != "" && !from.Near && !slices.Contains(f.events, s.after):
		return nil, classify("EvtSubscribe", codeNotFound)
	case from.Bookmark == "" && !from.Oldest && len(f.events) > 0:
		s.after = f.events[len(f.events)-1]
	}
	return s, nil
}

type fakeSub struct {
	log   *fakeLog
	after int
}

func (s *fakeSub) Close() error { return nil }

func (s *fakeSub) Next(ctx context.Context, n int) (Batch, error) {
	wait := time.NewTimer(pulse / 2)
	defer wait.Stop()
	for {
		b, err := s.next(n)
		if err != nil || len(b.Events) > 0 {
			return b, err
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-wait.C:
			return Batch{}, nil
		case <-s.log.wake:
		}
	}
}

func (s *fakeSub) next(n int) (Batch, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if len(s.log.calls) < 50 {
		s.log.calls = append(s.log.calls, fmt.Sprintf("next %d", n))
	}
	if err := s.log.failing("next"); err != nil {
		return Batch{}, err
	}
	var b Batch
	after := s.after
	for _, id := range s.log.events {
		if id <= s.after || len(b.Events) >= n {
			continue
		}
		if id == s.log.bad {
			return Batch{}, classify("EvtNext", codeInvalidBound)
		}
		e := Event{XML: s.log.xml(id)}
		if id == s.log.broken {
			e = Event{Err: classify("EvtRender", codeInvalidParameter)}
		}
		b.Events = append(b.Events, e)
		after = id
	}
	if s.after = after; len(b.Events) > 0 {
		b.Bookmark = bookmark(after)
	}
	return b, nil
}

type spool struct {
	mu       sync.Mutex
	recs     []record.Record
	position []byte
}

func (s *spool) emit(_ context.Context, recs []record.Record, position []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recs, s.position = append(s.recs, recs...), position
	return nil
}

func (s *spool) Position(string) ([]byte, error) { return s.position, nil }

// place returns where reading of a channel goes on.
func (s *spool) place(t *testing.T, channel string) place {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	places := map[string]place{}
	if err := json.Unmarshal(s.position, &places); err != nil {
		t.Errorf("position %s: %v", s.position, err)
	}
	return places[channel]
}

// said returns the texts of the records that say what is missing.
func (s *spool) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.recs {
		if r.Name == record.NameSourceFailed {
			out = append(out, r.Attr(record.AttrError).Str())
		}
	}
	return strings.Join(out, "|")
}

func (s *spool) ids() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.recs {
		if r.Name == record.NameSourceFailed {
			out = append(out, "gap")
			continue
		}
		out = append(out, r.Attr(record.AttrRecordID).Text())
	}
	return strings.Join(out, " ")
}

// at is a stored position with the last event read.
func at(channel string, id int) []byte {
	b, err := json.Marshal(map[string]place{channel: {Bookmark: bookmark(id), mark: markOf(id)}})
	if err != nil {
		panic(err)
	}
	return b
}

func markOf(id int) mark {
	return mark{ID: uint64(id), At: time.Date(2026, 1, 2, 3, 4, 5, 123456700, time.UTC).UnixNano()}
}

// session is one run of the source over a log.
type session struct {
	log     *fakeLog
	spool   *spool
	channel Channel
	reg     *prometheus.Registry
	metrics *Metrics
	past    int
}

func newSession(log *fakeLog, position []byte) *session {
	return &session{log: log, spool: &spool{position: position}, channel: Channel{Name: "System"}, reg: prometheus.NewRegistry()}
}

// during runs the source for some time of the bubble.
func (s *session) during(t *testing.T, d time.Duration, then ...func()) {
	t.Helper()
	if s.metrics == nil {
		var err error
		if s.metrics, err = NewMetrics(s.reg, []Channel{s.channel}); err != nil {
			t.Fatal(err)
		}
	}
	src := New(Options{Config: Config{Enabled: true, Channels: []Channel{s.channel}}, Positions: s.spool, API: s.log, Metrics: s.metrics})
	if s.past > 0 {
		src = src.(source.Recent).Recent(s.past)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, s.spool.emit) }()
	synctest.Wait()
	for _, step := range then {
		step()
		synctest.Wait()
	}
	time.Sleep(d)
	synctest.Wait()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// metric returns the sum of a metric's series that have all the labels' values.
func (s *session) metric(t *testing.T, name string, values ...string) float64 {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() != "exporter_winlog_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetValue())
			}
			if slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(has, v) }) {
				continue
			}
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if !found {
		t.Errorf("no metric %s %v", name, values)
	}
	return sum
}

// balanced checks that every event that was read is accounted for.
func (s *session) balanced(t *testing.T) {
	t.Helper()
	in := s.metric(t, "read_total")
	out := s.metric(t, "levels_total") + s.metric(t, "dropped_total")
	if unreadable := s.metric(t, "missing_total", missingUnreadable); in != out && in != out+unreadable {
		t.Errorf("%v read, %v handed on or dropped, %v unreadable", in, out, unreadable)
	}
}

func (f *fakeLog) write(ids ...int) func() {
	return func() {
		f.mu.Lock()
		f.events = append(f.events, ids...)
		f.mu.Unlock()
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

func newLog(ids ...int) *fakeLog {
	return &fakeLog{events: ids, fail: map[string]error{}, wake: make(chan struct{}, 1), xml: xmlOf}
}
