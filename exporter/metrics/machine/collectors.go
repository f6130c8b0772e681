package machine

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Settings are what the child collects.
type Settings struct {
	// Collectors by the names that node_exporter (Linux) or windows_exporter
	// (Windows) gives them; none = Defaults.
	Collectors []string `yaml:"collectors"`
	// Services are the Windows services whose state is watched; none = no
	// series of services.
	Services []string `yaml:"services"`
}

// complete returns what is really collected on goos.
func (s Settings) complete(goos string) Settings {
	if len(s.Collectors) == 0 {
		s.Collectors = Defaults(goos)
	}
	if len(s.Services) == 0 { // the collector would take all of them, some thousand series
		s.Collectors = slices.DeleteFunc(slices.Clone(s.Collectors), func(c string) bool { return c == "service" })
	}
	if !slices.Contains(s.Collectors, "service") {
		s.Services = nil
	}
	return s
}

// servicePattern matches the names of services as Windows does, without case.
func servicePattern(services []string) string {
	quoted := make([]string, len(services))
	for i, s := range services {
		quoted[i] = regexp.QuoteMeta(s)
	}
	return "(?i)^(?:" + strings.Join(quoted, "|") + ")$"
}

// known are the collectors of each system. TestCollectorsAreKnown holds the
// Linux ones against the library's own list.
var known = map[string][]string{
	"linux": strings.Fields(`arp bcache bcachefs bonding btrfs buddyinfo cgroups conntrack cpu cpu_vulnerabilities cpufreq diskstats dmi dmmultipath drbd drm edac
		entropy ethtool fibrechannel filefd filesystem hwmon infiniband interrupts ipvs kernel_hung ksmd lnstat loadavg logind mdadm meminfo meminfo_numa mountstats
		netclass netdev netstat network_route nfs nfsd ntp nvme nvmesubsystem os pcidevice perf powersupplyclass pressure processes qdisc rapl runit schedstat selinux
		slabinfo sockstat softirqs softnet stat supervisord swap sysctl systemd tapestats tcpstat textfile thermal_zone time timex udp_queues uname vmstat watchdog
		wifi xfrm xfs zfs zoneinfo`),
	"windows": strings.Fields(`ad adcs adfs cache container cpu cpu_info dfsr dhcp diskdrive dns exchange filetime fsrmquota gpu hyperv iis license logical_disk
		memory mscluster msmq mssql net netframework nps os pagefile performancecounter physical_disk printer process remote_fx scheduled_task service smb
		smbclient smtp system tcp terminal_services textfile thermalzone time udp vmware`),
}

// refused are collectors that would do harm, with what to do instead.
var refused = map[string]map[string]string{
	"windows": {"update": "it spins while Windows Update cannot be asked; the source updates tells what is installed and pending"},
}

var defaults = map[string][]string{
	"linux":   {"cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "netdev", "stat", "time", "timex", "uname"},
	"windows": {"cpu", "logical_disk", "memory", "net", "os", "pagefile", "physical_disk", "service", "system", "time"},
}

// Defaults returns the collectors that run unless others are named.
func Defaults(goos string) []string { return slices.Clone(defaults[goos]) }

// DefaultServices are the Windows services that a server is rarely well
// without; those that are not installed have no series.
func DefaultServices() []string {
	return []string{"EventLog", "LanmanServer", "NocturneExporter", "Schedule", "W32Time", "Winmgmt"}
}

const (
	maxServices    = 100
	maxServiceName = 256
)

// Validate says what to write instead of settings that cannot work on goos.
func (s Settings) Validate(goos string) error {
	for i, name := range s.Collectors {
		switch {
		case refused[goos][name] != "":
			return fmt.Errorf("metrics collectors: remove %s: %s", name, refused[goos][name])
		case known[goos] == nil:
			return fmt.Errorf("metrics collectors: there are none for %s: remove them", goos)
		case !slices.Contains(known[goos], name):
			return fmt.Errorf("metrics collectors: %q is unknown on %s: write some of %s", name, goos, strings.Join(nearest(name, known[goos]), ", "))
		case slices.Contains(s.Collectors[:i], name):
			return fmt.Errorf("metrics collectors: %s stands there twice: remove one", name)
		}
	}
	if len(s.Services) > maxServices {
		return fmt.Errorf("metrics services: %d: write at most %d", len(s.Services), maxServices)
	}
	for _, name := range s.Services {
		if name == "" || len(name) > maxServiceName || strings.ContainsAny(name, "/\\\x00") {
			return fmt.Errorf("metrics services: %q: write the short name of a service, as in `sc query`", name)
		}
	}
	return nil
}

// nearest are those of the known names that share the most with a wrong one:
// all of them if none does.
func nearest(name string, known []string) []string {
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		return len(name) < 2 || !strings.HasPrefix(k, name[:min(3, len(name))]) && !strings.Contains(k, name) && !strings.Contains(name, k)
	})
	if len(near) == 0 {
		return known
	}
	return near
}

// args are the child's command line, args[0] aside.
func (s Settings) args() []string {
	return []string{strings.Join(s.Collectors, ","), strings.Join(s.Services, "/")}
}

// parseArgs is the reverse of args.
func parseArgs(args []string) (Settings, error) {
	var s Settings
	if len(args) != 2 {
		return s, fmt.Errorf("%s: want collectors and services", Subcommand)
	}
	if args[0] != "" {
		s.Collectors = strings.Split(args[0], ",")
	}
	if args[1] != "" {
		s.Services = strings.Split(args[1], "/")
	}
	return s, nil
}
