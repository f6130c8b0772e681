package compat

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"nocturne/internal/record"
)

// superdoctor is Supermicro's monitor as the old agent read it: numbers only,
// states in words were dropped on the way.
type superdoctor struct {
	HostName string
	Date     stamp
	Devices  []sensor
	PSUs     []supply
}

type sensor struct {
	Name      *string
	HighLimit *float64
	LowLimit  *float64
	Value     *float64
	Unit      *string
}

type supply struct {
	Name    *string
	Devices []sensor
}

// below is where its sensors are, beside those that other tools read.
const below = "superdoctor/"

// quantities name a reading by its unit, as the exporter does.
var quantities = map[string]struct{ kind, field string }{
	"c": {"temperature", "temperature_celsius"}, "°c": {"temperature", "temperature_celsius"}, "celsius": {"temperature", "temperature_celsius"},
	"rpm": {"fan", "speed_rpm"}, "v": {"voltage", "potential_volts"}, "volts": {"voltage", "potential_volts"},
	"a": {"current", "flow_amperes"}, "amps": {"current", "flow_amperes"}, "w": {"power", "power_watts"}, "watts": {"power", "power_watts"},
}

func (m *superdoctor) message(received time.Time) (Message, error) {
	var p parts
	for i := range m.Devices {
		if err := m.Devices[i].add(&p, below); err != nil {
			return Message{}, err
		}
	}
	for i := range m.PSUs {
		name := segment(m.PSUs[i].Name)
		if name == "" {
			return Message{}, fmt.Errorf("power supply %d without a name", i)
		}
		for j := range m.PSUs[i].Devices {
			if err := m.PSUs[i].Devices[j].add(&p, below+name+"/"); err != nil {
				return Message{}, err
			}
		}
	}
	if m.Devices != nil && m.PSUs != nil {
		p.observed(record.DeviceSensor, "")
	} else {
		for i := range p.s.Devices { // one of the lists is missing: nothing is known to be gone
			p.observed(record.DeviceSensor, p.s.Devices[i].Place)
		}
	}
	r := snapshot(m.Date.or(received), received, fmt.Sprintf("sensors: %d", len(p.s.Devices)), &p.s)
	return Message{Host: m.HostName, Category: record.Sensors, Record: r}, nil
}

// segment makes a name fit into a place, which is divided by slashes.
func segment(name *string) string {
	return strings.ReplaceAll(clip(strings.TrimSpace(value(name)), 128), "/", "_")
}

func (s *sensor) add(p *parts, above string) error {
	name := segment(s.Name)
	if name == "" {
		return errors.New("a sensor without a name")
	}
	var f fields
	state := s.state()
	f.text(record.FieldState, &state)
	q, known := quantities[strings.ToLower(strings.TrimSpace(value(s.Unit)))]
	if known {
		f.text("kind", &q.kind)
	} else {
		q.field = "current_reading" // of a unit that nobody foresaw: never configuration
		f.text("unit", s.Unit)
	}
	f.float(q.field, s.Value)
	f.float("lower_critical", s.LowLimit)
	f.float("upper_critical", s.HighLimit)
	return p.add(record.DeviceSensor, p.free(record.DeviceSensor, above+name), nil, f)
}

// state judges the value by its limits, in the exporter's words.
func (s *sensor) state() string {
	switch {
	case s.Value == nil:
		return "not_readable"
	case s.LowLimit != nil && *s.Value < *s.LowLimit, s.HighLimit != nil && *s.Value > *s.HighLimit:
		return "critical"
	default:
		return "ok"
	}
}
