package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/nocturne/fleet/pkg/ruler"
)

// changes is the path of the one channel: plugin/nocturne-fleet-app/changes.
const changes = "changes"

// Events of our own on that channel, beside the ruler's.
const (
	eventAway = "away" // the ruler is not heard; data says why, as {"error","hint"}
	eventBack = "back" // it is heard again, and tells what was missed
)

// Times of the stream. The ruler says something every 15 s.
const (
	streamQuiet = 45 * time.Second
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// maxRows bounds a frame, when many events come at once.
const maxRows = 100

// SubscribeStream lets everybody listen who may look.
func (a *App) SubscribeStream(_ context.Context, req *backend.SubscribeStreamRequest) (*backend.SubscribeStreamResponse, error) {
	status := backend.SubscribeStreamStatusOK
	if req.Path != changes || a.ruler == nil {
		status = backend.SubscribeStreamStatusNotFound
	} else if _, p := callerOf(req.PluginContext.User); p != nil {
		status = backend.SubscribeStreamStatusPermissionDenied
	}
	return &backend.SubscribeStreamResponse{Status: status}, nil
}

// PublishStream refuses: changes come from the ruler alone.
func (a *App) PublishStream(context.Context, *backend.PublishStreamRequest) (*backend.PublishStreamResponse, error) {
	return &backend.PublishStreamResponse{Status: backend.PublishStreamStatusPermissionDenied}, nil
}

var (
	errReplaced = errors.New("the settings changed")
	errQuiet    = errors.New("the ruler's stream went quiet")
	errEnded    = errors.New("the ruler ended its stream")
)

// RunStream follows the ruler until nobody listens any more, or until the
// settings change: then Grafana calls it anew with the new ones. It asks as
// the plugin itself, because all who listen share it. A ruler that goes away is
// waited for, and asked for what was missed.
func (a *App) RunStream(ctx context.Context, req *backend.RunStreamRequest, sender *backend.StreamSender) error {
	if req.Path != changes {
		return fmt.Errorf("there is no channel %.80q", req.Path)
	}
	if a.ruler == nil {
		return a.wrong
	}
	a.metrics.streams.Inc()
	defer a.metrics.streams.Dec()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(a.disposed, func() { cancel(errReplaced) })()
	f := &follower{app: a, sender: sender}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.broken != nil {
			return f.broken
		}
		if f.heard {
			wait = firstWait
		}
		a.metrics.reconnects.Inc()
		if f.away(ctx, err); f.broken != nil {
			return f.broken
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// follower is one call of RunStream.
type follower struct {
	app    *App
	sender *backend.StreamSender
	last   string // id of the last event; "" = none yet
	heard  bool   // the connection that ended had begun
	gone   bool   // those who listen were told that the ruler is away
	broken error  // Grafana does not take frames any more
}

// follow is one connection to the ruler.
func (f *follower) follow(ctx context.Context) error {
	f.heard = false
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f.heard = true
	if f.back(); f.broken != nil {
		return f.broken
	}
	quiet := time.AfterFunc(f.app.quiet, func() { cancel(errQuiet) })
	defer quiet.Stop()
	queue := make(chan ruler.Event, maxRows)
	var ended error
	go func() {
		defer close(queue)
		ended = f.read(ctx, resp.Body, queue, func() { quiet.Reset(f.app.quiet) })
	}()
	for e := range queue {
		rows := []ruler.Event{e}
		for len(rows) < maxRows && len(queue) > 0 {
			more, ok := <-queue
			if !ok {
				break
			}
			rows = append(rows, more)
		}
		if f.send(rows); f.broken != nil {
			cancel(f.broken)
			for range queue { // until read has ended
			}
			return f.broken
		}
		f.app.metrics.events.Add(float64(len(rows)))
	}
	return ended
}

// open asks for the stream, after what was heard last.
func (f *follower) open(ctx context.Context) (*http.Response, error) {
	query := ""
	if f.last != "" {
		query = url.Values{"after": {f.last}}.Encode()
	}
	req, err := f.app.ruler.Request(ctx, http.MethodGet, "/api/v1/stream", query, ruler.Caller{}, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := f.app.ruler.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && ruler.MediaType(resp) == "text/event-stream" {
		return resp, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil, &ruler.ForeignError{Status: resp.StatusCode, MediaType: ruler.MediaType(resp)}
	}
	// An error that cannot be read whole is told by its number.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return nil, ruler.Refusal(resp, body)
}

// read puts events into the queue until the connection ends.
func (f *follower) read(ctx context.Context, body io.Reader, queue chan<- ruler.Event, alive func()) error {
	s := ruler.NewEvents(body, f.app.metrics.skipped.Inc)
	for {
		e, err := s.Next(alive)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return errEnded
		case err != nil:
			return err
		}
		select {
		case queue <- e:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send makes one frame of events; what was sent is not asked for again.
func (f *follower) send(rows []ruler.Event) {
	now := time.Now().UTC()
	f.broken = f.sender.SendFrame(frameOf(rows, now), data.IncludeAll)
	for _, e := range rows {
		if e.ID != "" {
			f.last = e.ID
		}
	}
}

// frameOf is what the front end gets: docs/grafana.md describes it.
func frameOf(rows []ruler.Event, now time.Time) *data.Frame {
	times, kinds, ids, texts := make([]time.Time, len(rows)), make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows))
	for i, e := range rows {
		times[i], kinds[i], ids[i], texts[i] = now, e.Kind, e.ID, e.Data
	}
	return data.NewFrame(changes, data.NewField("time", nil, times), data.NewField("event", nil, kinds), data.NewField("id", nil, ids), data.NewField("data", nil, texts))
}

// away tells those who listen, once, that nothing comes at the moment. A
// connection that merely ended is made anew without a word.
func (f *follower) away(ctx context.Context, err error) {
	if f.gone || f.heard {
		return
	}
	why := ruler.Explain(err)
	backend.Logger.FromContext(ctx).Warn("live changes are not heard", "err", why.Msg)
	// Two strings always encode.
	text, _ := json.Marshal(map[string]string{"error": "the ruler is not heard", "hint": "changes are shown when it is back"})
	f.send([]ruler.Event{{Kind: eventAway, Data: string(text)}})
	f.gone = true
}

func (f *follower) back() {
	if !f.gone {
		return
	}
	f.gone = false
	f.send([]ruler.Event{{Kind: eventBack, Data: "{}"}})
}
