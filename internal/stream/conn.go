package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says where the stream is and who asks.
type Config struct {
	URL       string // "nats://127.0.0.1:9473"
	Role      Role
	TokenFile string // read at connect
	Name      string // shown in the server's lists of connections
	Log       *slog.Logger
}

// Conn is a connection to JetStream. It reconnects by itself, for ever.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger
	// incarnations of the partitions as last looked up; forgotten at every
	// reconnect, because a server without its volume comes back with others.
	incarnations [Partitions]atomic.Pointer[string]
}

var _ Log = (*Conn)(nil)

const (
	requestWithin = 10 * time.Second
	reconnectWait = 250 * time.Millisecond
	// idleCheck is how long a partition may be without an entry before a
	// reader makes sure that it still reads the same stream. Ticks come every second.
	idleCheck = 3 * time.Second
	// readAhead bounds the entries that a reader has in flight, by number and bytes.
	readAhead      = 64
	readAheadBytes = 8 << 20
)

// Connect connects; it fails when the server does not answer now.
func Connect(cfg Config) (*Conn, error) {
	token, err := os.ReadFile(cfg.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("read stream token: %w", err)
	}
	c := &Conn{log: cfg.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.nc, err = nats.Connect(cfg.URL,
		nats.Name(cfg.Name),
		nats.UserInfo(string(cfg.Role), strings.TrimSpace(string(token))),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), // an append fails at once while there is no server
		nats.RetryOnFailedConnect(false),
		nats.Timeout(requestWithin),
		nats.IgnoreAuthErrorAbort(),
		// Without a handler the client prints to standard error, line after line.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.log.Debug("stream connection", "err", err) }),
		nats.ReconnectHandler(func(*nats.Conn) {
			for p := range c.incarnations {
				c.incarnations[p].Store(nil)
			}
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to stream %s as %s: %w", cfg.URL, cfg.Role, err)
	}
	c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(requestWithin))
	if err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return c, nil
}

// JetStream gives what else JetStream keeps, such as key-value buckets.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Connected tells whether there is a server at this moment.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Close ends the connection.
func (c *Conn) Close() { c.nc.Close() }

// StreamsConfig says what a partition keeps.
type StreamsConfig struct {
	MaxAge   time.Duration // default 7 days
	MaxBytes int64         // of all partitions together; default 64 GiB
}

// Keys of a stream's metadata.
const (
	metaIncarnation = "nocturne.incarnation"
	metaPartitions  = "nocturne.partitions"
	metaHash        = "nocturne.hash"
	hashName        = "fnv32a%1024"
)

// CreateStreams makes the partitions that do not exist yet and checks the ones
// that do. Another number of partitions or another hash is refused: subjects
// would change their partition and lose their order.
func (c *Conn) CreateStreams(ctx context.Context, cfg StreamsConfig) error {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 7 * 24 * time.Hour
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 30
	}
	for p := range Partitions {
		if err := c.createStream(ctx, p, cfg); err != nil {
			return fmt.Errorf("stream %s: %w", StreamName(p), err)
		}
	}
	return nil
}

func (c *Conn) createStream(ctx context.Context, p int, cfg StreamsConfig) error {
	want := jetstream.StreamConfig{
		Name:      StreamName(p),
		Subjects:  []string{Subject(p)},
		Storage:   jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy,
		Discard:   jetstream.DiscardOld,
		MaxAge:    cfg.MaxAge,
		MaxBytes:  cfg.MaxBytes / Partitions,
		Replicas:  1,
		Metadata: map[string]string{
			metaIncarnation: newIncarnation(),
			metaPartitions:  strconv.Itoa(Partitions),
			metaHash:        hashName,
		},
	}
	s, err := c.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = c.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if have.Metadata[metaPartitions] != want.Metadata[metaPartitions] || have.Metadata[metaHash] != hashName || have.Metadata[metaIncarnation] == "" {
		return fmt.Errorf("was made with %s partitions and hash %q, this program has %d and %q: point it at another folder, or use the version that made it",
			have.Metadata[metaPartitions], have.Metadata[metaHash], Partitions, hashName)
	}
	if have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes {
		return nil
	}
	have.MaxAge, have.MaxBytes = want.MaxAge, want.MaxBytes
	_, err = c.js.UpdateStream(ctx, have)
	return err
}

