// Package registry knows which servers exist, what they may say and how a new
// one joins: servers, their credentials, join tokens and labels.
//
// The truth lies in one JetStream key-value bucket, written with a
// compare-and-set, so that several bridges can share it; each bridge answers
// from a cache in memory that a watcher keeps fresh. Every change of a server
// is also a record of category agent in the stream, under the producer
// "bridge/<id>/registry": that is how the ruler learns who exists. A change is
// first written to the bucket together with the promise of its record, then
// appended, then the promise is struck out. After a crash in between the same
// record is appended again with the same epoch and sequence number, so that
// consumers step it once.
//
// Secrets are stored as SHA-256 of 256 random bits and compared in constant
// time. A copy of the bucket is kept in a file beside it: when the stream's
// volume is lost, servers keep their credentials and send again what they hold.
//
// A Registry is safe for concurrent use; Run keeps it fresh. To test:
// go test ./eventbridge/registry (a real JetStream in a temporary folder).
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Bucket is the name of the key-value bucket.
const Bucket = "registry"

// Prefixes of the bucket's keys.
const (
	serverKey = "server."
	tokenKey  = "token."
)

// casAttempts bounds how often a change is tried anew because another bridge
// changed the same key.
const casAttempts = 20

// Errors that callers sort by. Each is wrapped with what was asked for.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")
	ErrBusy     = errors.New("busy") // the store or the stream did not answer; try again
)

// Appender puts frames about one server into the stream and returns when the
// stream has them on disk.
type Appender interface {
	AppendFrames(ctx context.Context, subject record.ID, frames ...[]byte) (stream.Position, error)
	// Incarnation names the stream that holds a server's partition.
	Incarnation(ctx context.Context, subject record.ID) (string, error)
}

// Options are what Open needs.
type Options struct {
	Config   Config
	BridgeID string
	KV       jetstream.KeyValue
	Append   Appender
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Registry is the register of servers.
type Registry struct {
	cfg    Config
	bridge string
	kv     jetstream.KeyValue
	append Appender
	log    *slog.Logger
	now    func() time.Time

	Metrics *Metrics

	mu       sync.RWMutex
	servers  map[record.ID]*entry
	machines map[string]map[record.ID]struct{} // by evidence; may hold servers whose evidence has changed
	names    map[string]map[record.ID]struct{} // by nameKey; may hold servers that were renamed
	tokens   map[string]tokenEntry
	created  time.Time     // of the bucket: another one means that its volume was lost
	clock    atomic.Uint64 // changes seen, to know when the copy is old

	locks [64]sync.Mutex // by key: writes from this bridge do not contend with each other
	miss  limiter        // bounds look-ups of ids that the cache does not know
	asks  limiter        // bounds those for signers, whose frames wait meanwhile
}

// entry is one server of the cache. What it points to is never changed.
type entry struct {
	server   atomic.Pointer[Server]
	revision uint64 // under Registry.mu
	seen     atomic.Int64
	address  atomic.Pointer[netip.Addr] // of its last connection, when it is not the one in server
	asked    atomic.Int64               // when Signer last read it from the bucket
}

type tokenEntry struct {
	token    *Token
	revision uint64
}

// Open loads the register from the bucket; when the bucket is empty, from the
// copy, if there is one.
func Open(ctx context.Context, o Options) (*Registry, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Registry{
		cfg: o.Config, bridge: o.BridgeID, kv: o.KV, append: o.Append, log: o.Log, now: o.Now,
		servers: map[record.ID]*entry{}, machines: map[string]map[record.ID]struct{}{}, names: map[string]map[record.ID]struct{}{}, tokens: map[string]tokenEntry{},
		miss: limiter{rate: 50, burst: 50}, asks: limiter{rate: 50, burst: 50},
	}
	r.Metrics = newMetrics(r)
	var err error
	if r.created, err = r.bucketCreated(ctx); err != nil {
		return nil, err
	}
	n, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		if err := r.restore(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// load reads the whole bucket once.
func (r *Registry) load(ctx context.Context) (int, error) {
	w, err := r.kv.WatchAll(ctx)
	if err != nil {
		return 0, fmt.Errorf("watch registry: %w", err)
	}
	defer func() { _ = w.Stop() }() // it has told all it had to
	n := 0
	for {
		select {
		case <-ctx.Done():
			return n, fmt.Errorf("load registry: %w", context.Cause(ctx))
		case e, ok := <-w.Updates():
			if !ok {
				return n, errors.New("load registry: the watcher ended early")
			}
			if e == nil {
				return n, nil
			}
			n++
			r.apply(e)
		}
	}
}

// bucketCreated tells when the bucket was made.
func (r *Registry) bucketCreated(ctx context.Context) (time.Time, error) {
	status, err := r.kv.Status(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at bucket %s: %w", Bucket, err)
	}
	s, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return time.Time{}, nil
	}
	return s.StreamInfo().Created, nil
}

// Run keeps the cache and the copy fresh and appends the records that are
// still owed, until ctx ends. It returns an error when the bucket is not the
// one that was opened: what the cache knows is older then, or newer, and only
// opening it anew tells.
func (r *Registry) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { r.announceLoop(ctx) })
	wg.Go(func() { r.backupLoop(ctx) })
	wg.Go(func() {
		for ctx.Err() == nil {
			created, err := r.bucketCreated(ctx)
			gone := errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound)
			if gone || err == nil && !created.Equal(r.created) {
				cancel(errAnotherBucket)
			}
			sleep(ctx, announceEvery)
		}
	})
	defer wg.Wait()
	defer cancel(nil)
	for ctx.Err() == nil {
		err := r.watch(ctx)
		if ctx.Err() != nil {
			break
		}
		r.log.Warn("registry watcher ended, starting it again", "err", err)
		sleep(ctx, time.Second)
	}
	if errors.Is(context.Cause(ctx), errAnotherBucket) {
		return errAnotherBucket
	}
	return nil
}

