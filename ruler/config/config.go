// Package config is the ruler's configuration file: one YAML document, decoded
// strictly, every key with a default, so that the file may be empty.
//
// Everything is pure but Load and Rules, which read files. To test: go test
// ./ruler/config.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"nocturne/alerts"
	"nocturne/internal/strict"
	"nocturne/internal/trust"
	"nocturne/ruler/api"
	"nocturne/ruler/eventlog"
	"nocturne/ruler/metricrule"
	"nocturne/ruler/notify"
	"nocturne/ruler/probe"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// Config is the whole file.
type Config struct {
	// Data is the folder that holds the store.
	Data     string `yaml:"data"`
	LogLevel string `yaml:"log_level"` // debug info warn error

	Stream Stream `yaml:"stream"`
	Rules  Rules  `yaml:"rules"`
	// Metrics is where metric rules ask, and write what they record.
	Metrics metricrule.Config `yaml:"metrics"`
	// Logs is where the eventbridge keeps events.
	Logs         eventlog.Config `yaml:"logs"`
	Alertmanager Alertmanager    `yaml:"alertmanager"`
	// Listen is where the page, the API and /metrics are.
	Listen string     `yaml:"listen"`
	TLS    TLS        `yaml:"tls"`
	API    api.Config `yaml:"api"`
	Store  Store      `yaml:"store"`
	// Probe asks silent machines whether they answer.
	Probe probe.Config `yaml:"probe"`
}

