package limit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Config is the part of the exporter's configuration under "limits": what this
// process takes of a machine that has other work.
type Config struct {
	// MemoryBytes is what the exporter may hold, its children aside. Three
	// quarters of it are the aim of Go's collector of garbage; above all of it
	// for HoldTime the process ends in good order and is started anew.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// CPUs is how many processors it works on at once, at most.
	CPUs int `yaml:"cpus"`
	// CPUPercent is the share of all processors that it and what it starts may
	// take together. Windows only: on Linux that is the unit's CPUQuota.
	CPUPercent int `yaml:"cpu_percent"`
}

// DefaultConfig is generous: a spool that is behind needs some of it.
func DefaultConfig() Config { return Config{MemoryBytes: 256 << 20, CPUs: 4, CPUPercent: 50} }

// Validate says what to write instead.
func (c Config) Validate() error {
	switch {
	case c.MemoryBytes < 64<<20 || c.MemoryBytes > 64<<30:
		return fmt.Errorf("limits memory_bytes %d: write a number from 67108864 (64 MiB) to 68719476736 (64 GiB)", c.MemoryBytes)
	case c.CPUs < 1 || c.CPUs > 1024:
		return fmt.Errorf("limits cpus %d: write a number from 1 to 1024", c.CPUs)
	case c.CPUPercent < 5 || c.CPUPercent > 100:
		return fmt.Errorf("limits cpu_percent %d: write a number from 5 to 100", c.CPUPercent)
	}
	return nil
}

// ChildMemory is what the most demanding child may take: a search of the Windows
// Update Agent that has to learn everything anew takes some hundred megabytes.
// A child can bound itself no looser than its parent is bound.
const ChildMemory = 1 << 30

// Apply bounds this process. Its error tells what the system did not grant; the
// rest holds.
func Apply(c Config) error {
	debug.SetMemoryLimit(c.MemoryBytes / 4 * 3)
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), c.CPUs))
	return apply(c)
}

// HoldTime is how long the memory may be above its limit.
const HoldTime = 30 * time.Second

const sampleTime = 5 * time.Second

// ErrMemory is what Watch ends with.
var ErrMemory = errors.New("too much memory")

// Watch waits until the process has held more than the limit for HoldTime, and
// returns an error that wraps ErrMemory; or nil when ctx ends.
func Watch(ctx context.Context, limit int64, log *slog.Logger) error {
	return watch(ctx, limit, log, held)
}

func watch(ctx context.Context, limit int64, log *slog.Logger, held func() int64) error {
	tick := time.NewTicker(sampleTime)
	defer tick.Stop()
	above := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		n := held()
		if n <= limit {
			above = 0
			continue
		}
		if above++; above == 1 {
			log.Warn("more memory than allowed", "bytes", n, "limit", limit)
			debug.FreeOSMemory() // it may be what was not given back yet
		}
		if time.Duration(above)*sampleTime > HoldTime {
			return fmt.Errorf("%w: %d bytes for %s, %d are allowed (limits.memory_bytes)", ErrMemory, n, HoldTime, limit)
		}
	}
}

// held is what Go's runtime has from the system and did not give back: nearly
// all of a process without C.
func held() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64()) - int64(s[1].Value.Uint64())
}
