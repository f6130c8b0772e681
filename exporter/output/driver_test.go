package output

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// queue is a Source in memory: frames are named by their first seq.
type queue struct {
	mu      sync.Mutex
	frames  []spool.Frame
	pos     int
	refused int
	note    []byte
	changed chan struct{}
	rewinds int
}

func newQueue(n int) *queue {
	q := &queue{changed: make(chan struct{})}
	q.add(n)
	return q
}

func (q *queue) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		seq := uint64(len(q.frames) + 1)
		q.frames = append(q.frames, spool.Frame{Header: record.Header{Kind: record.FrameData, Category: record.EventLog, First: seq, Last: seq, Count: 1}})
	}
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) Next(ctx context.Context, l spool.Limits) ([]spool.Frame, error) {
	for {
		q.mu.Lock()
		rest, changed := q.frames[q.pos:], q.changed
		q.mu.Unlock()
		if len(rest) > 0 {
			return rest[:min(len(rest), l.Frames)], nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func (q *queue) Settle(v []spool.Verdict, note []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, x := range v {
		if x == spool.Retry {
			break
		}
		if x == spool.Refused {
			q.refused++
		}
		q.pos++
	}
	if note != nil {
		q.note = note
	}
	return nil
}

func (q *queue) Rewind(note []byte) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.pos
	q.pos, q.note = 0, note
	q.rewinds++
	return uint64(n), nil
}

func (q *queue) Answer() []byte { return q.note }

func (q *queue) Pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pos < len(q.frames)
}

// script answers requests one after the other, and stores everything once it
// is at its end.
type script struct {
	start    time.Time
	hellos   []func(last []byte) (Greeting, error)
	sends    []func(frames []spool.Frame) (Answer, error)
	log      []string
	inFlight int
	t        *testing.T
}

func (s *script) say(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%6s ", time.Since(s.start).Round(time.Second))+fmt.Sprintf(format, args...))
}

func (s *script) Hello(_ context.Context, last []byte) (Greeting, error) {
	s.say("hello %s", last)
	if len(s.hellos) == 0 {
		return Greeting{}, nil
	}
	h := s.hellos[0]
	s.hellos = s.hellos[1:]
	return h(last)
}

func (s *script) Send(_ context.Context, frames []spool.Frame) (Answer, error) {
	if s.inFlight++; s.inFlight > 1 {
		s.t.Error("two requests in flight")
	}
	defer func() { s.inFlight-- }()
	s.say("send %d-%d", frames[0].Header.First, frames[len(frames)-1].Header.First)
	if len(s.sends) == 0 {
		return stored(frames)
	}
	f := s.sends[0]
	s.sends = s.sends[1:]
	return f(frames)
}

func (s *script) Close() error { return nil }

func stored(frames []spool.Frame) (Answer, error) {
	a := Answer{Note: fmt.Appendf(nil, "at %d", frames[len(frames)-1].Header.First)}
	for range frames {
		a.Verdicts = append(a.Verdicts, spool.Stored)
	}
	return a, nil
}

func fail(k Kind, after time.Duration) func([]spool.Frame) (Answer, error) {
	return func([]spool.Frame) (Answer, error) {
		return Answer{}, &Failure{Kind: k, After: after, Err: errors.New("no")}
	}
}

// drive runs a driver for a while of the bubble's time.
func drive(t *testing.T, q *queue, s *script, frames int, forTime time.Duration) *driverMetrics {
	t.Helper()
	s.t, s.start = t, time.Now()
	cfg := DefaultConfig()
	cfg.Batch.Frames = frames
	d, err := NewDriver("test", cfg, q, s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), forTime)
	defer cancel()
	if err := d.Run(ctx, ctx); err != nil {
		t.Fatal(err)
	}
	return d.metrics
}

func (s *script) want(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, l := range s.log {
		got = append(got, strings.TrimSpace(l))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestDriverDeliversInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newQueue(5), &script{}
		drive(t, q, s, 2, time.Minute)
		s.want(t, "0s hello", "0s send 1-2", "0s send 3-4", "0s send 5-5")
		if string(q.note) != "at 5" {
			t.Errorf("note %q", q.note)
		}
	})
}

func TestDriverSendsAgainWhatHasNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4)
		s := &script{sends: []func([]spool.Frame) (Answer, error){
			func([]spool.Frame) (Answer, error) {
				return Answer{Verdicts: []spool.Verdict{spool.Stored, spool.Retry, spool.Stored}}, nil
			},
			func([]spool.Frame) (Answer, error) {
				return Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{"poison"}}, nil
			},
		}}
		m := drive(t, q, s, 4, time.Minute)
		s.want(t, "0s hello", "0s send 1-4", "0s send 2-4", "0s send 3-4")
		if q.refused != 1 || counter(t, m.refused) != 1 {
			t.Errorf("%d refused", q.refused)
		}
	})
}

