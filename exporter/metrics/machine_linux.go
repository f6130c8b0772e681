package metrics

import (
	"fmt"
	"log/slog"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/node_exporter/collector"
)

// machineCollectors are node_exporter's collectors in use.
var machineCollectors = []string{"cpu", "meminfo", "loadavg", "filesystem", "diskstats", "netdev", "uname", "time", "stat"}

// NewMachine returns node_exporter's collectors of this machine. They have one
// configuration per process, in kingpin's global command line, which nothing
// else here uses; without Parse every collector counts as disabled.
func NewMachine(log *slog.Logger) (prometheus.Collector, error) {
	var args []string
	for _, c := range machineCollectors {
		args = append(args, "--collector."+c)
	}
	if _, err := kingpin.CommandLine.Parse(args); err != nil {
		return nil, fmt.Errorf("machine metrics: %w", err)
	}
	c, err := collector.NewNodeCollector(log, machineCollectors...)
	if err != nil {
		return nil, fmt.Errorf("machine metrics: %w", err)
	}
	return c, nil
}
