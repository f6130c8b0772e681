package sink_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/remotewrite"
	"nocturne/eventbridge/sink/sinktest"
	"nocturne/eventbridge/sink/victorialogs"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

func TestKV(t *testing.T) {
	_, conn := streamtest.Server(t)
	n := 0
	sinktest.RunStore(t, func(t *testing.T) func() sink.Store {
		n++
		name := fmt.Sprint("sink", n)
		return func() sink.Store {
			s, err := sink.OpenKV(t.Context(), conn.JetStream(), name)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

// feeder appends heartbeats and events of some servers to a real stream.
type feeder struct {
	conn *stream.Conn
	mu   sync.Mutex
	next map[string]uint64
	ids  map[string]bool // every record
	beat map[string]bool // server@ms of every heartbeat
}

func (f *feeder) send(ctx context.Context, n int, c record.Category) error {
	id := server(n)
	f.mu.Lock()
	key := fmt.Sprint(id, c)
	first := f.next[key] + 1
	count := uint64(5)
	f.next[key] += count
	now := time.Now().Truncate(time.Millisecond)
	h := record.Header{
		Kind: record.FrameData, Producer: record.ExporterProducer(id), Subject: id, Category: c,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 5}}, First: first, Last: first + count - 1, Sent: now.UnixNano(),
	}
	recs := make([]record.Record, count)
	for i := range recs {
		at := now.Add(time.Duration(i) * time.Millisecond)
		recs[i] = record.Record{Time: at, Observed: at, Severity: record.Info, Name: record.NameWindowsEvent, Body: fmt.Sprint("event ", first+uint64(i))}
		if c == record.Heartbeat {
			recs[i].Name = record.NameHeartbeat
			f.beat[fmt.Sprint(id, "@", at.UnixMilli())] = true
		}
		f.ids[record.RecordID(&h, first+uint64(i))] = true
	}
	f.mu.Unlock()
	frame, err := record.EncodeData(h, recs)
	if err != nil {
		return err
	}
	b, err := stream.AppendEntry(nil, &stream.Entry{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Received: now.UnixNano(), Frame: frame}}})
	if err != nil {
		return err
	}
	_, err = f.conn.Append(ctx, stream.Partition(id), b)
	return err
}

// driven is one driver on a real sink, restarted as a new process would be.
type driven struct {
	t    *testing.T
	cfg  func() sink.Config
	drv  *sink.Driver
	stop func()
}

func (d *driven) start() {
	cfg := d.cfg()
	cfg.Holder, cfg.Reg = "b1", prometheus.NewRegistry()
	cfg.Trail, cfg.Checkpoint, cfg.MinWait, cfg.MaxWait = 8*time.Second, time.Second, 50*time.Millisecond, 500*time.Millisecond
	d.drv = sink.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.drv.Run(ctx) }()
	d.stop = func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	}
}

