// Package rabbittest runs a real RabbitMQ for tests: the one of the system's
// package, as a node of its own in a temporary folder, on free ports, with its
// own epmd, cookie and certificates. It is ended with the test.
//
// Where there is none the test is skipped and says NOT RUN; deploy/test
// installs it (apt-get install rabbitmq-server).
package rabbittest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/internal/freeport"
	"nocturne/internal/rabbit"
	"nocturne/internal/trust"
)

// User and Password are those of the broker's only user; the client
// certificate is of the same user.
const (
	User     = "nocturne"
	Password = "not-a-secret"
)

const (
	startTime = 5 * time.Minute // a busy machine took two
	stopTime  = 2 * time.Minute
)

// Broker is a running RabbitMQ.
type Broker struct {
	t             testing.TB
	dir           string
	port, tlsPort int
	dist, epmd    int
	node          *process
	epmdProcess   *process
}

// process is a child with everything that it started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	out  *bytes.Buffer // read after done
}

func programs() (server, epmd string, err error) {
	// The wrapper in the path would become the user rabbitmq and its folders.
	server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(server); err != nil {
		return "", "", err
	}
	epmd, err = exec.LookPath("epmd")
	return server, epmd, err
}

// Start starts a broker, or skips the test.
func Start(t testing.TB) *Broker {
	t.Helper()
	if _, _, err := programs(); err != nil {
		t.Skipf("NOT RUN: no RabbitMQ here (apt-get install rabbitmq-server): %v", err)
	}
	if !supported {
		t.Skip("NOT RUN: RabbitMQ is started on Linux only")
	}
	b := &Broker{t: t, dir: t.TempDir()}
	ports, err := freeport.Find(4)
	if err != nil {
		t.Fatal(err)
	}
	b.port, b.tlsPort, b.dist, b.epmd = ports[0], ports[1], ports[2], ports[3]
	b.configure()
	t.Cleanup(func() {
		b.end(b.node)
		b.end(b.epmdProcess)
		killStrays("HOME=" + b.dir)
		if t.Failed() && b.node != nil {
			t.Logf("the broker's last words:\n%s", tail(b.node.out.String(), 30))
		}
	})
	_, epmd, _ := programs()
	b.epmdProcess = b.start(epmd, "-port", strconv.Itoa(b.epmd), "-address", "127.0.0.1")
	b.Up()
	return b
}

func (b *Broker) configure() {
	b.certificates()
	conf := fmt.Sprintf(`default_user = %s
default_pass = %s
listeners.tcp.1 = 127.0.0.1:%d
listeners.ssl.1 = 127.0.0.1:%d
ssl_options.cacertfile = %[5]s/ca.pem
ssl_options.certfile = %[5]s/server.pem
ssl_options.keyfile = %[5]s/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
disk_free_limit.absolute = 1MB
`, User, Password, b.port, b.tlsPort, b.dir)
	b.write("rabbit.conf", []byte(conf))
	b.write("plugins", []byte("[rabbitmq_auth_mechanism_ssl].\n"))
	b.write("credential", []byte(User+":"+Password+"\n"))
}

func (b *Broker) write(name string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *Broker) env() []string {
	return append(os.Environ(),
		"HOME="+b.dir, "RABBITMQ_NODENAME=n"+strconv.Itoa(b.port)+"@localhost", "RABBITMQ_DIST_PORT="+strconv.Itoa(b.dist),
		"RABBITMQ_MNESIA_BASE="+b.dir+"/db", "RABBITMQ_LOG_BASE="+b.dir+"/log", "RABBITMQ_LOGS=-", "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE="+b.dir+"/rabbit", "RABBITMQ_GENERATED_CONFIG_DIR="+b.dir+"/generated", "RABBITMQ_ENABLED_PLUGINS_FILE="+b.dir+"/plugins",
		"ERL_EPMD_PORT="+strconv.Itoa(b.epmd), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 -setcookie nocturne -kernel inet_dist_use_interface {127,0,0,1}")
}

func (b *Broker) start(name string, args ...string) *process {
	b.t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{}), out: &bytes.Buffer{}}
	p.cmd.Env, p.cmd.Dir = b.env(), b.dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		b.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // killed, as a rule
		close(p.done)
	}()
	return p
}

// Up starts the broker, if it does not run, and waits until it listens.
func (b *Broker) Up() {
	b.t.Helper()
	if b.node != nil {
		select {
		case <-b.node.done:
		default:
			return
		}
	}
	server, _, _ := programs()
	b.node = b.start(server)
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		e := b.Endpoint()
		c, err := rabbit.Dial(ctx, e)
		if err == nil {
			if err := c.Close(); err != nil {
				b.t.Errorf("close the first connection: %v", err)
			}
			return
		}
		select {
		case <-look.C:
		case <-b.node.done:
			b.t.Fatalf("the broker ended:\n%s", tail(b.node.out.String(), 30))
		case <-ctx.Done():
			b.t.Fatalf("the broker does not start: %v", err)
		}
	}
}

// Kill ends the broker as a power cut would end its process.
func (b *Broker) Kill() { b.end(b.node) }

// Stop ends the broker in order.
func (b *Broker) Stop() {
	b.t.Helper()
	terminate(b.node.cmd)
	select {
	case <-b.node.done:
	case <-time.After(stopTime):
		b.t.Errorf("the broker does not stop within %s", stopTime)
		b.end(b.node)
	}
}

func (b *Broker) end(p *process) {
	if p == nil {
		return
	}
	kill(p.cmd)
	<-p.done
}

// Address is where it listens without TLS.
func (b *Broker) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// Path returns a file of the broker: ca.pem, client.pem, client.key, credential.
func (b *Broker) Path(name string) string { return filepath.Join(b.dir, name) }

// Endpoint is the broker without TLS.
func (b *Broker) Endpoint() rabbit.Endpoint {
	return rabbit.Endpoint{URL: "amqp://" + b.Address(), CredentialFile: b.Path("credential"), Name: "test", Heartbeat: 10 * time.Second}
}

// TLSEndpoint is the broker with TLS.
func (b *Broker) TLSEndpoint() rabbit.Endpoint {
	e := b.Endpoint()
	e.URL = "amqps://127.0.0.1:" + strconv.Itoa(b.tlsPort)
	e.Trust = trust.Trust{CAFile: b.Path("ca.pem")}
	return e
}

// certificates makes a CA, a server's and a client's certificate.
func (b *Broker) certificates() {
	b.t.Helper()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	client := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: User},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	var caKey *ecdsa.PrivateKey
	for _, c := range []struct {
		name string
		cert *x509.Certificate
	}{{"ca", ca}, {"server", server}, {"client", client}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.t.Fatal(err)
		}
		if caKey == nil {
			caKey = key
		}
		c.cert.NotBefore, c.cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c.cert, ca, key.Public(), caKey)
		if err != nil {
			b.t.Fatal(err)
		}
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			b.t.Fatal(err)
		}
		b.write(c.name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		b.write(c.name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	}
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
