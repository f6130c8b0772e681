package amqp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/exporter/output"
	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
	"nocturne/internal/rabbit"
	"nocturne/internal/rabbittest"
	"nocturne/internal/record"
)

var (
	key   = sha256.Sum256([]byte("a test's secret"))
	keyID = record.KeyID(outputtest.Subject, key[:])
)

// TestOutput needs a broker; starting one takes seconds, so all share it.
func TestOutput(t *testing.T) {
	b := rabbittest.Start(t)
	n := 0
	fresh := func(t *testing.T, change func(*Options)) (*Output, *receiver) {
		n++
		o := Options{Config: DefaultConfig(), Endpoint: b.Endpoint(), KeyID: keyID, Key: key[:]}
		o.Config.Exchange = "test" + string(rune('a'+n))
		if change != nil {
			change(&o)
		}
		return New(o), &receiver{t: t, b: b, topology: rabbit.Topology{Exchange: o.Config.Exchange}}
	}
	t.Run("contract", func(t *testing.T) {
		outputtest.Run(t, func(t *testing.T) (output.Output, outputtest.Receiver) {
			p := newProxy(t, b.Address())
			out, r := fresh(t, func(o *Options) { o.Endpoint.URL = "amqp://" + p.address() })
			r.proxy = p
			return out, r
		})
	})
	t.Run("message", func(t *testing.T) { messageIsSigned(t, fresh) })
	t.Run("unroutable", func(t *testing.T) { unroutable(t, b, fresh) })
	t.Run("topology differs", func(t *testing.T) { topologyDiffers(t, b, fresh) })
	t.Run("credentials", func(t *testing.T) { credentials(t, b, fresh) })
	t.Run("full queue", func(t *testing.T) { fullQueue(t, b, fresh) })
	t.Run("tls", func(t *testing.T) { overTLS(t, b, fresh) })
	t.Run("silent broker", func(t *testing.T) { silentBroker(t, b, fresh) })
	t.Run("restart", func(t *testing.T) { restart(t, b, fresh) })
}

type factory func(*testing.T, func(*Options)) (*Output, *receiver)

func hello(t *testing.T, o *Output) {
	t.Helper()
	if _, err := o.Hello(t.Context(), nil); err != nil {
		t.Fatalf("hello: %v", err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
}

func send(t *testing.T, o *Output, frames ...spool.Frame) {
	t.Helper()
	a, err := o.Send(t.Context(), frames)
	if err != nil || !slices.Equal(a.Verdicts, slices.Repeat([]spool.Verdict{spool.Stored}, len(frames))) {
		t.Fatalf("send: %v, %v", a, err)
	}
}

// wants a failure of a kind whose text holds all of these.
func wants(t *testing.T, err error, kind output.Kind, parts ...string) {
	t.Helper()
	var f *output.Failure
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want a failure of kind %s", err, kind)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%v\ndoes not say %q", err, p)
		}
	}
}

func messageIsSigned(t *testing.T, fresh factory) {
	o, r := fresh(t, nil)
	hello(t, o)
	send(t, o, outputtest.Data(1, "a"))
	m := r.messages()[0]
	if m.DeliveryMode != rabbitmq.Persistent || m.ContentType != rabbit.ContentType || m.RoutingKey != "eventlog" {
		t.Errorf("message %+v", m)
	}
	if err := record.VerifyMAC(m.Body, key[:]); err != nil {
		t.Error(err)
	}
	h, err := record.CheckFrame(m.Body)
	if err != nil || h.KeyID != keyID || time.Since(time.Unix(0, h.Sent)).Abs() > time.Minute {
		t.Errorf("header %+v, %v", h, err)
	}
}

