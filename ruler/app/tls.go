package app

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/trust"
)

// readCertificate prepares TLS where the configuration names files.
func (a *App) readCertificate(reg prometheus.Registerer) (err error) {
	if a.cfg.TLS.IsZero() {
		return nil
	}
	if a.shown, err = trust.Show(a.cfg.TLS.Files, a.toldOfCertificate); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ruler_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate of the page and the API expires.",
		ConstLabels: prometheus.Labels{"certificate": "page"}}, func() float64 { return float64(a.shown.Ends().Unix()) }))
	return nil
}

func (a *App) toldOfCertificate(err error) {
	if err != nil {
		a.log.Error("certificate not read again: the one before stays", "err", err)
		return
	}
	a.log.Info("certificate read again", "file", a.cfg.TLS.CertFile, "until", a.shown.Ends())
}

// serve answers until the server is shut down.
func (a *App) serve() error {
	if a.shown == nil {
		return a.server.Serve(a.listener)
	}
	a.server.TLSConfig = a.shown.Server()
	return a.server.ServeTLS(a.listener, "", "")
}
