package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// errRefused is wrapped when Alertmanager says that the request is wrong:
// sending it again does not help.
var errRefused = errors.New("refused")

// errGone is wrapped when what a request names is not there.
var errGone = errors.New("not there")

const maxAnswer = 64 << 10

// alert is a postableAlert of Alertmanager's API v2
// (https://github.com/prometheus/alertmanager, api/v2/openapi.yaml).
type alert struct {
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	Annotations  map[string]string `json:"annotations"`
	Labels       map[string]string `json:"labels"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// alerts are the label sets of a notification, told as firing or resolved. The
// order matters: while any fires, the worst inhibits the others, so it comes
// first and goes last.
func alerts(n *Notification, as State, consoleURL string, now time.Time) []alert {
	ends := now.Add(horizon)
	if as == Resolved {
		if ends = n.Resolved; ends.After(now) {
			ends = now // clocks differ; it is over all the same
		}
	}
	link := ""
	if consoleURL != "" {
		link = strings.TrimRight(consoleURL, "/") + "/notifications/" + url.PathEscape(n.ID)
	}
	one := func(labels map[string]string, starts time.Time) alert {
		if starts.After(ends) {
			starts = ends
		}
		return alert{StartsAt: stamp(starts), EndsAt: stamp(ends), Annotations: n.Annotations, Labels: labels, GeneratorURL: link}
	}
	out := []alert{one(n.Labels, n.Opened)}
	for i := range n.Escalations {
		out = append(out, one(n.Escalations[i].Labels, n.Escalations[i].At))
	}
	if as == Firing {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

// watchdogAlert fires as long as we run: whoever watches from outside pages
// when it stops coming.
func watchdogAlert(now time.Time) alert {
	return alert{
		StartsAt: stamp(now), EndsAt: stamp(now.Add(watchdogFor)),
		Labels: map[string]string{LabelAlertname: "Watchdog", LabelJob: Job, LabelSeverity: "none"},
		Annotations: map[string]string{
			AnnotationSummary:     "Nocturne's ruler is alive",
			AnnotationDescription: "This alert always fires. Have a monitor outside of this installation page somebody when it stops arriving.",
			AnnotationRunbook:     "nocturne#watchdog",
		},
	}
}

// stuckAlert tells that records are not judged. It ends by itself when it is not
// told any more.
func stuckAlert(why string, now time.Time) alert {
	return alert{
		StartsAt: stamp(now), EndsAt: stamp(now.Add(watchdogFor)),
		Labels: map[string]string{LabelAlertname: "RulerStuck", LabelJob: Job, LabelSeverity: Critical},
		Annotations: map[string]string{
			AnnotationSummary:     "Nocturne's ruler is stuck: nothing new is noticed",
			AnnotationDescription: "Nobody is told of failures while this lasts. What is known already stays open. Look at the disk of the ruler's data folder.",
			AnnotationReason:      why,
			AnnotationRunbook:     "nocturne#ruler-stuck",
		},
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// post hands over one batch.
func (t *target) post(ctx context.Context, b batch) error {
	now := time.Now()
	var list []alert
	for i, w := range b.rows {
		list = append(list, alerts(&w.Notification, b.as[i], t.s.opts.Config.ConsoleURL, now)...)
	}
	if b.watchdog {
		list = append(list, watchdogAlert(now))
	}
	if b.stuck != "" {
		list = append(list, stuckAlert(b.stuck, now))
	}
	body, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	_, err = t.call(ctx, http.MethodPost, "/api/v2/alerts", body)
	t.s.metrics.request(err)
	return err
}

// call makes one request and returns the body of a 2xx answer.
func (t *target) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return t.callUpTo(ctx, method, path, body, maxAnswer)
}

// callUpTo is call for answers of other sizes.
func (t *target) callUpTo(ctx context.Context, method, path string, body []byte, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s%s: %w", method, t.name, path, errors.New("bad address"))
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if pw, ok := req.URL.User.Password(); ok {
		req.SetBasicAuth(req.URL.User.Username(), pw)
		req.URL.User = nil
	}
	resp, err := t.s.opts.Transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s%s: %w", method, t.name, path, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing is lost with it
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	switch {
	case resp.StatusCode/100 == 2 && err == nil:
		return answer, nil
	case err != nil:
		return nil, fmt.Errorf("%s %s%s: read answer: %w", method, t.name, path, err)
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusRequestEntityTooLarge, resp.StatusCode == http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%s %s%s: %s: %.300s: %w", method, t.name, path, resp.Status, bytes.TrimSpace(answer), errRefused)
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s %s%s: %s: %w", method, t.name, path, resp.Status, errGone)
	default:
		return nil, fmt.Errorf("%s %s%s: %s: %.300s", method, t.name, path, resp.Status, bytes.TrimSpace(answer))
	}
}

// probe watches whether the Alertmanager is still the same process: alerts live
// in its memory, so a new one has to be told everything at once.
func (t *target) probe(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	started := ""
	var good time.Time
	for {
		now := time.Now()
		up, err := t.uptime(ctx)
		if ctx.Err() == nil {
			t.probed(err)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			t.s.metrics.up.WithLabelValues(t.name).Set(0)
		default:
			t.s.metrics.up.WithLabelValues(t.name).Set(1)
			if started != "" && started != up && t.s.opts.Owns() {
				t.s.metrics.restarts.Inc()
				t.s.opts.Log.Info("alertmanager was restarted, telling it everything", "target", t.name)
				t.restarted(good)
				t.silencesChanged()
				if err := t.s.refresh(ctx); err != nil && ctx.Err() == nil {
					t.s.opts.Log.Warn("read desired notifications", "err", err)
					break // the next probe finds it restarted again
				}
			}
			started, good = up, now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// uptime returns when the Alertmanager started, as it writes it.
func (t *target) uptime(ctx context.Context) (string, error) {
	b, err := t.call(ctx, http.MethodGet, "/api/v2/status", nil)
	if err != nil {
		return "", err
	}
	var status struct {
		Uptime string `json:"uptime"`
	}
	if err := json.Unmarshal(b, &status); err != nil {
		return "", fmt.Errorf("read status of %s: %w", t.name, err)
	}
	return status.Uptime, nil
}
