package winlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

func TestFollowsAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1, 2, 3), nil)
		s.during(t, 0, s.log.write(4, 5))
		if p := s.spool.place(t, "System"); s.spool.ids() != "4 5" || p.Bookmark != bookmark(5) || p.mark != markOf(5) {
			t.Errorf("records %s, place %+v: want only what is new", s.spool.ids(), p)
		}
		s.log.write(6)()
		s.during(t, 0, s.log.write(7))
		if s.spool.ids() != "4 5 6 7" {
			t.Errorf("records %s: want what came meanwhile, and nothing twice", s.spool.ids())
		}
		if s.metric(t, "events_total", "System", "disk", "error", "7") != 1 || s.metric(t, "missing_total") != 0 {
			t.Error("the events are not counted well")
		}
		s.balanced(t)
	})
}

// A channel that never said anything speaks while the exporter is not there.
func TestQuietChannelIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for why, log := range map[string]*fakeLog{"an empty log": newLog(), "a log that nobody read": newLog(1, 2, 3)} {
			s := newSession(log, nil)
			s.during(t, 0)
			s.log.write(4, 5)()
			s.during(t, 0, s.log.write(6))
			if s.spool.ids() != "4 5 6" || s.spool.place(t, "System").Bookmark != bookmark(6) {
				t.Errorf("%s: records %s", why, s.spool.ids())
			}
			if s.metric(t, "missing_total") != 0 || s.metric(t, "resets_total") != 0 {
				t.Errorf("%s: something is said to be missing: %s", why, s.spool.said())
			}
			s.during(t, 0)
			if s.spool.ids() != "4 5 6" {
				t.Errorf("%s: a third start: records %s", why, s.spool.ids())
			}
			s.balanced(t)
		}
		lost := newSession(newLog(1, 2), nil)
		lost.during(t, 0)
		lost.log.events = []int{8, 9} // wrapped
		lost.during(t, 0)
		if lost.spool.ids() != "gap 8 9" || lost.metric(t, "missing_total", missingRemoved) != 5 {
			t.Errorf("wrapped meanwhile: %s, %s", lost.spool.ids(), lost.spool.said())
		}
		reopened := newSession(newLog(1), nil)
		reopened.during(t, 2*time.Second, func() {
			reopened.log.mu.Lock()
			reopened.log.fail["next"] = classify("EvtNext", codeQueryResultStale)
			reopened.log.mu.Unlock()
		}, reopened.log.write(), reopened.log.write(2))
		if got := strings.ReplaceAll(reopened.spool.ids(), "gap ", ""); got != "2" {
			t.Errorf("written while the event log service restarts: records %s", reopened.spool.ids())
		}
	})
}

// To show a person what it reads, the source begins with some past events.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for past, want := range map[int]string{2: "4 5", 99: "1 2 3 4 5"} {
			s := newSession(newLog(1, 2, 3, 4, 5), nil)
			s.past = past
			if s.during(t, 0); s.spool.ids() != want || s.metric(t, "missing_total") != 0 {
				t.Errorf("the last %d: records %s", past, s.spool.ids())
			}
		}
		kept := newSession(newLog(1, 2, 3), at("System", 2))
		kept.past = 3
		if kept.during(t, 0); kept.spool.ids() != "3" {
			t.Errorf("where it has a place, it goes on there: %s", kept.spool.ids())
		}
	})
}

// The first version stored bare bookmarks.
func TestReadsTheFirstVersionsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := json.Marshal(map[string]string{"System": bookmark(2)})
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(newLog(1, 2, 3), b)
		s.during(t, 0)
		if s.spool.ids() != "3" {
			t.Errorf("records %s", s.spool.ids())
		}
	})
}

func TestDamagedPositionIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1), []byte("{"))
		s.during(t, 0, s.log.write(2))
		if s.spool.ids() != "gap 2" || !strings.Contains(s.spool.said(), "the stored bookmarks are damaged") {
			t.Errorf("records %s: %s", s.spool.ids(), s.spool.said())
		}
	})
}

