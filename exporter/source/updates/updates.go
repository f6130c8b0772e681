// Package updates states which updates a machine got, which wait, and how its
// updating is set up: from the Windows Update Agent and the registry, or from
// apt or dnf.
//
// A snapshot has three kinds of devices: one update_status, an update_pending
// for each update that waits, and an update_installed for each installation
// that the machine remembers. What could not be asked is not observed: an empty
// list is one that was read and is empty. Definition updates of virus scanners
// come several times a day; they are counted and dated, and neither listed nor
// taken for the last success.
//
// The history is a window that moves: see window in history.go for why nothing
// that leaves it looks removed.
//
// Parsers and model are pure. The Windows Update Agent may hang, so it is asked
// by a child process (child.go). A Reader belongs to one goroutine. To test:
// go test ./exporter/source/updates.
package updates

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "updates".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Online asks the update server (WSUS, Microsoft, dnf's mirrors) for what
	// waits, instead of what the machine learnt at its own last check. apt is
	// never made to fetch its lists: that changes the machine.
	Online bool `yaml:"online"`
	// History is how many installations are stated.
	History int `yaml:"history"`
	// Schedule is when the machine is asked.
	source.Schedule `yaml:",inline"`
}

// MaxHistory is the most installations that are stated.
const MaxHistory = 1000

// DefaultConfig asks every hour, offline: ten thousand servers that search at
// their own update server at once would be its end.
func DefaultConfig() Config {
	return Config{Enabled: true, History: 200, Schedule: source.Schedule{Period: time.Hour, Deadline: 10 * time.Minute, Jitter: 10 * time.Minute}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if c.History < 1 || c.History > MaxHistory {
		return fmt.Errorf("updates history %d: write 1 to %d", c.History, MaxHistory)
	}
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("updates: %w", err)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Root is put before every path that is read; "" = "/". Linux only.
	Root string
	// Run runs the tools, and on Windows the child; nil = source.Command.
	Run source.Runner
	// Child is the command line of this program with Subcommand; nil = this
	// program. Windows only.
	Child []string
	// Now tells the time; nil = time.Now.
	Now func() time.Time
}

// Name is the source's name.
const Name = "updates"

// New returns the source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader asks once for each Collect.
type Reader struct{ o Options }

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: maxAnswer, Env: environment()}.Run
	}
	return &Reader{o: o}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return Name }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.Updates }

// Wakes implements source.Waker: an installation ended.
func (r *Reader) Wakes(rec *record.Record) bool {
	switch rec.Name {
	case record.NameWindowsEvent:
		id, _ := rec.Attr(record.AttrEventID).Int()
		provider := rec.Attr(record.AttrProvider).Str()
		return (id == 19 || id == 20) && strings.EqualFold(provider, "Microsoft-Windows-WindowsUpdateClient")
	case record.NameJournal:
		switch rec.Attr(record.AttrUnit).Str() {
		case "apt-daily-upgrade.service", "dnf-automatic.service", "dnf-automatic-install.service", "packagekit.service":
			return true
		}
	}
	return false
}

// Collect implements source.Collector.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	report, err := r.read(ctx)
	if cerr := ctx.Err(); cerr != nil {
		return nil, errors.Join(cerr, err) // what is there may be half of it
	}
	if report == nil {
		return nil, err
	}
	return []record.Record{report.record(r.o.History, r.o.Now())}, err
}

// Status is how updating stands as a whole. What is not known is zero or nil.
type Status struct {
	Source    string // "Windows Update", "WSUS", "apt", "dnf"
	Server    string // of WSUS
	Service   string // start type of the service: automatic manual disabled
	Automatic string // what happens by itself: off, notify, download, install
	// LastSearch is when the machine last learnt what there is, LastSuccess when
	// it last installed an update that is no definition update.
	LastSearch, LastSuccess, LastDefinitions time.Time
	// LastError is the newest installation that failed.
	LastError     string
	LastErrorTime time.Time
	Reboot        *bool
	RebootReasons []string
	// Definitions that wait.
	Definitions int
}

// Pending is an update that waits.
type Pending struct {
	ID                 string // of the update server, or the package
	KB, Title          string
	Category, Severity string
	Version, Installed string
	Published          string // YYYY-MM-DD
	Security           bool
	Mandatory          bool
	Downloaded, Reboot *bool
}

// Installed is an installation that the machine remembers.
type Installed struct {
	ID, KB, Title string
	When          time.Time
	State         string // one of the State constants
	Code          string // of the failure, 0x80240022
	Packages      string
	Operation     string // install, uninstall, or the tool's word
}

// States of installations.
const (
	StateSucceeded = "succeeded"
	StatePartly    = "succeeded_with_errors"
	StateFailed    = "failed"
	StateAborted   = "aborted"
	StateRunning   = "in_progress"
)

// Report is all of it. The parts that could not be read are not observed.
type Report struct {
	Status                       Status
	Pending                      []Pending
	PendingKnown, InstalledKnown bool
	Installed                    []Installed // newest first, without definitions
}