func newIncarnation() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Append implements Log.
func (c *Conn) Append(ctx context.Context, partition int, entry []byte) (Position, error) {
	ack, err := c.js.Publish(ctx, Subject(partition), entry, jetstream.WithExpectStream(StreamName(partition)), jetstream.WithRetryAttempts(0))
	if err != nil {
		return Position{}, fmt.Errorf("append to %s: %w", StreamName(partition), err)
	}
	incarnation := c.incarnations[partition].Load()
	if incarnation == nil {
		head, err := c.Head(ctx, partition)
		if err != nil {
			return Position{}, err
		}
		incarnation = &head.Incarnation
		c.incarnations[partition].Store(incarnation)
	}
	return Position{Incarnation: *incarnation, Entry: ack.Sequence}, nil
}

// First implements Log.
func (c *Conn) First(ctx context.Context, partition int) (Position, error) {
	info, err := c.info(ctx, partition)
	if err != nil {
		return Position{}, err
	}
	first := info.State.FirstSeq
	if first > 0 {
		first--
	}
	return Position{Incarnation: info.Config.Metadata[metaIncarnation], Entry: first}, nil
}

// Head implements Log.
func (c *Conn) Head(ctx context.Context, partition int) (Position, error) {
	info, err := c.info(ctx, partition)
	if err != nil {
		return Position{}, err
	}
	return Position{Incarnation: info.Config.Metadata[metaIncarnation], Entry: info.State.LastSeq}, nil
}

// Bytes returns what a partition takes on disk.
func (c *Conn) Bytes(ctx context.Context, partition int) (uint64, error) {
	info, err := c.info(ctx, partition)
	if err != nil {
		return 0, err
	}
	return info.State.Bytes, nil
}

func (c *Conn) info(ctx context.Context, partition int) (*jetstream.StreamInfo, error) {
	s, err := c.js.Stream(ctx, StreamName(partition))
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", StreamName(partition), err)
	}
	return s.CachedInfo(), nil
}

// Read implements Log. While there is no server it waits.
func (c *Conn) Read(ctx context.Context, partition int, from Position, fn func(Message) error) error {
	for {
		err := c.readOnce(ctx, partition, &from, fn)
		var stop *stopError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.error
		case errors.Is(err, ErrIncarnation):
			return err
		}
		c.log.Debug("read stream again", "partition", partition, "entry", from.Entry, "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reconnectWait):
		}
	}
}

// stopError is fn's own error: it ends the reading.
type stopError struct{ error }

// readOnce reads until something breaks, moving from along.
func (c *Conn) readOnce(ctx context.Context, partition int, from *Position, fn func(Message) error) error {
	if err := c.verify(ctx, partition, from); err != nil {
		return err
	}
	cons, err := c.js.OrderedConsumer(ctx, StreamName(partition), jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from.Entry + 1,
		InactiveThreshold: 30 * time.Second,
		MaxResetAttempts:  1,
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", StreamName(partition), err)
	}
	msgs, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes))
	if err != nil {
		return fmt.Errorf("read %s: %w", StreamName(partition), err)
	}
	defer msgs.Stop()
	stop := context.AfterFunc(ctx, msgs.Stop)
	defer stop()
	consumer := "" // the client makes another one by itself after a reconnect, maybe in another life of the stream
	for {
		msg, err := msgs.Next(jetstream.NextMaxWait(idleCheck))
		if errors.Is(err, nats.ErrTimeout) {
			if err := c.verify(ctx, partition, from); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", StreamName(partition), err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read %s: %w", StreamName(partition), err)
		}
		if meta.Consumer != consumer {
			if err := c.verify(ctx, partition, from); err != nil {
				return err
			}
			consumer = meta.Consumer
		}
		if meta.Sequence.Stream <= from.Entry {
			return fmt.Errorf("read %s: entry %d after %d: %w", StreamName(partition), meta.Sequence.Stream, from.Entry, ErrIncarnation)
		}
		from.Entry = meta.Sequence.Stream
		if err := fn(Message{Partition: partition, Position: *from, Time: meta.Timestamp.UTC(), Data: msg.Data()}); err != nil {
			return &stopError{err}
		}
	}
}

// verify makes sure that from lies in the stream as it is now, and fills in the
// incarnation of a zero position.
func (c *Conn) verify(ctx context.Context, partition int, from *Position) error {
	head, err := c.Head(ctx, partition)
	if err != nil {
		return err
	}
	if from.Incarnation == "" {
		from.Incarnation = head.Incarnation
	}
	if from.Incarnation != head.Incarnation || from.Entry > head.Entry {
		return fmt.Errorf("%s entry %d of %s, stream has %d of %s: %w", StreamName(partition), from.Entry, from.Incarnation, head.Entry, head.Incarnation, ErrIncarnation)
	}
	return nil
}