// Stream is where entries are read from.
type Stream struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"token_file"` // holds the ruler's token
}

// TLS is what Listen speaks; without files it is plain HTTP.
type TLS struct {
	trust.Files `yaml:",inline"`
	// Plain lets others than this machine reach Listen without TLS.
	Plain bool `yaml:"plain"`
}

// Rules say what matters.
type Rules struct {
	// Builtin takes the default rules that the program carries.
	Builtin bool `yaml:"builtin"`
	// Packs are those of the program's that are off by default, by name.
	Packs []string `yaml:"packs"`
	// Dirs hold further *.yml files.
	Dirs []string `yaml:"dirs"`
	// Metrics name further files with metric rules, in Prometheus' format;
	// * stands for any name.
	Metrics []string `yaml:"metrics"`
	// Overrides change single rules, by id.
	Overrides rule.Overrides `yaml:"overrides"`
}

// Alertmanager is who tells people.
type Alertmanager struct {
	URLs []string `yaml:"urls"` // every one is told; none = nobody
	// ConsoleURL is where people open the page; messages link to it.
	ConsoleURL string `yaml:"console_url"`
}

// Store is how long facts are kept.
type Store struct {
	Retention time.Duration `yaml:"retention"`
	// Keep says it for single kinds; 0 = Retention.
	Keep Keep `yaml:"keep"`
}

// Keep is how long kinds of facts are kept.
type Keep struct {
	Changes       time.Duration `yaml:"changes"`
	History       time.Duration `yaml:"history"` // configurations, labels, states, serials
	Notifications time.Duration `yaml:"notifications"`
	Evidence      time.Duration `yaml:"evidence"`
	Audit         time.Duration `yaml:"audit"`
}

// Limits are the times before which facts are deleted.
func (s *Store) Limits(now time.Time) store.Limits {
	before := func(d time.Duration) time.Time { return now.Add(-cmp.Or(d, s.Retention)) }
	return store.Limits{Changes: before(s.Keep.Changes), History: before(s.Keep.History), Notifications: before(s.Keep.Notifications), Evidence: before(s.Keep.Evidence), Audit: before(s.Keep.Audit)}
}

const minRetention = 24 * time.Hour

// Default returns the defaults.
func Default() Config {
	data := "/var/lib/nocturne/ruler"
	if runtime.GOOS == "windows" {
		data = filepath.Join(os.Getenv("ProgramData"), "Nocturne", "ruler")
	}
	return Config{
		Data: data, LogLevel: "info",
		Stream:       Stream{URL: "nats://127.0.0.1:9473", TokenFile: filepath.Join(filepath.Dir(data), "eventbridge", "stream", "ruler.token")},
		Rules:        Rules{Builtin: true},
		Metrics:      metricrule.DefaultConfig(),
		Logs:         eventlog.DefaultConfig(),
		Alertmanager: Alertmanager{URLs: []string{"http://127.0.0.1:9093"}},
		Listen:       "127.0.0.1:9480",
		API:          api.DefaultConfig(),
		Store:        Store{Retention: 2 * 365 * 24 * time.Hour},
		Probe:        probe.Default(),
	}
}

// Load reads a file; "" is an empty one.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, c.Validate()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read config: %w", err)
	}
	if err := c.Decode(b); err != nil {
		return c, fmt.Errorf("config %s: %w", path, err)
	}
	return c, nil
}

// Decode lays a YAML document over c and validates the whole.
func (c *Config) Decode(b []byte) error {
	if err := strict.Decode(b, c); err != nil {
		return err
	}
	return c.Validate()
}

// Validate says what to write instead of what is wrong; all of it at once.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Data != "", "data is empty: name a folder")
	_, err := c.Level()
	check(err == nil, "log_level %q: want debug, info, warn or error", c.LogLevel)
	u, err := url.Parse(c.Stream.URL)
	check(err == nil && (u.Scheme == "nats" || u.Scheme == "tls") && u.Host != "", "stream.url %q: want nats://HOST:PORT or tls://HOST:PORT", c.Stream.URL)
	check(c.Stream.TokenFile != "", "stream.token_file is empty: name the ruler.token that the eventbridge made in its data folder, below stream/")
	check(c.Rules.Builtin || len(c.Rules.Dirs) > 0, "rules.builtin is false and rules.dirs is empty: nothing would be noticed; name a folder with rule files")
	for _, name := range c.Rules.Packs {
		check(slices.Contains(alerts.Packs(), name), "rules.packs: no pack %.40q: there are %s", name, strings.Join(alerts.Packs(), ", "))
	}
	host, port, err := net.SplitHostPort(c.Listen)
	check(err == nil && port != "", "listen %q: want HOST:PORT such as 127.0.0.1:9480", c.Listen)
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("tls: %w", err))
	}
	check(err != nil || !c.TLS.IsZero() || c.TLS.Plain || trust.Loopback(host), "listen %q: others could read passwords and tokens on the way; name tls.cert_file and tls.key_file, "+
		"or listen on 127.0.0.1 behind a proxy that speaks TLS, or write tls.plain: true where the way is safe", c.Listen)
	check(c.Store.Retention >= minRetention, "store.retention %s: want at least %s", c.Store.Retention, minRetention)
	for _, k := range []struct {
		name string
		d    time.Duration
	}{{"changes", c.Store.Keep.Changes}, {"history", c.Store.Keep.History}, {"notifications", c.Store.Keep.Notifications}, {"evidence", c.Store.Keep.Evidence}, {"audit", c.Store.Keep.Audit}} {
		check(k.d == 0 || k.d >= minRetention, "store.keep.%s %s: want at least %s, or leave it out for store.retention", k.name, k.d, minRetention)
	}
	n := c.Notify()
	if err := n.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("alertmanager.urls: %w", err))
	}
	if err := c.Metrics.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Logs.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Probe.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.API.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Notify is the sender's part.
func (c *Config) Notify() notify.Config {
	return notify.Config{Targets: c.Alertmanager.URLs, ConsoleURL: c.Alertmanager.ConsoleURL}
}

// PageURL is where people open the page, without a slash at the end.
func (c *Config) PageURL() string {
	if c.Alertmanager.ConsoleURL != "" {
		return strings.TrimRight(c.Alertmanager.ConsoleURL, "/")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(host); err != nil || host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return c.Scheme() + "://" + net.JoinHostPort(host, port)
}

// Scheme is what Listen speaks: http or https.
func (c *Config) Scheme() string {
	if c.TLS.IsZero() {
		return "http"
	}
	return "https"
}

// Level is the log level.
func (c *Config) Level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return l, fmt.Errorf("log_level %q: %w", c.LogLevel, err)
	}
	return l, nil
}

// Load reads all rules and carries the overrides out.
func (r *Rules) Load() ([]*rule.Rule, error) {
	f, err := r.Files()
	return f.Active, err
}

// builtinFolder is where the files of the rules lie that the program carries.
const builtinFolder = "alerts/records"

// Files reads all rules, those that the overrides change or disable too.
func (r *Rules) Files() (rulebook.Files, error) {
	f := rulebook.Files{Texts: map[string][]byte{}}
	var pack rule.Pack
	add := func(fsys fs.FS, dir, shown string) error {
		more, err := rule.ParsePackFS(fsys, dir)
		if err != nil {
			return fmt.Errorf("rules in %s: %w", shown, err)
		}
		for _, v := range more.Rules {
			name := v.File
			v.File = path.Join(shown, path.Base(name))
			if f.Texts[v.File] == nil {
				if f.Texts[v.File], err = fs.ReadFile(fsys, name); err != nil {
					return fmt.Errorf("rules in %s: %w", shown, err)
				}
			}
		}
		pack.Rules, pack.Windows = append(pack.Rules, more.Rules...), append(pack.Windows, more.Windows...)
		return nil
	}
	if r.Builtin {
		if err := add(alerts.Files(), "records", builtinFolder); err != nil {
			return rulebook.Files{}, err
		}
	}
	for _, name := range r.Packs {
		if err := add(alerts.Files(), "optional/"+name, builtinFolder); err != nil {
			return rulebook.Files{}, fmt.Errorf("rules.packs: %w", err)
		}
	}
	for _, dir := range r.Dirs {
		if err := add(os.DirFS(dir), ".", filepath.ToSlash(dir)); err != nil {
			return rulebook.Files{}, err
		}
	}
	f.Rules, f.Windows = pack.Planned(), pack.Windows
	if errs := rule.Unique(f.Rules); len(errs) > 0 {
		return rulebook.Files{}, errs
	}
	if errs := rule.Dangling(f.Rules, f.Rules); len(errs) > 0 {
		return rulebook.Files{}, errs
	}
	records, _ := r.overrides()
	var err error
	if f.Active, err = records.Apply(f.Rules); err != nil {
		return rulebook.Files{}, fmt.Errorf("rules.overrides: %w", err)
	}
	if len(f.Active) == 0 {
		return rulebook.Files{}, errors.New("there are no rules: nothing would be noticed")
	}
	return f, nil
}

// overrides sorts them by whose they are: the ids of metric rules have a prefix.
func (r *Rules) overrides() (records, metrics rule.Overrides) {
	records, metrics = rule.Overrides{}, rule.Overrides{}
	for id, o := range r.Overrides {
		if strings.HasPrefix(id, metricrule.Prefix) {
			metrics[id] = o
		} else {
			records[id] = o
		}
	}
	return records, metrics
}

// LoadMetrics reads all metric rules and carries the overrides out.
func (r *Rules) LoadMetrics() (*metricrule.Pack, error) {
	var files []*metricrule.File
	if r.Builtin {
		own, err := metricrule.ParseFS(alerts.Files(), "metrics", "builtin")
		if err != nil {
			return nil, fmt.Errorf("rules in the program: %w", err)
		}
		files = own
	}
	more, err := metricrule.ParseFiles(r.Metrics)
	if err != nil {
		return nil, fmt.Errorf("rules.metrics: %w", err)
	}
	_, overrides := r.overrides()
	return metricrule.NewPack(append(files, more...), overrides)
}
