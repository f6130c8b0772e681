package plugin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nocturne/fleet/pkg/ruler"
)

const secret = "nocturne_0123456789abcdefghijklmnopqrstuvwxyz"

// standIn plays the ruler: it writes down what arrives, and answers what a test
// tells it to. It says in every answer that it is none. grpc_test.go uses the
// real API.
type standIn struct {
	*httptest.Server
	mu   sync.Mutex
	seen []arrival
	// answer is called with the lock held by nobody.
	answer http.HandlerFunc
}

type arrival struct {
	method, uri, body string
	header            http.Header
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{answer: func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/me":
			answer(w, 200, `{"name":"grafana","via":"plugin 1f","role":"`+roleSaid(r)+`","version":"1.2.3"}`)
		case "/api/v1/overview":
			answer(w, 200, `{"servers":{"total":650}}`)
		default:
			answer(w, 200, `{"ok":true}`)
		}
	}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// roleSaid is what the ruler would make of the headers: never more than editor.
func roleSaid(r *http.Request) string {
	if r.Header.Get(ruler.HeaderRole) == "" {
		return "viewer"
	}
	return "editor"
}

func (s *standIn) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = []byte(err.Error())
	}
	s.mu.Lock()
	s.seen = append(s.seen, arrival{r.Method, r.RequestURI, string(body), r.Header.Clone()})
	f := s.answer
	s.mu.Unlock()
	w.Header().Set("X-Stand-In", "not a ruler")
	f(w, r)
}

// says lets the stand-in answer otherwise.
func (s *standIn) says(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// taken are the arrivals since the last call.
func (s *standIn) taken() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.seen
	s.seen = nil
	return out
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}

// appFor is an App with settings as Grafana would hand them over.
func appFor(t *testing.T, settings map[string]any, token string) *App {
	t.Helper()
	j, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	inst, err := Factory(NewMetrics(prometheus.NewRegistry()))(t.Context(), backend.AppInstanceSettings{JSONData: j, DecryptedSecureJSONData: map[string]string{"token": token}})
	if err != nil {
		t.Fatal(err)
	}
	a := inst.(*App)
	t.Cleanup(a.Dispose)
	return a
}

func (s *standIn) app(t *testing.T) *App {
	return appFor(t, map[string]any{"rulerUrl": s.URL}, secret)
}

// as is a plugin context of somebody with a role.
func as(login, role string) backend.PluginContext {
	return backend.PluginContext{OrgID: 1, PluginID: ID, User: &backend.User{Login: login, Role: role}, AppInstanceSettings: &backend.AppInstanceSettings{}} //nolint:staticcheck // what Grafana 12 sends
}

// call is a resource call; what comes back in several parts is put together.
func call(t *testing.T, a *App, req *backend.CallResourceRequest) (status int, header http.Header, body string, parts int) {
	t.Helper()
	header = http.Header{}
	err := a.CallResource(t.Context(), req, backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error {
		if parts == 0 {
			status = r.Status
			for k, v := range r.Headers {
				header[http.CanonicalHeaderKey(k)] = v
			}
		}
		parts++
		body += string(r.Body)
		return nil
	}))
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.Path, err)
	}
	return status, header, body, parts
}
