package stack

import (
	"errors"
	"net"
	"regexp"
	"strconv"
	"time"
)

// Retention says how long what is kept.
type Retention struct {
	Metrics string // VictoriaMetrics' format: months without a unit
	Logs    Days
	LogDisk string // disk that logs may take, "50GiB"
	Stream  time.Duration
}

// Days is a time that a person writes as 180d or 2y.
type Days int

// Set reads a flag.
func (d *Days) Set(text string) error {
	units := map[byte]int{'d': 1, 'w': 7, 'y': 365}
	if text != "" {
		n, err := strconv.Atoi(text[:len(text)-1])
		if unit := units[text[len(text)-1]]; err == nil && unit > 0 && n > 0 && n <= 36500 && n*unit > 1 && n*unit <= 36500 {
			*d = Days(n * unit)
			return nil
		}
	}
	return errors.New("want two days to a hundred years, like 180d, 26w or 2y")
}

// String writes what Set reads.
func (d Days) String() string { return strconv.Itoa(int(d)) + "d" }

// DefaultRetention is what DESIGN fixes.
func DefaultRetention() Retention {
	return Retention{Metrics: "13", Logs: 180, LogDisk: "50GiB", Stream: 7 * 24 * time.Hour}
}

// Hours is a time of at least an hour.
type Hours time.Duration

// Set reads a flag.
func (h *Hours) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Hour {
		return errors.New("want at least an hour, like 168h")
	}
	*h = Hours(d)
	return nil
}

// String writes what Set reads.
func (h *Hours) String() string { return time.Duration(*h).String() }

var (
	months = regexp.MustCompile(`^[1-9][0-9]{0,2}$`)
	size   = regexp.MustCompile(`^[1-9][0-9]{0,5}[KMGT]i?B$`)
)

// CheckKeepMetrics wants a time that VictoriaMetrics takes: months, or a number with a unit.
func CheckKeepMetrics(text string) error {
	var d Days
	if !months.MatchString(text) && d.Set(text) != nil {
		return errors.New("want months, or two days to a hundred years, like 13, 400d or 2y")
	}
	return nil
}

// CheckLogDisk wants a size that VictoriaLogs takes.
func CheckLogDisk(text string) error {
	if !size.MatchString(text) {
		return errors.New("want a size with its unit, like 50GiB")
	}
	return nil
}

// CheckListen wants an address with a port, or none.
func CheckListen(text string) error {
	if text == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 1 || n > 65535 {
		return errors.New("want an address and a port, like 0.0.0.0:9471")
	}
	return nil
}
