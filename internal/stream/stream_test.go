package stream_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

func TestPartitionIsFrozen(t *testing.T) {
	// Another answer for the same id would move live servers to other partitions.
	for id, want := range map[string]int{
		"00000000000000000000000000000001": 2,
		"000102030405060708090a0b0c0d0e0f": 5,
		"ffffffffffffffffffffffffffffffff": 5,
	} {
		s, err := record.ParseID(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.Partition(s); got != want {
			t.Errorf("Partition(%s) = %d, want %d", id, got, want)
		}
	}
	var n [stream.Partitions]int
	r := rand.New(rand.NewPCG(1, 2))
	for range 16000 {
		var id record.ID
		for i := range id {
			id[i] = byte(r.Uint32())
		}
		n[stream.Partition(id)]++
	}
	for p, c := range n {
		if c < 800 || c > 1200 {
			t.Errorf("partition %d got %d of 16000 random subjects", p, c)
		}
	}
}

func TestEntryRoundTrip(t *testing.T) {
	for _, e := range []stream.Entry{
		{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Wall: 12, Period: time.Second, Accepted: 7, ProbeOK: true}},
		{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Received: 5, Skew: -3, Frame: []byte("one")}, {Received: 6, Frame: []byte("two")}}},
	} {
		b, err := stream.AppendEntry([]byte("before"), &e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := stream.DecodeEntry(b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind != e.Kind || got.Bridge != e.Bridge || got.Tick != e.Tick || len(got.Frames) != len(e.Frames) {
			t.Fatalf("got %+v, want %+v", got, e)
		}
		for i := range e.Frames {
			if got.Frames[i].Received != e.Frames[i].Received || got.Frames[i].Skew != e.Frames[i].Skew || !bytes.Equal(got.Frames[i].Frame, e.Frames[i].Frame) {
				t.Errorf("frame %d: got %+v", i, got.Frames[i])
			}
		}
		for n := range len(b) - len("before") {
			if _, err := stream.DecodeEntry(b[len("before") : len("before")+n]); !errors.Is(err, record.ErrMalformed) {
				t.Errorf("%d bytes of an entry: %v, want ErrMalformed", n, err)
			}
		}
	}
}

func TestEntryLimits(t *testing.T) {
	big := stream.Entry{Kind: stream.EntryFrames, Bridge: "b", Frames: []stream.EntryFrame{{Frame: make([]byte, record.MaxPacked)}}}
	if _, err := stream.AppendEntry(nil, &big); err != nil {
		t.Errorf("the largest frame does not fit an entry: %v", err)
	}
	if got := stream.EntrySpace("b") + stream.FrameSpace(record.MaxPacked); got > record.MaxEntry {
		t.Errorf("the largest frame takes %d bytes, limit %d", got, record.MaxEntry)
	}
	big.Frames = append(big.Frames, big.Frames[0])
	if _, err := stream.AppendEntry(nil, &big); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("two of the largest frames: %v", err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []stream.Entry{
		{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Wall: 1, Period: time.Second}},
		{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Received: 5, Frame: []byte("one")}}},
	} {
		b, err := stream.AppendEntry(nil, &e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := stream.DecodeEntry(b)
		if err != nil {
			if !errors.Is(err, record.ErrMalformed) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := stream.AppendEntry(nil, &e)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("decodes, but does not encode to the same bytes: %v", err)
		}
	})
}

// TestReopen kills a server and opens its folder again: what was acknowledged
// is there, under the same incarnation; in an empty folder it is another one.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	open := func(dir string, port int) (*stream.Server, *stream.Conn) {
		s, err := stream.NewServer(stream.ServerConfig{Dir: dir, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		c, err := stream.Connect(stream.Config{URL: s.URL(), Role: stream.RoleBridge, TokenFile: stream.TokenFile(dir, stream.RoleBridge)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CreateStreams(t.Context(), stream.StreamsConfig{}); err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	s, c := open(dir, 0)
	pos, err := c.Append(t.Context(), 1, []byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Close()
	s, c = open(dir, 0)
	head, err := c.Head(t.Context(), 1)
	if err != nil || head != pos {
		t.Errorf("head after reopening: %v, %v; want %v", head, err, pos)
	}
	c.Close()
	s.Close()
	s, c = open(t.TempDir(), 0)
	defer s.Close()
	defer c.Close()
	if head, _ := c.Head(t.Context(), 1); head.Incarnation == pos.Incarnation || head.Entry != 0 {
		t.Errorf("an empty folder continues incarnation %v", head)
	}
}

// TestRulerReadsOnly holds the ruler's role to reading.
func TestRulerReadsOnly(t *testing.T) {
	dir := t.TempDir()
	s, err := stream.NewServer(stream.ServerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	connect := func(role stream.Role) *stream.Conn {
		c, err := stream.Connect(stream.Config{URL: s.URL(), Role: role, TokenFile: stream.TokenFile(dir, role)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	bridge, ruler := connect(stream.RoleBridge), connect(stream.RoleRuler)
	if err := bridge.CreateStreams(t.Context(), stream.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Append(t.Context(), 0, []byte("entry")); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	err = ruler.Read(t.Context(), 0, stream.Position{}, func(m stream.Message) error {
		if string(m.Data) != "entry" {
			t.Errorf("read %q", m.Data)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("ruler cannot read: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := ruler.Append(ctx, 0, []byte("forged")); err == nil {
		t.Error("the ruler's role may append")
	}
	if head, err := bridge.Head(t.Context(), 0); err != nil || head.Entry != 1 {
		t.Errorf("head %v, %v: a forged entry is in the stream", head, err)
	}
	if _, err := stream.Connect(stream.Config{URL: s.URL(), Role: stream.RoleBridge, TokenFile: stream.TokenFile(dir, stream.RoleRuler)}); err == nil {
		t.Error("the ruler's token opens the bridge's role")
	}
}

func BenchmarkAppend(b *testing.B) {
	_, c := streamtest.Server(b)
	entry := make([]byte, 16<<10)
	b.SetBytes(int64(len(entry)))
	for b.Loop() {
		if _, err := c.Append(b.Context(), 0, entry); err != nil {
			b.Fatal(err)
		}
	}
}
