package winlog

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Config is the part of the exporter's configuration under "winlog".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Channels are the logs to read, as Get-WinEvent -ListLog names them.
	Channels []Channel `yaml:"channels"`
}

// Channel is one log and which of its events are wanted: those that every
// filter lets through.
type Channel struct {
	Name string `yaml:"name"`
	// Query is an XPath filter or a whole QueryList, as in Event Viewer, instead
	// of the filters below.
	Query string `yaml:"query"`
	// Levels are words of record.AttrLevel; empty = all.
	Levels    []string `yaml:"levels"`
	Providers Choice   `yaml:"providers"`
	// EventIDs are numbers, ranges ("129-131") and, since an id means nothing
	// without its provider, both ("disk/7").
	EventIDs Choice `yaml:"event_ids"`
	// Optional: the channel's absence is no failure.
	Optional bool `yaml:"optional"`
	// Forwarded: the events come from other machines. "ForwardedEvents" always is.
	Forwarded bool `yaml:"forwarded"`
}

// Choice lets through what is included, or everything where nothing is, but for
// what is excluded.
type Choice struct {
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
}

func (c Choice) empty() bool { return len(c.Include)+len(c.Exclude) == 0 }

// forwarded tells whether the channel's record numbers are other machines'.
func (c *Channel) forwarded() bool {
	return c.Forwarded || strings.EqualFold(c.Name, "ForwardedEvents")
}

// DefaultConfig reads System and Application whole, and what tells of broken
// hardware in the logs of storage, file systems, hardware errors, clusters,
// virtual machines, and of the roles that the optional rules are about, where
// they are. Their informational events are left out (Storport alone writes
// statistics of every disk each hour), but for those that end a problem.
func DefaultConfig() Config {
	bad := []string{"critical", "error", "warning"}
	const ms = "Microsoft-Windows-"
	return Config{Enabled: runtime.GOOS == "windows", Channels: []Channel{
		{Name: "System"},
		{Name: "Application"},
		{Name: ms + "Storage-Storport/Operational", Levels: bad, Optional: true},
		// And what it says when all is well again, at level information: below its threshold, healthy.
		{Name: ms + "StorageSpaces-Driver/Operational", Query: "*[System[(Level=1 or Level=2 or Level=3 or EventID=104 or EventID=305)]]", Optional: true},
		{Name: ms + "Ntfs/Operational", Levels: bad, Optional: true},
		// A disk came or went, with its serial number.
		{Name: ms + "Partition/Diagnostic", EventIDs: Choice{Include: []string{"1006"}}, Optional: true},
		{Name: ms + "Kernel-WHEA/Errors", Optional: true},
		// A device was configured, started, deleted, or had a problem: what makes
		// the sources of hardware and storage look.
		{Name: ms + "Kernel-PnP/Configuration", EventIDs: Choice{Include: []string{"400", "410", "411", "420", "430", "441", "442"}}, Optional: true},
		{Name: ms + "FailoverClustering/Operational", Levels: bad, Optional: true},
		{Name: ms + "Hyper-V-VMMS-Admin", Levels: bad, Optional: true},
		// What the optional rules dfs-replication and directory are about, with the events that clear them.
		{Name: "DFS Replication", Query: "*[System[(Level=1 or Level=2 or Level=3 or EventID=1206 or EventID=2214 or EventID=4104 or EventID=4602 or EventID=4604 or EventID=5004)]]", Optional: true},
		{Name: "Directory Service", Levels: bad, Optional: true},
		{Name: "DNS Server", Query: "*[System[(Level=1 or Level=2 or Level=3 or EventID=2 or EventID=4)]]", Optional: true},
		{Name: ms + "Dhcp-Server/AdminEvents", Query: "*[System[(Level=1 or Level=2 or Level=3 or EventID=1024 or EventID=1043 or EventID=1044 or EventID=20254)]]", Optional: true},
	}}
}

const (
	maxChannels = 32 // all bookmarks have to fit one position of the spool
	maxWords    = 200
)

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	seen := map[string]bool{}
	for i := range c.Channels {
		ch := &c.Channels[i]
		low := strings.ToLower(ch.Name)
		if ch.Name == "" {
			return fmt.Errorf("winlog channel %d has no name: write one, such as System", i+1)
		}
		if len(ch.Name) > 256 || strings.ContainsRune(ch.Name, 0) {
			return fmt.Errorf("winlog channel %.60q: write a name of at most 256 bytes", ch.Name)
		}
		if seen[low] {
			return fmt.Errorf("winlog channel %s is there twice: write it once, with one query", ch.Name)
		}
		seen[low] = true
		if err := ch.validate(); err != nil {
			return fmt.Errorf("winlog channel %s: %w", ch.Name, err)
		}
	}
	if c.Enabled && len(c.Channels) == 0 {
		return errors.New("winlog is enabled without channels: write at least one, such as System")
	}
	if len(c.Channels) > maxChannels {
		return fmt.Errorf("winlog has %d channels: write at most %d", len(c.Channels), maxChannels)
	}
	return nil
}

func (c *Channel) validate() error {
	if c.Query != "" && (len(c.Levels) > 0 || !c.Providers.empty() || !c.EventIDs.empty()) {
		return errors.New("query stands beside levels, providers or event_ids: write either")
	}
	for _, l := range c.Levels {
		if !slices.Contains(levelWords, l) {
			return fmt.Errorf("level %q: write some of %s", l, strings.Join(levelWords, ", "))
		}
	}
	for _, p := range slices.Concat(c.Providers.Include, c.Providers.Exclude) {
		if p == "" || len(p) > 256 {
			return fmt.Errorf("provider %.60q: write a name, such as disk", p)
		}
	}
	for _, s := range slices.Concat(c.EventIDs.Include, c.EventIDs.Exclude) {
		if _, err := parseIDs(s); err != nil {
			return err
		}
	}
	for _, n := range []int{len(c.Providers.Include), len(c.Providers.Exclude), len(c.EventIDs.Include), len(c.EventIDs.Exclude)} {
		if n > maxWords {
			return fmt.Errorf("a filter of %d words: write at most %d", n, maxWords)
		}
	}
	return nil
}
