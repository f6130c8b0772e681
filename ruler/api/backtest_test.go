package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nocturne/internal/stream"
)

// slowLog is a past that is read for as long as a test likes.
type slowLog struct {
	stream.Log
	asked  chan struct{} // a run has begun to read
	answer chan struct{} // closed: it goes on
	ended  chan error    // why it did not
}

func (l *slowLog) First(ctx context.Context, partition int) (stream.Position, error) {
	if partition == 0 {
		l.asked <- struct{}{}
		select {
		case <-l.answer:
		case <-ctx.Done():
			l.ended <- ctx.Err()
			return stream.Position{}, ctx.Err()
		}
	}
	return l.Log.First(ctx, partition)
}

// slowly serves an API whose past is read slowly, with the limits of a server
// that is short of time: a run has to outlive them.
func slowly(t *testing.T) (*slowLog, string) {
	log := &slowLog{asked: make(chan struct{}, 9), answer: make(chan struct{}), ended: make(chan error, 9)}
	b := newBench(t, func(c *Config) {
		log.Log, c.Past.Stream, c.lineEvery = c.Past.Stream, log, 50*time.Millisecond
	})
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout, server.Config.IdleTimeout = 2*time.Second, 2*time.Second, time.Minute
	server.Start()
	t.Cleanup(server.Close)
	return log, server.URL
}

func try(ctx context.Context, t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "POST", url+Prefix+"/rules/backtest", strings.NewReader(`{"id":"disk-bad-block"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestBacktestOutlivesTheServersLimits(t *testing.T) {
	log, url := slowly(t)
	res := try(t.Context(), t, url)
	<-log.asked
	lines := bufio.NewScanner(res.Body)
	begun := time.Now()
	for n := 0; n < 5 || time.Since(begun) < 2500*time.Millisecond; n++ { // silent, but for saying that it is there
		var l BacktestLine
		if !lines.Scan() {
			t.Fatalf("broke off after %d lines: %v", n, lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || len(l.Progress) != 1 || l.Progress[0].Partitions != stream.Partitions {
			t.Fatalf("line %d: %s %v", n, lines.Bytes(), err)
		}
	}
	close(log.answer)
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	var l BacktestLine
	if err := json.Unmarshal([]byte(last), &l); err != nil || len(l.Result) != 1 || lines.Err() != nil {
		t.Errorf("the last line is %q, %v %v", last, err, lines.Err())
	}
}

func TestBacktestOneAtATime(t *testing.T) {
	log, url := slowly(t)
	ctx, hangUp := context.WithCancel(t.Context())
	try(ctx, t, url)
	<-log.asked
	res := try(t.Context(), t, url)
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(body), "another rule is being tried") {
		t.Errorf("a second run: %d %s %v", res.StatusCode, body, err)
	}
	hangUp()
	if err := <-log.ended; err == nil {
		t.Error("it went on after the caller hung up")
	}
	// Its place is free again, soon: a run ends between two records.
	close(log.answer)
	for tries := 0; ; tries++ {
		res := try(t.Context(), t, url)
		body, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode == http.StatusOK && strings.Contains(string(body), `"rule_id":"disk-bad-block"`) {
			break
		}
		if tries == 3000 {
			t.Fatalf("after the first was given up: %d %s %v", res.StatusCode, body, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
