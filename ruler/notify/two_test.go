package notify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/ruler/notify"
)

// byHost hands requests to the Alertmanager of that name.
type byHost map[string]*manager

func (b byHost) RoundTrip(req *http.Request) (*http.Response, error) {
	return b[req.URL.Hostname()].RoundTrip(req)
}

// While one of two Alertmanagers is away for hours, the other one is told as if
// nothing were. The one that comes back hears the end of what it knew, what fires
// now, and of what came and went in between its beginning and its end: nothing is
// lost, and to neither one anything is told as firing that is over.
func TestOneOfTwoIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newManager := func() *manager {
			return &manager{t: t, started: "1", quiet: silenced{list: map[string]models.PostableSilence{}}}
		}
		near, far := newManager(), newManager()
		r := &rig{src: &memory{rows: map[string]notify.Notification{}, accepted: map[string][]notify.Delivery{}}, hush: &hush{}, reg: prometheus.NewRegistry(), log: &bytes.Buffer{}}
		s, err := notify.NewSender(notify.Options{Config: notify.Config{Targets: []string{"http://near:9093", "http://far:9093"}}, Source: r.src, Silences: r.hush,
			Transport: byHost{"near": near, "far": far}, Registerer: r.reg, Log: slog.New(slog.NewTextHandler(r.log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		r.sender = s
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		known := r.open("known")
		time.Sleep(time.Minute)
		far.set(func() { far.down = errors.New("connection refused") })
		began := time.Now()
		r.close(known)
		between := r.open("between")
		stays := r.open("stays")
		time.Sleep(10 * time.Minute)
		r.close(between)
		time.Sleep(5 * time.Hour)
		if last := func(id string) told { all := near.of(id, began); return all[len(all)-1] }; last("known").firing() || last("between").firing() || !last("stays").firing() {
			t.Error("the one that is there was told otherwise while the other one is away")
		}
		if all := near.of("known", began.Add(20*time.Minute)); len(all) > 0 {
			t.Errorf("the one that is there is told %d times more of an end that the other one has not heard", len(all))
		}
		posts := near.requests()
		far.set(func() { far.down = nil })
		back := time.Now()
		time.Sleep(10 * time.Minute)
		if got := far.of("known", back); len(got) == 0 || got[0].firing() {
			t.Errorf("the end of what it knew: %+v", got)
		}
		if got := far.of(stays.ID, back); len(got) == 0 || !got[0].firing() {
			t.Errorf("what fires: %+v", got)
		}
		got := far.of("between", back)
		for i, a := range got {
			if i > 0 && a.firing() {
				t.Errorf("told as firing again: %+v", got)
			}
		}
		if len(got) < 2 || !got[0].firing() {
			t.Errorf("of what came and went in between it was told %+v", got)
		}
		for _, id := range []string{"known", "between"} {
			for _, a := range near.of(id, back) {
				t.Errorf("the one that was there is told of %s again: %+v", id, a)
			}
		}
		if n := near.requests() - posts; n > 12 {
			t.Errorf("%d requests to the one that was there in ten minutes", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
