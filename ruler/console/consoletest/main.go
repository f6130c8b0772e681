// Command consoletest serves the page and the API over a fixed fleet, for the
// browser test and for looking at the page: go run ./ruler/console/consoletest.
// It prints its address and ends when its standard input does.
//
// Beside the fixed data it plays the neighbours: a bridge that makes join
// tokens, a demo receiver with messages, a simulator that writes down what it
// is asked, a metrics store; the bridge has changed the labels of sim-north-07 whenever somebody
// else wants to. Events are those of 40 days that never happened; /test/logs-away
// and logs-slow switch what the log store answers. With -servers N it serves a fleet of N servers from SQLite
// instead, of which -parts have their parts. POST /test/{fail,frozen,empty,full,dark} switches what the
// stores answer (dark is without the metrics store), /test/login asks everybody for a login (see people.go), /test/first
// has no users yet; GET /test/link makes the first admin's link then.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/api"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/backtest"
	"nocturne/ruler/chart"
	"nocturne/ruler/console"
	"nocturne/ruler/eventlog"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`address` to listen on")
	servers := flag.Int("servers", 0, "a large fleet of so many `servers` instead of the fixed one")
	parts := flag.Int("parts", 50, "`number` of servers of the large fleet that have parts; they take time to write")
	flag.Parse()
	if err := run(*listen, *servers, *parts); err != nil {
		fmt.Fprintln(os.Stderr, "consoletest:", err)
		os.Exit(1)
	}
}

func run(listen string, servers, parts int) error {
	dir, err := os.MkdirTemp("", "consoletest-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	token := filepath.Join(dir, "admin.token")
	if err := os.WriteFile(token, []byte("0123456789abcdef"), 0o600); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	base := "http://" + l.Addr().String()
	fleet := apitest.Demo(time.Now())
	if servers > 0 {
		fleet = apitest.Large(servers, parts, time.Now())
	}
	kept, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(dir, "ruler.db"), Partitions: 16, Hash: "test"})
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }() // it goes with its folder
	if err := apitest.Fill(context.Background(), kept, fleet); err != nil {
		return err
	}
	book, err := rules(kept)
	if err != nil {
		return err
	}
	if err := people(context.Background(), kept); err != nil {
		return err
	}
	fresh, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(dir, "fresh.db"), Partitions: 16, Hash: "test"})
	if err != nil {
		return err
	}
	defer func() { _ = fresh.Close() }() // it goes with its folder
	fleet.Gone = gone(time.Now())
	world := &world{book: book, reader: &reader{Fleet: fleet, kept: kept}, fresh: fresh, log: apitest.NewLog(apitest.Events(fleet, time.Now()))}
	world.shown = world.reader
	if servers > 0 {
		world.shown = &large{Store: kept, fresh: world.reader}
	}
	mux, err := world.mux(base+"/neighbour", token)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Println(base)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with whoever started us
		_ = srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// world is what the page sees.
type world struct {
	reader *reader
	book   *rulebook.Book
	shown  store.Reader
	fresh  *sqlite.Store // has no users
	log    *apitest.Log
	mu     sync.Mutex
	broken []string // what the simulator was asked
}

func (w *world) mux(neighbours, token string) (http.Handler, error) {
	cfg := api.DefaultConfig()
	cfg.Version = "consoletest"
	cfg.Rules, cfg.Past = w.book, backtest.Config{Stream: streamtest.New(time.Now()), State: w.reader}
	cfg.Failures, cfg.MetricHealth = failures, metricHealth
	cfg.Reader, cfg.Desk, cfg.Feed, cfg.Tokens, cfg.Users = w.shown, w.reader.kept, w.reader.kept, w.reader.kept, w.reader.kept
	cfg.Events = w.log
	cfg.Bridge = api.BridgeConfig{URL: neighbours, TokenFile: token}
	cfg.Charts = chart.New(neighbours, nil)
	cfg.Demo = api.DemoConfig{ReceiverURL: neighbours, SimulatorURL: neighbours}
	h, err := api.New(cfg, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, fmt.Errorf("make api: %w", err)
	}
	closed := cfg
	closed.Login = api.LoginRequired
	asking, err := api.New(closed, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("make api: %w", err)
	}
	closed.Users = w.fresh
	first, err := api.New(closed, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("make api: %w", err)
	}
	page, err := console.New()
	if err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.HandleFunc("/api/", func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case w.reader.is("login"):
			asking.ServeHTTP(rw, r)
		case w.reader.is("first"):
			first.ServeHTTP(rw, r)
		default:
			h.ServeHTTP(rw, r)
		}
	})
	mux.HandleFunc("GET /test/link", w.firstLink)
	mux.HandleFunc("POST /test/{what}", func(_ http.ResponseWriter, r *http.Request) {
		w.reader.set(r.PathValue("what"))
		w.log.Fail(map[string]error{"logs-away": eventlog.ErrAway, "logs-slow": eventlog.ErrSlow}[r.PathValue("what")])
	})
	mux.HandleFunc("GET /test/broken", func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		answer(rw, w.broken)
	})
	w.neighbours(mux)
	w.metricsStore(mux)
	return mux, nil
}

// answer writes JSON; whoever hung up does not need it.
func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
