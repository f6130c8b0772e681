// Package smart states what disks say of their own health, through smartctl: ATA
// attributes, NVMe's health log, the error counters of SAS, also of disks behind
// MegaRAID controllers.
//
// smartctl's exit status is a set of bits (smartctl(8), EXIT STATUS): disks that
// are well end with 4 or 64, so the bits are read and never taken for a
// failure as a whole. A disk that sleeps is left asleep, and then not observed.
//
// Parse and ParseScan are pure. A Reader belongs to one goroutine. To test:
// go test ./exporter/source/smart.
package smart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "smart".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Command is smartctl: its absolute path, and what comes before its own
	// arguments. Empty = the first of the usual places that exists.
	Command []string `yaml:"command"`
	// Scan asks smartctl which disks there are.
	Scan bool `yaml:"scan"`
	// Devices are asked too: disks that a scan does not find.
	Devices []Device `yaml:"devices"`
	// Wake asks disks that sleep, which spins them up.
	Wake bool `yaml:"wake"`
	// Schedule is when the disks are asked. A deadline covers all of a round.
	source.Schedule `yaml:",inline"`
}

// Device is a disk as smartctl names it: /dev/bus/0 with type megaraid,4.
type Device struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"` // "" = smartctl finds out
}

// DefaultConfig asks every ten minutes.
func DefaultConfig() Config {
	return Config{Enabled: true, Scan: true, Schedule: source.Schedule{Period: 10 * time.Minute, Deadline: 5 * time.Minute, Jitter: 30 * time.Second}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]) {
		return fmt.Errorf("smart command %q: write the absolute path of smartctl", c.Command)
	}
	for i, d := range c.Devices {
		if d.Name == "" || strings.HasPrefix(d.Name, "-") || strings.HasPrefix(d.Type, "-") {
			return fmt.Errorf("smart devices: entry %d: write a name such as /dev/bus/0, and a type such as megaraid,4 or nothing", i+1)
		}
	}
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("smart: %w", err)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/". Linux only.
	Root string
	// Run runs smartctl; nil = source.Command.
	Run source.Runner
}

// Name is the source's name.
const Name = "smart"

// MaxReply is the most that is read of one reply.
const MaxReply = 1 << 20

// maxDisks bounds how many disks are asked.
const maxDisks = 1024

// perDisk ends the question about one disk, so that one that hangs does not
// hide the others.
const perDisk = 30 * time.Second

// New returns the source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader asks every disk once for each Collect.
type Reader struct {
	o    Options
	told map[string]string // by place: what was last said, without what always moves
	none bool              // it was said that there are none
}

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: MaxReply}.Run
	}
	return &Reader{o: o, told: map[string]string{}}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return Name }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.SMART }

// Wakes implements source.Waker.
func (r *Reader) Wakes(rec *record.Record) bool { return source.StorageEvent(rec) }

// Collect implements source.Collector: the disks that answered, beside an
// error about those that did not.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	command, err := r.command()
	if err != nil {
		return nil, err
	}
	devices, err := r.devices(ctx, command)
	failed := []error{err}
	complete := err == nil && r.o.Scan
	places := byPath(r.o.Root)
	s := &record.Snapshot{}
	var raw, asleep []string
	seen := map[string]bool{}
	for _, d := range devices {
		at := place(d, places)
		if seen[at] {
			continue // configured, and found by the scan under another type
		}
		seen[at] = true
		drive, reply, err := r.ask(ctx, command, d)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("disk %s: %w", strings.TrimSpace(d.Name+" "+d.Type), err))
			complete = false
			continue
		case drive.Asleep:
			asleep, complete = append(asleep, at), false
			continue
		case !drive.Supported:
			continue // a virtual disk, the volume of a RAID controller
		}
		drive.Place = at
		dev := drive.device()
		s.Devices = append(s.Devices, dev)
		s.Sections = append(s.Sections, record.Section{Type: record.DeviceSMARTDrive, Scope: drive.Place})
		if settled := drive.settled(); r.told[drive.Place] != settled {
			r.told[drive.Place] = settled
			raw = append(raw, reply)
		}
	}
	if err := ctx.Err(); err != nil && len(s.Devices) == 0 {
		return nil, err
	}
	if complete {
		s.Sections = []record.Section{{Type: record.DeviceSMARTDrive}}
	}
	// Disks that all sleep were looked at. That there are none is said once.
	if len(s.Devices) == 0 && len(asleep) == 0 && (!complete || r.none) {
		return nil, errors.Join(failed...)
	}
	r.none = len(s.Devices) == 0 && complete
	slices.SortFunc(s.Sections, func(a, b record.Section) int { return cmp.Compare(a.Scope, b.Scope) })
	slices.SortFunc(s.Devices, func(a, b record.Device) int { return cmp.Compare(a.Place, b.Place) })
	now := time.Now()
	rec := record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Snapshot: s, Body: summary(s.Devices, len(asleep))}
	if text := strings.Join(raw, "\n"); text != "" {
		rec.Attrs = []record.Attr{{Key: record.AttrRaw, Value: record.String(clip(text, MaxRaw))}}
	}
	if len(asleep) > 0 {
		list := make([]record.Value, len(asleep))
		for i, at := range asleep {
			list[i] = record.String(at)
		}
		rec.Attrs = append(rec.Attrs, record.Attr{Key: AttrAsleep, Value: record.List(list)})
	}
	return []record.Record{rec}, errors.Join(failed...)
}

