// Package sensors states what a machine measures of itself: temperatures, fans,
// voltages, currents, power, power supplies and intrusion, from the baseboard
// management controller (ipmitool) and from Linux' hwmon.
//
// What can be read differs by board, so each of the two may be missing; what
// is missing is not observed. A sensor's state is the controller's own
// judgement where it gives one; of hwmon it is the driver's alarm, or ours by
// the driver's limits (see state in hwmon.go).
//
// The parsers are pure. A Reader belongs to one goroutine. To test:
// go test ./exporter/source/sensors.
package sensors

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "sensors".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Command is ipmitool: its absolute path, and what comes before sdr and
	// sensor. Empty = the first of the usual places that exists.
	Command []string `yaml:"command"`
	// Hwmon reads Linux' own sensors too.
	Hwmon bool `yaml:"hwmon"`
	// Schedule is when the sensors are read.
	source.Schedule `yaml:",inline"`
}

// DefaultConfig reads every two minutes. A management controller answers slowly:
// two hundred sensors take up to a minute.
func DefaultConfig() Config {
	return Config{Enabled: true, Hwmon: true, Schedule: source.Schedule{Period: 2 * time.Minute, Deadline: 100 * time.Second, Jitter: 10 * time.Second}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]) {
		return fmt.Errorf("sensors command %q: write the absolute path of ipmitool", c.Command)
	}
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("sensors: %w", err)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/".
	Root string
	// Run runs ipmitool; nil = source.Command.
	Run source.Runner
}

// Name is the source's name.
const Name = "sensors"

// MaxReply is the most that is read of one reply of ipmitool.
const MaxReply = 1 << 20

// maxSensors bounds what a board can claim to have.
const maxSensors = 2048

// Sensor is one thing that is measured. Numbers are nil where they are not
// told.
type Sensor struct {
	Place string // ipmi/Inlet Temp, coretemp.0/Package id 0
	Kind  string // one of the Kind constants, "" = something else
	State string // one of the State constants
	Value *float64
	// Reading is what a sensor says that measures nothing: "Presence detected".
	Reading string
	// Limits by name: lower_critical, lower_warning, upper_warning,
	// upper_critical.
	Limits map[string]float64
}

// Kinds of sensors.
const (
	KindTemperature = "temperature" // °C
	KindFan         = "fan"         // rpm
	KindVoltage     = "voltage"     // V
	KindCurrent     = "current"     // A
	KindPower       = "power"       // W
	// These measure nothing and say words.
	KindPowerSupply = "power_supply"
	KindCooling     = "cooling"
	KindIntrusion   = "intrusion"
)

// fields name the values by kind, with their units.
var fields = map[string]string{
	KindTemperature: "temperature_celsius", KindFan: "speed_rpm", KindVoltage: "potential_volts", KindCurrent: "flow_amperes", KindPower: "power_watts",
}

// States of sensors.
const (
	StateOK          = "ok"
	StateWarning     = "warning"      // past a limit that is not critical
	StateCritical    = "critical"     // past a critical limit, or the part says that it failed
	StateNotReadable = "not_readable" // there is a sensor, and no reading now
)

// New returns the source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader reads the sensors once for each Collect.
type Reader struct {
	o      Options
	places []string // where ipmitool is looked for
}

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: MaxReply}.Run
	}
	return &Reader{o: o, places: []string{"/usr/bin/ipmitool", "/usr/sbin/ipmitool", "/usr/local/bin/ipmitool"}}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return Name }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.Sensors }

// ipmi is the first part of the places of the management controller's sensors.
const ipmi = "ipmi"

