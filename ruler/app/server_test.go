package app

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlowRequestBodiesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		l := &oneConn{conn: conn, closed: make(chan struct{})}
		took := make(chan time.Duration, 1)
		server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			_, err := io.ReadAll(r.Body)
			if err == nil {
				t.Error("half a body was taken for a whole one")
			}
			took <- time.Since(began)
			w.WriteHeader(http.StatusRequestTimeout)
		}))
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s, %v", res.Status, err)
		}
		if d := <-took; d > 30*time.Second {
			t.Errorf("held for %s", d)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("the server ended without a reason")
		}
		_ = client.Close()
	})
}

// oneConn is a listener with a single connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error { close(l.closed); return nil }

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
