package api

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// throttle slows down guessing of passwords. Every key has a bucket of tries
// that fills again with time; a try that was right is given back.
//
// Whoever fails often from one address waits, for one name (pair) and for all
// (address). The bucket of a name holds more and fills faster than one address
// can empty it, so that one attacker cannot keep the owner out; many can, from a
// browser that is new to us. One in which the owner was logged in before has a
// bucket of its own (device), which nobody else can empty. See OWASP, "Slow Down
// Online Guessing Attacks with Device Cookies".
type throttle struct {
	mu      sync.Mutex
	buckets map[[32]byte]bucket
}

type bucket struct {
	left float64
	at   time.Time // when left was so
	rate rate
}

type rate struct {
	burst float64
	every time.Duration // one more
}

// The rates of guessing. A name has 8640 tries a day at most: against twelve
// characters that is nothing.
var (
	ratePair    = rate{5, time.Minute}
	rateAddress = rate{20, 10 * time.Second}
	rateName    = rate{30, 10 * time.Second}
	rateDevice  = rate{10, 30 * time.Second}
	ratePerson  = rate{5, time.Minute} // of who is logged in, for his own password
)

// maxBuckets bounds the memory, at about 100 bytes each.
const maxBuckets = 50_000

type attempt struct {
	kind, key string
	rate      rate
}

func (t attempt) id() [32]byte { return sha256.Sum256([]byte(t.kind + "\x00" + t.key)) }

func (b bucket) now(now time.Time) float64 {
	return min(b.rate.burst, b.left+float64(now.Sub(b.at))/float64(b.rate.every))
}

// take takes a try from every bucket, or from none: then it says how long to wait.
func (t *throttle) take(now time.Time, tries ...attempt) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range tries {
		b, ok := t.buckets[v.id()]
		if !ok {
			continue
		}
		if left := b.now(now); left < 1 {
			wait = max(wait, time.Duration((1-left)*float64(v.rate.every)))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, v := range tries {
		t.add(now, v, -1)
	}
	return 0
}

// back gives the tries back.
func (t *throttle) back(now time.Time, tries ...attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range tries {
		t.add(now, v, 1)
	}
}

func (t *throttle) add(now time.Time, v attempt, n float64) {
	b, ok := t.buckets[v.id()]
	if !ok {
		t.makeRoom(now)
		b = bucket{left: v.rate.burst, at: now, rate: v.rate}
	}
	b.left, b.at = min(b.rate.burst, b.now(now)+n), now
	t.buckets[v.id()] = b
}

// makeRoom forgets full buckets, which are as none; where that is not enough,
// whichever come first.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.buckets) < maxBuckets {
		return
	}
	for id, b := range t.buckets {
		if b.now(now) >= b.rate.burst {
			delete(t.buckets, id)
		}
	}
	for id := range t.buckets {
		if len(t.buckets) < maxBuckets {
			return
		}
		delete(t.buckets, id)
	}
}

// addressOf is who asks, for counting: the peer, or what a proxy on this machine
// says last. An IPv6 address stands for its /64, which is one customer's.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if all := r.Header.Values("X-Forwarded-For"); ip.Unmap().IsLoopback() && len(all) > 0 {
		last := all[len(all)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		if said, err := netip.ParseAddr(last); err == nil {
			ip = said
		}
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}
