// Package probe asks a machine whether it answers at all, when its agent does
// not: a connection to a few TCP ports and, where the system lets everybody send
// one, an echo request. It needs no privilege, sends no data, is bounded in time,
// rate and number, and can be switched off. A port that refuses is an answer.
//
// A Prober may be used concurrently. To test: go test ./ruler/probe, with real
// listeners on loopback.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says what is asked, and how much.
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Ports are tried together: the first that opens or refuses is the answer.
	Ports []uint16 `yaml:"ports"`
	// Ping also sends an echo request where that takes no privilege.
	Ping bool `yaml:"ping"`
	// Timeout is how long a machine has to answer.
	Timeout time.Duration `yaml:"timeout"`
	// PerSecond bounds how many machines are asked. Those that would wait for
	// more than a second are not asked.
	PerSecond int `yaml:"per_second"`
}

// Default returns the defaults: SMB, remote desktop, SSH, WinRM and the
// exporter's own port.
func Default() Config {
	return Config{Enabled: true, Ports: []uint16{445, 3389, 22, 5985, 9490}, Ping: true, Timeout: 2 * time.Second, PerSecond: 20}
}

// Bounds of a Config. A message waits for what is asked.
const (
	maxPorts   = 16
	maxTimeout = 5 * time.Second
	maxRate    = 1000
	maxWait    = time.Second
	concurrent = 64
)

// Validate says what to write instead of what is wrong.
func (c *Config) Validate() error {
	switch {
	case !c.Enabled:
		return nil
	case len(c.Ports) == 0 && !c.Ping || len(c.Ports) > maxPorts:
		return fmt.Errorf("probe.ports has %d: want 1 to %d", len(c.Ports), maxPorts)
	case c.Timeout < 100*time.Millisecond || c.Timeout > maxTimeout:
		return fmt.Errorf("probe.timeout %s: want 100ms to %s, messages wait for it", c.Timeout, maxTimeout)
	case c.PerSecond < 1 || c.PerSecond > maxRate:
		return fmt.Errorf("probe.per_second %d: want 1 to %d", c.PerSecond, maxRate)
	}
	for _, p := range c.Ports {
		if p == 0 {
			return errors.New("probe.ports has 0: want 1 to 65535")
		}
	}
	return nil
}

// State is what is known of a machine. The set is closed.
type State string

// The states.
const (
	Answers     State = "answers"
	Unreachable State = "unreachable"
	NotProbed   State = "not_probed"
)

// Answer is what became of asking.
type Answer struct {
	State  State
	Detail string
}

// String says it for a person.
func (a Answer) String() string {
	switch a.State {
	case Answers:
		return "machine answers, agent does not (" + a.Detail + ")"
	case Unreachable:
		return "unreachable (" + a.Detail + ")"
	default:
		return "not probed (" + a.Detail + ")"
	}
}

// Not is the answer when nobody was asked.
func Not(why string) Answer { return Answer{NotProbed, why} }

// Prober asks machines.
type Prober struct {
	cfg   Config
	slots chan struct{}

	mu   sync.Mutex
	next time.Time // when the next machine may be asked

	results  map[State]prometheus.Counter
	duration prometheus.Histogram
}

// New returns a Prober. reg may be nil.
func New(cfg Config, reg prometheus.Registerer) *Prober {
	p := &Prober{cfg: cfg, slots: make(chan struct{}, concurrent), results: map[State]prometheus.Counter{}}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ruler_probe_machines_total", Help: "Silent machines by what they answered when they were asked."}, []string{"result"})
	p.duration = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_probe_duration_seconds", Help: "Time until a machine answered or was given up.", Buckets: []float64{.001, .01, .1, .5, 1, 2, 5}})
	for _, s := range []State{Answers, Unreachable, NotProbed} {
		p.results[s] = vec.WithLabelValues(string(s))
	}
	if reg != nil {
		reg.MustRegister(vec, p.duration)
	}
	return p
}

// Limit is the longest time that Ask takes.
func (p *Prober) Limit() time.Duration { return maxWait + p.cfg.Timeout }

// Ask asks the machine at an address, which a bridge saw.
func (p *Prober) Ask(ctx context.Context, address string) Answer {
	a := p.ask(ctx, address)
	p.results[a.State].Inc()
	return a
}

func (p *Prober) ask(ctx context.Context, address string) Answer {
	if !p.cfg.Enabled {
		return Not("switched off: probe.enabled")
	}
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() {
		return Not("the address of its last connection is not known")
	}
	if !p.turn(ctx) {
		return Not("too many machines at once")
	}
	defer func() { <-p.slots }()
	start := time.Now()
	defer func() { p.duration.Observe(time.Since(start).Seconds()) }()
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	return p.race(ctx, addr)
}

// turn waits until one more machine may be asked; false = not soon enough.
func (p *Prober) turn(ctx context.Context) bool {
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > maxWait {
		p.mu.Unlock()
		return false
	}
	p.next = at.Add(time.Second / time.Duration(p.cfg.PerSecond))
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	wait := time.NewTimer(at.Sub(now))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return false
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// race tries all ways together; the first answer counts.
func (p *Prober) race(ctx context.Context, addr netip.Addr) Answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := make(chan string, len(p.cfg.Ports)+1) // "" = nothing
	tries, tried := 0, []string{}
	start := func(name string, fn func() string) {
		tries++
		tried = append(tried, name)
		go func() { said <- fn() }()
	}
	if ping := pinger(addr); p.cfg.Ping && ping != nil {
		start("ping", func() string {
			if ping(ctx) {
				return "ping"
			}
			return ""
		})
	}
	for _, port := range p.cfg.Ports {
		start(strconv.Itoa(int(port)), func() string { return knock(ctx, addr, port) })
	}
	for range tries {
		if s := <-said; s != "" {
			return Answer{Answers, addr.String() + ": " + s}
		}
	}
	if tries == 0 {
		return Not("this system lets nobody ping without privilege, and probe.ports is empty")
	}
	what := strings.Join(tried, ", ")
	if tried[0] == "ping" {
		what = strings.TrimSuffix("ping, TCP "+strings.Join(tried[1:], ", "), ", TCP ")
	} else {
		what = "TCP " + what
	}
	return Answer{Unreachable, addr.String() + ": no answer to " + what}
}

// knock opens a connection and closes it.
func knock(ctx context.Context, addr netip.Addr, port uint16) string {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
	if err == nil {
		_ = c.Close() // nothing was sent
		return fmt.Sprintf("TCP %d open", port)
	}
	// Windows has its own number.
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.Errno(10061)) {
		return fmt.Sprintf("TCP %d refused", port)
	}
	return ""
}
