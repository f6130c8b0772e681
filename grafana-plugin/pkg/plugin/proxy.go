package plugin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/nocturne/fleet/pkg/ruler"
)

// maxRequest is more than any path of the ruler's API takes (8 MiB, a table of
// the register); each has its own limit there.
const maxRequest = 9 << 20

// What passes of a request's headers, and of an answer's; everything else that
// either side needs is set here.
var (
	passIn  = []string{"Accept", "Content-Type"}
	passOut = []string{"Allow", "Content-Type", "Date", "Retry-After"} // Date: the pages reckon by the ruler's clock
)

// proxy asks the ruler on behalf of whoever is signed in.
func (a *App) proxy(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		w.Header().Set("Allow", "GET, POST, PUT, DELETE")
		a.refuse(w, refusedMethod, ruler.NewProblem(http.StatusMethodNotAllowed, "the ruler's API has no "+ruler.Clip(r.Method), "GET, POST, PUT or DELETE"))
		return
	}
	if r.URL.Path == "/api/v1/stream" {
		a.refuse(w, refusedPath, ruler.NewProblem(http.StatusBadRequest, "live changes do not come this way", "subscribe to the channel plugin/"+ID+"/"+changes))
		return
	}
	if a.wrong != nil {
		a.refuse(w, refusedSettings, a.wrong)
		return
	}
	who, p := callerOf(backend.UserFromContext(r.Context()))
	if p != nil {
		a.refuse(w, refusedIdentity, p)
		return
	}
	var body io.Reader
	if r.Body != nil {
		b, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
		if err != nil || len(b) > maxRequest {
			a.refuse(w, refusedSize, ruler.NewProblem(http.StatusRequestEntityTooLarge, "the body is too large", "at most 8 MiB; send it in parts"))
			return
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	req, err := a.ruler.Request(ctx, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, who, body)
	if err != nil {
		a.refuse(w, refusedPath, ruler.NewProblem(http.StatusBadRequest, "this request cannot be passed on", "look at its path"))
		return
	}
	for _, name := range passIn {
		if v := r.Header.Get(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	a.ask(w, req, cancel)
}

// ask sends the request and relays the answer. cancel ends the request.
func (a *App) ask(w http.ResponseWriter, req *http.Request, cancel context.CancelFunc) {
	quiet := time.AfterFunc(ruler.Quietest, cancel)
	defer quiet.Stop()
	resp, err := a.ruler.Do(req)
	if err != nil {
		a.failed(w, req, err)
		return
	}
	defer resp.Body.Close()
	switch typ := ruler.MediaType(resp); {
	case resp.StatusCode == http.StatusUnauthorized:
		// Grafana's front end takes a 401 for its own and signs people out.
		a.metrics.answers.WithLabelValues(answerToken).Inc()
		(ruler.NewProblem(http.StatusBadGateway, "the ruler does not take the app's token", "an admin makes a new one (ruler tokens add -kind plugin) and writes it on the app's settings page")).Write(w)
	case typ == "application/x-ndjson" && resp.StatusCode == http.StatusOK:
		a.lines(w, resp, quiet)
	case typ != "application/json" || resp.StatusCode < 200 || resp.StatusCode >= 300 && resp.StatusCode < 400:
		a.failed(w, req, &ruler.ForeignError{Status: resp.StatusCode, MediaType: typ, Location: resp.Header.Get("Location")})
	default:
		a.whole(w, req, resp)
	}
}

// whole relays an answer in one piece.
func (a *App) whole(w http.ResponseWriter, req *http.Request, resp *http.Response) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, ruler.MaxAnswer+1))
	switch {
	case err != nil:
		a.failed(w, req, err)
	case len(body) > ruler.MaxAnswer:
		a.metrics.answers.WithLabelValues(answerSize).Inc()
		(ruler.NewProblem(http.StatusBadGateway, "the ruler's answer is too large", "ask for less: with limit, or a shorter time")).Write(w)
	default:
		a.head(w, resp)
		_, _ = w.Write(body) // the caller hung up: nobody is left to tell
	}
}

// lines relays an answer as it comes, for as long as it says something.
func (a *App) lines(w http.ResponseWriter, resp *http.Response, quiet *time.Timer) {
	a.head(w, resp)
	flush := http.NewResponseController(w)
	buf := make([]byte, 64<<10)
	for left := ruler.MaxAnswer; left > 0; {
		n, err := resp.Body.Read(buf[:min(left, len(buf))])
		if n > 0 {
			quiet.Reset(ruler.Quietest)
			left -= n
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			if err := flush.Flush(); err != nil {
				return
			}
		}
		if err != nil {
			return // the last line is missing then, which whoever reads it notices
		}
	}
}

func (a *App) head(w http.ResponseWriter, resp *http.Response) {
	a.metrics.answers.WithLabelValues(answerPassed).Inc()
	ruler.SetHeaders(w.Header())
	for _, name := range passOut {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(resp.StatusCode)
}

// failed tells people that the ruler is not there. What exactly is wrong is
// for the log and the settings page: it names addresses.
func (a *App) failed(w http.ResponseWriter, req *http.Request, err error) {
	f := ruler.Explain(err)
	backend.Logger.FromContext(req.Context()).Warn("ruler not asked", "path", req.URL.Path, "err", f.Msg)
	p := ruler.NewProblem(http.StatusBadGateway, "the ruler cannot be reached", "try again in a moment; an admin sees why on the app's settings page (Test)")
	result := answerUnreachable
	switch f.Kind {
	case ruler.FailForeign:
		p.Msg, result = "what answers at the ruler's address is not the ruler", answerForeign
	case ruler.FailTLS:
		p.Msg = "the ruler's certificate does not do"
	case ruler.FailTimeout:
		p.Status, p.Msg, p.Hint = http.StatusGatewayTimeout, "the ruler did not answer in time", "ask for less, or again in a moment"
	}
	a.metrics.answers.WithLabelValues(result).Inc()
	p.Write(w)
}
