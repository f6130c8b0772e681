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
	"nocturne/exporter/source/smart"
	"nocturne/exporter/source/software"
	"nocturne/exporter/source/updates"
	"nocturne/exporter/source/winlog"
)

// maker builds one source. It is called again when that one hangs, while the
// others run: what sources share is made outside of it.
type maker func() source.Source

// configured returns the makers of the sources that the configuration turns on.
func (a *App) configured() ([]maker, error) {
	c := &a.o.Config
	var out []maker
	add := func(m maker) { out = append(out, m) }
	add(func() source.Source {
		return heartbeat.New(heartbeat.Options{Config: c.Heartbeat, Version: a.o.Version, Reported: a.reported.Attrs(), Spool: a.spool.Size})
	})
	if c.Journal.Enabled {
		m, err := journal.NewMetrics(a.registry)
		if err != nil {
			return nil, fmt.Errorf("register metrics of %s: %w", journal.Name, err)
		}
		add(func() source.Source {
			return journal.New(journal.Options{Config: c.Journal, Positions: a.spool, Log: a.log.With("component", "source", "source", journal.Name), Metrics: m})
		})
	}
	if c.RAID.Enabled {
		dir := filepath.Join(c.Data, "raid")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("source raid: %w", err)
		}
		add(func() source.Source {
			return raid.New(raid.Options{Config: c.RAID, Dir: dir})
		})
	}
	if c.MDRAID.Enabled {
		add(func() source.Source {
			return mdraid.New(mdraid.Options{Config: c.MDRAID})
		})
	}
	if c.SMART.Enabled {
		add(func() source.Source {
			return smart.New(smart.Options{Config: c.SMART})
		})
	}
	if c.Sensors.Enabled {
		add(func() source.Source {
			return sensors.New(sensors.Options{Config: c.Sensors})
		})
	}
	if c.Hardware.Enabled {
		add(func() source.Source {
			return hardware.New(hardware.Options{Config: c.Hardware})
		})
	}
	if c.Updates.Enabled {
		add(func() source.Source {
			return updates.New(updates.Options{Config: c.Updates})
		})
	}
	if c.Software.Enabled {
		add(func() source.Source {
			return software.New(software.Options{Config: c.Software})
		})
	}
	if c.Winlog.Enabled {
		m, err := winlog.NewMetrics(a.registry, c.Winlog.Channels)
		if err != nil {
			return nil, fmt.Errorf("register metrics of %s: %w", winlog.Name, err)
		}
		add(func() source.Source {
			return winlog.New(winlog.Options{Config: c.Winlog, Positions: a.spool, Log: a.log.With("component", "source", "source", winlog.Name), Metrics: m})
		})
	}
	checks, err := a.checks()
	return append(out, checks...), err
}

// checks returns a source for each check, and the one that tells which there
// are. A check file that is refused does not keep the exporter from its work.
func (a *App) checks() ([]maker, error) {
	c := &a.o.Config
	specs, refused := c.AllChecks()
	for _, err := range refused {
		a.log.Error("check file refused", "component", "source", "err", err)
	}
	series := check.NewSeries(c.Check.MaxSeries)
	series.FilesRefused(len(refused))
	if err := a.registry.Register(series); err != nil {
		return nil, fmt.Errorf("register metrics of checks: %w", err)
	}
	slots := check.NewSlots(c.Check.AtOnce)
	out := []maker{func() source.Source { return check.NewRoster(specs, errors.Join(refused...), a.spool) }}
	for _, s := range specs {
		out = append(out, func() source.Source {
			return check.New(check.Options{Spec: s, Slots: slots, Series: series, Positions: a.spool})
		})
	}
	return out, nil
}

// makeSources builds the configured sources and remembers how.
func (a *App) makeSources() error {
	makers, err := a.configured()
	if err != nil {
		return err
	}
	a.makers = map[string]maker{}
	for _, m := range makers {
		s := m()
		a.sources = append(a.sources, s)
		a.makers[s.Name()] = m
	}
	return nil
}

// renew builds one of the sources anew.
func (a *App) renew(name string) (source.Source, error) {
	m, ok := a.makers[name]
	if !ok {
		return nil, errors.New("its maker is not known")
	}
	return m(), nil
}
