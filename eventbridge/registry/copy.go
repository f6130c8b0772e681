package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/disk"
)

// snapshot is the copy of the bucket. The version is 1.
type snapshot struct {
	Version int                        `json:"version"`
	At      time.Time                  `json:"at"`
	Entries map[string]json.RawMessage `json:"entries"`
}

const snapshotVersion = 1

// backupLoop writes the copy a second after a change, less often when the
// register is large, and once more at the end.
func (r *Registry) backupLoop(ctx context.Context) {
	if r.cfg.Copy == "" {
		return
	}
	var written uint64
	pause, failing := time.Second, false
	for {
		sleep(ctx, pause)
		if now := r.clock.Load(); now != written {
			start := time.Now()
			err := r.backup()
			if err == nil {
				written = now
			} else {
				r.Metrics.copyFailures.Inc()
			}
			if err != nil && !failing {
				r.log.Error("copy of the register cannot be written, trying again", "err", err)
			}
			failing = err != nil
			pause = max(time.Second, 20*time.Since(start))
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (r *Registry) backup() error {
	snap := snapshot{Version: snapshotVersion, At: r.now().UTC(), Entries: map[string]json.RawMessage{}}
	for _, s := range r.all() {
		snap.Entries[serverKey+s.ID.String()] = encode(s)
	}
	for _, t := range r.Tokens() {
		snap.Entries[tokenKey+t.ID] = encode(t)
	}
	return disk.Replace(r.cfg.Copy, encode(snap), 0o600)
}

// restore fills an empty bucket from the copy.
func (r *Registry) restore(ctx context.Context) error {
	if r.cfg.Copy == "" {
		return nil
	}
	b, err := os.ReadFile(r.cfg.Copy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read copy of the register: %w", err)
	}
	var snap snapshot
	if err := json.Unmarshal(b, &snap); err != nil || snap.Version != snapshotVersion {
		return fmt.Errorf("read copy of the register %s: version %d, error %v: move the file away to begin with an empty register", r.cfg.Copy, snap.Version, err)
	}
	for key, value := range snap.Entries {
		rev, err := r.kv.Create(ctx, key, value)
		if errors.Is(err, jetstream.ErrKeyExists) {
			continue // another bridge restores too
		} else if err != nil {
			return fmt.Errorf("restore %s: %w", key, err)
		}
		if err := r.put(key, value, rev); err != nil {
			return fmt.Errorf("restore %s: %w", key, err)
		}
	}
	r.log.Warn("the register was empty and is restored from its copy: the stream's volume was lost or is new", "entries", len(snap.Entries), "copy_of", snap.At)
	return nil
}
