package sensors

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// hwmonInput names a measured value (Documentation/hwmon/sysfs-interface):
// temp1_input in m°C, fan1_input in rpm, in0_input in mV, curr1_input in mA,
// power1_input in µW.
var hwmonInput = regexp.MustCompile(`^(temp|fan|in|curr|power)(\d{1,4})_(?:input|average)$`)

var hwmonKinds = map[string]struct {
	kind  string
	scale float64
}{
	"temp": {KindTemperature, 1e-3}, "fan": {KindFan, 1}, "in": {KindVoltage, 1e-3}, "curr": {KindCurrent, 1e-3}, "power": {KindPower, 1e-6},
}

const maxChips = 256

// hwmon reads every chip below /sys/class/hwmon. It returns the chips that it
// could list, which are the sections of the snapshot.
func hwmon(root string) (list []Sensor, chips []string, err error) {
	base := filepath.Join(root, "sys", "class", "hwmon")
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var failed []error
	seen := map[string]bool{}
	for _, e := range entries[:min(len(entries), maxChips)] {
		dir := filepath.Join(base, e.Name())
		files, err := os.ReadDir(dir)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		chip := chipName(dir, e.Name())
		if seen[chip] {
			chip += "@" + e.Name()
		}
		seen[chip] = true
		chips = append(chips, chip)
		done := map[string]bool{}
		for _, f := range files {
			m := hwmonInput.FindStringSubmatch(f.Name())
			if m == nil || done[m[1]+m[2]] || len(list) >= maxSensors {
				continue
			}
			done[m[1]+m[2]] = true
			list = append(list, readHwmon(dir, chip, m[1], m[2], f.Name()))
		}
	}
	return list, chips, errors.Join(failed...)
}

// chipName is the chip's name and the device it belongs to: hwmon3 is another
// chip after the next start.
func chipName(dir, fallback string) string {
	name := cmp.Or(readLine(filepath.Join(dir, "name")), fallback)
	if target, err := filepath.EvalSymlinks(filepath.Join(dir, "device")); err == nil {
		if device := filepath.Base(target); device != name && !strings.HasPrefix(device, "hwmon") {
			name += "@" + device
		}
	}
	return strings.ReplaceAll(name, "/", "_")
}

func readHwmon(dir, chip, typ, number, input string) Sensor {
	base := filepath.Join(dir, typ+number)
	label := cmp.Or(readLine(base+"_label"), typ+number)
	s := Sensor{Place: chip + "/" + label, Kind: hwmonKinds[typ].kind, State: StateOK, Limits: map[string]float64{}}
	number64 := func(path string) (float64, bool) {
		v, err := strconv.ParseInt(readLine(path), 10, 64)
		return float64(v) * hwmonKinds[typ].scale, err == nil
	}
	v, ok := number64(filepath.Join(dir, input))
	if !ok { // a fan header without a fan, a disk that sleeps
		s.State = StateNotReadable
		return s
	}
	s.Value = &v
	for file, limit := range map[string]string{"_lcrit": "lower_critical", "_min": "lower_warning", "_max": "upper_warning", "_crit": "upper_critical"} {
		// Drivers report limits that nobody set as 0 or as absurd numbers.
		if l, ok := number64(base + file); ok && l != 0 && (typ != "temp" || l > -70 && l < 200) {
			s.Limits[limit] = l
		}
	}
	flag := func(suffix string) bool { return readLine(base+suffix) == "1" }
	s.State = s.state(typ, flag)
	return s
}

// state judges a sensor of hwmon: a fault and the driver's critical alarm are
// critical, its other alarms a warning. Where the driver has no alarms,
// temperatures are judged by its limits; voltages, currents and power are not,
// for the limits of cheap boards mean nothing.
func (s *Sensor) state(typ string, flag func(suffix string) bool) string {
	past := func(limit string) bool {
		l, ok := s.Limits[limit]
		return ok && typ == "temp" && *s.Value >= l
	}
	switch {
	case flag("_fault"), flag("_crit_alarm"), flag("_lcrit_alarm"), past("upper_critical"):
		return StateCritical
	case typ == "temp" && (flag("_alarm") || flag("_max_alarm") || past("upper_warning")), typ == "fan" && (flag("_alarm") || flag("_min_alarm")):
		return StateWarning
	}
	return StateOK
}

// readLine returns the first line of a small file, or "".
func readLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(strings.ToValidUTF8(line, ""))
}
