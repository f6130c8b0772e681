// Package software states which programs and drivers a machine has: from the
// registry and the drivers' own descriptions on Windows, from dpkg or rpm and
// /sys on Linux.
//
// It reads often and states seldom: when something is another than before, and
// once a day. A list that does not fit on the wire is cut off and not claimed
// as observed, so nothing looks removed.
//
// Parsers are pure. A Reader belongs to one goroutine, Wakes may be called by
// any. To test: go test ./exporter/source/software.
package software

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "software".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Restate is how often everything is stated although nothing changed.
	Restate time.Duration `yaml:"restate"`
	// Schedule is when it is read.
	source.Schedule `yaml:",inline"`
}

// DefaultConfig reads every quarter of an hour and states once a day.
func DefaultConfig() Config {
	return Config{Enabled: true, Restate: 24 * time.Hour, Schedule: source.Schedule{Period: 15 * time.Minute, Deadline: 2 * time.Minute, Jitter: 5 * time.Minute}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("software: %w", err)
	}
	if c.Restate < c.Period {
		return fmt.Errorf("software restate %s: write at least the period %s", c.Restate, c.Period)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/". Linux only.
	Root string
	// Run runs dpkg-query or rpm; nil = source.Command.
	Run source.Runner
	// Now tells the time; nil = time.Now.
	Now func() time.Time
}

// Name is the source's name.
const Name = "software"

// New returns the source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader reads once for each Collect.
type Reader struct {
	o       Options
	seed    maphash.Seed
	said    uint64 // hash of what was stated last
	saidAt  time.Time
	signers map[string]string // by driver's description, its version and date
}

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: maxOutput}.Run
	}
	return &Reader{o: o, seed: maphash.MakeSeed(), signers: map[string]string{}}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return Name }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.Software }

// Wakes implements source.Waker: something was installed, removed or updated.
func (r *Reader) Wakes(rec *record.Record) bool {
	switch rec.Name {
	case record.NameWindowsEvent:
		id, _ := rec.Attr(record.AttrEventID).Int()
		return slices.Contains(events[strings.ToLower(rec.Attr(record.AttrProvider).Str())], id)
	case record.NameJournal:
		switch rec.Attr(record.AttrUnit).Str() {
		case "apt-daily-upgrade.service", "dnf-automatic.service", "dnf-automatic-install.service", "packagekit.service":
			return true
		}
	}
	return false
}

// events by provider, in lower case.
var events = map[string][]int64{
	"msiinstaller":                    {1033, 1034, 1035, 1036, 11707, 11724, 11728},
	"microsoft-windows-userpnp":       {20001, 20003},
	"microsoft-windows-kernel-pnp":    {400, 410, 420},
	"service control manager":         {7045},
	"microsoft-windows-servicing":     {2, 4},
	"microsoft-windows-wusa":          {2},
	"microsoft-windows-drivermanager": {20001, 20003},
}

// inventory is what was read; a part that is not known has an error.
type inventory struct {
	programs []Program
	drivers  []Driver

	programsKnown, driversKnown bool
}

// Program is something that was installed.
type Program struct {
	Name, Version, Publisher string
	Installed                string // YYYY-MM-DD
	Bits                     string // "32" for the 32-bit programs of a 64-bit Windows
}

// Driver is a driver that a device uses.
type Driver struct {
	Name, Version, Date, Provider, Signer string
	File                                  string // the description that installed it, oem12.inf
	Bus                                   string // Linux: pci, usb, virtio …
	Source                                string // Linux: version of the sources it was built of
	Taint                                 string // Linux: what the kernel holds against it
	Devices                               int
}