func unroutable(t *testing.T, b *rabbittest.Broker, fresh factory) {
	o, r := fresh(t, nil)
	hello(t, o)
	unbind := func(ch *rabbitmq.Channel) error {
		return ch.QueueUnbind(r.topology.Queue(record.EventLog), "eventlog", r.topology.Exchange, nil)
	}
	r.on(unbind)
	a, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b")})
	if len(a.Verdicts) > 0 {
		t.Errorf("verdicts %v", a.Verdicts)
	}
	wants(t, err, output.Unreachable, "lost its queue for category eventlog")
	send(t, o, outputtest.Data(1, "a"), outputtest.Data(2, "b")) // it declared it again

	o.o.Config.Declare = false
	r.on(unbind)
	_, err = o.Send(t.Context(), []spool.Frame{outputtest.Data(3, "c")})
	wants(t, err, output.Denied, "no queue for category eventlog", "NO_ROUTE", r.topology.Queue(record.EventLog))

	gone, _ := fresh(t, func(o *Options) { o.Config.Declare = false })
	hello(t, gone)
	_, err = gone.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")})
	wants(t, err, output.Denied, "no exchange", gone.topology.Exchange)
}

func topologyDiffers(t *testing.T, b *rabbittest.Broker, fresh factory) {
	o, r := fresh(t, nil)
	r.on(func(ch *rabbitmq.Channel) error {
		_, err := ch.QueueDeclare(r.topology.Queue(record.SMART), true, false, false, false, nil)
		return err
	})
	_, err := o.Hello(t.Context(), nil)
	wants(t, err, output.Denied, "queue "+r.topology.Queue(record.SMART)+" is not as Nocturne declares it", "PRECONDITION_FAILED", "declare: false")
}

func credentials(t *testing.T, b *rabbittest.Broker, fresh factory) {
	file := t.TempDir() + "/credential"
	for name, c := range map[string]struct{ content, want string }{
		"wrong password": {rabbittest.User + ":wrong", "username or password not allowed"},
		"nonsense":       {"nonsense", "want one line USER:PASSWORD"},
	} {
		if err := writeFile(file, c.content); err != nil {
			t.Fatal(err)
		}
		o, _ := fresh(t, func(o *Options) { o.Endpoint.CredentialFile = file })
		_, err := o.Hello(t.Context(), nil)
		wants(t, err, output.Denied, c.want)
		if strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: the error repeats the password: %v", name, err)
		}
	}
	o, _ := fresh(t, func(o *Options) { o.Endpoint.URL += "/nowhere" })
	_, err := o.Hello(t.Context(), nil)
	wants(t, err, output.Denied, "nowhere")
}

// A queue that is full refuses; what was refused is not stored.
func fullQueue(t *testing.T, b *rabbittest.Broker, fresh factory) {
	o, r := fresh(t, func(o *Options) { o.Config.Declare = false })
	name := r.topology.Queue(record.EventLog)
	r.on(func(ch *rabbitmq.Channel) error {
		if err := ch.ExchangeDeclare(r.topology.Exchange, "direct", true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare(name, true, false, false, false, rabbitmq.Table{"x-overflow": "reject-publish", "x-max-length": int32(1)}); err != nil {
			return err
		}
		return ch.QueueBind(name, "eventlog", r.topology.Exchange, false, nil)
	})
	hello(t, o)
	send(t, o, outputtest.Data(1, "a"))
	_, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(2, "b")})
	wants(t, err, output.Busy, name, "full")
	if got := r.Bodies(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("received %q", got)
	}
	send(t, o, outputtest.Data(2, "b"))
}

func overTLS(t *testing.T, b *rabbittest.Broker, fresh factory) {
	ca := fingerprint(t, b.Path("ca.pem"))
	for name, change := range map[string]func(*Options){
		"CA file": func(o *Options) { o.Endpoint = b.TLSEndpoint() },
		"CA file and fingerprint": func(o *Options) {
			o.Endpoint = b.TLSEndpoint()
			o.Endpoint.Trust.CAFingerprint = ca
		},
		"client certificate instead of a password": func(o *Options) {
			o.Endpoint = b.TLSEndpoint()
			o.Endpoint.CredentialFile = ""
			o.Endpoint.Trust.ClientCertFile, o.Endpoint.Trust.ClientKeyFile = b.Path("client.pem"), b.Path("client.key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, r := fresh(t, change)
			hello(t, o)
			send(t, o, outputtest.Data(1, "a"))
			if got := r.Bodies(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("received %q", got)
			}
		})
	}
	o, _ := fresh(t, func(o *Options) {
		o.Endpoint = b.TLSEndpoint()
		o.Endpoint.Trust.CAFile, o.Endpoint.Trust.CAFingerprint = "", strings.Repeat("ab", 32)
	})
	_, err := o.Hello(t.Context(), nil)
	wants(t, err, output.Unreachable, "fingerprint")
}

