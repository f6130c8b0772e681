package machine

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/exporter/limit"
)

// Subcommand is the hidden subcommand of the program that collects: its main
// calls Child when it is its first argument.
const Subcommand = "machine-child"

// Memory of the child: what its collector of garbage aims at, and what the
// system grants. History of the libraries knows leaks.
const (
	softMemory = 48 << 20
	hardMemory = 256 << 20
)

// Child answers requests from in until it ends: the part that runs in a process
// of its own. When in ends, the parent has, and so does the child, however
// long a collector still takes. It returns the exit code.
func Child(args []string, in io.Reader, out, complaints io.Writer) int {
	s, err := parseArgs(args)
	if err == nil {
		err = limit.Memory(hardMemory)
	}
	var g prometheus.Gatherer
	if err == nil {
		debug.SetMemoryLimit(softMemory)
		g, err = newGatherer(s, slog.New(slog.NewTextHandler(complaints, &slog.HandlerOptions{Level: slog.LevelWarn})))
	}
	if err != nil {
		text := err.Error()
		_ = writeAnswer(out, answerError, []byte(text[:min(len(text), maxErrorText)])) // or the parent is gone
		return 1
	}
	return serve(g, in, out, complaints)
}

// serve answers requests one after the other.
func serve(g prometheus.Gatherer, in io.Reader, out, complaints io.Writer) int {
	asked, ended := make(chan byte), make(chan struct{})
	go func() {
		defer close(ended)
		r := bufio.NewReader(in)
		for {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			asked <- b
		}
	}()
	for {
		select {
		case <-ended:
			return 0
		case b := <-asked:
			if b != askMetrics {
				return 2
			}
		}
		answered := make(chan error, 1)
		go func() { answered <- answer(g, out, complaints) }()
		select {
		case <-ended:
			return 0
		case err := <-answered:
			if err != nil {
				return 2
			}
		}
	}
}

func answer(g prometheus.Gatherer, out, complaints io.Writer) error {
	families, err := g.Gather()
	if err != nil { // stacked mounts give the filesystem collector duplicates; the rest is good
		fmt.Fprintln(complaints, "gather:", err)
	}
	payload, left := encode(families)
	if left > 0 {
		fmt.Fprintln(complaints, left, "families left out: the answer is full")
	}
	return writeAnswer(out, answerMetrics, payload)
}
