// Package storetest holds the contract of store.Store as tests, which every
// implementation passes: storetest.Run(t, open), where open opens the same
// empty store each time it is called within one test.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// Open opens the store of one test; a second call reopens what the first one
// wrote, after it was closed.
type Open func(t *testing.T) store.Store

// Run runs the whole suite. fresh makes the Open of one test.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"ClaimRaisesTheEpoch", claimRaisesTheEpoch},
		{"CommitMovesThePosition", commitMovesThePosition},
		{"FencedCommitWritesNothing", fencedCommitWritesNothing},
		{"WorkingStateIsBaseAndDeltas", workingStateIsBaseAndDeltas},
		{"ServerPartsMerge", serverPartsMerge},
		{"ServerList", serverList},
		{"ServerDetail", serverDetail},
		{"ClonesAreLinesApart", clonesAreLinesApart},
		{"SnapshotsByContent", snapshotsByContent},
		{"ChangesPage", changesPage},
		{"ServerAsItWas", serverAsItWas},
		{"ModelAndUpdates", modelAndUpdates},
		{"RegisterOfServers", registerOfServers},
		{"DevicesAcrossServers", devicesAcrossServers},
		{"SerialsAcrossServers", serialsAcrossServers},
		{"TravelledParts", travelledParts},
		{"MovesOfBoth", movesOfBoth},
		{"ChangesOfASerial", changesOfASerial},
		{"NotificationsRoundTrip", notificationsRoundTrip},
		{"NotificationsFilter", notificationsFilter},
		{"FoldsAreTheFleetOperators", foldsAreTheFleetOperators},
		{"EvidenceIsBounded", evidenceIsBounded},
		{"Deliveries", deliveries},
		{"Outbox", outbox},
		{"Tokens", tokens},
		{"FirstAdmin", firstAdmin},
		{"SessionsEnd", sessionsEnd},
		{"AuditLog", auditLog},
		{"Deeds", deeds},
		{"DeskFilter", deskFilter},
		{"Earlier", earlier},
		{"Silences", silences},
		{"Feed", feed},
		{"Noise", noise},
		{"FactsInOrder", factsInOrder},
		{"SilentAndOverview", silentAndOverview},
		{"GroupsAsTheyWere", groupsAsTheyWere},
		{"PipelineSums", pipelineSums},
		{"RulesAreKeptWithVersions", rulesAreKeptWithVersions},
		{"GenerationsTakeEffectOnce", generationsTakeEffectOnce},
		{"PlannedWorkIsKeptWithVersions", plannedWorkIsKeptWithVersions},
		{"PruneKeepsWhatIsOpen", pruneKeepsWhatIsOpen},
		{"PruneLeavesNothingBehind", pruneLeavesNothingBehind},
		{"CancelledContextCommitsNothing", cancelledContextCommitsNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{t: t, open: fresh(t), at: map[int]place{}}
			f.Store = f.open(t)
			defer func() {
				if err := f.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.run(t, f)
		})
	}
}

type place struct {
	epoch uint64
	pos   store.Position
}

// fixture commits without the noise of positions.
type fixture struct {
	store.Store
	t    *testing.T
	open Open
	at   map[int]place
}

var ctx = context.Background()

// T0 is the start of every test's time.
var T0 = time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return T0.Add(d) }

func id(n byte) record.ID { return record.ID{15: n} }

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.Store = f.open(f.t)
	clear(f.at)
}

func (f *fixture) claim(p int) store.Claim {
	f.t.Helper()
	c, err := f.Claim(ctx, p, "test")
	if err != nil {
		f.t.Fatalf("claim: %v", err)
	}
	f.at[p] = place{c.Epoch, c.Position}
	return c
}

// next fills in epoch and positions of a commit one entry on.
func (f *fixture) next(c store.PartitionCommit) store.PartitionCommit {
	f.t.Helper()
	if _, ok := f.at[c.Partition]; !ok {
		f.claim(c.Partition)
	}
	p := f.at[c.Partition]
	c.Epoch, c.From = p.epoch, p.pos
	c.To = store.Position{Incarnation: "one", Entry: p.pos.Entry + 1}
	return c
}