var errAnotherBucket = errors.New("the registry's bucket is gone or was made anew: the bridge ends, so that the next start opens it and restores its copy")

func (r *Registry) watch(ctx context.Context) error {
	w, err := r.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // ctx has ended it, or it ended itself
	for e := range w.Updates() {
		if e != nil {
			r.apply(e)
		}
	}
	return errors.New("no more updates")
}

// apply takes one entry of the bucket into the cache, unless the cache knows
// a later one.
func (r *Registry) apply(e jetstream.KeyValueEntry) {
	if e.Operation() != jetstream.KeyValuePut {
		r.forget(e.Key(), e.Revision())
		return
	}
	if err := r.put(e.Key(), e.Value(), e.Revision()); err != nil {
		r.log.Error("registry entry cannot be read, ignored", "key", e.Key(), "err", err)
		r.Metrics.unreadable.Inc()
	}
}

func (r *Registry) put(key string, value []byte, revision uint64) error {
	switch {
	case strings.HasPrefix(key, serverKey):
		s := new(Server)
		if err := json.Unmarshal(value, s); err != nil {
			return err
		}
		if s.ID.IsZero() || key != serverKey+s.ID.String() {
			return errors.New("server id and key differ")
		}
		r.putServer(s, revision)
	case strings.HasPrefix(key, tokenKey):
		t := new(Token)
		if err := json.Unmarshal(value, t); err != nil {
			return err
		}
		r.putToken(t, revision)
	default:
		return errors.New("unknown kind of key")
	}
	return nil
}

func (r *Registry) putServer(s *Server, revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.servers[s.ID]
	if e == nil {
		e = &entry{}
		r.servers[s.ID] = e
	}
	if revision > e.revision {
		e.revision = revision
		e.server.Store(s)
		r.clock.Add(1)
		if key := machineKey(s.Evidence); key != "" {
			index(r.machines, key, s.ID)
		}
		index(r.names, nameKey(s.Name), s.ID)
	}
}

func index(in map[string]map[record.ID]struct{}, key string, id record.ID) {
	if in[key] == nil {
		in[key] = map[record.ID]struct{}{}
	}
	in[key][id] = struct{}{}
}

