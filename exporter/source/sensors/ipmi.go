package sensors

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// units of ipmitool, and what they measure.
var units = map[string]string{"degrees c": KindTemperature, "rpm": KindFan, "volts": KindVoltage, "amps": KindCurrent, "watts": KindPower}

// ParseSDR reads the text of `ipmitool sdr` (three columns) and of `ipmitool
// sdr elist` (five): name, sensor number, status, entity, reading. Lines that
// are neither, such as the tool's complaints between them, are passed over.
func ParseSDR(text []byte) []Sensor {
	var out []Sensor
	for raw := range bytes.Lines(text[:min(len(text), MaxReply)]) {
		col := columns(raw)
		var name, status, reading, entity string
		switch len(col) {
		case 3:
			name, reading, status = col[0], col[1], col[2]
		case 5:
			name, status, entity, reading = col[0], col[2], col[3], col[4]
		default:
			continue
		}
		if name == "" || len(out) >= maxSensors {
			continue
		}
		s := Sensor{Place: ipmi + "/" + name}
		s.read(reading)
		s.judge(status)
		if s.Kind == "" {
			s.Kind = kindOf(entity, s.Reading+" "+name)
		}
		out = append(out, s)
	}
	return out
}

// kindOf tells what a sensor that measures nothing belongs to: by its entity
// (IPMI 2.0, table 43-13: "10.2" is the second power supply), intrusion by word.
func kindOf(entity, words string) string {
	if strings.Contains(strings.ToLower(words), "intrusion") {
		return KindIntrusion
	}
	switch id, _, _ := strings.Cut(entity, "."); id {
	case "10":
		return KindPowerSupply
	case "29", "30":
		return KindCooling
	}
	return ""
}

func columns(line []byte) []string {
	if len(line) > 1024 {
		return nil
	}
	parts := strings.Split(strings.ToValidUTF8(string(line), ""), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// read takes "25 degrees C", "110 Watts, Presence detected", "0x00",
// "Presence detected" or "No Reading".
func (s *Sensor) read(text string) {
	first, rest, _ := strings.Cut(text, ", ")
	number, unit, _ := strings.Cut(first, " ")
	v, err := strconv.ParseFloat(number, 64)
	kind := units[strings.ToLower(unit)]
	switch {
	case err == nil && kind != "" && !math.IsInf(v, 0) && !math.IsNaN(v):
		s.Kind, s.Value, s.Reading = kind, &v, rest
	case strings.EqualFold(text, "No Reading"), strings.EqualFold(text, "Not Readable"), strings.EqualFold(text, "Disabled"):
	default:
		s.Reading = text
	}
}

// bad and doubtful are words of discrete sensors (IPMI 2.0, table 42-3) that
// tell of a failure, and of one that may come. ipmitool prints them as they
// stand there.
var (
	bad = []string{"failure detected", "ac lost", "input lost", "out-of-range", "config error", "drive fault", "in critical array", "in failed array",
		"uncorrectable ecc", "transition to critical", "transition to non-recoverable", "thermal trip", "ierr", "non-redundant: insufficient", "power off/down failure", "memory device disabled"}
	doubtful = []string{"predictive failure", "redundancy lost", "redundancy degraded", "non-redundant", "correctable ecc logging limit", "correctable memory error logging", "transition to non-critical", "limit exceeded",
		"general chassis intrusion", "chassis intrusion", "drive bay intrusion", "fan area intrusion", "throttled", "low battery", "failed battery", "sel full", "sel almost full"}
)

// judge takes the controller's word, and for discrete sensors, whose status is
// always "ok", what they say.
func (s *Sensor) judge(status string) {
	switch strings.ToLower(status) {
	case "nc", "lnc", "unc":
		s.State = StateWarning
	case "cr", "nr", "lcr", "ucr", "lnr", "unr":
		s.State = StateCritical
	case "ns", "na", "us", "disabled":
		s.State = StateNotReadable
	default:
		s.State = StateOK
	}
	text := strings.ToLower(s.Reading)
	for _, w := range doubtful {
		if s.State == StateOK && strings.Contains(text, w) {
			s.State = StateWarning
		}
	}
	for _, w := range bad {
		if s.State != StateNotReadable && strings.Contains(text, w) {
			s.State = StateCritical
		}
	}
}

// ParseSensor reads the text of `ipmitool sensor`: name, reading, unit, status,
// and the limits lower non-recoverable, critical, non-critical, upper
// non-critical, critical, non-recoverable. It returns the limits by name.
func ParseSensor(text []byte) []Sensor {
	var out []Sensor
	for raw := range bytes.Lines(text[:min(len(text), MaxReply)]) {
		col := columns(raw)
		if len(col) != 10 || col[0] == "" || len(out) >= maxSensors {
			continue
		}
		s := Sensor{Place: ipmi + "/" + col[0], Limits: map[string]float64{}}
		for i, name := range map[int]string{5: "lower_critical", 6: "lower_warning", 7: "upper_warning", 8: "upper_critical"} {
			if v, err := strconv.ParseFloat(col[i], 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
				s.Limits[name] = v
			}
		}
		out = append(out, s)
	}
	return out
}

// addLimits gives each sensor the limits of its name; the n-th of one name
// those of the n-th.
func addLimits(list, limits []Sensor) {
	byName := map[string][]map[string]float64{}
	for i := range limits {
		byName[limits[i].Place] = append(byName[limits[i].Place], limits[i].Limits)
	}
	for i := range list {
		if l := byName[list[i].Place]; len(l) > 0 {
			list[i].Limits, byName[list[i].Place] = l[0], l[1:]
		}
	}
}
