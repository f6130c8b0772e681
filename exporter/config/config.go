// Package config is the exporter's configuration file: one YAML document,
// decoded strictly, every key with a default, so that the file may be empty.
// The parts' own types lie beside their code.
//
// Everything is pure. To test: go test ./exporter/config.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"

	"go.yaml.in/yaml/v3"

	"nocturne/exporter/enrol"
	"nocturne/exporter/limit"
	"nocturne/exporter/metrics"
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
	"nocturne/exporter/spool"
	"nocturne/internal/strict"
)

// Config is the whole file.
type Config struct {
	// Data is the folder that holds everything: enrolment, spool, epoch.
	Data     string `yaml:"data"`
	LogLevel string `yaml:"log_level"` // debug info warn error
	// Labels are what this machine says of where it belongs.
	Labels enrol.Labels `yaml:"labels"`

	Heartbeat heartbeat.Config `yaml:"heartbeat"`
	Journal   journal.Config   `yaml:"journal"`
	RAID      raid.Config      `yaml:"raid"`
	MDRAID    mdraid.Config    `yaml:"mdraid"`
	SMART     smart.Config     `yaml:"smart"`
	Sensors   sensors.Config   `yaml:"sensors"`
	Hardware  hardware.Config  `yaml:"hardware"`
	Updates   updates.Config   `yaml:"updates"`
	Software  software.Config  `yaml:"software"`
	Winlog    winlog.Config    `yaml:"winlog"`
	Check     check.Config     `yaml:"check"`

	Spool   spool.Config   `yaml:"spool"`
	Outputs []Output       `yaml:"outputs"`
	Metrics metrics.Config `yaml:"metrics"`
	Limits  limit.Config   `yaml:"limits"`
}

// Default returns the defaults.
func Default() Config {
	return Config{
		Data: filepath.Join(home(), "exporter"), LogLevel: "info",
		Heartbeat: heartbeat.DefaultConfig(),
		Journal:   journal.DefaultConfig(),
		RAID:      raid.DefaultConfig(),
		MDRAID:    mdraid.DefaultConfig(),
		SMART:     smart.DefaultConfig(),
		Sensors:   sensors.DefaultConfig(),
		Hardware:  hardware.DefaultConfig(),
		Updates:   updates.DefaultConfig(),
		Software:  software.DefaultConfig(),
		Winlog:    winlog.DefaultConfig(),
		Check:     check.DefaultConfig(checkFolder()),
		Spool:     spool.DefaultConfig(), Metrics: metrics.DefaultConfig(),
		Limits: limit.DefaultConfig(),
	}
}

// Load reads a file; "" is DefaultPath, which need not be there.
func Load(path string) (Config, error) {
	c := Default()
	optional := path == ""
	if optional {
		path = DefaultPath()
	}
	b, err := os.ReadFile(path)
	if optional && errors.Is(err, os.ErrNotExist) {
		return c, c.Validate()
	}
	if err != nil {
		return c, fmt.Errorf("read config: %w", err)
	}
	if err := c.Decode(b); err != nil {
		return c, fmt.Errorf("config %s: %w", path, err)
	}
	return c, nil
}

// Decode lays a YAML document over c and validates the whole. Every error that
// has a line in the document names it. Of a document that does not fit, c has
// the data folder all the same.
func (c *Config) Decode(b []byte) error {
	root, err := strict.Document(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if root == nil {
		return c.Validate()
	}
	if err := strict.Mistakes(root, reflect.TypeFor[Config]()); err != nil {
		if _, v := child(root, "data"); v != nil && v.Kind == yaml.ScalarNode && v.Value != "" {
			c.Data = v.Value // so that `exporter status` finds the exporter that still runs with the file as it was
		}
		return err
	}
	if err := root.Decode(c); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return located(root, err)
	}
	return nil
}

// Level returns the log level.
func (c *Config) Level() (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(c.LogLevel))
	return l, err
}

// Validate says what to write instead of what is wrong; all of it at once.
func (c *Config) Validate() error {
	var errs []error
	check := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if c.Data == "" {
		errs = append(errs, errors.New("data is empty: name a folder"))
	}
	if _, err := c.Level(); err != nil {
		errs = append(errs, fmt.Errorf("log_level %q: write debug, info, warn or error", c.LogLevel))
	}
	for _, err := range []error{c.Labels.Validate(),
		c.Heartbeat.Validate(),
		c.Journal.Validate(),
		c.RAID.Validate(),
		c.MDRAID.Validate(),
		c.SMART.Validate(),
		c.Sensors.Validate(),
		c.Hardware.Validate(),
		c.Updates.Validate(),
		c.Software.Validate(),
		c.Winlog.Validate(),
		c.Check.Validate(),
		c.Metrics.Validate(),
		c.Limits.Validate(),
	} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	check("spool", c.Spool.Validate())
	if c.Metrics.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Metrics.Listen); err != nil {
			errs = append(errs, fmt.Errorf("metrics listen %q: write ADDRESS:PORT, such as 127.0.0.1:9490, or nothing", c.Metrics.Listen))
		}
	}
	seen, files := map[string]bool{}, map[string]bool{}
	for i := range c.Outputs {
		o := &c.Outputs[i]
		what := fmt.Sprintf("output %q", o.Name)
		if o.Name == "" || seen[o.Name] { // the name finds no line, or that of another
			what = fmt.Sprintf("output %d %q", i+1, o.Name)
		}
		check(what, o.Validate())
		if seen[o.Name] {
			errs = append(errs, fmt.Errorf("%s: two have this name, give each its own", what))
		}
		seen[o.Name] = true
		if path := o.File.Path; path != "" {
			if files[path] {
				errs = append(errs, fmt.Errorf("%s: another one writes to %s, give each its own file", what, path))
			}
			files[path] = true
		}
	}
	return errors.Join(errs...)
}
