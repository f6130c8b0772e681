// Package simulate plays Windows servers that do not exist, through the real
// ways in: each enrols at the eventbridge, sends frames of heartbeats, Windows
// events, RAID and hardware snapshots, and pushes metrics, as an exporter does.
//
// What a server does is a pure function of the seed, its number, and time: see
// Machine. Everything else is a shell around it that numbers the records,
// keeps them in a journal until the bridge has stored them, and starts over
// after a crash in a new epoch, so that a killed simulator loses nothing.
//
// RAID snapshots are read by exporter/source/raid from documents in the form of
// storcli's JSON, rendered from a small model. They are constructed from
// documentation: no real controller printed them, and each such record says so
// (raid.origin). Servers enrol with join tokens that mark them simulated,
// and that mark follows them everywhere.
//
// Incidents (Kinds) are started through the control listener, by a Plan, or at
// random times of the seed. With Config.Accounting every frame sent and stored
// and every step of every incident is written down, with the notifications it
// must give, for a test to hold the rest of the chain against.
//
// New builds, Run plays. To test: go test ./deploy/nocturne/simulate.
package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nocturne/deploy/nocturne/admin"
)

// MaxServers is the largest fleet that is played: one process and one connection
// pool carry no more.
const MaxServers = 5000

// controlTimeout is how long a request to the control listener, of a few bytes,
// may take to arrive.
const controlTimeout = 5 * time.Second

// Config says whom to play and where.
type Config struct {
	Bridge string // base URL of the eventbridge's ingest, "http://127.0.0.1:9470"
	// JoinToken returns a join token for one server; see AdminTokens.
	JoinToken func(ctx context.Context, s Spec) (string, error)
	Dir       string // journals; made with mode 0700
	Servers   int    // 1 to MaxServers; default 20
	Seed      uint64 // default 1; a Dir keeps the seed it was made with
	Settings
	// Metrics is the time between pushes; default 15 s, negative = none.
	Metrics time.Duration
	// Control is where the control listener binds; default 127.0.0.1:9482,
	// "none" for no listener.
	Control string
	// Plan starts incidents at times after Run.
	Plan []Planned
	// Every starts an incident of a random kind on a random server about this
	// often; 0 = never.
	Every time.Duration
	// Accounting is the file of the accounting log; "" = none.
	Accounting string
	Client     *http.Client
	Log        *slog.Logger
}

// Planned is an incident of a Plan. An empty server means one of the seed.
type Planned struct {
	After  time.Duration
	Kind   string
	Server string
}

// Demo fills in what `nocturne demo` wants: heartbeats every 10 s, a drive that
// fails after 20 s, and something every 6 minutes from then on.
func (c Config) Demo() Config {
	c.Heartbeat, c.RAID, c.Hardware = 10*time.Second, 15*time.Second, 5*time.Minute
	c.Plan = []Planned{{After: 20 * time.Second, Kind: KindDrive}}
	c.Every = 6 * time.Minute
	return c
}

