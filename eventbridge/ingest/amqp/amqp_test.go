package amqp

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/registry"
	"nocturne/internal/rabbit"
	"nocturne/internal/rabbittest"
	"nocturne/internal/record"
)

// TestIngest needs a broker; starting one takes seconds, so all share it.
func TestIngest(t *testing.T) {
	broker := rabbittest.Start(t)
	for name, test := range map[string]func(*testing.T, *bridge, string){
		"frames": framesAreStored, "poison": poisonIsBuried, "old agent": oldAgent, "old agent host enrols": oldAgentRetires,
		"broker restarts": brokerRestarts, "bridge restarts": bridgeRestarts, "topology differs": topologyDiffers,
		"no dead queue": noDeadQueue,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, newBridge(t, broker), strings.ReplaceAll(name, " ", "-"))
		})
	}
}

func balanced(t *testing.T, stages ...*ingest.Stage) {
	t.Helper()
	for _, s := range stages {
		if n := s.Totals(); !n.Balanced() || n.Waiting != 0 {
			t.Errorf("stage %s: %+v", s.Name(), n)
		}
	}
}

func framesAreStored(t *testing.T, b *bridge, exchange string) {
	in, stop := b.start(exchange, nil)
	s := b.enrol("db7")
	eventually(t, "up", func() bool { return value(t, in.Metrics.queues[inputFrames]) == 10 })
	var all [][]byte
	for range 50 {
		all = append(all, s.signed(t, record.EventLog, 10))
	}
	b.publish(in.topology.Queue(record.EventLog), all...)
	b.publish(in.topology.Queue(record.Heartbeat), s.signed(t, record.Heartbeat, 1))
	eventually(t, "501 records out", func() bool { return in.Metrics.Frames.Totals().Out == 501 })
	stop()
	balanced(t, in.Metrics.Frames, b.edge.Append)
	if l := b.ledger(s.id); l.Received != 501 || l.Missing != 0 || l.Duplicate != 0 {
		t.Errorf("ledger %+v", l)
	}
	if b.registry.LastSeen(s.id).IsZero() {
		t.Error("the server does not count as heard")
	}
	if left := b.depth(in.topology.Queue(record.EventLog)); left != 0 {
		t.Errorf("%d messages are left", left)
	}
}

// What will never be taken is buried with its reason, and holds nobody up.
func poisonIsBuried(t *testing.T, b *bridge, exchange string) {
	in, stop := b.start(exchange, nil)
	s, other, gone := b.enrol("db7"), b.enrol("db8"), b.enrol("db9")
	ok, revoked := s.signed(t, record.EventLog, 3), gone.signed(t, record.EventLog, 1)
	if _, err := b.registry.Revoke(t.Context(), gone.id, ""); err != nil {
		t.Fatal(err)
	}
	forged, err := record.Sign(other.frame(t, record.EventLog, 1), s.keyID, s.key)
	if err != nil {
		t.Fatal(err)
	}
	guessed, err := record.Sign(other.frame(t, record.EventLog, 1), other.keyID, s.key)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(ok)
	flipped[len(flipped)-1] ^= 1
	eventually(t, "up", func() bool { return value(t, in.Metrics.queues[inputFrames]) == 10 })
	b.publish(in.topology.Queue(record.EventLog), []byte("nonsense"), flipped, s.frame(t, record.RAID, 2), forged, guessed, revoked, ok[:50], ok)
	want := []string{"magic", "checksum", "mac", "identity", "mac", "credential", "torn"}
	eventually(t, "the good one, and the funerals behind it", func() bool {
		buried := 0.0
		for _, m := range in.Metrics.dead {
			buried += value(t, m)
		}
		return in.Metrics.Frames.Totals().Out == 3 && buried == float64(len(want))
	})
	stop()
	balanced(t, in.Metrics.Frames)
	if got := b.dead(in.topology); !slices.Equal(got, want) {
		t.Errorf("dead letters %q, want %q", got, want)
	}
	for _, reason := range want {
		if value(t, in.Metrics.dead[reason]) == 0 {
			t.Errorf("reason %s is not counted", reason)
		}
	}
	for _, id := range []record.ID{other.id, gone.id} {
		if n := len(b.frames(id)); n > 0 {
			t.Errorf("%d frames of another server are in the stream", n)
		}
	}
}