func TestRemovedEventsAreSaidAndCounted(t *testing.T) { synctest.Test(t, testRemoved) }

func testRemoved(t *testing.T) {
	f := func(why string, s *session, ids, said string, missing float64) {
		t.Helper()
		s.during(t, 0)
		if s.spool.ids() != ids || s.spool.said() != said {
			t.Errorf("%s: records %s, said %q; want %s, %q", why, s.spool.ids(), s.spool.said(), ids, said)
		}
		if got := s.metric(t, "missing_total", missingRemoved); got != missing {
			t.Errorf("%s: %v missing, want %v", why, got, missing)
		}
		s.balanced(t)
	}
	filtered := func(s *session) *session { s.channel.Levels = []string{"error"}; return s }
	f("the log has wrapped", newSession(newLog(101, 102), at("System", 50)), "gap 101 102", "channel System: 50 events (records 51 to 100) were removed before they were read; it goes on at the oldest one left", 50)
	f("wrapped, and filtered", filtered(newSession(newLog(101), at("System", 50))), "gap 101", "channel System: records 51 to 100 were removed before they were read, with at most 50 events that were wanted", 50)
	unknown := newSession(newLog(101), at("System", 50))
	unknown.log.fail["oldest"] = classify("EvtGetLogInfo", codeInvalidHandle)
	unknown.during(t, 0)
	if unknown.spool.ids() != "gap 101 gap" || unknown.metric(t, "missing_total", missingHole) != 50 {
		t.Errorf("the oldest record is not known: %s, %s", unknown.spool.ids(), unknown.spool.said())
	}
	cleared := newLog(1, 2)
	cleared.xml = later
	f("the log was cleared and numbers begin again", newSession(cleared, at("System", 50)), "gap 1 2", "channel System: was cleared or has wrapped: events were removed before they were read; it goes on at the oldest one left", 0)
	bad := newSession(newLog(49, 50, 51), at("System", 50))
	bad.log.fail["subscribe"] = classify("EvtSubscribe", codeInvalidPosition)
	f("the bookmark is bad but its log is there: nothing twice", bad, "gap 51", "channel System: was cleared or has wrapped: events were removed before they were read; it goes on at the oldest one left", 0)
}

// later writes events of another hour than xmlOf.
func later(id int) string { return strings.Replace(xmlOf(id), "T03:", "T04:", 1) }

func TestHolesAndResetsWhileFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1), at("System", 1))
		s.during(t, 0, s.log.write(2, 5, 9))
		if s.spool.ids() != "2 5 9 gap" || s.spool.said() != "channel System: 5 events are missing by their record numbers, in 2 places, the first behind record 2" || s.metric(t, "missing_total", missingHole) != 5 {
			t.Errorf("holes: %s, %s", s.spool.ids(), s.spool.said())
		}
		if n, _ := s.spool.recs[3].Attr(record.AttrMissing).Int(); n != 5 {
			t.Errorf("the record says %d", n)
		}
		filtered := newSession(newLog(1), at("System", 1))
		filtered.channel.EventIDs.Include = []string{"1-100"}
		filtered.during(t, 0, filtered.log.write(2, 5))
		if filtered.spool.ids() != "2 5" {
			t.Errorf("filtered: %s: what is left out is no loss", filtered.spool.ids())
		}
	})
}

func TestForwardedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1, 2), at("ForwardedEvents", 1))
		s.channel.Name = "ForwardedEvents"
		// Two machines, with numbers of their own: 7 and 7, then 3.
		s.log.xml = func(id int) string {
			number, computer := map[int]int{2: 7, 3: 7, 4: 3, 5: 3}[id], map[int]string{2: "db7", 3: "db8", 4: "db7", 5: "db8"}[id]
			return strings.Replace(xmlFrom("System", "disk", computer, number), "</System>", "</System><RenderingInfo><Message>from "+computer+"</Message></RenderingInfo>", 1)
		}
		s.during(t, 0, s.log.write(3, 4))
		if s.spool.ids() != "7 7 3" || s.spool.recs[1].Body != "from db8" || s.metric(t, "missing_total") != 0 {
			t.Errorf("records %s: every one, and no holes", s.spool.ids())
		}
		if p := s.spool.place(t, "ForwardedEvents"); p.ID != 1 { // as stored before, and not used
			t.Errorf("mark %+v", p)
		}
		// The bookmark is lost while it follows: what is left is read again, and known.
		again := newSession(newLog(1), at("ForwardedEvents", 1))
		again.channel.Name, again.log.xml = "ForwardedEvents", s.log.xml
		again.during(t, 2*time.Second, again.log.write(2, 3), func() {
			again.log.mu.Lock()
			again.log.events = again.log.events[1:]
			again.log.fail["subscribe"] = classify("EvtSubscribe", codeNotFound)
			again.log.fail["next"] = classify("EvtNext", codeQueryResultStale)
			again.log.mu.Unlock()
			again.log.write(4)()
		})
		if got := strings.ReplaceAll(again.spool.ids(), "gap ", ""); got != "7 7 3" || again.metric(t, "dropped_total", reasonRepeat) != 2 {
			t.Errorf("records %s, %s", again.spool.ids(), again.spool.said())
		}
		again.balanced(t)
	})
}

// Every code that the interface is known to fail with, from both calls.
func TestErrorsOfTheInterface(t *testing.T) { synctest.Test(t, testErrors) }

func testErrors(t *testing.T) {
	const sub = "subscribe System 1, "
	f := func(why, call string, code uint32, wait time.Duration, ids, calls string) {
		t.Helper()
		s := newSession(newLog(1), at("System", 1))
		s.log.fail[call] = classify(call, code)
		s.during(t, wait, s.log.write(2))
		if s.spool.ids() != ids {
			t.Errorf("%s: records %q, want %q", why, s.spool.ids(), ids)
		}
		if got := strings.Join(s.log.calls, ", "); !strings.HasPrefix(got, calls) {
			t.Errorf("%s: calls %s, want %s", why, got, calls)
		}
		s.balanced(t)
	}
	for _, code := range []uint32{codeInvalidHandle, codeInvalidParameter, codeServerUnavailable, codeCallCancelled, codeQueryResultStale, codePublisherDisabled, 0, 5, 1717} {
		f(fmt.Sprintf("subscribe fails with %d", code), "subscribe", code, 2*time.Second, "gap 2", sub+sub+"next 128, ")
		f(fmt.Sprintf("next fails with %d", code), "next", code, 2*time.Second, "gap 2", sub+"next 128, "+sub+"next 128, ")
	}
	f("an answer too large", "next", codeInvalidBound, 0, "2", sub+"next 128, "+sub+"next 64, next 64, next 128")
	f("no such channel, asked again in 5 minutes", "subscribe", codeChannelNotFound, 6*time.Minute, "gap 2", sub+sub+"next 128")
	f("a channel that cannot be subscribed to", "subscribe", codeDirectChannel, 6*time.Minute, "gap 2", sub+sub+"next 128")
	f("a wrong query", "subscribe", codeInvalidQuery, 6*time.Minute, "gap 2", sub+sub+"next 128")
	f("the channel went away while it was read", "next", codeChannelNotFound, 6*time.Minute, "gap 2", sub+"next 128, "+sub+"next 128")
	f("the bookmark is lost", "subscribe", codeNotFound, 0, "gap 2", sub+"subscribe System oldest, next 128")
}

func TestOptionalChannelIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1), nil)
		s.channel.Optional = true
		s.log.fail["subscribe"] = classify("EvtSubscribe", codeChannelNotFound)
		s.during(t, 6*time.Minute)
		if s.spool.ids() != "" || s.metric(t, "channel_open") != 0 {
			t.Errorf("records %s: its absence is no failure", s.spool.ids())
		}
	})
}

