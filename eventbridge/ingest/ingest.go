// Package ingest is the edge: it says who may send what, takes frames, plain
// OTLP logs and enrolments over HTTP, and answers "stored" only when the
// stream has them on disk.
//
// A request passes, in this order: limits (method, size, how many at once),
// the credential, the body, and record.CheckFrame for each frame: header,
// sizes and checksum. The payload stays packed; consumers judge it. A frame
// must name the server that the credential speaks for, and that server's
// exporter as its producer. What is good goes to the Gatherer, which makes one
// stream entry of all that arrived for a partition while the last append was
// in flight.
//
// Every refusal has an error, a hint and a counter by reason from a closed set.
// In = out + dropped + waiting holds at every stage, in records.
//
// A Handler and a Gatherer are safe for concurrent use. To test:
// go test ./eventbridge/ingest.
package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Config is the ingest's part of the configuration file.
type Config struct {
	// MaxBodyBytes bounds a request as sent, MaxUnpackedBytes after unpacking
	// (only /v1/logs unpacks).
	MaxBodyBytes     int64 `yaml:"max_body_bytes"`
	MaxUnpackedBytes int64 `yaml:"max_unpacked_bytes"`
	MaxFrames        int   `yaml:"max_frames"` // in one request
	// MaxRequests and MaxMemoryBytes bound what is in work at once; more waits
	// for QueueWait and is then told to come back.
	MaxRequests    int64         `yaml:"max_requests"`
	MaxMemoryBytes int64         `yaml:"max_memory_bytes"`
	QueueBytes     int64         `yaml:"queue_bytes"` // per partition, before the stream
	QueueWait      time.Duration `yaml:"queue_wait"`
	AppendTimeout  time.Duration `yaml:"append_timeout"`
	ReadTimeout    time.Duration `yaml:"read_timeout"`
	// PaceFramesPerS is what a server that rewinds may send.
	PaceFramesPerS int `yaml:"pace_frames_per_s"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxBodyBytes: 8 << 20, MaxUnpackedBytes: 16 << 20, MaxFrames: 1024, MaxRequests: 512, MaxMemoryBytes: 256 << 20,
		QueueBytes: 16 << 20, QueueWait: 5 * time.Second, AppendTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, PaceFramesPerS: 200,
	}
}

// Validate says what to write instead of what is wrong.
func (c *Config) Validate() error {
	between := func(name string, v, lo, hi int64) error {
		if v < lo || v > hi {
			return fmt.Errorf("ingest.limits.%s %d: want %d to %d", name, v, lo, hi)
		}
		return nil
	}
	within := func(name string, v, lo, hi time.Duration) error {
		if v < lo || v > hi {
			return fmt.Errorf("ingest.limits.%s %s: want %s to %s", name, v, lo, hi)
		}
		return nil
	}
	return errors.Join(
		between("max_body_bytes", c.MaxBodyBytes, record.MaxPacked, 64<<20),
		between("max_unpacked_bytes", c.MaxUnpackedBytes, 1<<20, 256<<20),
		between("max_frames", int64(c.MaxFrames), 1, 4096),
		between("max_requests", c.MaxRequests, 1, 65536),
		between("max_memory_bytes", c.MaxMemoryBytes, max(c.MaxBodyBytes, c.MaxUnpackedBytes), 64<<30),
		between("queue_bytes", c.QueueBytes, c.MaxUnpackedBytes, 4<<30),
		within("queue_wait", c.QueueWait, 10*time.Millisecond, time.Minute),
		within("append_timeout", c.AppendTimeout, 100*time.Millisecond, time.Minute),
		within("read_timeout", c.ReadTimeout, time.Second, 10*time.Minute),
		between("pace_frames_per_s", int64(c.PaceFramesPerS), 1, 1000000),
	)
}

// Options are what New needs.
type Options struct {
	Config   Config
	BridgeID string
	Registry *registry.Registry
	Gatherer *Gatherer
	Stream   stream.Log
	// Forward takes pushed metrics of an authenticated server; nil = refused.
	Forward func(w http.ResponseWriter, req *http.Request, from registry.Principal)
	Metrics *Metrics
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Handler answers the servers' requests.
type Handler struct {
	Options
	mux       *http.ServeMux
	requests  *semaphore.Weighted
	strangers *semaphore.Weighted // enrolments: they cannot take the place of known servers
	memory    *semaphore.Weighted
	otlp      *StandIn
}

// What strangers may have: requests at once, and time to send their body.
const (
	maxStrangers    = 32
	strangerTimeout = 5 * time.Second
)

// New returns a Handler for a listener that servers reach.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{
		Options: o, mux: http.NewServeMux(),
		requests:  semaphore.NewWeighted(o.Config.MaxRequests),
		strangers: semaphore.NewWeighted(maxStrangers),
		memory:    semaphore.NewWeighted(o.Config.MaxMemoryBytes),
		otlp:      NewStandIn(o.BridgeID, "otlp", o.Now()),
	}
	h.mux.HandleFunc("/healthz", h.healthz)
	h.handle(endpointFrames, h.requests, h.frames)
	h.handle(endpointHello, h.requests, h.hello)
	h.handle(endpointLogs, h.requests, h.logs)
	h.handle(endpointEnrol, h.strangers, h.enrol)
	h.handle(endpointMetrics, h.requests, h.forward)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		answer(w, http.StatusNotFound, map[string]string{"error": "nothing is at " + req.URL.EscapedPath(), "hint": "docs/eventbridge.md lists what there is"})
	})
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) { h.mux.ServeHTTP(w, req) }

// Server returns an HTTP server with the limits that a listener needs.
func (h *Handler) Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       h.Config.ReadTimeout,
		WriteTimeout:      h.Config.ReadTimeout + h.Config.QueueWait + h.Config.AppendTimeout + 5*time.Second,
		IdleTimeout:       3 * time.Minute, // longer than the usual heartbeat
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug),
	}
}

// refusal is an error answer.
type refusal struct {
	status int
	reason string // one of refusedReasons
	text   string
	hint   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, reason, hint, format string, args ...any) *refusal {
	return &refusal{status, reason, fmt.Sprintf(format, args...), hint}
}

type handlerFunc func(w *response, req *http.Request) error

// response notes the status that was answered.
type response struct {
	http.ResponseWriter
	status int
}

func (w *response) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handle mounts an endpoint: POST only, counted, as many at once as slots has.
func (h *Handler) handle(path string, slots *semaphore.Weighted, fn handlerFunc) {
	m := h.Metrics.endpoint(path)
	h.mux.HandleFunc(path, func(rw http.ResponseWriter, req *http.Request) {
		start := time.Now()
		w := &response{ResponseWriter: rw}
		defer func() {
			if v := recover(); v != nil {
				h.Metrics.panics.Inc()
				h.Log.Error("request ended in a panic", "endpoint", path, "err", v)
				if w.status == 0 {
					h.answerError(w, refuse(http.StatusInternalServerError, reasonInternal, "this is a bug: please report it with the bridge's log", "internal error"))
				}
			}
			m.done(w.status, time.Since(start))
		}()
		err := h.bounded(w, req, slots, fn)
		if err != nil {
			h.answerError(w, err)
		}
	})
}

func (h *Handler) bounded(w *response, req *http.Request, slots *semaphore.Weighted, fn handlerFunc) error {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, reasonMethod, "use POST", "method %.20q", req.Method)
	}
	ctx, cancel := context.WithTimeout(req.Context(), h.Config.QueueWait)
	defer cancel()
	if err := slots.Acquire(ctx, 1); err != nil {
		return refuse(http.StatusServiceUnavailable, reasonBusy, hintBusy, "too many requests are in work already")
	}
	defer slots.Release(1)
	return fn(w, req)
}

const hintBusy = "try again after the seconds in Retry-After; keep what is not stored"

// answerError writes an error answer and counts it.
func (h *Handler) answerError(w *response, err error) {
	var r *refusal
	var d *registry.Denied
	switch {
	case errors.As(err, &r):
	case errors.As(err, &d):
		reason := reasonCredential
		if d.Reason == registry.ReasonBusy {
			reason = reasonBusy
		}
		r = &refusal{d.Status, reason, d.Text, d.Hint}
	default:
		r = refuse(http.StatusServiceUnavailable, reasonBusy, hintBusy, "%v", err)
	}
	h.Metrics.refused[r.reason].Inc()
	body := map[string]any{"error": r.text, "hint": r.hint, "reason": r.reason}
	switch r.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(r.status)))
	}
	answer(w, r.status, body)
}

func retryAfter(status int) int {
	if status == http.StatusTooManyRequests {
		return 60
	}
	return 2
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nothing to do about it
}

// authenticate finds out who speaks and notes that it was heard.
func (h *Handler) authenticate(req *http.Request) (registry.Principal, error) {
	p, err := h.Registry.Authenticate(req.Context(), req.Header.Get("Authorization"))
	if err == nil {
		h.Registry.Seen(p.Server.ID, h.Now())
		h.Registry.SeenFrom(p.Server.ID, req.RemoteAddr)
	}
	return p, err
}

func (h *Handler) forward(w *response, req *http.Request) error {
	p, err := h.authenticate(req)
	if err != nil {
		return err
	}
	if h.Forward == nil {
		return refuse(http.StatusNotFound, reasonNoStore, "set victoriametrics.url in the bridge's configuration", "this bridge forwards no metrics")
	}
	// What the decoder may need at most.
	free, err := h.reserve(req, h.Config.MaxUnpackedBytes)
	if err != nil {
		return err
	}
	defer free()
	h.Forward(w, req, p)
	return nil
}

// healthz says that the listener works and which bridge it is.
func (h *Handler) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, Health{Status: "ok", Bridge: h.BridgeID})
}

// Health is the answer of /healthz.
type Health struct {
	Status string `json:"status"`
	Bridge string `json:"bridge"`
}
