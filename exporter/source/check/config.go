package check

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/exporter/source"
)

// Formats of what a plugin writes.
const (
	FormatNagios     = "nagios"
	FormatPrometheus = "prometheus"
	FormatNocturne   = "nocturne"
)

// Config is the part of the exporter's configuration under "check".
type Config struct {
	// Folder holds one check in each *.yml file; a folder that is missing holds
	// none. "" = none.
	Folder string `yaml:"folder"`
	// AtOnce is how many plugins run at the same time.
	AtOnce int `yaml:"at_once"`
	// MaxSeries bounds the series of one check of format prometheus.
	MaxSeries int `yaml:"max_series"`
	// Checks are those of the configuration file itself.
	Checks []Spec `yaml:"checks"`
}

// Spec is one check.
type Spec struct {
	// Name is unique on the server; it is the place of the check's device.
	Name string `yaml:"name"`
	// Command is the program's absolute path and its arguments. No shell reads
	// them.
	Command []string `yaml:"command"`
	Format  string   `yaml:"format"`
	// Schedule is when it runs. The deadline bounds one run; what the period
	// leaves besides is how long a run may wait for its turn.
	source.Schedule `yaml:",inline"`
	// Env is added to the clean environment.
	Env map[string]string `yaml:"env"`
	// Dir is the working directory; "" = the root directory.
	Dir string `yaml:"dir"`
	// User runs the program under another account; Linux only, for an exporter
	// that runs as root.
	User string `yaml:"user"`
	// MaxOutput is the most bytes that the program may write.
	MaxOutput int `yaml:"max_output"`
}

// DefaultConfig has no checks.
func DefaultConfig(folder string) Config { return Config{Folder: folder, AtOnce: 4, MaxSeries: 200} }

// DefaultSpec runs once a minute.
func DefaultSpec() Spec {
	return Spec{Format: FormatNagios, MaxOutput: 256 << 10, Schedule: source.Schedule{Period: time.Minute, Deadline: 30 * time.Second, Jitter: 5 * time.Second}}
}

// UnmarshalYAML lays what is written over the defaults of a check. Where only
// the period is written, deadline and jitter keep to it.
func (s *Spec) UnmarshalYAML(n *yaml.Node) error {
	type plain Spec
	p := plain(DefaultSpec())
	p.Deadline, p.Jitter = 0, -1
	if err := n.Decode(&p); err != nil {
		return err
	}
	d := DefaultSpec().Schedule
	if p.Deadline == 0 {
		p.Deadline = min(d.Deadline, p.Period/2)
	}
	if p.Jitter == -1 {
		p.Jitter = min(d.Jitter, p.Period/10)
	}
	*s = Spec(p)
	return nil
}

// maxChecks bounds the checks of one server; each is a source with its metrics.
const maxChecks = 256

var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)
	envForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_()]*$`)
)

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Folder != "" && !filepath.IsAbs(c.Folder) {
		errs = append(errs, fmt.Errorf("check folder %q: write an absolute path, or nothing", c.Folder))
	}
	if c.AtOnce < 1 || c.AtOnce > 64 {
		errs = append(errs, fmt.Errorf("check at_once %d: write a number from 1 to 64", c.AtOnce))
	}
	if c.MaxSeries < 1 || c.MaxSeries > 10000 {
		errs = append(errs, fmt.Errorf("check max_series %d: write a number from 1 to 10000", c.MaxSeries))
	}
	for i := range c.Checks {
		if err := c.Checks[i].Validate(); err != nil {
			errs = append(errs, fmt.Errorf("check checks %q %w", c.Checks[i].Name, err))
		}
	}
	errs = append(errs, Distinct(c.Checks))
	return errors.Join(errs...)
}

// Distinct says which names are used twice, and when there are too many.
func Distinct(specs []Spec) error {
	var errs []error
	seen := map[string]bool{}
	for i := range specs {
		if name := specs[i].Name; seen[name] {
			errs = append(errs, fmt.Errorf("check checks %q: two have this name, give each its own", name))
		}
		seen[specs[i].Name] = true
	}
	if len(specs) > maxChecks {
		errs = append(errs, fmt.Errorf("check checks: %d of them, write at most %d", len(specs), maxChecks))
	}
	return errors.Join(errs...)
}

// Validate says what to write instead; its errors begin with the key.
func (s Spec) Validate() error {
	switch {
	case !nameForm.MatchString(s.Name):
		return fmt.Errorf("name %q: write lower-case letters, digits, dots, dashes and underscores, at most 64", s.Name)
	case len(s.Command) == 0:
		return errors.New("command is missing: write the program's absolute path and its arguments, such as [/usr/lib/nagios/plugins/check_load, -w, \"8\"]")
	case !filepath.IsAbs(s.Command[0]):
		return fmt.Errorf("command %q: write the absolute path of the program", s.Command[0])
	case strings.Contains(strings.Join(s.Command, ""), "\x00"):
		return errors.New("command: write no zero bytes")
	case s.Format != FormatNagios && s.Format != FormatPrometheus && s.Format != FormatNocturne:
		return fmt.Errorf("format %q: write nagios, prometheus or nocturne", s.Format)
	case s.Dir != "" && !filepath.IsAbs(s.Dir):
		return fmt.Errorf("dir %q: write an absolute path", s.Dir)
	case s.User != "" && runtime.GOOS == "windows":
		return fmt.Errorf("user %q: write nothing, Windows runs checks as the service's own account", s.User)
	case s.MaxOutput < 1024 || s.MaxOutput > 4<<20:
		return fmt.Errorf("max_output %d: write a number of bytes from 1024 to 4194304", s.MaxOutput)
	}
	for k, v := range s.Env {
		if !envForm.MatchString(k) || strings.Contains(v, "\x00") {
			return fmt.Errorf("env %q: write a name of letters, digits and underscores, and a text", k)
		}
	}
	return s.Schedule.Validate()
}