// An event with which every answer fails is left out, said and counted, and
// what comes behind it is read.
func TestEventThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1), at("System", 1))
		s.log.bad = 3
		s.during(t, time.Second, s.log.write(2, 3, 4, 5))
		if s.spool.ids() != "2 gap 4 5" || s.metric(t, "missing_total", missingUnreadable) != 1 || s.metric(t, "missing_total", missingHole) != 0 {
			t.Errorf("records %s, %s\n%s", s.spool.ids(), s.spool.said(), strings.Join(s.log.calls, ", "))
		}
		if !slices.Contains(s.log.calls, "next 1") || !slices.Contains(s.log.calls, "subscribe System 3 near") {
			t.Errorf("calls %v", s.log.calls)
		}
		oldest := newSession(newLog(101, 102), at("System", 50))
		oldest.log.bad = 101
		oldest.during(t, time.Second)
		if oldest.spool.ids() != "gap gap 102" {
			t.Errorf("the oldest one: records %s, %s", oldest.spool.ids(), oldest.spool.said())
		}
		one := newSession(newLog(1), at("System", 1))
		one.log.broken = 3
		one.during(t, 0, one.log.write(2, 3, 4))
		if one.spool.ids() != "2 gap 4" || one.metric(t, "missing_total", missingUnreadable) != 1 {
			t.Errorf("one that cannot be rendered: %s", one.spool.ids())
		}
		one.balanced(t)
	})
}

func TestFiltersLeaveOutAndCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1), at("System", 1))
		s.channel.Providers.Exclude, s.channel.EventIDs.Exclude = []string{"DISK"}, []string{"other/4"}
		s.log.xml = func(id int) string {
			return xmlFrom("System", map[bool]string{true: "disk", false: "Other"}[id%2 == 1], "db7", id)
		}
		s.during(t, 0, s.log.write(2, 3, 4, 5, 6))
		if s.spool.ids() != "2 6" || s.metric(t, "dropped_total", reasonProvider) != 2 || s.metric(t, "dropped_total", reasonEventID) != 1 {
			t.Errorf("records %s", s.spool.ids())
		}
		s.balanced(t)
	})
}

func TestLagIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newLog(1), at("System", 1))
		at := time.Now().Add(-90 * time.Second).UTC().Format(time.RFC3339)
		s.log.xml = func(id int) string { return strings.Replace(xmlOf(id), "2026-01-02T03:04:05.1234567Z", at, 1) }
		var ids []int
		for id := 2; id < 2+maxBatch+1; id++ {
			ids = append(ids, id)
		}
		s.during(t, 0, s.log.write(ids...))
		if lag := s.metric(t, "lag_seconds"); lag != 90 || s.metric(t, "full_batches_total") != 1 {
			t.Errorf("lag %v, full batches %v", lag, s.metric(t, "full_batches_total"))
		}
	})
}

func TestSpoolFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		src := New(Options{Config: Config{Channels: []Channel{{Name: "System"}}}, API: newLog(1, 2), Positions: &spool{position: at("System", 1)}})
		if err := src.Run(t.Context(), func(context.Context, []record.Record, []byte) error { return full }); !errors.Is(err, full) {
			t.Errorf("error %v, want the spool's", err)
		}
	})
}

// While a commit is in flight the readers go on, as far as there is room, and
// what they read becomes one commit.
func TestGathersWhileACommitIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sp := newLog(1), &spool{position: at("System", 1)}
		src := New(Options{Config: Config{Channels: []Channel{{Name: "System"}}}, API: log, Positions: sp})
		var commits []int
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- src.Run(ctx, func(ctx context.Context, recs []record.Record, position []byte) error {
				commits = append(commits, len(recs))
				time.Sleep(50 * time.Millisecond) // a slow disk
				return sp.emit(ctx, recs, position)
			})
		}()
		synctest.Wait()
		var all []int
		for id := 2; id < 2+20*maxBatch; id++ {
			all = append(all, id)
		}
		log.write(all...)()
		time.Sleep(time.Second)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		total := 0
		for _, n := range commits {
			total += n
		}
		if len(commits) > 2 || total != 20*maxBatch {
			t.Errorf("commits of %v records: want what came first, then all the others", commits)
		}
	})
}

