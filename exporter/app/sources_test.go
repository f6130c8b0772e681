package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Every source of the configuration can be built a second time while the first
// one hangs.
func TestEverySourceCanBeBuiltAnew(t *testing.T) {
	o := options(t)
	o.Config = everything(o.Config)
	o.Sources = nil
	a, err := bare(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.spool.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := a.makeSources(); err != nil {
		t.Fatal(err)
	}
	if len(a.sources) < 6 {
		t.Errorf("%d sources", len(a.sources))
	}
	for _, s := range a.sources {
		fresh, err := a.renew(s.Name())
		if err != nil || fresh == s || fresh.Name() != s.Name() || fresh.Category() != s.Category() {
			t.Errorf("%s: %v, %v", s.Name(), fresh, err)
		}
	}
	if _, err := a.renew("none"); err == nil {
		t.Error("a source that is not there was built")
	}
}

// A source that hangs and cannot be built anew ends the exporter in good order:
// what there is to say is delivered, and the next start finds everything.
func TestASourceThatHangsEndsTheExporterInGoodOrder(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	release := make(chan struct{})
	defer close(release)
	heard := func() bool { // what the other sources have to say
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.records) >= 3
	}
	o.Sources = append(o.Sources, source.Scheduled(deaf{heard, release}, source.Schedule{Period: 200 * time.Millisecond, Deadline: 200 * time.Millisecond}))
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); !errors.Is(err, source.ErrHung) {
		t.Errorf("ended with %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var bodies []string
	for _, r := range b.records {
		bodies = append(bodies, r.body)
	}
	said := strings.Join(bodies, "\n")
	if !strings.Contains(said, "source deaf: hangs and is given up: no end 600ms after its deadline") || b.records[len(b.records)-1].name != record.NameGoodbye || !strings.Contains(said, "e2") {
		t.Errorf("the bridge heard\n%s", said)
	}
	if b.ledger.Totals().Missing != 0 {
		t.Errorf("%+v", b.ledger.Totals())
	}
}

// deaf hangs whatever its context says, once the others were heard.
type deaf struct {
	heard   func() bool
	release chan struct{}
}

func (deaf) Name() string              { return "deaf" }
func (deaf) Category() record.Category { return record.Hardware }

func (d deaf) Collect(context.Context) ([]record.Record, error) {
	if d.heard() {
		<-d.release
	}
	return nil, nil
}
