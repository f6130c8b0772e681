package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nocturne/exporter/source"
	"nocturne/exporter/source/check"
	"nocturne/exporter/source/hardware"
	"nocturne/exporter/source/heartbeat"
	"nocturne/exporter/source/journal"
	"nocturne/exporter/source/mdraid"
	"nocturne/exporter/source/raid"
	"nocturne/exporter/source/sensors"
	"nocturne/exporter/source/winlog"
)

// configured returns the sources that the configuration turns on.
func (a *App) configured() ([]source.Source, error) {
	c := &a.o.Config
	out := []source.Source{heartbeat.New(heartbeat.Options{Config: c.Heartbeat, Version: a.o.Version, Spool: a.spool.Size})}
	if c.Journal.Enabled {
		out = append(out, journal.New(journal.Options{Config: c.Journal, Positions: a.spool, Log: a.log.With("component", "source", "source", journal.Name)}))
	}
	if c.RAID.Enabled {
		dir := filepath.Join(c.Data, "raid")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("source raid: %w", err)
		}
		out = append(out, raid.New(raid.Options{Config: c.RAID, Dir: dir}))
	}
	if c.MDRAID.Enabled {
		out = append(out, mdraid.New(mdraid.Options{Config: c.MDRAID}))
	}
	if c.Sensors.Enabled {
		out = append(out, sensors.New(sensors.Options{Config: c.Sensors}))
	}
	if c.Hardware.Enabled {
		out = append(out, hardware.New(hardware.Options{Config: c.Hardware}))
	}
	if c.Winlog.Enabled {
		out = append(out, winlog.New(winlog.Options{Config: c.Winlog, Positions: a.spool, Log: a.log.With("component", "source", "source", winlog.Name)}))
	}
	checks, err := a.checks()
	return append(out, checks...), err
}

// checks returns a source for each check, and the one that tells which there
// are. A check file that is refused does not keep the exporter from its work.
func (a *App) checks() ([]source.Source, error) {
	c := &a.o.Config
	specs, refused := c.AllChecks()
	if refused != nil {
		a.log.Error("check files refused", "component", "source", "err", refused)
	}
	series := check.NewSeries(c.Check.MaxSeries)
	if err := a.registry.Register(series); err != nil {
		return nil, fmt.Errorf("register metrics of checks: %w", err)
	}
	slots := check.NewSlots(c.Check.AtOnce)
	out := []source.Source{check.NewRoster(specs, refused, a.spool)}
	for _, s := range specs {
		out = append(out, check.New(check.Options{Spec: s, Slots: slots, Series: series, Positions: a.spool}))
	}
	return out, nil
}

// renew builds one of the configured sources anew.
func (a *App) renew(name string) (source.Source, error) {
	if a.o.Sources != nil {
		return nil, errors.New("its maker is not known")
	}
	all, err := a.configured()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Name() == name {
			return s, nil
		}
	}
	return nil, errors.New("it is not configured")
}
