// Package hardware states what a machine is made of: system, firmware, boards,
// processors, memory, disks, network cards, volumes and the operating system.
//
// What cannot be read, often for want of rights, is left out of the snapshot's
// sections: it is then not observed, never removed. Serial numbers that are
// placeholders are unknown.
//
// It looks by its schedule, and early when the kernel (Listen) or the event log
// (Wakes) tells that a part came or went.
//
// A Reader belongs to one goroutine; Listen and Wakes may be called by any. To test: go test ./exporter/source/hardware.
package hardware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/exporter/source/hardware/smbios"
	"nocturne/exporter/source/heartbeat"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "hardware".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Schedule is when the machine is looked at.
	source.Schedule `yaml:",inline"`
}

// DefaultConfig looks every ten minutes.
func DefaultConfig() Config {
	return Config{Enabled: true, Schedule: source.Schedule{Period: 10 * time.Minute, Deadline: 30 * time.Second, Jitter: 30 * time.Second}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("hardware: %w", err)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/". Linux only.
	Root string
}

// New returns the hardware source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader looks at the machine once for each Collect.
type Reader struct{ o Options }

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/"
	}
	return &Reader{o: o}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return "hardware" }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.Hardware }

// Collect implements source.Collector.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	b := &builder{seen: map[[2]string]bool{}}
	err := readMachine(ctx, r.o.Root, b)
	if facts, ferr := heartbeat.Read(r.o.Root); ferr == nil {
		b.os(facts)
	}
	if err := ctx.Err(); err != nil {
		return nil, err // what is there may be half of it
	}
	s := b.snapshot()
	if len(s.Sections) == 0 {
		if err == nil {
			err = errors.New("nothing of this machine can be read")
		}
		return nil, err
	}
	now := time.Now()
	return []record.Record{{
		Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Snapshot: s,
		Body: fmt.Sprintf("hardware: %d parts of %d kinds", len(s.Devices), len(s.Sections)),
	}}, err
}

// builder collects devices and what was observed.
type builder struct {
	sections []record.Section
	devices  []record.Device
	seen     map[[2]string]bool
	located  map[string]string // PCI address → name of the slot, or on the board
}

// observed says that all devices of a type were looked at.
func (b *builder) observed(typ string) {
	b.sections = append(b.sections, record.Section{Type: typ})
}

// place takes a place; where another device of its type has it, it gets a number.
func (b *builder) place(typ, place string) string {
	at := place
	for n := 2; b.seen[[2]string{typ, at}]; n++ {
		at = place + "#" + strconv.Itoa(n)
	}
	b.seen[[2]string{typ, at}] = true
	return at
}

// add adds a device at its place.
func (b *builder) add(typ, place, serial string, fields ...record.Attr) {
	b.devices = append(b.devices, record.Device{Type: typ, Place: b.place(typ, place), Occupant: source.Serial(serial), Fields: source.Fields(fields...)})
}

func (b *builder) snapshot() *record.Snapshot {
	slices.SortStableFunc(b.devices, func(x, y record.Device) int {
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Place, y.Place))
	})
	slices.SortFunc(b.sections, func(x, y record.Section) int { return cmp.Compare(x.Type, y.Type) })
	return &record.Snapshot{Sections: slices.Compact(b.sections), Devices: b.devices[:min(len(b.devices), record.MaxDevices)]}
}

// said is text from firmware, where placeholders say nothing in any field.
func said(key, v string) record.Attr { return source.Text(key, source.Serial(v)) }

// socket returns the name of a socket, "" for the ways of having none.
func socket(s string) string {
	switch strings.ToLower(s) {
	case "not specified", "unknown", "none", "default string", "to be filled by o.e.m.":
		return ""
	}
	return s
}

func (b *builder) os(f heartbeat.Facts) {
	for i := range b.devices {
		if d := &b.devices[i]; d.Type == record.DeviceSystem && f.Virtual != nil {
			d.Fields = append(d.Fields, source.Yes("virtual", *f.Virtual))
		}
	}
	b.observed(record.DeviceOS)
	b.add(record.DeviceOS, "", "", source.Text("name", f.OSName), source.Text("version", f.OSVersion), source.Text("build", f.OSBuild), source.Text("host_name", f.Name))
}

// firmware adds what the SMBIOS table says.
func (b *builder) firmware(info *smbios.Info) {
	if s := info.System; s != nil {
		b.observed(record.DeviceSystem)
		fields := []record.Attr{
			said(record.FieldVendor, s.Manufacturer), said(record.FieldModel, s.Product), said("version", s.Version), said("sku", s.SKU), said("family", s.Family),
			source.Text("uuid", source.UUID(s.UUID)),
		}
		if c := info.Chassis; c != nil {
			fields = append(fields, source.Text("chassis_type", c.Type), said("chassis_serial", c.Serial), said("asset_tag", c.AssetTag))
		}
		b.add(record.DeviceSystem, "", s.Serial, fields...)
	}
	if f := info.BIOS; f != nil {
		b.observed(record.DeviceBIOS)
		b.add(record.DeviceBIOS, "", "", said(record.FieldVendor, f.Vendor), said(record.FieldFirmware, f.Version), said("date", f.Date))
	}
	if len(info.Boards) > 0 {
		b.observed(record.DeviceBoard)
	}
	for i, m := range info.Boards {
		place := ""
		if len(info.Boards) > 1 {
			if place = socket(m.Location); place == "" {
				place = strconv.Itoa(i)
			}
		}
		b.add(record.DeviceBoard, place, m.Serial, said(record.FieldVendor, m.Manufacturer), said(record.FieldModel, m.Product), said("version", m.Version), said("asset_tag", m.AssetTag))
	}
	b.processors(info.CPUs)
	b.memory(info.Memory)
	b.slots(info)
	b.power(info)
}

func (b *builder) processors(cpus []smbios.CPU) {
	if len(cpus) > 0 {
		b.observed(record.DeviceCPU)
	}
	for i, c := range cpus {
		place := c.Socket
		if socket(place) == "" {
			place = strconv.Itoa(i)
		}
		if !c.Populated {
			b.place(record.DeviceCPU, place)
			continue
		}
		b.add(record.DeviceCPU, place, c.Serial, said(record.FieldVendor, c.Manufacturer), said(record.FieldModel, c.Version),
			source.Count("cores", int64(c.Cores)), source.Count("threads", int64(c.Threads)), source.Count("max_mhz", int64(c.MaxMHz)))
	}
}

// memory adds the modules that are there. Many boards call every socket "DIMM
// 0" and tell them apart by bank, some by nothing at all.
func (b *builder) memory(modules []smbios.Memory) {
	if len(modules) > 0 {
		b.observed(record.DeviceMemory)
	}
	named := map[string]int{}
	for _, m := range modules {
		named[m.Locator]++
	}
	for i, m := range modules {
		place := m.Locator
		if named[m.Locator] > 1 && socket(m.Bank) != "" {
			place = m.Bank + "/" + m.Locator
		}
		if socket(place) == "" {
			place = strconv.Itoa(i)
		}
		if m.Size == 0 && !m.SizeUnknown {
			b.place(record.DeviceMemory, place) // taken all the same, so that a module that goes moves no other
			continue
		}
		b.add(record.DeviceMemory, place, m.Serial, said(record.FieldVendor, m.Manufacturer), said(record.FieldModel, m.Part), source.Count(record.FieldSize, m.Size),
			source.Text("memory_type", m.Type), source.Text("form", m.Form), source.Count("speed_mts", int64(m.Speed)), source.Count("configured_mts", int64(m.Configured)))
	}
}
