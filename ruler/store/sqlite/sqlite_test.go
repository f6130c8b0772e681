package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
	"nocturne/ruler/store/storetest"
)

func config(t testing.TB) sqlite.Config {
	// A name with everything that means something in a URL.
	return sqlite.Config{Path: filepath.Join(t.TempDir(), "a b%20?#", "ruler.db"), Partitions: 16, Hash: "fnv32a/1024"}
}

func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Open {
		cfg := config(t)
		return func(t *testing.T) store.Store { return open(t, cfg) }
	})
}

func TestAnotherLayoutIsRefused(t *testing.T) {
	cfg := config(t)
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Partitions = 64
	if _, err := sqlite.Open(context.Background(), cfg); !errors.Is(err, store.ErrMismatch) {
		t.Fatalf("got %v, want ErrMismatch", err)
	}
}

// The figure: the list of 10,000 servers at p95 <= 100 ms.
func BenchmarkServerList10k(b *testing.B) {
	s := open(b, config(b))
	defer s.Close()
	fill(b, s, 10_000)
	queries := []store.ServerQuery{{}, {Sort: store.ByName, Offset: 5000}, {Text: "srv-00099"}, {Site: "site-3"}, {Sort: store.ByLastSeen, Reverse: true}, {Text: "windows", Offset: 9900}}
	var took []time.Duration
	for b.Loop() {
		for _, q := range queries {
			start := time.Now()
			p, err := s.Servers(context.Background(), q)
			if err != nil || len(p.Servers) == 0 {
				b.Fatalf("%+v: %d servers, %v", q, len(p.Servers), err)
			}
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}

func fill(b *testing.B, s *sqlite.Store, n int) {
	b.Helper()
	ctx := context.Background()
	c, err := s.Claim(ctx, 0, "bench")
	if err != nil {
		b.Fatal(err)
	}
	commit := store.PartitionCommit{Epoch: c.Epoch, To: store.Position{Incarnation: "x", Entry: 1}}
	t0 := time.Unix(1_800_000_000, 0)
	for i := range n {
		id := record.ID{byte(i >> 8), byte(i), 7}
		commit.Servers = append(commit.Servers, store.ServerWrite{ID: id,
			Labels: &store.ServerLabels{Name: fmt.Sprintf("srv-%05d", i), Site: fmt.Sprintf("site-%d", i%7), Rack: fmt.Sprintf("rack-%d", i%200), Role: "hypervisor", Owner: "team"},
			Facts:  &store.ServerFacts{OSName: "Windows Server 2022 Standard", OSType: "windows", OSVersion: "10.0.20348", OSBuild: "20348.2340", ExporterVersion: "0.1.0", ReportedName: fmt.Sprintf("SRV-%05d", i)},
			State:  &store.StateWrite{State: store.StateUp, Since: t0}, Seen: &store.SeenWrite{At: t0.Add(time.Duration(i*7919%n) * time.Second)}})
		if i%50 == 0 {
			commit.Notifications = append(commit.Notifications, store.Notification{ID: fmt.Sprintf("%016x", i), Server: id, State: store.Firing, Severity: "critical", Opened: t0, Changed: t0})
		}
	}
	if err := s.Commit(ctx, []store.PartitionCommit{commit}); err != nil {
		b.Fatal(err)
	}
}

// The store holds hashes of passwords and sessions: nobody else reads it, nor its log.
func TestOnlyTheOwnerReadsTheFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows: the folder's rights are the file's")
	}
	path := filepath.Join(t.TempDir(), "ruler.db")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Partitions: 16, Hash: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", filepath.Base(name), info, err)
		}
	}
}