func (r *Registry) putToken(t *Token, revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if revision > r.tokens[t.ID].revision {
		r.tokens[t.ID] = tokenEntry{token: t, revision: revision}
		r.clock.Add(1)
	}
}

func (r *Registry) forget(key string, revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok := strings.CutPrefix(key, tokenKey); ok && revision > r.tokens[id].revision {
		delete(r.tokens, id)
		r.clock.Add(1)
	}
}

// find returns a server from the cache, nil when it is not there.
func (r *Registry) find(id record.ID) *entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.servers[id]
}

// Server returns what is known of a server. The answer is read only.
func (r *Registry) Server(id record.ID) (*Server, error) {
	if e := r.find(id); e != nil {
		return e.server.Load(), nil
	}
	return nil, fmt.Errorf("server %s: %w", id, ErrNotFound)
}

// Servers returns every server, decommissioned ones too, by name and id. The
// answer is read only.
func (r *Registry) Servers() []*Server {
	out := r.all()
	slices.SortFunc(out, func(a, b *Server) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID[:]), string(b.ID[:]))
	})
	return out
}

// all returns every server in no order.
func (r *Registry) all() []*Server {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*Server, 0, len(r.servers))
	for _, e := range r.servers {
		out = append(out, e.server.Load())
	}
	return out
}

// Tokens returns every join token, newest first. The answer is read only.
func (r *Registry) Tokens() []*Token {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*Token, 0, len(r.tokens))
	for _, t := range slices.Collect(maps.Values(r.tokens)) {
		out = append(out, t.token)
	}
	slices.SortFunc(out, func(a, b *Token) int { return b.Created.Compare(a.Created) })
	return out
}

// Seen notes that a server spoke to this bridge.
func (r *Registry) Seen(id record.ID, at time.Time) {
	if e := r.find(id); e != nil {
		e.seen.Store(at.UnixNano())
	}
}

// SeenFrom notes the remote address of a server's connection.
func (r *Registry) SeenFrom(id record.ID, remote string) {
	e := r.find(id)
	if e == nil {
		return
	}
	if a := placed(remote); a.IsValid() && a != e.server.Load().Address {
		e.address.Store(&a)
	}
}

// LastSeen tells when a server last spoke to this bridge since its start; the
// zero time when it did not.
func (r *Registry) LastSeen(id record.ID) time.Time {
	if e := r.find(id); e != nil {
		if ns := e.seen.Load(); ns != 0 {
			return time.Unix(0, ns)
		}
	}
	return time.Time{}
}

// lock serializes the changes of one key within this bridge.
func (r *Registry) lock(key string) func() {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	m := &r.locks[h%uint32(len(r.locks))]
	m.Lock()
	return m.Unlock
}

// update changes one server by compare-and-set and returns the new state.
// mutate gets a copy of its own; an error of it ends the change.
func (r *Registry) update(ctx context.Context, id record.ID, mutate func(*Server) error) (*Server, error) {
	key := serverKey + id.String()
	for range casAttempts {
		kve, err := r.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, fmt.Errorf("server %s: %w", id, ErrNotFound)
		} else if err != nil {
			return nil, fmt.Errorf("read server %s: %w: %w", id, ErrBusy, err)
		}
		s := new(Server)
		if err := json.Unmarshal(kve.Value(), s); err != nil {
			return nil, fmt.Errorf("read server %s: %w", id, err)
		}
		if err := mutate(s); err != nil {
			return nil, err
		}
		rev, err := r.kv.Update(ctx, key, encode(s), kve.Revision())
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			r.Metrics.conflicts.Inc()
			continue
		} else if err != nil {
			return nil, fmt.Errorf("write server %s: %w: %w", id, ErrBusy, err)
		}
		r.putServer(s, rev)
		return s, nil
	}
	return nil, fmt.Errorf("write server %s: %w: changed %d times meanwhile", id, ErrBusy, casAttempts)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own plain types
	}
	return b
}

// sleep waits, or returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
