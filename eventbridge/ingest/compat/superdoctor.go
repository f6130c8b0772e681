package compat

import (
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

// deviceSensor is a sensor's type; its place is its name, below its power
// supply where it has one.
const deviceSensor = "sensor"

// readings name a reading by its unit, so that what is measured is never taken
// for configuration.
var readings = map[string]string{
	"c": "temperature_celsius", "°c": "temperature_celsius", "degc": "temperature_celsius", "celsius": "temperature_celsius",
	"rpm": "reading_rpm", "v": "reading_volts", "volts": "reading_volts", "w": "reading_watts", "watts": "reading_watts",
	"a": "reading_amperes", "amps": "reading_amperes", "%": "reading_percent",
}

func (m *superdoctor) message(received time.Time) (Message, error) {
	var p parts
	for i := range m.Devices {
		if err := m.Devices[i].add(&p, ""); err != nil {
			return Message{}, err
		}
	}
	for i := range m.PSUs {
		name := segment(m.PSUs[i].Name)
		if name == "" {
			return Message{}, fmt.Errorf("power supply %d without a name", i)
		}
		for j := range m.PSUs[i].Devices {
			if err := m.PSUs[i].Devices[j].add(&p, name+"/"); err != nil {
				return Message{}, err
			}
		}
	}
	if m.Devices != nil && m.PSUs != nil {
		p.observed(deviceSensor, "")
	} else {
		for i := range p.s.Devices { // one of the lists is missing: nothing is known to be gone
			p.observed(deviceSensor, p.s.Devices[i].Place)
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
		return fmt.Errorf("a sensor without a name")
	}
	var f fields
	key, ok := readings[strings.ToLower(strings.TrimSpace(value(s.Unit)))]
	if !ok {
		key = "current_reading"
	}
	f.float(key, s.Value)
	f.text("unit", s.Unit)
	f.float("high_limit", s.HighLimit)
	f.float("low_limit", s.LowLimit)
	return p.add(deviceSensor, above+name, nil, f)
}
