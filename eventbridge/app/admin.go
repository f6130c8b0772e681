package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/registry"
	"nocturne/eventbridge/sink"
	"nocturne/internal/stream"
)

// adminHandler answers administrators, who show the token of <data>/admin.token.
// Metrics and health need none: the listener is on loopback.
func (a *App) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metricsHandler())
	mux.Handle("GET /healthz", a.handler)
	guarded := http.NewServeMux()
	guarded.Handle("/admin/v1/", a.registry.AdminHandler())
	guarded.HandleFunc("GET /admin/v1/status", a.status)
	mux.Handle("/admin/", a.guard(guarded))
	return mux
}

func (a *App) guard(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(a.adminToken))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(strings.TrimSpace(token)))
		if !strings.EqualFold(scheme, "bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeJSON(w, http.StatusUnauthorized, map[string]string{
				"error": "this needs the administrator's token", "hint": "send Authorization: Bearer with the content of admin.token in the bridge's data folder",
			})
			return
		}
		next.ServeHTTP(w, req)
	})
}

// Status is the answer of GET /admin/v1/status.
type Status struct {
	Bridge      string    `json:"bridge"`
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Now         time.Time `json:"now"`
	IngestURL   string    `json:"ingest_url"`
	ListenURL   string    `json:"listen_url,omitempty"`
	Fingerprint string    `json:"ca_fingerprint"`
	Probe       Probe     `json:"probe"`
	// Stages hold in, out, waiting and dropped, in records.
	Stages   map[string]ingest.StageTotals `json:"stages"`
	Registry registry.Totals               `json:"registry"`
	Stream   []Partition                   `json:"stream"`
	Free     uint64                        `json:"data_free_bytes"`
	Sinks    []sink.Status                 `json:"sinks"`
	Errors   []string                      `json:"errors,omitempty"`
}

// Probe is what the bridge found when it asked its own listeners.
type Probe struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Partition is one partition of the stream.
type Partition struct {
	Partition   int    `json:"partition"`
	Incarnation string `json:"incarnation"`
	First       uint64 `json:"first"` // entry before the oldest one
	Head        uint64 `json:"head"`
	Bytes       uint64 `json:"bytes"`
}

// Status says how the bridge stands.
func (a *App) Status(ctx context.Context) Status {
	s := Status{
		Bridge: a.bridge, Version: a.version, Started: a.started.UTC(), Now: time.Now().UTC(),
		IngestURL: a.IngestURL(), ListenURL: a.ListenURL(), Fingerprint: a.Fingerprint(),
		Probe: Probe{OK: a.prober.OK(), Error: a.prober.LastError()}, Registry: a.registry.Totals(),
		Stages: map[string]ingest.StageTotals{}, Sinks: []sink.Status{},
	}
	stages := []*ingest.Stage{a.edge.Ingest, a.edge.OTLP, a.edge.Append}
	if a.broker != nil {
		stages = append(stages, a.broker.Frames, a.broker.Compat)
	}
	for _, stage := range stages {
		s.Stages[stage.Name()] = stage.Totals()
	}
	if a.broker != nil {
		s.Errors = append(s.Errors, a.broker.Trouble()...)
	}
	var err error
	if s.Free, err = diskFree(a.cfg.Data); err != nil {
		s.Errors = append(s.Errors, err.Error())
	}
	if p, since := a.gatherer.Failing(); !since.IsZero() {
		s.Errors = append(s.Errors, fmt.Sprintf("partition %d stores nothing since %s", p, since.UTC().Format(time.RFC3339)))
	}
	for p := range stream.Partitions {
		head, err := a.conn.Head(ctx, p)
		if err != nil {
			s.Errors = append(s.Errors, err.Error())
			break
		}
		first, err := a.conn.First(ctx, p)
		if err != nil {
			s.Errors = append(s.Errors, err.Error())
			break
		}
		bytes, err := a.conn.Bytes(ctx, p)
		if err != nil {
			s.Errors = append(s.Errors, err.Error())
			break
		}
		s.Stream = append(s.Stream, Partition{p, head.Incarnation, first.Entry, head.Entry, bytes})
	}
	for _, d := range a.sinks {
		s.Sinks = append(s.Sinks, d.Status())
	}
	return s
}

func (a *App) status(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
	defer cancel()
	writeJSON(w, http.StatusOK, a.Status(ctx))
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nothing to do about it
}
