package engine

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

// A partition that claims anew does not always wait for its last commit. Where
// both are in one batch, the old one alone is fenced: without that the ruler
// would think that another one took over, and end.
func TestOldCommitFencesNotTheNewOne(t *testing.T) {
	w := newWorld(t)
	w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r1")
	w.run(testInterval)
	n, other := stream.Partition(w.sims[0].id), stream.Partition(w.sims[1].id)
	s := openStore(t)
	read := func(n int) store.PartitionCommit {
		t.Helper()
		p, err := newDriver(t, w.log, s).part(n)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.log.Read(ctx, n, stream.Position(p.pos), func(m stream.Message) error { return errors.Join(p.apply(m), errCaughtUp) })
		return p.take(t0)
	}
	before, between, after := read(n), read(other), read(n)
	e, err := New(Config{Log: w.log, Store: s, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	var batch []request
	for _, c := range []*store.PartitionCommit{&after, &between, &before} {
		batch = append(batch, request{c, make(chan error, 1)})
	}
	answers := []chan error{batch[0].answer, batch[1].answer, batch[2].answer}
	e.committer.commit(ctx, batch)
	if err := <-answers[0]; err != nil {
		t.Errorf("the commit after the claim: %v", err)
	}
	if err := <-answers[1]; err != nil {
		t.Errorf("another partition's commit: %v", err)
	}
	if err := <-answers[2]; !errors.Is(err, store.ErrFenced) {
		t.Errorf("the commit before the claim: %v, want it fenced", err)
	}
}
