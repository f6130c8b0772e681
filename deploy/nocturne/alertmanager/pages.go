package alertmanager

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/route"
)

// registerPages adds upstream's endpoints beside the API: health, reload and metrics.
func (a *App) registerPages(r *route.Router, reg *prometheus.Registry) {
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "OK") }
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		r.Get(path, ok)
		r.Head(path, ok)
	}
	r.Post("/-/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Reload(); err != nil {
			http.Error(w, "failed to reload config: "+err.Error(), http.StatusInternalServerError)
		}
	})
	r.Get("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}).ServeHTTP)
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "Alertmanager inside Nocturne. It has an API (/api/v2/status) and no pages; amtool works with it.")
	})
}
