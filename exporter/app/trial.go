package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"nocturne/exporter/config"
	"nocturne/exporter/source"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Trial are the configured sources without an exporter around them, to be
// looked at beside one that runs: they have a spool and a data folder of their
// own, which Close removes, so they start without positions.
type Trial struct {
	All []TrialSource // by name, those that are turned off too
	dir string
	sp  *spool.Spool
}

// TrialSource is one source.
type TrialSource struct {
	source.Source
	Enabled bool // by the configuration
}

// NewTrial builds the sources of a configuration.
func NewTrial(o Options) (*Trial, error) {
	dir, err := os.MkdirTemp("", "nocturne-test-")
	if err != nil {
		return nil, err
	}
	t := &Trial{dir: dir}
	configured := &Trial{}
	o.Config.Data = filepath.Join(dir, "configured")
	err = errors.Join(configured.build(o, nil), configured.closeSpool())
	on := map[string]bool{}
	for _, s := range configured.All {
		on[s.Name()] = true
	}
	o.Config = everything(o.Config)
	o.Config.Data = filepath.Join(dir, "all")
	if err == nil {
		err = t.build(o, on)
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Trial) build(o Options, on map[string]bool) error {
	a, err := bare(o)
	if a != nil {
		t.sp = a.spool
	}
	if err != nil {
		return err
	}
	if err := a.makeSources(); err != nil {
		return err
	}
	for _, s := range a.sources {
		t.All = append(t.All, TrialSource{s, on[s.Name()]})
	}
	slices.SortFunc(t.All, func(a, b TrialSource) int { return cmp.Compare(a.Name(), b.Name()) })
	return nil
}

// bare returns an App that has a spool and nothing else.
func bare(o Options) (*App, error) {
	if err := os.MkdirAll(o.Config.Data, 0o700); err != nil {
		return nil, err
	}
	a := newApp(o)
	a.identity.id = record.ID{1}
	o.Config.Spool = spool.DefaultConfig()
	return a, a.openSpool([]receiver{{Output: config.Output{Name: "screen", Type: config.TypeConsole}}})
}

// Find returns a source by its name.
func (t *Trial) Find(name string) (TrialSource, error) {
	var all []string
	for _, s := range t.All {
		if s.Name() == name {
			return s, nil
		}
		all = append(all, s.Name())
	}
	return TrialSource{}, fmt.Errorf("no source is called %q: there are %s", name, sourceNames(all))
}

// Close removes what NewTrial made.
func (t *Trial) Close() error { return errors.Join(t.closeSpool(), os.RemoveAll(t.dir)) }

func (t *Trial) closeSpool() error {
	if t.sp == nil {
		return nil
	}
	return t.sp.Close()
}

// everything returns the configuration with every source turned on: each has a
// section with a key "enabled".
func everything(c config.Config) config.Config {
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Struct {
			continue
		}
		if e := f.FieldByName("Enabled"); e.IsValid() && e.Kind() == reflect.Bool {
			e.SetBool(true)
		}
	}
	return c
}
