package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the JetStream bucket that all sinks share.
const Bucket = "sinks"

const (
	partSize   = 512 << 10 // bytes of one value
	foldAfter  = 60        // changes kept apart before they become a new base
	poisonKept = 64        // poisoned rows kept per sink
	maxSaved   = 1 << 30   // bytes of saved items, unpacked
)

// KV is a Store in a JetStream key-value bucket. Keys start with the sink's
// name: <name>.position is the one that counts; <name>.base.* and
// <name>.change.* belong to the generation it names; <name>.lease;
// <name>.poison.*.
type KV struct {
	kv   jetstream.KeyValue
	name string

	mu    sync.Mutex
	head  kvHead
	rev   uint64 // revision of the position; 0 = none yet
	lease uint64 // revision of the lease
	enc   *zstd.Encoder
	dec   *zstd.Decoder
	bad   int // poisoned rows written
}

type kvHead struct {
	Generation uint64    `json:"generation"`
	BaseParts  int       `json:"base_parts"`
	Changes    []int     `json:"changes"` // parts of each change
	Positions  Positions `json:"positions"`
	Saved      time.Time `json:"saved"`
}

type kvLease struct {
	Holder string    `json:"holder"`
	Until  time.Time `json:"until"`
}

var _ Store = (*KV)(nil)

// OpenKV opens the Store of one sink, making the bucket where it is missing.
func OpenKV(ctx context.Context, js jetstream.JetStream, name string) (*KV, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: Bucket, Description: "positions and leases of the sinks", History: 1, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Bucket, err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make packer: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSaved))
	if err != nil {
		return nil, fmt.Errorf("make unpacker: %w", err)
	}
	return &KV{kv: kv, name: name, enc: enc, dec: dec}, nil
}

func (s *KV) key(format string, args ...any) string {
	return s.name + "." + fmt.Sprintf(format, args...)
}

// Acquire implements Store.
func (s *KV) Acquire(ctx context.Context, holder string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.kv.Get(ctx, s.key("lease"))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		s.lease = 0
	case err != nil:
		return fmt.Errorf("read lease of %s: %w", s.name, err)
	default:
		var l kvLease
		if err := json.Unmarshal(e.Value(), &l); err == nil && l.Holder != holder && time.Now().Before(l.Until) {
			return fmt.Errorf("%w: %s until %s", ErrLease, l.Holder, l.Until.Format(time.RFC3339))
		}
		s.lease = e.Revision()
	}
	return s.putLease(ctx, holder, ttl)
}

// Renew implements Store.
func (s *KV) Renew(ctx context.Context, holder string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putLease(ctx, holder, ttl)
}

func (s *KV) putLease(ctx context.Context, holder string, ttl time.Duration) error {
	b, err := json.Marshal(kvLease{Holder: holder, Until: time.Now().Add(ttl)})
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	rev, err := s.update(ctx, s.key("lease"), b, s.lease)
	if err != nil {
		return err
	}
	s.lease = rev
	return nil
}

// update writes where nobody else wrote since rev.
func (s *KV) update(ctx context.Context, key string, b []byte, rev uint64) (uint64, error) {
	var err error
	if rev == 0 {
		rev, err = s.kv.Create(ctx, key, b)
	} else {
		rev, err = s.kv.Update(ctx, key, b, rev)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || wrongLast(err) {
		return 0, fmt.Errorf("write %s: %w", key, ErrLease)
	}
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	return rev, nil
}

func wrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// Load implements Store.
func (s *KV) Load(ctx context.Context) (Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.kv.Get(ctx, s.key("position"))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		s.head, s.rev = kvHead{}, 0
		return Checkpoint{}, nil
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read position of %s: %w", s.name, err)
	}
	var head kvHead
	if err := json.Unmarshal(e.Value(), &head); err != nil {
		return Checkpoint{}, fmt.Errorf("read position of %s: %w", s.name, err)
	}
	items, err := s.items(ctx, &head)
	if err != nil {
		return Checkpoint{}, err
	}
	s.head, s.rev = head, e.Revision()
	return Checkpoint{Positions: head.Positions, Items: items}, nil
}

