// Package mdraid states Linux' software RAID: arrays and their members, from
// /proc/mdstat and, where mdadm is installed, from mdadm --detail.
//
// A machine without the md driver has no /proc/mdstat: nothing is observed. One
// with the file and no arrays has none, which is said once.
//
// ParseStat and ParseDetail are pure. A Reader belongs to one goroutine. To
// test: go test ./exporter/source/mdraid.
package mdraid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "mdraid".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Mdadm is the absolute path of mdadm; empty = the first of the usual places
	// that exists. Without it /proc/mdstat alone is read.
	Mdadm string `yaml:"mdadm"`
	// Schedule is when the arrays are looked at.
	source.Schedule `yaml:",inline"`
}

// DefaultConfig looks once a minute.
func DefaultConfig() Config {
	return Config{Enabled: true, Schedule: source.Schedule{Period: time.Minute, Deadline: 20 * time.Second, Jitter: 5 * time.Second}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if c.Mdadm != "" && !filepath.IsAbs(c.Mdadm) {
		return fmt.Errorf("mdraid mdadm %q: write the absolute path of mdadm, or nothing", c.Mdadm)
	}
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("mdraid: %w", err)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/".
	Root string
	// Run runs mdadm; nil = source.Command.
	Run source.Runner
}

// Name is the source's name.
const Name = "mdraid"

// MaxStat is the most that is read of /proc/mdstat and of one reply of mdadm.
const MaxStat = 1 << 20

// MaxRaw is the most that is kept of /proc/mdstat as evidence.
const MaxRaw = 16 << 10

// New returns the source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader looks at the arrays once for each Collect.
type Reader struct {
	o    Options
	told string // what the last record said, without what always moves
	sent bool
}

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: MaxStat, Env: []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}.Run
	}
	return &Reader{o: o}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return Name }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.RAID }

// Wakes implements source.Waker: the kernel says when a member fails, and when
// a recovery or a check begins and ends.
func (r *Reader) Wakes(rec *record.Record) bool {
	return rec.Name == record.NameJournal && rec.Attr(record.AttrProvider).Str() == "kernel" && (strings.HasPrefix(rec.Body, "md: ") || strings.HasPrefix(rec.Body, "md/raid"))
}

// Collect implements source.Collector. Arrays that mdadm does not explain are
// stated as /proc/mdstat has them, beside the error.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	if !supported {
		return nil, fmt.Errorf("software RAID of Linux: %w", errors.ErrUnsupported)
	}
	text, err := readStat(filepath.Join(r.o.Root, "proc", "mdstat"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the driver is not loaded; it may be one day
	}
	if err != nil {
		return nil, err
	}
	arrays, problems := ParseStat(text)
	failed := r.details(ctx, arrays)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, p := range problems {
		failed = append(failed, errors.New(p))
	}
	snap := snapshot(arrays, len(problems) == 0)
	told := fmt.Sprint(settled(snap))
	if len(arrays) == 0 && r.sent && told == r.told {
		return nil, errors.Join(failed...)
	}
	now := time.Now()
	rec := record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Body: summary(arrays), Snapshot: snap}
	if !r.sent || told != r.told {
		raw := text[:min(len(text), MaxRaw)]
		rec.Attrs = []record.Attr{{Key: record.AttrRaw, Value: record.String(string(raw))}}
		r.told, r.sent = told, true
	}
	return []record.Record{rec}, errors.Join(failed...)
}

func readStat(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxStat+1))
	if err == nil && len(b) > MaxStat {
		err = fmt.Errorf("read %s: more than %d bytes", path, MaxStat)
	}
	return b, err
}

// details asks mdadm about each array.
func (r *Reader) details(ctx context.Context, arrays []Array) (failed []error) {
	if len(arrays) == 0 {
		return nil
	}
	tool, err := r.mdadm()
	if err != nil || tool == "" {
		return []error{err}
	}
	for i := range arrays {
		a := &arrays[i]
		out, err := r.o.Run(ctx, tool, "--detail", "/dev/"+a.Name)
		d, perr := ParseDetail(out)
		if perr == nil {
			a.add(d) // mdadm ends with 1 and more for arrays that are not well
			continue
		}
		failed = append(failed, fmt.Errorf("array %s: %w", a.Name, errors.Join(err, perr)))
	}
	return failed
}

// mdadm returns the tool, or "" where there is none.
func (r *Reader) mdadm() (string, error) {
	if r.o.Mdadm != "" {
		return r.o.Mdadm, source.CheckTool(r.o.Mdadm)
	}
	for _, path := range []string{"/usr/sbin/mdadm", "/sbin/mdadm"} {
		err := source.CheckTool(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", nil
}
