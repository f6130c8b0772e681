package probe

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/freeport"
)

// listener returns the port of one that is open, and one on which nobody listens.
func listener(t *testing.T) (open, closed uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	free, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddrPort(l.Addr().String()).Port(), uint16(free[0])
}

func TestAsk(t *testing.T) {
	open, closed := listener(t)
	tcp := func(ports ...uint16) Config {
		return Config{Enabled: true, Ports: ports, Timeout: maxTimeout, PerSecond: 1000}
	}
	// 192.0.2.0/24 is for documentation: packets to it go nowhere, or there is no
	// route.
	nowhere := tcp(closed)
	nowhere.Timeout = 200 * time.Millisecond
	for _, c := range []struct {
		name    string
		cfg     Config
		address string
		state   State
		text    string
	}{
		{"a port is open", tcp(open), "127.0.0.1", Answers, "machine answers, agent does not (127.0.0.1: TCP "},
		{"a port refuses", tcp(closed), "127.0.0.1", Answers, " refused)"},
		{"nobody is there", nowhere, "192.0.2.77", Unreachable, "unreachable (192.0.2.77: no answer to TCP "},
		{"switched off", Config{}, "127.0.0.1", NotProbed, "not probed (switched off: probe.enabled)"},
		{"no address", tcp(open), "", NotProbed, "not probed (the address of its last connection is not known)"},
		{"no machine's address", tcp(open), "0.0.0.0", NotProbed, "not known)"},
	} {
		reg := prometheus.NewPedanticRegistry()
		p := New(c.cfg, reg)
		got := p.Ask(t.Context(), c.address)
		if got.State != c.state || !strings.Contains(got.String(), c.text) {
			t.Errorf("%s: %s %q, want %s with %q", c.name, got.State, got, c.state, c.text)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		counted := 0.0
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == string(c.state) {
					counted += m.GetCounter().GetValue()
				}
			}
		}
		if counted != 1 {
			t.Errorf("%s: counted %v times", c.name, counted)
		}
	}
}

func TestPing(t *testing.T) {
	if pinger(netip.MustParseAddr("127.0.0.1")) == nil {
		t.Skip("this system lets this user send no echo request (net.ipv4.ping_group_range)")
	}
	p := New(Config{Enabled: true, Ping: true, Timeout: time.Second, PerSecond: 10}, nil)
	if got := p.Ask(t.Context(), "127.0.0.1"); got.String() != "machine answers, agent does not (127.0.0.1: ping)" {
		t.Error(got)
	}
	p.cfg.Timeout = 200 * time.Millisecond
	if got := p.Ask(t.Context(), "192.0.2.77"); got.State != Unreachable {
		t.Error(got)
	}
}

// Who would have to wait for more than a second is not asked: a message waits.
func TestRate(t *testing.T) {
	open, _ := listener(t)
	synctest.Test(t, func(t *testing.T) { // its clock stands still while a connection is made
		p := New(Config{Enabled: true, Ports: []uint16{open}, Timeout: time.Second, PerSecond: 10}, nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[State]int{}
		start := time.Now()
		for range 40 {
			wg.Go(func() {
				a := p.Ask(t.Context(), "127.0.0.1")
				mu.Lock()
				defer mu.Unlock()
				got[a.State]++
			})
		}
		wg.Wait()
		if took := time.Since(start); took > p.Limit() {
			t.Errorf("took %s", took)
		}
		// One at once, one each tenth of a second, and one whose turn and end come together.
		if got[Answers] < 10 || got[Answers] > 11 || got[NotProbed] != 40-got[Answers] {
			t.Errorf("%v: want 10 or 11 that answer", got)
		}
	})
}

func TestAskEndsWithItsContext(t *testing.T) {
	p := New(Config{Enabled: true, Ports: []uint16{9}, Timeout: 5 * time.Second, PerSecond: 10}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := p.Ask(ctx, "192.0.2.77"); got.State == Answers {
		t.Error(got)
	}
}

func TestValidate(t *testing.T) {
	good := Default()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"probe.ports has 0: want 1 to 16":      func(c *Config) { c.Ports, c.Ping = nil, false },
		"probe.ports has 0: want 1 to 65535":   func(c *Config) { c.Ports = []uint16{0} },
		"probe.timeout 1m0s: want 100ms to 5s": func(c *Config) { c.Timeout = time.Minute },
		"probe.per_second 0: want 1 to 1000":   func(c *Config) { c.PerSecond = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	off := Config{}
	if err := off.Validate(); err != nil {
		t.Error(err)
	}
}
