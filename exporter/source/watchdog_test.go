package source

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

var everyMinute = Schedule{Period: time.Minute, Deadline: 10 * time.Second}

// patient is a scheduled collector that hangs until it is released, whatever
// its context says.
func patient(release <-chan struct{}) Source {
	return Scheduled(stub{name: "c", collect: func(context.Context) ([]record.Record, error) {
		<-release
		return rec("late"), nil
	}}, everyMinute)
}

func healthy(body string) Source {
	return Scheduled(stub{name: "c", collect: func(context.Context) ([]record.Record, error) { return rec(body), nil }}, everyMinute)
}

// supervised runs Supervise in a bubble and returns its error later.
func supervised(t *testing.T, o Options) (result func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Supervise(ctx, o) }()
	return func() error { stop(); return <-done }
}

func TestARoundThatHangsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg, release := &sink{}, prometheus.NewRegistry(), make(chan struct{})
		o := options(s, reg, patient(release))
		o.Renew = func(name string) (Source, error) {
			if name != "c" {
				t.Errorf("asked for %q", name)
			}
			return healthy("fresh"), nil
		}
		result := supervised(t, o)
		time.Sleep(39 * time.Second)
		metric(t, reg, "hung_total", "c 0")
		time.Sleep(11 * time.Second) // 10 s deadline, 30 s more, then the back-off
		metric(t, reg, "hung_total", "c 1")
		metric(t, reg, "abandoned", "c 1")
		metric(t, reg, "success", "c 1")
		close(release)
		synctest.Wait()
		metric(t, reg, "abandoned", "c 0")
		if err := result(); err != nil {
			t.Error(err)
		}
		want := "c source c: no answer within 10s: context deadline exceeded\nc source c: hangs and is given up: no end 30s after its deadline\nc fresh"
		if s.String() != want {
			t.Errorf("emitted\n%s\nwant\n%s", s, want)
		}
	})
}

// One that always hangs leaves no more than three behind. What helps is a new
// process, at most once an hour, and nobody else's fault keeps it from that.
func TestASourceThatKeepsHangingEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg, release := &sink{}, prometheus.NewRegistry(), make(chan struct{})
		deaf := stub{name: "deaf", run: func(context.Context, Emit) error { <-release; return nil }}
		o := options(s, reg, patient(release), deaf)
		o.Renew = func(string) (Source, error) { return patient(release), nil }
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- Supervise(t.Context(), o) }()
		time.Sleep(59 * time.Minute)
		metric(t, reg, "abandoned", "c 3, deaf 0")
		metric(t, reg, "hung_total", "c 3, deaf 0")
		if err := <-done; !errors.Is(err, ErrHung) || time.Since(began) != restartAfter+abandonTime {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		close(release)
	})
}

func TestWithoutAnotherASourceThatHangsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg, release := &sink{}, prometheus.NewRegistry(), make(chan struct{})
		result := supervised(t, options(s, reg, patient(release)))
		time.Sleep(30 * time.Minute)
		metric(t, reg, "hung_total", "c 1")
		close(release)
		time.Sleep(10 * time.Second)
		metric(t, reg, "success", "c 1")
		metric(t, reg, "abandoned", "c 0")
		if err := result(); err != nil {
			t.Error(err)
		}
	})
}

func TestASourceThatCannotBeBuiltAnewEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := options(&sink{}, prometheus.NewRegistry(), patient(release))
		o.Renew = func(string) (Source, error) { return nil, errors.New("no such folder") }
		err := Supervise(t.Context(), o)
		if !errors.Is(err, ErrHung) || err.Error() != "source c: the process has to start again: it cannot be built anew: no such folder" {
			t.Error(err)
		}
		close(release)
	})
}

// A stream promises to beat. Time in Emit does not count, and one that was
// given up can emit no more.
func TestAStreamThatBreaksItsPromiseIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg, release := &sink{}, prometheus.NewRegistry(), make(chan struct{})
		late := make(chan error, 1)
		first := stub{name: "c", run: func(ctx context.Context, emit Emit) error {
			for i := range 3 {
				Beat(ctx, time.Minute)
				if err := emit(ctx, rec(fmt.Sprint("event ", i)), nil); err != nil {
					return err
				}
			}
			Beat(ctx, 0) // the promise taken back: events may take their time
			time.Sleep(time.Hour)
			Beat(ctx, time.Minute)
			<-release
			late <- emit(ctx, rec("late"), nil)
			return nil
		}}
		o := options(s, reg, first)
		slow := s.emitter
		o.Emitter = func(src Source) Emit {
			emit := slow(src)
			return func(ctx context.Context, recs []record.Record, position []byte) error {
				time.Sleep(10 * time.Minute) // a busy spool is not the source's fault
				return emit(ctx, recs, position)
			}
		}
		o.Renew = func(string) (Source, error) {
			return stub{name: "c", run: func(ctx context.Context, emit Emit) error {
				Beat(ctx, time.Minute)
				if err := emit(ctx, rec("fresh"), nil); err != nil {
					return err
				}
				Beat(ctx, 0)
				<-ctx.Done()
				return ctx.Err()
			}}, nil
		}
		result := supervised(t, o)
		time.Sleep(90 * time.Minute)
		metric(t, reg, "hung_total", "c 0")
		time.Sleep(30 * time.Minute)
		metric(t, reg, "hung_total", "c 1")
		close(release)
		if err := <-late; !errors.Is(err, errAbandoned) {
			t.Errorf("the one that was given up emitted: %v", err)
		}
		if err := result(); err != nil {
			t.Error(err)
		}
		want := "c event 0\nc event 1\nc event 2\nc source c: hangs and is given up: it did not say that it is alive\nc fresh"
		if s.String() != want {
			t.Errorf("emitted\n%s\nwant\n%s", s, want)
		}
	})
}

func TestBeatOutsideOfSupervise(t *testing.T) {
	Beat(t.Context(), time.Nanosecond) // a source under test, or one that is run once
}