// AttrAsleep lists the places of disks that were left asleep.
const AttrAsleep = "smart.asleep"

// MaxRaw is the most that is kept of smartctl's own words.
const MaxRaw = 128 << 10

func (r *Reader) command() ([]string, error) {
	if len(r.o.Command) > 0 {
		return r.o.Command, source.CheckTool(r.o.Command[0])
	}
	for _, path := range usualPaths() {
		err := source.CheckTool(path)
		if err == nil {
			return []string{path}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("find smartctl in the usual places: %w", errors.ErrUnsupported)
}

func usualPaths() []string {
	if runtime.GOOS != "windows" {
		return []string{"/usr/sbin/smartctl", "/usr/local/sbin/smartctl", "/sbin/smartctl", "/usr/bin/smartctl"}
	}
	dir := os.Getenv("ProgramFiles")
	if !filepath.IsAbs(dir) {
		return nil
	}
	return []string{filepath.Join(dir, "smartmontools", "bin", "smartctl.exe"), filepath.Join(dir, "smartctl", "smartctl.exe")}
}

// devices are those of the configuration, then those of the scan: of two
// entries for one place the configuration's counts.
func (r *Reader) devices(ctx context.Context, command []string) ([]Device, error) {
	list := slices.Clone(r.o.Devices)
	var err error
	if r.o.Scan {
		var out []byte
		out, err = r.run(ctx, command, "--scan-open", "-j")
		if err == nil {
			var found []Device
			found, err = ParseScan(out)
			list = append(list, found...)
		}
		if err != nil {
			err = fmt.Errorf("look for disks: %w", err)
		}
	}
	return list[:min(len(list), maxDisks)], err
}

// run leaves codes to the reply, which repeats them.
func (r *Reader) run(ctx context.Context, command []string, args ...string) ([]byte, error) {
	out, err := r.o.Run(ctx, command[0], append(slices.Clone(command[1:]), args...)...)
	var code interface{ ExitCode() int }
	if err != nil && ctx.Err() == nil && errors.As(err, &code) && len(out) > 0 {
		err = nil
	}
	return out, err
}

func (r *Reader) ask(ctx context.Context, command []string, d Device) (Drive, string, error) {
	ctx, cancel := context.WithTimeout(ctx, perDisk)
	defer cancel()
	args := []string{"-j", "-a"}
	if !r.o.Wake {
		args = append(args, "-n", "standby")
	}
	if d.Type != "" {
		args = append(args, "-d", d.Type)
	}
	out, err := r.run(ctx, command, append(args, d.Name)...)
	if err != nil {
		return Drive{}, "", err
	}
	drive, err := Parse(out)
	return drive, string(out), err
}

// byPath maps /dev/sda to the name of its port, which stays when the kernel
// counts in another order after the next start.
func byPath(root string) map[string]string {
	dir := filepath.Join(root, "dev", "disk", "by-path")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || strings.Contains(e.Name(), "-part") {
			continue
		}
		name := filepath.Base(target)
		if ctrl, _, ok := strings.Cut(strings.TrimPrefix(name, "nvme"), "n"); ok && strings.HasPrefix(name, "nvme") {
			name = "nvme" + ctrl // smartctl asks the controller
		}
		if old, ok := out[name]; !ok || len(e.Name()) < len(old) {
			out[name] = e.Name() // of several names the shortest
		}
	}
	return out
}

// place is the port where that is known, else what smartctl calls the disk.
func place(d Device, ports map[string]string) string {
	name := strings.TrimPrefix(d.Name, "/dev/")
	typ := d.Type
	if i := strings.Index(typ, "megaraid,"); i > 0 {
		typ = typ[i:] // "sat+megaraid,14"
	}
	if port := ports[name]; port != "" {
		name = port
	}
	if strings.Contains(typ, ",") {
		return name + "/" + typ
	}
	return name
}

func summary(devices []record.Device, asleep int) string {
	bad, first := 0, ""
	for i := range devices {
		if s := devices[i].Field(record.FieldState).Str(); s != StateOK {
			if bad++; first == "" {
				first = devices[i].Place + " " + s
				if text := devices[i].Field(record.FieldText).Str(); text != "" {
					first += " (" + text + ")"
				}
			}
		}
	}
	text := fmt.Sprintf("SMART: %d disks", len(devices))
	if bad > 0 {
		text += fmt.Sprintf(", %d not well, the first: %s", bad, first)
	}
	if asleep > 0 {
		text += fmt.Sprintf(", %d asleep", asleep)
	}
	return text
}