// TestStoresKilled sends for 40 seconds while the stores are killed with
// kill -9 and the drivers are restarted, and then counts: every record is in
// VictoriaLogs once, every heartbeat in VictoriaMetrics once.
func TestStoresKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 45 seconds; run without -short")
	}
	vm := sinktest.StartMetrics(t, "-inmemoryDataFlushInterval=1s")
	vl := sinktest.StartLogs(t, "-inmemoryDataFlushInterval=1s")
	_, conn := streamtest.Server(t)
	open := func(name string) sink.Store {
		s, err := sink.OpenKV(t.Context(), conn.JetStream(), name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	drivers := []*driven{
		{t: t, cfg: func() sink.Config {
			return sink.Config{Name: "vm", Stream: conn, Sink: remotewrite.New(remotewrite.Config{URL: vm.URL}), Store: open("vm"), Samples: true, Log: log}
		}},
		{t: t, cfg: func() sink.Config {
			return sink.Config{Name: "vl", Stream: conn, Sink: victorialogs.New(victorialogs.Config{URL: vl.URL}), Store: open("vl"), Ledger: true, Log: log}
		}},
	}
	for _, d := range drivers {
		d.start()
	}
	f := &feeder{conn: conn, next: map[string]uint64{}, ids: map[string]bool{}, beat: map[string]bool{}}
	rnd := rand.New(rand.NewPCG(1, 1))
	until := time.Now().Add(38 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; time.Now().Before(until); i++ {
		c := record.EventLog
		if i%3 == 0 {
			c = record.Heartbeat
		}
		if err := f.send(t.Context(), rnd.IntN(40), c); err != nil {
			t.Fatal(err)
		}
		<-tick.C
		if i%540 != 539 {
			continue
		}
		for k, s := range []*sinktest.Server{vm, vl} {
			switch rnd.IntN(3) {
			case 0:
				s.Kill()
				s.Start()
			case 1:
				drivers[k].stop()
				s.Kill()
				drivers[k].start()
				s.Start()
			case 2:
				drivers[k].stop()
				drivers[k].start()
			}
		}
	}
	vl.Kill() // once more, right at the end
	vl.Start()
	settled(t, drivers[0].drv, vm.URL, func(ctx context.Context) error { return beatsOnce(ctx, vm.URL, f.beat) })
	settled(t, drivers[1].drv, vl.URL, func(ctx context.Context) error { return rowsOnce(ctx, vl.URL, f.ids) })
	for _, d := range drivers {
		st := d.drv.Status()
		d.stop()
		if st.Name == "vl" && (st.Ledger.Received != uint64(len(f.ids)) || st.Ledger.Missing+st.Ledger.Duplicate != 0) {
			t.Errorf("ledger %+v after %d records", st.Ledger, len(f.ids))
		}
		if st.Saved == (sink.Positions{}) {
			t.Errorf("%s never saved a position: the test shows less than it says", st.Name)
		}
	}
}

// settled waits until the driver is at the stream's head and the check holds.
func settled(t *testing.T, d *sink.Driver, base string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := sinktest.Poll(ctx, func() error {
		s := d.Status()
		for i := range s.Heads {
			if s.Positions[i].Entry < s.Heads[i].Entry {
				return fmt.Errorf("partition %d at %d of %d", i, s.Positions[i].Entry, s.Heads[i].Entry)
			}
		}
		resp, err := http.Get(base + "/internal/force_flush")
		if err != nil {
			return err
		}
		resp.Body.Close()
		return check(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}

// lines calls fn with every line of an answer.
func lines(ctx context.Context, url string, fn func([]byte) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	return sc.Err()
}

func once(have map[string]int, want map[string]bool) error {
	missing, extra := 0, 0
	for id := range want {
		switch n := have[id]; {
		case n == 0:
			missing++
		case n > 1:
			extra++
		}
	}
	if missing > 0 || extra > 0 || len(have) != len(want) {
		return fmt.Errorf("of %d there are %d: %d missing, %d more than once", len(want), len(have), missing, extra)
	}
	return nil
}

func rowsOnce(ctx context.Context, base string, want map[string]bool) error {
	have := map[string]int{}
	err := lines(ctx, base+"/select/logsql/query?query="+url.QueryEscape("* | fields record_id"), func(b []byte) error {
		var row struct {
			ID string `json:"record_id"`
		}
		err := json.Unmarshal(b, &row)
		have[row.ID]++
		return err
	})
	if err != nil {
		return err
	}
	return once(have, want)
}

func beatsOnce(ctx context.Context, base string, want map[string]bool) error {
	have := map[string]int{}
	err := lines(ctx, base+"/api/v1/export?match[]=nocturne_heartbeat_timestamp_seconds", func(b []byte) error {
		var s struct {
			Metric     map[string]string `json:"metric"`
			Timestamps []int64           `json:"timestamps"`
		}
		err := json.Unmarshal(b, &s)
		for _, ms := range s.Timestamps {
			have[fmt.Sprint(s.Metric["server_id"], "@", ms)]++
		}
		return err
	})
	if err != nil {
		return err
	}
	return once(have, want)
}
