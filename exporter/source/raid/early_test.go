package raid

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// eventLog stands in for winlog: it emits one event and waits.
type eventLog struct {
	after time.Duration
	event record.Record
	occur func()
}

func (eventLog) Name() string              { return "winlog" }
func (eventLog) Category() record.Category { return record.EventLog }

func (e eventLog) Run(ctx context.Context, emit source.Emit) error {
	select {
	case <-time.After(e.after):
	case <-ctx.Done():
		return ctx.Err()
	}
	e.occur()
	if err := emit(ctx, []record.Record{e.event}, nil); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// A drive fails, Windows says so, and the failed drive is in a record within
// ten seconds, under the real supervisor and in virtual time. The tool is a
// stand-in that takes 300 ms for an answer.
func TestDriveFailsAfterEvent(t *testing.T) {
	const limit = 10 * time.Second
	command := trusted(t)
	f := func(why string, after time.Duration, provider string, id int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			state := "Onln"
			var failedAt, seenAt time.Time
			cfg := DefaultConfig()
			cfg.Command = command
			raid := New(Options{Config: cfg, Run: func(ctx context.Context, _ string, args ...string) ([]byte, error) {
				mu.Lock()
				s := state // what was true when the question came
				mu.Unlock()
				time.Sleep(300 * time.Millisecond)
				if args[0] == "/call" {
					return []byte(made(`{"Basics":{"Model":"X"},"Physical Drives":1,"PD LIST":[{"EID:Slt":"252:4","State":"` + s + `"}],"VD LIST":[]}`)), ctx.Err()
				}
				return []byte(made(`{"Drive /c0/e252/s4":[{"EID:Slt":"252:4","State":"` + s + `"}]}`)), ctx.Err()
			}})
			events := eventLog{after: after, occur: func() {
				mu.Lock()
				defer mu.Unlock()
				state, failedAt = "Failed", time.Now()
			}, event: record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{
				{Key: record.AttrProvider, Value: record.String(provider)}, {Key: record.AttrEventID, Value: record.Int(id)},
			}}}
			ctx, cancel := context.WithTimeout(t.Context(), after+15*time.Second)
			defer cancel()
			emitter := func(source.Source) source.Emit {
				return func(_ context.Context, recs []record.Record, _ []byte) error {
					mu.Lock()
					defer mu.Unlock()
					for _, r := range recs {
						if r.Snapshot == nil {
							continue
						}
						for _, d := range r.Snapshot.Devices {
							if d.Place == "c0/e252/s4" && d.Field(record.FieldState).Str() == "Failed" && seenAt.IsZero() {
								seenAt = time.Now()
							}
						}
					}
					return nil
				}
			}
			if err := source.Supervise(ctx, source.Options{Sources: []source.Source{raid, events}, Emitter: emitter, Log: slog.New(slog.DiscardHandler)}); err != nil {
				t.Fatal(err)
			}
			if took := seenAt.Sub(failedAt); seenAt.IsZero() || took > limit {
				t.Errorf("%s: seen after %s (zero: %v), want at most %s", why, took, seenAt.IsZero(), limit)
			}
		})
	}
	f("in the middle between two rounds", 20*time.Second, "disk", 7)
	f("while a round goes on, which sees the old state", 100*time.Millisecond, "megasas35i", 129)
	f("right after a round, when the next has to keep its distance", 700*time.Millisecond, "MR_MONITOR", 112)
	f("the disk is pulled", 30*time.Second, "Microsoft-Windows-Partition", 1006)
}