// Where nobody can be buried, only those who must be come again, and once there is
// a grave they are in it once; their neighbours are stored once.
func noDeadQueue(t *testing.T, b *bridge, exchange string) {
	top, old := rabbit.Topology{Exchange: exchange}, exchange+"-old"
	b.on(func(ch *rabbitmq.Channel) error {
		if err := ch.ExchangeDeclare(exchange, rabbitmq.ExchangeDirect, true, false, false, false, nil); err != nil {
			return err
		}
		for _, c := range record.Categories() {
			if err := top.DeclareQueue(ch, c); err != nil {
				return err
			}
		}
		_, err := ch.QueueDeclare(old, true, false, false, false, nil)
		return err
	})
	s := b.enrol("web7")
	id, err := b.registry.Compat(t.Context(), "db7", 2)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(when string) {
		t.Helper()
		if frames, compat := len(b.frames(s.id)), len(b.frames(id)); frames != 5 || compat != 5 {
			t.Errorf("%s: %d frames and %d old messages are in the stream, want 5 and 5", when, frames, compat)
		}
	}
	change := func(c *Config) {
		compatConfig(c)
		c.Compat.Queues = map[string]compatKind{old: "heartbeat"}
		c.Declare = false
	}

	// Good and bad in one batch, which a bridge that reads has by chance only. The
	// last one is bad among the frames, good among the old messages.
	var frames, compat [][]byte
	for range 5 {
		frames = append(frames, s.signed(t, record.EventLog, 3), s.frame(t, record.RAID, 1)) // the second is not signed
		compat = append(compat, []byte(`{"heartbeat":1}`), []byte(`{"HostName":"web1"}`), []byte(oldHeartbeat))
	}
	in := b.ingest(exchange, change)
	take := func(queue string, bodies [][]byte, take func(context.Context, *session, []rabbitmq.Delivery) error) {
		t.Helper()
		b.publish(queue, bodies...)
		conn, err := rabbit.Dial(t.Context(), in.Config.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		session := &session{conn: conn}
		if err := in.prepare(session); err != nil {
			t.Fatal(err)
		}
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		var batch []rabbitmq.Delivery
		for range bodies {
			batch = append(batch, <-deliveries)
		}
		if err := take(t.Context(), session, batch); err == nil || !strings.Contains(err.Error(), "there is no such queue") {
			t.Errorf("%s: %v", queue, err)
		}
	}
	take(top.Queue(record.EventLog), frames, in.takeFrames)
	take(old, compat, in.takeCompat("heartbeat"))
	balanced(t, in.Metrics.Frames, in.Metrics.Compat)
	if f := in.Metrics.Frames.Totals(); f.Out != 15 || f.Dropped[dropReturned] != 5 {
		t.Errorf("frames: %+v", f)
	}
	if c := in.Metrics.Compat.Totals(); c.Out != 5 || c.Dropped[dropReturned] != 5 || c.Dropped[dropHost] != 5 {
		t.Errorf("old messages: %+v", c)
	}
	stored("at first")

	in, stop := b.start(exchange, change)
	eventually(t, "the bad come again and again", func() bool {
		return value(t, in.Metrics.failures[inputFrames]) >= 2 && value(t, in.Metrics.failures[inputCompat]) >= 2
	})
	b.on(top.DeclareExchange)
	eventually(t, "the bad are buried", func() bool {
		return in.Metrics.Frames.Totals().Dropped["mac"] >= 5 && in.Metrics.Compat.Totals().Dropped[dropDecode] >= 5
	})
	stop()
	balanced(t, in.Metrics.Frames, in.Metrics.Compat)
	stored("at the end")
	if f, c := in.Metrics.Frames.Totals(), in.Metrics.Compat.Totals(); f.Out != 0 || c.Out != 0 || c.Dropped[dropHost] != 0 {
		t.Errorf("what was settled came again: frames %+v, old messages %+v", f, c)
	}
	got := map[string]int{}
	for _, reason := range b.dead(top) {
		got[reason]++
	}
	if len(got) != 2 || got["mac"] != 5 || got[dropDecode] != 5 {
		t.Errorf("dead letters %v, want 5 and 5", got)
	}
	if n := b.depth(top.Queue(record.EventLog)) + b.depth(old); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// A broker that is killed under load loses nothing that it confirmed.
func brokerRestarts(t *testing.T, b *bridge, exchange string) {
	in, stop := b.start(exchange, nil)
	s := b.enrol("db7")
	eventually(t, "up", func() bool { return value(t, in.Metrics.queues[inputFrames]) == 10 })
	// RabbitMQ 3.10 can lose the leader of a queue that was made a moment before
	// a kill -9; after a stop in order they are all on disk.
	b.broker.Stop()
	eventually(t, "the trouble is told", func() bool {
		told := in.Metrics.Trouble()
		return len(told) == 1 && strings.HasPrefix(told[0], "no broker for frames since ")
	})
	b.broker.Up()
	eventually(t, "the trouble ends", func() bool { return len(in.Metrics.Trouble()) == 0 })
	for range 3 {
		for range 20 {
			b.publish(in.topology.Queue(record.EventLog), s.signed(t, record.EventLog, 5))
		}
		b.broker.Kill()
		b.broker.Up()
	}
	settled := func() bool {
		n := in.Metrics.Frames.Totals()
		return n.Out >= 300 && n.Waiting == 0 && b.ledger(s.id).Received == 300
	}
	eventually(t, "300 records", settled)
	stop()
	balanced(t, in.Metrics.Frames)
	l := b.ledger(s.id)
	t.Logf("ledger %+v, stage %+v", l, in.Metrics.Frames.Totals())
	if l.Missing != 0 {
		t.Errorf("ledger %+v", l)
	}
	if value(t, in.Metrics.failures[inputFrames]) < 3 {
		t.Error("the broker's ends are not counted")
	}
}

// A bridge that ends gives back what it has not stored.
func bridgeRestarts(t *testing.T, b *bridge, exchange string) {
	in, stop := b.start(exchange, func(c *Config) { c.Prefetch = 7 })
	s := b.enrol("db7")
	eventually(t, "up", func() bool { return value(t, in.Metrics.queues[inputFrames]) == 10 })
	for range 5 {
		var all [][]byte
		for range 30 {
			all = append(all, s.signed(t, record.EventLog, 2))
		}
		b.publish(in.topology.Queue(record.EventLog), all...)
		stop()
		balanced(t, in.Metrics.Frames)
		in, stop = b.start(exchange, func(c *Config) { c.Prefetch = 7 })
	}
	eventually(t, "300 records", func() bool { return b.depth(in.topology.Queue(record.EventLog)) == 0 && b.ledger(s.id).Received == 300 })
	stop()
	if l := b.ledger(s.id); l.Missing != 0 {
		t.Errorf("ledger %+v", l)
	}
}

func topologyDiffers(t *testing.T, b *bridge, exchange string) {
	top := rabbit.Topology{Exchange: exchange}
	b.on(func(ch *rabbitmq.Channel) error {
		_, err := ch.QueueDeclare(top.Queue(record.SMART), true, false, false, false, nil)
		return err
	})
	in, stop := b.start(exchange, nil)
	eventually(t, "nine queues", func() bool {
		return value(t, in.Metrics.queueFailures[inputFrames]) > 0 && value(t, in.Metrics.queues[inputFrames]) == 9
	})
	if told := in.Metrics.Trouble(); len(told) != 1 || !strings.HasPrefix(told[0], "queue "+top.Queue(record.SMART)+" cannot be read since ") {
		t.Errorf("told: %q", told)
	}
	s := b.enrol("db7")
	b.publish(top.Queue(record.EventLog), s.signed(t, record.EventLog, 5))
	eventually(t, "what the other queues bring", func() bool { return b.ledger(s.id).Received == 5 })
	b.on(func(ch *rabbitmq.Channel) error {
		_, err := ch.QueueDelete(top.Queue(record.SMART), false, false, false)
		return err
	})
	eventually(t, "up", func() bool { return value(t, in.Metrics.queues[inputFrames]) == 10 })
	if told := in.Metrics.Trouble(); len(told) != 0 || value(t, in.Metrics.failures[inputFrames]) != 0 {
		t.Errorf("told: %q; the connection ended", told)
	}
	stop()
}

// A frame is not buried because the register cannot be asked now.
func TestJudgeWaitsForTheRegister(t *testing.T) {
	b := newBridge(t, nil)
	s := b.enrol("db7")
	elsewhere := b.openRegistry("b2") // knows what it read at its start
	newcomer := b.enrol("db8")
	in := New(Options{Config: DefaultConfig(), BridgeID: "b2", Registry: elsewhere, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler)})
	if _, reason, err := in.judge(t.Context(), s.signed(t, record.EventLog, 1)); reason != "" || err != nil {
		t.Errorf("known: %s, %v", reason, err)
	}
	if err := b.conn.JetStream().DeleteKeyValue(t.Context(), registry.Bucket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, reason, err := in.judge(ctx, newcomer.signed(t, record.EventLog, 1)); reason != "" || err == nil {
		t.Errorf("the register is away: reason %q, %v: want an error without a reason", reason, err)
	}
}

// A batch that cannot be stored comes again: nobody of it is buried before, or he
// would be twice. The session is none, so a burial would not pass unseen.
func TestNobodyIsBuriedBeforeTheRestIsStored(t *testing.T) {
	b := newBridge(t, nil)
	elsewhere := b.openRegistry("b2")
	newcomer := b.enrol("db8")
	cfg := DefaultConfig()
	compatConfig(&cfg)
	in := New(Options{Config: cfg, BridgeID: "b2", Registry: elsewhere, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler)})
	if err := b.conn.JetStream().DeleteKeyValue(t.Context(), registry.Bucket); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		take  func(context.Context, *session, []rabbitmq.Delivery) error
		batch []rabbitmq.Delivery
		stage *ingest.Stage
	}{
		"frames": {in.takeFrames, []rabbitmq.Delivery{{Body: []byte("none")}, {Body: newcomer.signed(t, record.EventLog, 1)}}, in.Metrics.Frames},
		"compat": {in.takeCompat("heartbeat"), []rabbitmq.Delivery{{Body: []byte(`{"heartbeat":1}`)}, {Body: []byte(oldHeartbeat)}}, in.Metrics.Compat},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := c.take(ctx, nil, c.batch); err == nil {
			t.Errorf("%s: taken", name)
		}
		cancel()
		balanced(t, c.stage)
		if n := c.stage.Totals().Dropped[dropReturned]; n == 0 || n != c.stage.Totals().In {
			t.Errorf("%s: %d of %d returned", name, n, c.stage.Totals().In)
		}
	}
}