func (f *fixture) commit(cs ...store.PartitionCommit) {
	f.t.Helper()
	for i := range cs {
		cs[i] = f.next(cs[i])
	}
	if err := f.Commit(ctx, cs); err != nil {
		f.t.Fatalf("commit: %v", err)
	}
	for _, c := range cs {
		f.at[c.Partition] = place{c.Epoch, c.To}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func claimRaisesTheEpoch(t *testing.T, f *fixture) {
	a := f.claim(3)
	if a.Position != (store.Position{}) || a.Base != nil || len(a.Deltas) != 0 || len(a.Servers) != 0 {
		t.Errorf("first claim is not empty: %+v", a)
	}
	b := f.claim(3)
	if b.Epoch != a.Epoch+1 {
		t.Errorf("epoch %d after %d, want one more", b.Epoch, a.Epoch)
	}
	f.reopen()
	if c := f.claim(3); c.Epoch != b.Epoch+1 {
		t.Errorf("epoch %d after reopening, want %d", c.Epoch, b.Epoch+1)
	}
	if c := f.claim(4); c.Epoch != a.Epoch {
		t.Errorf("another partition starts at epoch %d, want %d", c.Epoch, a.Epoch)
	}
}

func commitMovesThePosition(t *testing.T, f *fixture) {
	f.commit(store.PartitionCommit{Partition: 1, StreamTime: at(time.Second), Losses: store.StreamLosses{VolumeLost: 2}}, store.PartitionCommit{Partition: 2})
	f.commit(store.PartitionCommit{Partition: 1, Losses: store.StreamLosses{VolumeLost: 2}})
	f.reopen()
	c := f.claim(1)
	if want := (store.Position{Incarnation: "one", Entry: 2}); c.Position != want {
		t.Errorf("position %v, want %v", c.Position, want)
	}
	if c.Losses.VolumeLost != 2 {
		t.Errorf("losses %+v, want 2 volumes", c.Losses)
	}
	if c := f.claim(2); c.Position.Entry != 1 {
		t.Errorf("position of the other partition %v, want entry 1", c.Position)
	}
}

func fencedCommitWritesNothing(t *testing.T, f *fixture) {
	f.commit(store.PartitionCommit{Partition: 1}, store.PartitionCommit{Partition: 2})
	row := []store.ServerWrite{{ID: id(1), Partition: 1}}
	for _, c := range []struct {
		name string
		bend func(*store.PartitionCommit)
	}{
		{"old epoch", func(c *store.PartitionCommit) { c.Epoch-- }},
		{"entry behind", func(c *store.PartitionCommit) { c.From.Entry-- }},
		{"entry ahead", func(c *store.PartitionCommit) { c.From.Entry++ }},
		{"another incarnation", func(c *store.PartitionCommit) { c.From.Incarnation = "two" }},
		{"never claimed", func(c *store.PartitionCommit) { c.Partition = 9 }},
	} {
		good := f.next(store.PartitionCommit{Partition: 2, Servers: row})
		bad := f.next(store.PartitionCommit{Partition: 1, Servers: row, Delta: []byte("x")})
		c.bend(&bad)
		err := f.Commit(ctx, []store.PartitionCommit{good, bad})
		var fenced *store.FencedError
		if !errors.Is(err, store.ErrFenced) || !errors.As(err, &fenced) {
			t.Fatalf("%s: got %v, want ErrFenced", c.name, err)
		}
		if fenced.Partition != bad.Partition {
			t.Errorf("%s: blames partition %d, want %d", c.name, fenced.Partition, bad.Partition)
		}
	}
	// Another owner: the first one's next commit is refused.
	mine := f.next(store.PartitionCommit{Partition: 1, Servers: row})
	f.claim(1)
	if err := f.Commit(ctx, []store.PartitionCommit{mine}); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("commit of a former owner: got %v, want ErrFenced", err)
	}
	c := f.claim(1)
	if c.Position.Entry != 1 || len(c.Deltas) != 0 || len(c.Servers) != 0 {
		t.Errorf("a refused commit left %+v", c)
	}
	if c := f.claim(2); c.Position.Entry != 1 {
		t.Errorf("the partition merged with it moved to %v", c.Position)
	}
}

func workingStateIsBaseAndDeltas(t *testing.T, f *fixture) {
	f.commit(store.PartitionCommit{Partition: 1, Delta: []byte("a")}, store.PartitionCommit{Partition: 2, Delta: []byte("other")})
	f.commit(store.PartitionCommit{Partition: 1, Delta: []byte("b")})
	f.reopen()
	c := f.claim(1)
	if c.Base != nil || len(c.Deltas) != 2 || string(c.Deltas[0]) != "a" || string(c.Deltas[1]) != "b" {
		t.Fatalf("base %q, deltas %q; want none, a b", c.Base, c.Deltas)
	}
	f.commit(store.PartitionCommit{Partition: 1, Base: []byte("AB")})
	f.commit(store.PartitionCommit{Partition: 1, Delta: []byte("c")})
	c = f.claim(1)
	if string(c.Base) != "AB" || len(c.Deltas) != 1 || string(c.Deltas[0]) != "c" {
		t.Errorf("base %q, deltas %q; want AB, c", c.Base, c.Deltas)
	}
	if c := f.claim(2); len(c.Deltas) != 1 {
		t.Errorf("folding one partition touched another: %q", c.Deltas)
	}
}

func factsInOrder(t *testing.T, f *fixture) {
	f.commit(
		store.PartitionCommit{Partition: 1, Facts: []store.Fact{{Partition: 1, Kind: store.FactOverdue, At: at(1), Server: id(1), Site: "fra", Rack: "r1", Address: "192.0.2.7", Simulated: true}, {Partition: 1, Kind: store.FactSilent, At: at(2), Server: id(1), Notification: "n1"}}},
		store.PartitionCommit{Partition: 2, Facts: []store.Fact{{Partition: 2, Kind: store.FactBack, At: at(3), Server: id(2)}}})
	facts := must[[]store.Fact](t)(f.Facts(ctx, 0, 2))
	if len(facts) != 2 || facts[0].Kind != store.FactOverdue || facts[0].Server != id(1) || facts[0].Rack != "r1" || facts[0].Address != "192.0.2.7" || !facts[0].Simulated || !facts[0].At.Equal(at(1)) || facts[1].Notification != "n1" {
		t.Fatalf("facts %+v", facts)
	}
	rest := must[[]store.Fact](t)(f.Facts(ctx, facts[1].Seq, 10))
	if len(rest) != 1 || rest[0].Kind != store.FactBack || rest[0].Partition != 2 {
		t.Fatalf("facts after %d: %+v", facts[1].Seq, rest)
	}
	f.commit(store.PartitionCommit{Partition: store.FleetPartition, FactsDone: []uint64{facts[0].Seq, facts[1].Seq}})
	if got := must[[]store.Fact](t)(f.Facts(ctx, 0, 10)); len(got) != 1 || got[0].Seq != rest[0].Seq {
		t.Errorf("after they were done: %+v", got)
	}
	f.commit(store.PartitionCommit{Partition: store.FleetPartition, FactsDone: []uint64{rest[0].Seq}})
	f.reopen()
	f.commit(store.PartitionCommit{Partition: 1, Facts: []store.Fact{{Kind: store.FactGone, Server: id(3)}}})
	if got := must[[]store.Fact](t)(f.Facts(ctx, rest[0].Seq, 10)); len(got) != 1 || got[0].Kind != store.FactGone {
		t.Errorf("numbers went back after all facts were done: %+v", got)
	}
}

func pipelineSums(t *testing.T, f *fixture) {
	one := store.LedgerTotals{Received: 10, Duplicate: 2, Late: 1, Declared: 3, Missing: 4, Rejected: 5, Sequences: 6}
	f.commit(store.PartitionCommit{Partition: 1, Ledger: one, StreamTime: at(time.Minute), Clock: at(time.Second), Frozen: "no ticks", Losses: store.StreamLosses{LogTruncated: 7}},
		store.PartitionCommit{Partition: 0, Ledger: one})
	f.commit(store.PartitionCommit{Partition: store.FleetPartition}, store.PartitionCommit{Partition: store.MetricPartition, Ledger: one})
	p := must[store.Pipeline](t)(f.Pipeline(ctx))
	if p.Ledger != one.Add(one) {
		t.Errorf("ledger %+v, want twice %+v", p.Ledger, one)
	}
	if len(p.Partitions) != 2 || p.Partitions[0].Partition != 0 {
		t.Fatalf("partitions %+v, want 0 and 1", p.Partitions)
	}
	got := p.Partitions[1]
	if got.Frozen != "no ticks" || !got.StreamTime.Equal(at(time.Minute)) || !got.Clock.Equal(at(time.Second)) || got.Losses.LogTruncated != 7 || got.Owner != "test" || got.Position.Entry != 1 {
		t.Errorf("partition %+v", got)
	}
	if p.Bytes <= 0 {
		t.Errorf("%d bytes on disk", p.Bytes)
	}
}

func cancelledContextCommitsNothing(t *testing.T, f *fixture) {
	c := f.next(store.PartitionCommit{Partition: 1, Delta: []byte("x")})
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.Commit(gone, []store.PartitionCommit{c}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if err := f.Commit(ctx, []store.PartitionCommit{c}); err != nil {
		t.Fatalf("the same commit afterwards: %v", err)
	}
}