// Collect implements source.Collector.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	in, err := r.read(ctx)
	if cerr := ctx.Err(); cerr != nil {
		return nil, errors.Join(cerr, err) // what is there may be half of it
	}
	if !in.programsKnown && !in.driversKnown {
		if err == nil {
			err = fmt.Errorf("neither programs nor drivers can be listed here: %w", errors.ErrUnsupported)
		}
		return nil, err
	}
	now := r.o.Now()
	rec := in.record(now)
	sum := maphash.Bytes(r.seed, record.AppendRecords(nil, []record.Record{{Snapshot: rec.Snapshot}}))
	if sum == r.said && now.Sub(r.saidAt) < r.o.Restate && !now.Before(r.saidAt) {
		return nil, err
	}
	r.said, r.saidAt = sum, now
	return []record.Record{rec}, err
}

func (in *inventory) record(now time.Time) record.Record {
	s := &record.Snapshot{}
	rec := record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Snapshot: s}
	if in.driversKnown {
		s.Sections = append(s.Sections, record.Section{Type: record.DeviceDriver})
		s.Devices = append(s.Devices, drivers(in.drivers)...)
	}
	if in.programsKnown {
		s.Sections = append(s.Sections, record.Section{Type: record.DeviceProgram})
		s.Devices = append(s.Devices, programs(in.programs)...)
	}
	var parts []string
	if in.programsKnown {
		parts = append(parts, fmt.Sprintf("%d programs", len(in.programs)))
	}
	if in.driversKnown {
		parts = append(parts, fmt.Sprintf("%d drivers", len(in.drivers)))
	}
	rec.Body = "software: " + strings.Join(parts, ", ")
	if left := source.Bound(&rec, record.DeviceProgram) + source.Bound(&rec, record.DeviceDriver); left > 0 {
		rec.Body += fmt.Sprintf("; %d left out, more than a record holds", left)
	}
	return rec
}

// programs returns the devices, sorted by place. Two of one name are told apart
// by their number in the order of their versions.
func programs(list []Program) []record.Device {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Program) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Installed, b.Installed))
	})
	out, places := make([]record.Device, 0, len(list)), numbers{}
	for _, p := range list {
		out = append(out, record.Device{Type: record.DeviceProgram, Place: places.of(p.place()), Fields: source.Fields(
			source.Text("version", clip(p.Version)), source.Text(record.FieldVendor, clip(p.Publisher)), source.Text("installed", p.Installed))})
	}
	return out
}

func (p *Program) place() string {
	if p.Bits == "" {
		return clip(p.Name)
	}
	return clip(p.Name) + " [" + p.Bits + "-bit]"
}

// drivers returns the devices. Many devices use one driver: those are one, with
// their number, which does not count as a change.
func drivers(list []Driver) []record.Device {
	count := map[Driver]int{}
	for _, d := range list {
		n := max(1, d.Devices)
		d.Devices = 0
		count[d] += n
	}
	unique := make([]Driver, 0, len(count))
	for d := range count {
		unique = append(unique, d)
	}
	slices.SortFunc(unique, func(a, b Driver) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.File, b.File), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Date, b.Date),
			cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Bus, b.Bus), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Taint, b.Taint), cmp.Compare(a.Signer, b.Signer))
	})
	out, places := make([]record.Device, 0, len(unique)), numbers{}
	for _, d := range unique {
		out = append(out, record.Device{Type: record.DeviceDriver, Place: places.of(clip(d.Name)), Fields: source.Fields(
			source.Text("version", clip(d.Version)), source.Text("date", d.Date), source.Text(record.FieldVendor, clip(d.Provider)), source.Text("signer", clip(d.Signer)), source.Text("file", clip(d.File)),
			source.Text("bus", d.Bus), source.Text("source_version", clip(d.Source)), source.Text("taint", clip(d.Taint)), source.Count("devices_count", int64(count[d])))})
	}
	return out
}

// numbers gives places that are taken a number.
type numbers map[string]int

func (n numbers) of(place string) string {
	for {
		n[place]++
		if n[place] == 1 {
			return place
		}
		at := place + "#" + strconv.Itoa(n[place])
		if n[at] == 0 {
			n[at] = 1
			return at
		}
	}
}

const maxText = 256

// clip bounds a text and makes it printable.
func clip(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd")))
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText-len("…")], "") + "…"
}
