package ingest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Prober asks the bridge's own public listeners over TCP, with TLS where they
// have it: what a server would meet. A bridge that cannot be reached must make
// nobody look silent.
type Prober struct {
	bridge string
	urls   []string
	client *http.Client
	period time.Duration
	m      *Metrics
	log    *slog.Logger

	mu   sync.Mutex
	ok   bool
	at   time.Time
	last string
}

// NewProber returns a Prober of these base URLs. tlsConfig says whom to trust.
func NewProber(bridge string, urls []string, tlsConfig *tls.Config, period time.Duration, m *Metrics, log *slog.Logger) *Prober {
	return &Prober{
		bridge: bridge, urls: urls, period: period, m: m, log: log,
		client: &http.Client{
			Timeout: 2 * time.Second,
			// A new connection each time: an accept queue that is full, or a
			// certificate that has expired, must show.
			Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: tlsConfig, Proxy: nil},
		},
	}
}

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) error {
	t := time.NewTicker(p.period)
	defer t.Stop()
	for {
		p.Probe(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Probe asks every listener once.
func (p *Prober) Probe(ctx context.Context) {
	start := time.Now()
	var err error
	for _, url := range p.urls {
		if err = p.ask(ctx, url); err != nil {
			break
		}
	}
	p.m.probeTime.Set(time.Since(start).Seconds())
	countResult(p.m.probes, "ok", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if ok := err == nil; ok != p.ok || p.at.IsZero() {
		if !ok && ctx.Err() == nil {
			p.log.Error("the bridge cannot reach its own listener; servers are not judged meanwhile", "err", err)
		} else if ok && !p.at.IsZero() {
			p.log.Info("the bridge reaches its own listeners again")
		}
	}
	p.ok, p.at, p.last = err == nil, time.Now(), text
}

func (p *Prober) ask(ctx context.Context, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	var h Health
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1024)).Decode(&h); err != nil {
		return fmt.Errorf("probe %s: %w", base, err)
	}
	if resp.StatusCode != http.StatusOK || h.Bridge != p.bridge {
		return fmt.Errorf("probe %s: status %d from bridge %.80q", base, resp.StatusCode, h.Bridge)
	}
	return nil
}

// OK tells whether the last probe succeeded and is not older than three periods.
func (p *Prober) OK() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ok && time.Since(p.at) < 3*p.period
}

// LastError is why the last probe failed, "" when it did not.
func (p *Prober) LastError() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}
