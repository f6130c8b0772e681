package machine

import (
	"log/slog"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/node_exporter/collector"
)

// newGatherer returns node_exporter's collectors. They have one configuration
// per process, in kingpin's global command line, which nothing else here uses;
// without Parse every collector counts as disabled.
func newGatherer(s Settings, log *slog.Logger) (prometheus.Gatherer, error) {
	var args []string
	for _, c := range s.Collectors {
		args = append(args, "--collector."+c)
	}
	if _, err := kingpin.CommandLine.Parse(args); err != nil {
		return nil, err
	}
	c, err := collector.NewNodeCollector(log, s.Collectors...)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	return reg, reg.Register(c)
}
