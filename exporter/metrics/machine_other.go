//go:build !linux

package metrics

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// NewMachine has nothing to offer here yet: on Windows the collectors of
// windows_exporter run in a process of their own.
func NewMachine(*slog.Logger) (prometheus.Collector, error) {
	return nil, errors.ErrUnsupported
}
