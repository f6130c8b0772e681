package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// listen opens the listener of /metrics and /healthz.
func (a *App) listen() error {
	c := &a.o.Config.Metrics
	if c.Listen == "" {
		return nil
	}
	if err := web.Validate(c.WebConfigFile); err != nil {
		return fmt.Errorf("metrics web_config_file %s: %w", c.WebConfigFile, err)
	}
	var err error
	if a.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return fmt.Errorf("listen for /metrics: %w", err)
	}
	a.onClose("listener", func() error {
		if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if tcp, ok := a.listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && c.WebConfigFile == "" {
		a.log.Warn("everybody who reaches this address can read the metrics: set metrics.web_config_file, or listen on 127.0.0.1", "listen", tcp.String())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", a.healthz)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	return nil
}

// Addr returns where /metrics is served; nil when it is not.
func (a *App) Addr() net.Addr {
	if a.listener == nil {
		return nil
	}
	return a.listener.Addr()
}

// serve answers until the server is closed. The file is read again for every
// connection: certificates and passwords change without a restart.
func (a *App) serve() error {
	flags := &web.FlagConfig{WebConfigFile: &a.o.Config.Metrics.WebConfigFile}
	if err := web.Serve(a.listener, a.server, flags, a.log.With("component", "metrics")); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *App) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := a.commits.stuck(time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // or the asker is gone
}
