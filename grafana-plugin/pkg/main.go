// The backend of the Grafana app nocturne-fleet-app: it asks the ruler on
// behalf of whoever is signed in to Grafana. Grafana starts it; see
// docs/grafana.md.
package main

import (
	"os"

	"github.com/grafana/grafana-plugin-sdk-go/backend/app"
	"github.com/grafana/grafana-plugin-sdk-go/backend/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nocturne/fleet/pkg/plugin"
)

func main() {
	// Grafana collects the default registry through the SDK.
	metrics := plugin.NewMetrics(prometheus.DefaultRegisterer)
	if err := app.Manage(plugin.ID, plugin.Factory(metrics), app.ManageOpts{}); err != nil {
		log.DefaultLogger.Error("plugin ended", "err", err)
		os.Exit(1)
	}
}