// Collect implements source.Collector.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	var all []Sensor
	s := &record.Snapshot{}
	var failed []error
	single := 0 // of the first sensors only each itself was observed
	tool, mute, err := r.tool()
	switch {
	case err != nil:
		failed = append(failed, err)
	case tool != nil:
		list, whole, err := r.ipmi(ctx, tool)
		if whole {
			s.Sections = append(s.Sections, record.Section{Type: record.DeviceSensor, Scope: ipmi})
		} else {
			single = len(list)
		}
		all, failed = append(all, list...), append(failed, err)
	}
	if r.o.Hwmon {
		list, chips, err := hwmon(r.o.Root)
		for _, chip := range chips {
			s.Sections = append(s.Sections, record.Section{Type: record.DeviceSensor, Scope: chip})
		}
		all, failed = append(all, list...), append(failed, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := errors.Join(failed...); len(all) == 0 {
		if err == nil { // a module may be loaded, a tool installed one day
			err = fmt.Errorf("find hwmon's sensors, or a management controller and ipmitool: %w", errors.ErrUnsupported)
		}
		return nil, err
	}
	all = all[:min(len(all), maxSensors)]
	place(all)
	for i := range all {
		s.Devices = append(s.Devices, all[i].device())
		if i < single {
			s.Sections = append(s.Sections, record.Section{Type: record.DeviceSensor, Scope: all[i].Place})
		}
	}
	slices.SortFunc(s.Devices, func(a, b record.Device) int { return cmp.Compare(a.Place, b.Place) })
	s.Sections = s.Sections[:min(len(s.Sections), record.MaxSections)]
	now := time.Now()
	return []record.Record{{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Snapshot: s, Body: summary(all) + mute}}, errors.Join(failed...)
}

// tool returns ipmitool, or nil where there is none, or nothing for it to ask;
// mute says of a management controller that nobody can ask it.
func (r *Reader) tool() (command []string, mute string, err error) {
	if len(r.o.Command) > 0 {
		return r.o.Command, "", source.CheckTool(r.o.Command[0])
	}
	if runtime.GOOS == "windows" {
		return nil, "", nil
	}
	present := slices.ContainsFunc([]string{"dev/ipmi0", "dev/ipmi/0", "dev/ipmidev/0"}, func(p string) bool {
		_, err := os.Stat(filepath.Join(r.o.Root, p))
		return err == nil
	})
	if !present {
		return nil, "", nil
	}
	for _, path := range r.places {
		err := source.CheckTool(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return []string{path}, "", err
		}
	}
	return nil, "; there is a management controller, and no ipmitool to ask it", nil
}

// ipmi asks for the states of everything and for the limits of what has some.
// Sensors without limits are stated without them. The list is not whole when
// ipmitool ends with an error: of many sensors one could not be read, or the
// reply ended in the middle, and what is not in it may be there all the same.
func (r *Reader) ipmi(ctx context.Context, tool []string) (list []Sensor, whole bool, err error) {
	ask := func(args ...string) (out []byte, whole bool, err error) {
		out, err = r.o.Run(ctx, tool[0], append(slices.Clone(tool[1:]), args...)...)
		if err != nil && ctx.Err() == nil && len(bytes.TrimSpace(out)) > 0 {
			return out, false, nil
		}
		return out, err == nil, err
	}
	out, whole, err := ask("sdr", "elist", "all")
	if err != nil {
		return nil, false, fmt.Errorf("ask the management controller: %w", err)
	}
	list = ParseSDR(out)
	if len(list) == 0 {
		return nil, false, errors.New("ask the management controller: ipmitool named no sensor")
	}
	out, _, err = ask("sensor")
	if err != nil {
		err = fmt.Errorf("ask the management controller for limits: %w", err)
	}
	addLimits(list, ParseSensor(out))
	return list, whole, err
}

// place gives sensors of one name numbers: boards have three of "Temp".
func place(all []Sensor) {
	seen := map[string]int{}
	for i := range all {
		seen[all[i].Place]++
		if n := seen[all[i].Place]; n > 1 {
			all[i].Place = fmt.Sprintf("%s#%d", all[i].Place, n)
		}
	}
}

func (s *Sensor) device() record.Device {
	d := record.Device{Type: record.DeviceSensor, Place: s.Place, Fields: []record.Attr{{Key: record.FieldState, Value: record.String(s.State)}}}
	put := func(key string, v record.Value) { d.Fields = append(d.Fields, record.Attr{Key: key, Value: v}) }
	if s.Kind != "" {
		put("kind", record.String(s.Kind))
	}
	if s.Reading != "" {
		put("reading", record.String(s.Reading))
	}
	if s.Value != nil {
		put(cmp.Or(fields[s.Kind], "reading"), record.Double(*s.Value))
	}
	for _, name := range []string{"lower_critical", "lower_warning", "upper_warning", "upper_critical"} {
		if v, ok := s.Limits[name]; ok {
			put(name, record.Double(v))
		}
	}
	return d
}

func summary(all []Sensor) string {
	bad, first := 0, ""
	for i := range all {
		if all[i].State == StateWarning || all[i].State == StateCritical {
			if bad++; first == "" {
				first = all[i].Place + " is " + all[i].State
			}
		}
	}
	if bad == 0 {
		return fmt.Sprintf("sensors: %d, none past its limits", len(all))
	}
	return fmt.Sprintf("sensors: %d, %d past their limits, the first: %s", len(all), bad, first)
}