// A broker that accepts and then says nothing ends at the request's time.
func silentBroker(t *testing.T, b *rabbittest.Broker, fresh factory) {
	p := newProxy(t, b.Address())
	o, r := fresh(t, func(o *Options) { o.Endpoint.URL = "amqp://" + p.address() })
	hello(t, o)
	p.stall(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := o.Send(ctx, []spool.Frame{outputtest.Data(1, "a")})
	wants(t, err, output.Unreachable, "no confirm")
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = o.Hello(short, nil)
	wants(t, err, output.Unreachable, "deadline")
	p.stall(false)
	hello(t, o)
	send(t, o, outputtest.Data(1, "a"))
	if got := r.Bodies(); !slices.Contains(got, "a") {
		t.Errorf("received %q", got)
	}
}

// What was confirmed is there after the broker was killed.
func restart(t *testing.T, b *rabbittest.Broker, fresh factory) {
	o, r := fresh(t, nil)
	hello(t, o)
	send(t, o, outputtest.Data(1, "a"), outputtest.Data(2, "b"))
	b.Stop() // RabbitMQ 3.10 can lose the leader of a queue that was made a moment before a kill
	b.Up()
	hello(t, o)
	send(t, o, outputtest.Data(3, "c"))
	b.Kill()
	_, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(4, "d")})
	wants(t, err, output.Unreachable)
	_, err = o.Hello(t.Context(), nil)
	wants(t, err, output.Unreachable, "refused")
	b.Up()
	hello(t, o)
	send(t, o, outputtest.Data(4, "d"))
	if got := r.Bodies(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("received %q", got)
	}
}

// receiver reads the queues of a topology.
type receiver struct {
	t        *testing.T
	b        *rabbittest.Broker
	topology rabbit.Topology
	proxy    *proxy
	bodies   []string
}

// on does something on a connection of its own.
func (r *receiver) on(fn func(*rabbitmq.Channel) error) {
	r.t.Helper()
	c, err := rabbit.Dial(r.t.Context(), r.b.Endpoint())
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	ch, err := c.Channel()
	if err == nil {
		err = fn(ch)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *receiver) messages() (out []rabbitmq.Delivery) {
	r.t.Helper()
	r.on(func(ch *rabbitmq.Channel) error {
		for {
			m, ok, err := ch.Get(r.topology.Queue(record.EventLog), true)
			if err != nil || !ok {
				return err
			}
			out = append(out, m)
		}
	})
	return out
}

// Bodies implements outputtest.Receiver.
func (r *receiver) Bodies() []string {
	r.t.Helper()
	for _, m := range r.messages() {
		f, err := record.DecodeFrame(m.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, rec := range f.Records {
			r.bodies = append(r.bodies, rec.Body)
		}
	}
	return r.bodies
}

// Break implements outputtest.Receiver.
func (r *receiver) Break(n int) { r.proxy.breakNext(n) }

// proxy stands between an output and the broker.
type proxy struct {
	l      net.Listener
	target string

	mu      sync.Mutex
	breaks  int
	stalled bool
	conns   []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(&wg, c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) stall(on bool) { p.mu.Lock(); p.stalled = on; p.mu.Unlock() }

func (p *proxy) breakNext(n int) { p.mu.Lock(); p.breaks = n; p.mu.Unlock() }

func (p *proxy) serve(wg *sync.WaitGroup, c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	p.conns = append(p.conns, c, up)
	p.mu.Unlock()
	wg.Go(func() { _, _ = io.Copy(c, up); c.Close() })
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		stalled, broken := p.stalled, p.breaks > 0 && bytes.Contains(buf[:n], []byte("NF"))
		if broken {
			p.breaks--
		}
		p.mu.Unlock()
		switch {
		case broken:
			return
		case stalled: // swallowed
		default:
			if _, err := up.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func writeFile(path, content string) error { return os.WriteFile(path, []byte(content), 0o600) }

func fingerprint(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}