func TestDriverWaits(t *testing.T) {
	cases := []struct {
		name string
		fail func([]spool.Frame) (Answer, error)
		n    int
		// the last request comes between these times
		least, most time.Duration
		hellos      int
	}{
		{"busy backs off", fail(Busy, 0), 4, 3 * time.Second, 9 * time.Second, 1},
		{"the receiver's wish counts", fail(Busy, 20*time.Second), 2, 40 * time.Second, 51 * time.Second, 1},
		{"unreachable says hello again", fail(Unreachable, 0), 2, 500 * time.Millisecond, 2 * time.Second, 3},
		{"denied is tried slowly", fail(Denied, 0), 2, 30 * time.Second, 95 * time.Second, 3},
		{"any other error is unreachable", func([]spool.Frame) (Answer, error) { return Answer{}, errors.New("eof") }, 1, 200 * time.Millisecond, time.Second, 2},
		{"an answer without verdicts", func([]spool.Frame) (Answer, error) { return Answer{}, nil }, 1, 200 * time.Millisecond, time.Second, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, s := newQueue(1), &script{}
				start, at := time.Now(), time.Duration(0)
				for range c.n {
					s.sends = append(s.sends, c.fail)
				}
				s.sends = append(s.sends, func(f []spool.Frame) (Answer, error) { at = time.Since(start); return stored(f) })
				m := drive(t, q, s, 10, 10*time.Minute)
				if at < c.least || at > c.most {
					t.Errorf("the last request after %s, want %s to %s", at, c.least, c.most)
				}
				hellos := 0
				for _, l := range s.log {
					if strings.Contains(l, "hello") {
						hellos++
					}
				}
				if hellos != c.hellos {
					t.Errorf("%d hellos, want %d", hellos, c.hellos)
				}
				if q.Pending() || counter(t, m.records) != 1 {
					t.Error("not delivered in the end")
				}
			})
		})
	}
}

func TestDriverBackoffIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newQueue(1), &script{}
		for range 1000 {
			s.sends = append(s.sends, fail(Busy, 0))
		}
		drive(t, q, s, 10, time.Hour)
		tried := 1001 - len(s.sends)
		if tried < 110 || tried > 260 { // every 15 to 30 s
			t.Errorf("%d tries in an hour", tried)
		}
	})
}

func TestDriverRewinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(8)
		q.note, q.pos = []byte("old"), 8
		s := &script{hellos: []func([]byte) (Greeting, error){
			func([]byte) (Greeting, error) {
				return Greeting{Rewind: true, Reason: "volume lost", FramesPerSecond: 2, Note: []byte("new")}, nil
			},
		}}
		drive(t, q, s, 4, time.Minute)
		s.want(t, "0s hello old", "0s send 1-4", "2s send 5-8")
		if q.rewinds != 1 {
			t.Errorf("%d rewinds", q.rewinds)
		}
	})
}

func TestDriverSaysHelloWhenTheReceiverIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2)
		q.note = []byte("old")
		s := &script{sends: []func([]spool.Frame) (Answer, error){
			func([]spool.Frame) (Answer, error) {
				return Answer{Verdicts: []spool.Verdict{spool.Stored}, Hello: true}, nil
			},
		}}
		drive(t, q, s, 1, time.Minute)
		s.want(t, "0s hello old", "0s send 1-1", "0s hello old", "0s send 2-2")
	})
}

func TestDriverMakesRequestsSmaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newQueue(9), &script{}
		limit := func(frames []spool.Frame) (Answer, error) {
			for i := range frames {
				if frames[i].Header.First == 6 { // never fits
					return Answer{}, &Failure{Kind: TooLarge, Err: errors.New("413")}
				}
			}
			return stored(frames)
		}
		for range 20 {
			s.sends = append(s.sends, limit)
		}
		drive(t, q, s, 8, time.Minute)
		if q.Pending() || q.refused != 1 {
			t.Errorf("pending %v, %d refused, want frame 6 alone", q.Pending(), q.refused)
		}
	})
}

func TestDriverDrains(t *testing.T) {
	cases := []struct {
		name  string
		fails int
		left  bool
		took  time.Duration // at most
	}{
		{"a goodbye arrives", 0, false, 0},
		{"after a failure too", 2, false, 3 * time.Second},
		{"but not for ever", 1000, true, 5 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, s := newQueue(0), &script{t: t, start: time.Now()}
				d, err := NewDriver("test", DefaultConfig(), q, s, slog.New(slog.DiscardHandler), nil)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				drain, stop := context.WithCancel(context.Background())
				defer stop()
				ended := make(chan error)
				go func() { ended <- d.Run(ctx, drain) }()
				synctest.Wait()
				for range c.fails {
					s.sends = append(s.sends, fail(Busy, 0))
				}
				q.add(1)
				start := time.Now()
				time.AfterFunc(5*time.Second, stop)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if q.Pending() != c.left || time.Since(start) > c.took {
					t.Errorf("pending %v after %s", q.Pending(), time.Since(start))
				}
			})
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"": func(*Config) {},
		"timeout 0s: write a time from 1s to 10m":                                       func(c *Config) { c.Timeout = 0 },
		"min_backoff 1m0s, max_backoff 30s: write times from 10ms to 1h, min below max": func(c *Config) { c.MinBackoff = time.Minute },
		"denied_backoff 1ms: write a time from min_backoff to 1h":                       func(c *Config) { c.DeniedBackoff = time.Millisecond },
		"batch frames 0: write a number from 1 to 1024":                                 func(c *Config) { c.Batch.Frames = 0 },
		"batch records 0: write a number from 1 to 65536":                               func(c *Config) { c.Batch.Records = 0 },
		"batch bytes 1: write a number from 65536 to 6291456":                           func(c *Config) { c.Batch.Bytes = 1 },
	} {
		cfg, got := DefaultConfig(), ""
		change(&cfg)
		if err := cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func counter(t *testing.T, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestDriverSaysHelloNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newQueue(0), &script{}
		go func() {
			for range 25 {
				time.Sleep(time.Minute) // of the bubble's clock
				q.add(1)
			}
		}()
		drive(t, q, s, 1, 26*time.Minute)
		hellos := 0
		for _, l := range s.log {
			if strings.Contains(l, "hello") {
				hellos++
			}
		}
		if hellos != 3 {
			t.Errorf("%d hellos in 25 minutes, want one every ten:\n%s", hellos, strings.Join(s.log, "\n"))
		}
	})
}
