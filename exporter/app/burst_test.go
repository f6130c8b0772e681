//go:build unix

package app

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/exporter/source/winlog"
)

// A stand-in for Windows' event log: channels that something writes to, each
// with room for so many events, the oldest of which it overwrites as Windows
// does. Only the event log is a stand-in; source, spool and output are real.
const (
	burstChannels = 4
	burstRoom     = 40_000 // events of about 500 bytes in a log of 20 MiB, as System has it
)

type burstLog struct {
	mu     sync.Mutex
	first  map[string]uint64 // oldest record
	last   map[string]uint64
	wakers map[string]chan struct{}
	text   map[string][2]string // an event, before and behind its number
}

func newBurstLog() (*burstLog, []winlog.Channel) {
	l := &burstLog{first: map[string]uint64{}, last: map[string]uint64{}, wakers: map[string]chan struct{}{}, text: map[string][2]string{}}
	var channels []winlog.Channel
	for i := range burstChannels {
		name := fmt.Sprint("Burst-", i)
		channels = append(channels, winlog.Channel{Name: name})
		l.first[name], l.wakers[name] = 1, make(chan struct{}, 1)
		l.text[name] = [2]string{
			`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='storahci'/><EventID>129</EventID><Version>0</Version><Level>3</Level><Keywords>0x80000000000000</Keywords><TimeCreated SystemTime='2026-01-02T03:04:05.1234567Z'/><EventRecordID>`,
			`</EventRecordID><Channel>` + name + `</Channel><Computer>db7.example.org</Computer></System><EventData><Data>\Device\RaidPort0</Data><Data Name='LogicalBlock'>0x1a2b3c</Data><Data Name='Status'>0</Data></EventData></Event>`,
		}
	}
	return l, channels
}

// write adds n events to a channel.
func (l *burstLog) write(channel string, n int) {
	l.mu.Lock()
	l.last[channel] += uint64(n)
	if l.last[channel] > burstRoom {
		l.first[channel] = max(l.first[channel], l.last[channel]-burstRoom+1)
	}
	l.mu.Unlock()
	select {
	case l.wakers[channel] <- struct{}{}:
	default: // rung already
	}
}

func (l *burstLog) Kept(channel string) (oldest, count uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first[channel], l.last[channel] - l.first[channel] + 1, nil
}

func (l *burstLog) Subscribe(ch winlog.Channel, from winlog.Start) (winlog.Subscription, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &burstSubscription{log: l, channel: ch.Name, at: l.last[ch.Name]}
	if _, rest, ok := strings.Cut(from.Bookmark, "RecordId='"); ok {
		number, _, _ := strings.Cut(rest, "'")
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil || n < l.first[ch.Name] {
			return nil, winlog.ErrBookmarkLost
		}
		s.at = n
	}
	return s, nil
}

type burstSubscription struct {
	log     *burstLog
	channel string
	at      uint64
}

func (s *burstSubscription) Close() error { return nil }

func (s *burstSubscription) Next(ctx context.Context, n int) (winlog.Batch, error) {
	for {
		s.log.mu.Lock()
		from, to := max(s.at+1, s.log.first[s.channel]), s.log.last[s.channel]
		s.log.mu.Unlock()
		if from <= to {
			return s.batch(from, min(to, from+uint64(n)-1)), nil
		}
		select {
		case <-ctx.Done():
			return winlog.Batch{}, ctx.Err()
		case <-s.log.wakers[s.channel]:
		}
	}
}

func (s *burstSubscription) batch(from, to uint64) winlog.Batch {
	text := s.log.text[s.channel]
	b := winlog.Batch{Bookmark: fmt.Sprintf("<BookmarkList><Bookmark Channel='%s' RecordId='%d' IsCurrent='true'/></BookmarkList>", s.channel, to)}
	for id := from; id <= to; id++ {
		b.Events = append(b.Events, winlog.Event{XML: text[0] + strconv.FormatUint(id, 10) + text[1], Message: "Reset to device, \\Device\\RaidPort0, was issued."})
	}
	s.at = to
	return b
}

// BenchmarkBurst writes b.N events at 10,000 a second into four channels and
// takes them through source, spool and output to a bridge in the same process
// that only counts. For a burst of a minute: -benchtime 600000x. It fails if one
// event is missing or comes twice.
func BenchmarkBurst(b *testing.B) {
	var taken atomic.Int64
	srv := httptest.NewServer(counter(&taken))
	defer srv.Close()
	c := optionsTo(b, srv.URL)
	log, channels := newBurstLog()
	m, err := winlog.NewMetrics(nil, channels)
	if err != nil {
		b.Fatal(err)
	}
	src := winlog.New(winlog.Options{Config: winlog.Config{Enabled: true, Channels: channels}, API: log, Metrics: m})
	c.Sources = []source.Source{src}
	a, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	log.write(channels[0].Name, 0)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 50 { // until all are subscribed
		<-tick.C
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	began, written, behind := time.Now(), 0, int64(0)
	for written < b.N {
		<-tick.C
		due := min(b.N, int(time.Since(began).Seconds()*10_000))
		for i, ch := range channels {
			share := (due-written)/burstChannels + b2i(i < (due-written)%burstChannels)
			log.write(ch.Name, share)
		}
		written = due
		behind = max(behind, int64(written)-taken.Load())
	}
	for taken.Load() < int64(b.N) && time.Since(began) < time.Minute+time.Duration(b.N)*time.Second/5000 {
		<-tick.C
	}
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	if got := taken.Load() - 1; got != int64(b.N) { // the goodbye
		b.Errorf("%d records arrived of %d events", got, b.N)
	}
	cpu := spent(&after) - spent(&before)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/cpu.Seconds(), "events/cpu-s")
	b.ReportMetric(float64(behind), "max-behind")
	b.ReportMetric(float64(after.Maxrss)/1024, "max-MiB")
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