const oldHeartbeat = `{"HostName":"DB7","OperatingSystem":"Microsoft Windows Server 2016 Standard","Version":"10.0.14393","BuildNumber":"14393","LastBootUpTime":"2026-01-01T00:00:00Z","DateTime":"2026-11-28T06:00:00Z"}`

func compatConfig(c *Config) {
	c.Compat.Queues = map[string]compatKind{"old-heartbeat": "heartbeat", "old-eventlog": "eventlog"}
	c.Compat.Hosts = []string{"db*"}
	c.Compat.MaxServers = 2
}

func oldAgent(t *testing.T, b *bridge, exchange string) {
	// What is wrong with it is longer than a broker takes in a header.
	endless := []byte(`{"HostName":"db7","Id":` + strings.Repeat("1", 200<<10) + "}")
	in, stop := b.start(exchange, compatConfig)
	eventually(t, "up", func() bool { return value(t, in.Metrics.queues[inputCompat]) == 2 })
	b.publish("old-heartbeat", []byte(oldHeartbeat), []byte(`{"heartbeat":1}`), []byte(`{"HostName":"web1"}`), []byte(`{"HostName":"db8.example.org"}`), []byte(`{"HostName":"db9"}`))
	b.publish("old-eventlog", endless, []byte(`{"HostName":"db7.example.org","Source":"disk","Id":3221487623,"Severity":"Error","EventLogName":"System"}`))
	eventually(t, "three records of seven messages", func() bool {
		n := in.Metrics.Compat.Totals()
		return n.In == 7 && n.Out == 3 && n.Waiting == 0
	})
	stop()
	balanced(t, in.Metrics.Compat)
	if n := in.Metrics.Compat.Totals().Dropped; n[dropDecode] != 2 || n[dropHost] != 1 || n[dropLimit] != 1 {
		t.Errorf("dropped %v", n)
	}
	if got := b.dead(in.topology); !slices.Equal(got, []string{dropDecode, dropDecode}) {
		t.Errorf("dead letters %q", got)
	}
	id, err := b.registry.Compat(t.Context(), "db7", 2)
	if err != nil {
		t.Fatal(err)
	}
	got := b.frames(id)
	if len(got) != 2 {
		t.Fatalf("%d frames about the old server", len(got))
	}
	for _, f := range got {
		if f.Producer != "bridge/b1/amqp" || !f.Unassured || f.Records[0].Attr(record.AttrIdentifiedBy).Str() != record.IdentifiedByBroker {
			t.Errorf("frame %+v of %+v", f.Header, f.Records[0])
		}
	}
	if s, err := b.registry.Server(id); err != nil || s.IdentifiedBy != record.IdentifiedByBroker || len(s.Credentials) != 0 || s.Name != "db7" {
		t.Errorf("server %+v, %v", s, err)
	}
}

// Once the real server is enrolled nobody else speaks for it, and what the old
// messages made is ended.
func oldAgentRetires(t *testing.T, b *bridge, exchange string) {
	in, stop := b.start(exchange, compatConfig)
	b.publishWhenThere("old-heartbeat", []byte(oldHeartbeat))
	eventually(t, "one record", func() bool { return in.Metrics.Compat.Totals().Out == 1 })
	id, err := b.registry.Compat(t.Context(), "db7", 2)
	if err != nil {
		t.Fatal(err)
	}
	s := b.enrol("db7.example.org")
	if old, err := b.registry.Server(id); err != nil || old.State != "decommissioned" {
		t.Errorf("the old server is %+v, %v", old, err)
	}
	b.publish("old-heartbeat", []byte(oldHeartbeat))
	eventually(t, "a refusal", func() bool { return in.Metrics.Compat.Totals().Dropped[dropEnrolled] == 1 })
	stop()
	balanced(t, in.Metrics.Compat)
	if n := len(b.frames(id)) + len(b.frames(s.id)); n != 1 {
		t.Errorf("%d frames, want the first one alone", n)
	}
}
