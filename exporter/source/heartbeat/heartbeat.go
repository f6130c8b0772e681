// Package heartbeat says every two minutes that this machine lives, what it
// runs, when it booted, and how full the spool is. Its absence is the alarm.
//
// The facts are read anew for every beat, so that a rename or an upgrade is
// seen without a restart; those that cannot be read are left out, never
// guessed. What the machine says of itself is evidence, not identity.
//
// A Source belongs to the supervisor's goroutine. To test:
// go test ./exporter/source/heartbeat.
package heartbeat

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "heartbeat".
type Config struct {
	// Interval is the time between beats. The ruler learns it from each beat.
	Interval time.Duration `yaml:"interval"`
}

// DefaultConfig returns a beat every two minutes.
func DefaultConfig() Config { return Config{Interval: 2 * time.Minute} }

// Validate says what to write instead of an interval that cannot work.
func (c Config) Validate() error {
	if c.Interval < time.Second || c.Interval > time.Hour {
		return fmt.Errorf("heartbeat interval %s: write a time from 1s to 1h", c.Interval)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/". Linux only.
	Root string
	// Version is the exporter's own.
	Version string
	// Reported is what the machine's own files say of where it belongs.
	Reported []record.Attr
	// Spool returns how many records and bytes wait; nil = not said.
	Spool func() (records, bytes uint64)
}

// Facts are what a beat says of the machine; an empty field is not known.
type Facts struct {
	Name, OSName, OSType, OSVersion, OSBuild string
	BootTime                                 time.Time
	MachineID, SMBIOSUUID                    string
	Virtual                                  *bool
}

// Beat makes heartbeats. It is the collector behind New, exported so that
// the first record of an epoch can be made without waiting for the schedule.
type Beat struct {
	o    Options
	read func() (Facts, error)
	boot time.Time // as first said
}

// New returns the heartbeat source.
func New(o Options) source.Source {
	b := NewBeat(o)
	return source.Scheduled(b, source.Schedule{Period: o.Interval, Deadline: min(o.Interval, 30*time.Second)})
}

// NewBeat returns the maker of heartbeats.
func NewBeat(o Options) *Beat {
	return &Beat{o: o, read: func() (Facts, error) { return readFacts(o.Root) }}
}

// Name implements source.Collector.
func (b *Beat) Name() string { return "heartbeat" }

// Category implements source.Collector.
func (b *Beat) Category() record.Category { return record.Heartbeat }

// Collect implements source.Collector: it returns one heartbeat, whatever
// could not be read; a machine with a broken registry still lives.
func (b *Beat) Collect(context.Context) ([]record.Record, error) {
	f, err := b.read()
	return []record.Record{b.record(f, time.Now())}, err
}

// bootSlack is how far the boot time may wander before it is another one: it is
// the clock minus the time since boot, and the clock is being corrected.
const bootSlack = 10 * time.Second

func (b *Beat) record(f Facts, now time.Time) record.Record {
	if d := f.BootTime.Sub(b.boot); b.boot.IsZero() || d > bootSlack || d < -bootSlack {
		b.boot = f.BootTime
	}
	r := record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameHeartbeat}
	text := func(key, v string) {
		if v != "" {
			r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: record.String(v)})
		}
	}
	number := func(key string, v int64) { r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: record.Int(v)}) }
	text(record.AttrName, f.Name)
	text(record.AttrOSType, f.OSType)
	text(record.AttrOSName, f.OSName)
	text(record.AttrOSVersion, f.OSVersion)
	text(record.AttrOSBuild, f.OSBuild)
	if !b.boot.IsZero() && !f.BootTime.IsZero() {
		number(record.AttrBootTime, b.boot.UnixNano())
	}
	if f.Virtual != nil {
		r.Attrs = append(r.Attrs, record.Attr{Key: record.AttrVirtual, Value: record.Bool(*f.Virtual)})
	}
	text(record.AttrMachineID, f.MachineID)
	text(record.AttrSMBIOSUUID, f.SMBIOSUUID)
	text(record.AttrExporterVersion, b.o.Version)
	r.Attrs = append(r.Attrs, b.o.Reported...)
	number(record.AttrInterval, b.o.Interval.Milliseconds())
	if b.o.Spool != nil {
		records, bytes := b.o.Spool()
		number(record.AttrSpoolRecords, int64(records))
		number(record.AttrSpoolBytes, int64(bytes))
	}
	r.Body = "alive: " + f.Name
	if f.OSName != "" {
		r.Body += ", " + f.OSName
	}
	return r
}

// osType is what record.AttrOSType says.
const osType = runtime.GOOS

// Read returns what can be known of this machine now; root is put before the
// paths that are read on Linux, "" = "/".
func Read(root string) (Facts, error) { return readFacts(root) }