func TestNotOnThisSystem(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is an event log here")
	}
	src := New(Options{Config: DefaultConfig()})
	if err := src.Run(t.Context(), (&spool{}).emit); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want unsupported", err)
	}
}

func TestMetricsAreThereAtZero(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := NewMetrics(reg, DefaultConfig().Channels); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, f := range families {
		if f.GetName() == "exporter_winlog_read_total" && (len(f.GetMetric()) != len(DefaultConfig().Channels)) {
			t.Errorf("%v", f)
		}
	}
}

// A channel whose call does not come back takes the promise of a Beat away; one
// that waits to try again does not.
func TestAllAlive(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := func(want bool, ages ...time.Duration) {
		t.Helper()
		c := &committer{}
		for _, age := range ages {
			l := new(atomic.Int64)
			if age >= 0 {
				l.Store(now.Add(-age).UnixNano())
			}
			c.lives = append(c.lives, l)
		}
		if c.allAlive(now) != want {
			t.Errorf("%v: want %v", ages, want)
		}
	}
	f(true)
	f(true, 0, pulse, -1)
	f(false, 0, 3*pulse)
}

var _ source.Source = (*winlog)(nil)

func TestClassify(t *testing.T) {
	for code, want := range map[uint32]error{
		6: ErrStale, 87: ErrStale, 1722: ErrStale, 1818: ErrStale, 15011: ErrStale, 15037: ErrStale, 1168: ErrBookmarkLost, 15012: ErrBookmarkLost,
		15007: ErrNoChannel, 15025: ErrNoChannel, 1734: ErrTooMany, 15001: ErrQuery,
	} {
		if err := classify("call", code); !errors.Is(err, want) {
			t.Errorf("code %d: %v, want %v", code, err, want)
		}
	}
	if err := classify("EvtNext", 5); err == nil || errors.Is(err, ErrStale) || err.Error() != "EvtNext: Windows error 5" {
		t.Errorf("access denied: %v", err)
	}
	if !nothingYet(259) || !nothingYet(4317) || nothingYet(15011) || nothingYet(0) {
		t.Error("259 and 4317 mean that there is nothing yet")
	}
	if outcome(true, 259) != 0 || outcome(false, 0) == 0 || outcome(false, 122) != 122 {
		t.Error("what does not work has a code")
	}
	if !serviceGone(classify("x", 1722)) || serviceGone(classify("x", 87)) || serviceGone(errors.New("x")) {
		t.Error("87 is the event's own fault")
	}
}

func TestRendered(t *testing.T) {
	f := func(why string, want string, answers ...int) {
		t.Helper()
		buf, calls := make([]uint16, 4), 0
		n, err := rendered("EvtRender", &buf, func([]uint16) (int, uint32) {
			used, code := answers[2*calls], answers[2*calls+1]
			calls++
			return used, uint32(code)
		})
		if got := fmt.Sprintf("%d of %d, %v", n, len(buf), err); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	f("it fits", "3 of 4, <nil>", 3, 0)
	f("twice too small", "20 of 20, <nil>", 10, 122, 20, 122, 20, 0)
	f("asks for what it has", "0 of 4, EvtRender: Windows error 122", 4, 122)
	f("asks for too much", "0 of 4, EvtRender: Windows error 122", maxRendered+1, 122)
	f("a text with holes", "2 of 4, <nil>", 2, codeUnresolvedValue)
	f("dead", "0 of 4, EvtRender: Windows error 6 (the subscription is dead)", 0, 6)
	f("more than there is room", "4 of 4, <nil>", 9, 0)
}
