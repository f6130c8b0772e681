package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus-community/windows_exporter/pkg/collector"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/windows"
)

// collectTime is how long one collector may take before the others are sent
// without it. It ends before askTime does.
const collectTime = 10 * time.Second

// newGatherer returns windows_exporter's collectors. A collector that cannot be
// built is told in the log and in windows_exporter_collector_success; the
// others work. A panic while building ends the process: they build in
// goroutines of their own (v0.31.8).
func newGatherer(s Settings, log *slog.Logger) (g prometheus.Gatherer, err error) {
	if err := windows.NewLazySystemDLL("mi.dll").Load(); err != nil {
		return nil, errors.New("mi.dll is missing: this Windows has no management interface (Wine has none), windows_exporter's collectors cannot run")
	}
	defer func() {
		if p := recover(); p != nil { // MI's own initialisation panics in this goroutine
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	cfg := collector.ConfigDefaults
	cfg.Service.ServiceInclude, err = regexp.Compile(servicePattern(s.Services))
	if err != nil {
		return nil, err
	}
	cfg.Net.CollectorsEnabled = []string{"metrics"}      // nic_info is experimental, and inventory
	cfg.Time.CollectorsEnabled = []string{"system_time"} // what NTP counts is not on every system
	c := collector.NewWithConfig(cfg)
	if err := c.Enable(s.Collectors); err != nil {
		return nil, err
	}
	if err := c.Build(context.Background(), log); err != nil {
		if strings.HasPrefix(err.Error(), "error from initialize MI") {
			return nil, err // right after a boot; the next child finds it
		}
		log.Warn("some collectors do not work", "err", err)
	}
	h, err := c.NewHandler(collectTime, log, nil)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	return reg, reg.Register(h)
}
