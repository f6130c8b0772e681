package registry

import (
	"net/netip"
	"sync"
	"time"
)

// limiter is a token bucket: rate per second, at most burst at once.
type limiter struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func (l *limiter) fill(now time.Time) {
	if l.last.IsZero() {
		l.tokens = l.burst
	} else if d := now.Sub(l.last); d > 0 {
		l.tokens = min(l.burst, l.tokens+d.Seconds()*l.rate)
	}
	l.last = now
}

// allow takes one token, if there is one.
func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill(now)
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// maxAddresses bounds what an attacker with many addresses can make us keep.
const maxAddresses = 4096

// failures counts failed attempts by address. Successful ones cost nothing:
// a whole fleet may enrol from behind one address.
type failures struct {
	perMinute int

	mu    sync.Mutex
	byKey map[netip.Prefix]*limiter
}

// blocked tells whether the address failed too often lately.
func (f *failures) blocked(address string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.byKey[addressKey(address)]
	if l == nil {
		return false
	}
	l.fill(now)
	return l.tokens < 1
}

// failed notes a failed attempt.
func (f *failures) failed(address string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := addressKey(address)
	l := f.byKey[key]
	if l == nil {
		if len(f.byKey) >= maxAddresses {
			f.evict(now)
		}
		l = &limiter{rate: float64(f.perMinute) / 60, burst: float64(f.perMinute)}
		f.byKey[key] = l
	}
	l.allow(now)
}

// evict forgets the addresses that have paid off their failures, and when
// there is none, any one.
func (f *failures) evict(now time.Time) {
	for k, l := range f.byKey {
		if l.fill(now); l.tokens >= l.burst {
			delete(f.byKey, k)
		}
	}
	for k := range f.byKey {
		if len(f.byKey) < maxAddresses {
			return
		}
		delete(f.byKey, k)
	}
}

// addressKey is the IPv4 address or the IPv6 network of 64 bits, which is what
// one machine commands.
func addressKey(address string) netip.Prefix {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Prefix{}
	}
	a, bits := ap.Addr().Unmap().WithZone(""), 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // bits fit the family
	return p
}
