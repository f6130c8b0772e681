package stream_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strconv"
	"testing"

	"nocturne/internal/stream"
)

// A reader that was out of reach while the volume was lost, and comes back when
// the new one has grown past its place, is told so: entry 4 of another life does
// not follow entry 3 of this one.
func TestReadMeetsALargerVolume(t *testing.T) {
	old, fresh := t.TempDir(), t.TempDir()
	for _, role := range stream.Roles() {
		if err := os.WriteFile(stream.TokenFile(old, role), []byte("a token that is long enough for both of them\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(stream.TokenFile(fresh, role), []byte("a token that is long enough for both of them\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(dir string, port int) (*stream.Server, *stream.Conn) {
		t.Helper()
		s, err := stream.NewServer(stream.ServerConfig{Dir: dir, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		c, err := stream.Connect(stream.Config{URL: s.URL(), Role: stream.RoleBridge, TokenFile: stream.TokenFile(dir, stream.RoleBridge)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if err := c.CreateStreams(t.Context(), stream.StreamsConfig{MaxBytes: 1 << 30}); err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	fill := func(c *stream.Conn, n int) {
		t.Helper()
		for range n {
			if _, err := c.Append(t.Context(), 0, []byte("entry")); err != nil {
				t.Fatal(err)
			}
		}
	}
	next, c := serve(fresh, 0)
	fill(c, 9)
	next.Close()
	first, c := serve(old, 0)
	fill(c, 3)
	got := make(chan stream.Message, 100)
	failed := make(chan error, 1)
	go func() {
		failed <- c.Read(t.Context(), 0, stream.Position{}, func(m stream.Message) error { got <- m; return nil })
	}()
	for range 3 {
		<-got
	}
	u, err := url.Parse(first.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	serve(fresh, port)
	select {
	case m := <-got:
		t.Errorf("after entry 3 of the old life it read entry %d of the new one", m.Position.Entry)
	case err := <-failed:
		if !errors.Is(err, stream.ErrIncarnation) {
			t.Errorf("reading ended with %v", err)
		}
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}
