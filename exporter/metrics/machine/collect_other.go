//go:build !linux && !windows

package machine

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

func newGatherer(Settings, *slog.Logger) (prometheus.Gatherer, error) {
	return nil, errors.ErrUnsupported
}
