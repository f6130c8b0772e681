package alertmanager

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"nocturne/internal/disk"
)

// state is what nflog.Log and silence.Silences have in common.
type state interface {
	Snapshot(w io.Writer) (int64, error)
	GC() (int, error)
}

// keeper writes a state to its file soon after each change, and a last time when it closes. The file always holds one
// whole snapshot: it is written beside, synced, renamed, and the folder is synced.
type keeper struct {
	name   string
	file   string
	state  state
	delay  time.Duration
	logger *slog.Logger
	failed prometheus.Counter
	wrote  prometheus.Counter

	dirty chan struct{} // of size 1: a change while one is waiting adds nothing
	quit  chan struct{}
	done  chan struct{}
}

type snapshotMetrics struct{ wrote, failed *prometheus.CounterVec }

func newSnapshotMetrics(reg prometheus.Registerer) snapshotMetrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"state"})
	}
	return snapshotMetrics{
		wrote:  counter("nocturne_alertmanager_snapshots_total", "Snapshots written and synced to disk."),
		failed: counter("nocturne_alertmanager_snapshot_errors_total", "Snapshots that could not be written."),
	}
}

// newKeeper starts the keeper; close ends it.
func newKeeper(name, file string, s state, opts Options, m snapshotMetrics) *keeper {
	k := &keeper{
		name: name, file: file, state: s, delay: opts.SnapshotDelay, logger: opts.Logger.With("component", name),
		wrote: m.wrote.WithLabelValues(name), failed: m.failed.WithLabelValues(name),
		dirty: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go k.run()
	return k
}

// changed is the gossip hook of the state; it is called under the state's lock, so it must not block.
func (k *keeper) changed([]byte) {
	select {
	case k.dirty <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	defer close(k.done)
	gc := time.NewTicker(stateGCInterval)
	defer gc.Stop()
	for {
		select {
		case <-k.quit:
			return
		case <-gc.C:
			if _, err := k.state.GC(); err != nil {
				k.logger.Warn("old entries not removed", "err", err)
			}
			k.changed(nil)
		case <-k.dirty:
			// The first change after a quiet time is written at once, the next ones are gathered for the delay.
			took, err := k.save()
			if err != nil {
				k.logger.Error("state not written, a restart now repeats messages", "err", err)
				k.changed(nil)
			}
			delay := min(max(k.delay, snapshotShareOfTime*took), longestSnapshotDelay)
			select {
			case <-time.After(delay):
			case <-k.quit:
				return
			}
		}
	}
}

func (k *keeper) close() error {
	close(k.quit)
	<-k.done
	_, err := k.save()
	return err
}

func (k *keeper) save() (time.Duration, error) {
	start := time.Now()
	if err := k.write(); err != nil {
		k.failed.Inc()
		return time.Since(start), fmt.Errorf("write %s: %w", k.file, err)
	}
	k.wrote.Inc()
	return time.Since(start), nil
}

func (k *keeper) write() error {
	next := k.file + ".next" // one name, so that a crash leaves one stray file at most
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = k.state.Snapshot(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(next, k.file); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(k.file))
}