// items reads base and changes of a generation.
func (s *KV) items(ctx context.Context, head *kvHead) (map[string][]byte, error) {
	items := map[string][]byte{}
	read := func(kind string, k, parts int) error {
		var packed []byte
		for i := range parts {
			e, err := s.kv.Get(ctx, s.key("%s.%d.%d.%d", kind, head.Generation, k, i))
			if err != nil {
				return fmt.Errorf("read %s %d of %s: %w", kind, k, s.name, err)
			}
			packed = append(packed, e.Value()...)
		}
		if parts == 0 {
			return nil
		}
		raw, err := s.dec.DecodeAll(packed, nil)
		if err != nil {
			return fmt.Errorf("unpack %s %d of %s: %w", kind, k, s.name, err)
		}
		return decodeItems(raw, items)
	}
	if err := read("base", 0, head.BaseParts); err != nil {
		return nil, err
	}
	for k, parts := range head.Changes {
		if err := read("change", k, parts); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// Save implements Store. The position is written last and decides: what was
// written before it, and is not named by it, was never saved.
func (s *KV) Save(ctx context.Context, d Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := s.head
	if len(head.Changes) >= foldAfter {
		return s.fold(ctx, d)
	}
	parts, err := s.put(ctx, "change", head.Generation, len(head.Changes), d.Items)
	if err != nil {
		return err
	}
	head.Changes = append(append([]int(nil), head.Changes...), parts)
	head.Positions = d.Positions
	return s.commit(ctx, head)
}

// fold writes everything as the base of a new generation and removes the old one.
func (s *KV) fold(ctx context.Context, d Change) error {
	old := s.head
	items, err := s.items(ctx, &old)
	if err != nil {
		return err
	}
	for k, v := range d.Items {
		if len(v) == 0 {
			delete(items, k)
			continue
		}
		items[k] = v
	}
	head := kvHead{Generation: old.Generation + 1, Positions: d.Positions}
	if head.BaseParts, err = s.put(ctx, "base", head.Generation, 0, items); err != nil {
		return err
	}
	if err := s.commit(ctx, head); err != nil {
		return err
	}
	for i := range old.BaseParts {
		_ = s.kv.Purge(ctx, s.key("base.%d.0.%d", old.Generation, i)) // a leftover costs only space
	}
	for k, parts := range old.Changes {
		for i := range parts {
			_ = s.kv.Purge(ctx, s.key("change.%d.%d.%d", old.Generation, k, i))
		}
	}
	return nil
}

// put writes items in parts and returns how many.
func (s *KV) put(ctx context.Context, kind string, generation uint64, k int, items map[string][]byte) (int, error) {
	if len(items) == 0 {
		return 0, nil
	}
	packed := s.enc.EncodeAll(appendItems(nil, items), nil)
	n := 0
	for ; len(packed) > 0; n++ {
		part := packed[:min(partSize, len(packed))]
		if _, err := s.kv.Put(ctx, s.key("%s.%d.%d.%d", kind, generation, k, n), part); err != nil {
			return 0, fmt.Errorf("write %s of %s: %w", kind, s.name, err)
		}
		packed = packed[len(part):]
	}
	return n, nil
}

func (s *KV) commit(ctx context.Context, head kvHead) error {
	head.Saved = time.Now().UTC()
	b, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode position of %s: %w", s.name, err)
	}
	rev, err := s.update(ctx, s.key("position"), b, s.rev)
	if err != nil {
		return err
	}
	s.head, s.rev = head, rev
	return nil
}

// Poison implements Store: a ring of poisonKept rows.
func (s *KV) Poison(ctx context.Context, p Poisoned) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode poisoned row: %w", err)
	}
	s.mu.Lock()
	slot := s.bad % poisonKept
	s.bad++
	s.mu.Unlock()
	if _, err := s.kv.Put(ctx, s.key("poison.%d", slot), b); err != nil {
		return fmt.Errorf("keep poisoned row of %s: %w", s.name, err)
	}
	return nil
}