func (c *Config) defaults() {
	c.Settings.defaults()
	if c.Servers == 0 {
		c.Servers = 20
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Metrics == 0 {
		c.Metrics = 15 * time.Second
	}
	if c.Control == "" {
		c.Control = "127.0.0.1:9482"
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// AdminTokens returns join tokens made by the bridge's admin API: for one
// server each, with its labels, marked simulated.
func AdminTokens(c admin.Client) func(ctx context.Context, s Spec) (string, error) {
	return func(ctx context.Context, s Spec) (string, error) {
		t, err := c.CreateToken(ctx, admin.TokenRequest{Site: s.Site, Rack: s.Rack, Role: s.Role, Owner: s.Owner, Simulated: true, Uses: 1, TTLS: 600})
		return t.Token, err
	}
}

// Totals are sums over all servers, in records, since this start.
type Totals struct {
	Sent    uint64 `json:"sent_records"`
	Acked   uint64 `json:"acked_records"`
	Refused uint64 `json:"refused_records"`
}

// Sim is a simulated fleet.
type Sim struct {
	cfg      Config
	agents   []*agent
	byName   map[string]*agent
	acct     *account
	listener net.Listener

	mu     sync.Mutex
	totals Totals
	serial int // of incidents
	run    string
}

// New opens the journals and binds the control listener; nothing is sent
// before Run.
func New(cfg Config) (_ *Sim, err error) {
	cfg.defaults()
	if cfg.Servers < 1 || cfg.Servers > MaxServers {
		return nil, fmt.Errorf("%d servers: want 1 to %d", cfg.Servers, MaxServers)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make simulator folder: %w", err)
	}
	if cfg.Seed, err = keepSeed(filepath.Join(cfg.Dir, "fleet.json"), cfg.Seed); err != nil {
		return nil, err
	}
	s := &Sim{cfg: cfg, byName: map[string]*agent{}, run: time.Now().UTC().Format("20060102T150405.000")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// The address first: a second simulator stops here, before it could write
	// into the journals of the first.
	if cfg.Control != "none" {
		if s.listener, err = net.Listen("tcp", cfg.Control); err != nil {
			return nil, fmt.Errorf("listen for the simulator's control: %w", orSimulator(cfg.Control, err))
		}
	}
	if s.acct, err = openAccount(cfg.Accounting); err != nil {
		return nil, err
	}
	for _, spec := range Fleet(cfg.Seed, cfg.Servers) {
		a, err := s.openAgent(spec)
		if err != nil {
			return nil, err
		}
		s.agents = append(s.agents, a)
		s.byName[spec.Name] = a
	}
	return s, nil
}

// orSimulator looks for a simulator behind an address that cannot be bound.
func orSimulator(addr string, bind error) error {
	client := http.Client{Timeout: time.Second}
	res, err := client.Get("http://" + addr + "/healthz")
	if err != nil {
		return bind
	}
	defer res.Body.Close()
	var health struct{ Servers *int }
	if json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&health) != nil || health.Servers == nil {
		return bind
	}
	return fmt.Errorf("a simulator runs already on %s, with %d servers: use that one, or start this one with another --control and --dir", addr, *health.Servers)
}

// keepSeed returns the seed that a folder was made with: another one would be
// other servers under the same credentials.
func keepSeed(path string, seed uint64) (uint64, error) {
	var kept struct {
		Seed uint64 `json:"seed"`
	}
	b, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(b, &kept); err != nil {
			return 0, fmt.Errorf("read %s: %w", path, err)
		}
		return kept.Seed, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read seed: %w", err)
	}
	kept.Seed = seed
	if b, err = json.Marshal(kept); err != nil {
		return 0, fmt.Errorf("encode seed: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return 0, fmt.Errorf("write seed: %w", err)
	}
	return seed, nil
}

// Addr returns where the control listener is bound.
func (s *Sim) Addr() string { return s.listener.Addr().String() }

// Close gives everything back; Run does it too.
func (s *Sim) Close() error {
	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	for _, a := range s.agents {
		if e := a.j.close(); e != nil && !errors.Is(e, os.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, s.acct.close())
}

// Run plays until ctx ends: every server says goodbye then.
func (s *Sim) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.listener != nil {
		srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: controlTimeout, ReadTimeout: controlTimeout, WriteTimeout: 2 * controlTimeout, IdleTimeout: time.Minute}
		g.Go(func() error {
			if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the simulator's control: %w", err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			return srv.Close()
		})
	}
	for _, a := range s.agents {
		g.Go(func() error { return a.run(ctx) })
	}
	g.Go(func() error { return s.plan(ctx) })
	return errors.Join(g.Wait(), s.acct.close())
}

// Run builds a fleet and plays it.
func Run(ctx context.Context, cfg Config) error {
	s, err := New(cfg)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// plan starts the incidents of the plan and those at random.
func (s *Sim) plan(ctx context.Context) error {
	began := time.Now()
	plan := slices.Clone(s.cfg.Plan)
	slices.SortStableFunc(plan, func(a, b Planned) int { return int(a.After - b.After) })
	for _, p := range plan {
		if !pauseFor(ctx, time.Until(began.Add(p.After))) {
			return nil
		}
		s.planned(ctx, p)
	}
	if s.cfg.Every <= 0 {
		return nil
	}
	r := rng(s.cfg.Seed, len(s.agents), "plan "+s.run)
	for {
		if !pauseFor(ctx, s.cfg.Every/2+rand.N(s.cfg.Every)) {
			return nil
		}
		kinds := []string{KindDrive, KindDrive, KindSilence, KindReboot, KindPatchday}
		s.planned(ctx, Planned{Kind: kinds[r.IntN(len(kinds))], Server: s.agents[r.IntN(len(s.agents))].spec.Name})
	}
}

// planned starts an incident as soon as its server can have one.
func (s *Sim) planned(ctx context.Context, p Planned) {
	name := p.Server
	if name == "" {
		name = s.agents[rng(s.cfg.Seed, len(s.agents), "first").IntN(len(s.agents))].spec.Name
	}
	for range 60 {
		_, err := s.Incident(p.Kind, name)
		if err == nil || !errors.Is(err, errBusy) {
			if err != nil {
				s.cfg.Log.Warn("planned incident could not begin", "kind", p.Kind, "server", name, "err", err)
			}
			return
		}
		if !pauseFor(ctx, time.Second) {
			return
		}
	}
}

// Begun is an incident that was started.
type Begun struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Servers []string `json:"servers"`
	Expect  []Expect `json:"expect"`
	Text    string   `json:"text"`
}

// Incident starts an incident on a server, or, for a rack, on all of it.
func (s *Sim) Incident(kind, server string) (Begun, error) {
	s.mu.Lock()
	s.serial++
	b := Begun{ID: fmt.Sprintf("%s-%d", s.run, s.serial), Kind: kind}
	s.mu.Unlock()
	agents, err := s.affected(kind, server)
	if err != nil {
		return b, err
	}
	if kind == KindRack && len(agents) > 1 {
		b.Expect = append(b.Expect, Expect{Rack: agents[0].spec.Rack, Class: "silence", Severities: []string{"critical"}})
	}
	for _, a := range agents {
		i, e := a.begin(kind, b.ID)
		if e != nil {
			err = e
			continue
		}
		b.Servers = append(b.Servers, a.spec.Name)
		b.Expect = append(b.Expect, i.expects(&a.spec)...)
	}
	if len(b.Servers) == 0 {
		return b, err
	}
	who := b.Servers[0]
	if n := len(b.Servers); n > 1 {
		who += fmt.Sprintf(" and of %d others in its rack", n-1)
	}
	b.Text = fmt.Sprintf("Simulated: "+story[kind]+".", who)
	s.acct.add(line{What: "incident", Incident: b.ID, Kind: kind, Server: b.Servers[0], Expect: b.Expect})
	s.cfg.Log.Info("simulated incident begins", "kind", kind, "servers", len(b.Servers), "server", b.Servers[0])
	return b, nil
}

var story = map[string]string{
	KindDrive:    "a drive of %s predicts its failure, fails, is replaced and rebuilt",
	KindFailure:  "a drive of %s predicts its failure and fails; it stays so until it is replaced",
	KindReplace:  "the failed drive of %s is replaced and rebuilt",
	KindSilence:  "the network of %s is cut and comes back",
	KindRack:     "the network of %s is cut and comes back",
	KindReboot:   "an announced restart of %s",
	KindPatchday: "updates and an announced restart of %s",
}

func (s *Sim) affected(kind, server string) ([]*agent, error) {
	if kind == KindRack {
		rack := server
		if a := s.find(server); a != nil {
			rack = a.spec.Rack
		}
		var out []*agent
		for _, a := range s.agents {
			if a.spec.Rack == rack {
				out = append(out, a)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	} else if a := s.find(server); a != nil {
		return []*agent{a}, nil
	}
	return nil, fmt.Errorf("%w is called %.60q", errUnknown, server)
}

var errUnknown = errors.New("no simulated server")

// find finds a server by name or id.
func (s *Sim) find(server string) *agent {
	if a := s.byName[server]; a != nil {
		return a
	}
	for _, a := range s.agents {
		a.mu.Lock()
		id := a.s.Server
		a.mu.Unlock()
		if !id.IsZero() && id.String() == server {
			return a
		}
	}
	return nil
}

func (s *Sim) count(total *uint64, n uint64) {
	s.mu.Lock()
	*total += n
	s.mu.Unlock()
}

// Totals returns what was sent and stored since this start.
func (s *Sim) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

// pause backs off with jitter and tells whether to go on.
func pause(ctx context.Context, attempt int) bool {
	d := min(5*time.Second, 100*time.Millisecond<<min(attempt, 10))
	return pauseFor(ctx, d/2+rand.N(d/2))
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// notify puts a token where there is none.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
