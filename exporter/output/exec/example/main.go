// The example is an output plugin: it writes the body of every record to a
// file, which it syncs before it answers. docs/outputs/exec.md explains the
// protocol. It is what the tests of package exec run, too.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// message is a line of the exporter: a greeting, or a frame.
type message struct {
	Protocol int    `json:"protocol"`
	Seq      uint64 `json:"seq"`
	Frame    string `json:"frame"` // data, gap, base
	Records  []struct {
		Body string `json:"body"`
	} `json:"records"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: example FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

func run(path string, in io.Reader, out io.Writer) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = errors.Join(serve(json.NewDecoder(in), w, f.Sync, json.NewEncoder(out)), w.Flush(), f.Close())
	if errors.Is(err, io.EOF) {
		return nil // the exporter stops
	}
	return err
}

func serve(in *json.Decoder, w *bufio.Writer, sync func() error, out *json.Encoder) error {
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			return err
		}
		if m.Protocol != 0 { // the greeting
			if err := out.Encode(map[string]int{"protocol": 1}); err != nil {
				return err
			}
			continue
		}
		for _, r := range m.Records {
			if _, err := w.WriteString(r.Body + "\n"); err != nil {
				return err
			}
		}
		answer := map[string]any{"seq": m.Seq, "result": "stored"}
		if err := errors.Join(w.Flush(), sync()); err != nil {
			answer = map[string]any{"seq": m.Seq, "result": "busy", "reason": err.Error(), "retry_after_s": 10}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}
