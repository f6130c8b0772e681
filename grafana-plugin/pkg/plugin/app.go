// Package plugin is the backend of the Grafana app. It does three things, all
// of them with the ruler's API (docs/api.md) at the other end:
//
//   - resources (proxy.go): /api/v1/… goes to the ruler, with the plugin's own
//     token and the name and role of the person who is signed in to Grafana;
//   - live changes (stream.go): the ruler's server-sent events become data
//     frames on the channel plugin/nocturne-fleet-app/changes;
//   - health (health.go): what is wrong with the settings, precisely, also
//     before they are saved (POST /test).
//
// An App holds one set of settings; the SDK makes a new one when they change
// and disposes of the old one. Everything may be called concurrently.
//
// To test: go test ./pkg/... in grafana-plugin; the last test builds the
// binary and speaks gRPC to it as Grafana does.
package plugin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/app"
	"github.com/grafana/grafana-plugin-sdk-go/backend/instancemgmt"
	"github.com/grafana/grafana-plugin-sdk-go/backend/resource/httpadapter"

	"github.com/nocturne/fleet/pkg/ruler"
)

// ID is the plugin's name in Grafana.
const ID = "nocturne-fleet-app"

var (
	_ backend.CallResourceHandler   = (*App)(nil)
	_ backend.CheckHealthHandler    = (*App)(nil)
	_ backend.StreamHandler         = (*App)(nil)
	_ instancemgmt.InstanceDisposer = (*App)(nil)
)

// App serves one set of settings.
type App struct {
	settings ruler.Settings
	ruler    *ruler.Client // nil = the settings do not do; wrong says why
	wrong    *ruler.Problem
	metrics  *Metrics
	quiet    time.Duration // after which a stream that says nothing is made anew

	resources backend.CallResourceHandler
	disposed  context.Context // done when other settings hold
	dispose   context.CancelFunc
}

// Factory makes Apps that count into the same metrics.
func Factory(m *Metrics) app.InstanceFactoryFunc {
	return func(_ context.Context, s backend.AppInstanceSettings) (instancemgmt.Instance, error) {
		return newApp(s, m), nil
	}
}

// newApp never fails: settings that do not do are told to whoever asks, with
// what to write instead. An error here would be Grafana's bare 500.
func newApp(s backend.AppInstanceSettings, m *Metrics) *App {
	a := &App{metrics: m, quiet: streamQuiet}
	a.settings, a.wrong = ruler.ReadSettings(s.JSONData, s.DecryptedSecureJSONData)
	if a.wrong == nil {
		a.ruler, a.wrong = ruler.New(a.settings)
	}
	a.disposed, a.dispose = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/", a.proxy)
	mux.HandleFunc("POST /test", a.test)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		a.refuse(w, refusedPath, ruler.NewProblem(http.StatusNotFound, "the plugin has no such path", "the ruler's API is under /api/v1/"))
	})
	a.resources = httpadapter.New(a.checked(mux))
	return a
}

// Dispose ends what lasts: streams start again with the new settings.
func (a *App) Dispose() {
	a.dispose()
	if a.ruler != nil {
		a.ruler.Close()
	}
}

// CallResource answers a call of the front end. Grafana decodes the path once
// and states what is left in URL, while the adapter parses the decoded Path
// once more: "A%3FB" would become a query. So what is adapted is the encoded
// path; a name with a slash or a percent sign in it has to be encoded twice by
// whoever calls through Grafana.
func (a *App) CallResource(ctx context.Context, req *backend.CallResourceRequest, sender backend.CallResourceResponseSender) error {
	fixed := *req
	fixed.Headers = req.GetHTTPHeaders() // by their canonical names
	fixed.Path = (&url.URL{Path: req.Path}).EscapedPath()
	u, err := url.Parse(req.URL)
	switch {
	case err != nil:
		fixed.URL = "" // the adapter would fail without an answer
	case strings.Trim(u.Path, "/") == strings.Trim(req.Path, "/"):
		fixed.Path = u.EscapedPath()
	}
	return a.resources.CallResource(ctx, &fixed, sender)
}

// checked looks at the path before the mux does, which would redirect an
// unclean one instead of refusing it.
func (a *App) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "" || r.URL.Scheme != "" || !ruler.CleanPath(r.URL.Path) {
			a.refuse(w, refusedPath, ruler.NewProblem(http.StatusBadRequest, "this path is not clean", "no empty parts, no dots alone, no backslashes, nothing encoded twice"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse counts what was not asked of the ruler, and says why.
func (a *App) refuse(w http.ResponseWriter, reason string, p *ruler.Problem) {
	a.metrics.refused.WithLabelValues(reason).Inc()
	p.Write(w)
}
