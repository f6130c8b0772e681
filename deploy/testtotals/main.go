// Testtotals makes the output of test runners short and counts it.
//
//	go test -json ./... | testtotals -add FILE       one line per package, failures in full, skips with their reason
//	node --test --test-reporter=tap | testtotals -tap -add FILE
//	testtotals -sum FILE                             the closing line over all runs: N passed, N failed, N skipped
//
// With -add it exits with 1 when a test failed or a package did not build. With -sum it exits with 1 when nothing passed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testtotals:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("testtotals", flag.ContinueOnError)
	add := flags.String("add", "", "`file` that the counts are added to")
	sum := flags.String("sum", "", "`file` to sum up")
	tap := flags.Bool("tap", false, "read TAP instead of go test -json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *sum != "" {
		return sumUp(*sum, out)
	}
	read := readGo
	if *tap {
		read = readTAP
	}
	t, err := read(in, out)
	if err != nil {
		return err
	}
	if *add != "" {
		if err := t.appendTo(*add); err != nil {
			return err
		}
	}
	if t.failed > 0 {
		return fmt.Errorf("%d failed", t.failed)
	}
	return nil
}

// totals counts tests; subtests count, packages do not.
type totals struct{ passed, failed, skipped int }

func (t totals) appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, t.passed, t.failed, t.skipped)
	return errors.Join(err, f.Close())
}

func sumUp(path string, out io.Writer) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var all totals
	for line := range strings.Lines(string(text)) {
		var t totals
		if _, err := fmt.Sscan(line, &t.passed, &t.failed, &t.skipped); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		all.passed, all.failed, all.skipped = all.passed+t.passed, all.failed+t.failed, all.skipped+t.skipped
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", all.passed, all.failed, all.skipped)
	if all.passed == 0 {
		return errors.New("no test ran")
	}
	return nil
}

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of a build, instead of Package
	Elapsed                       float64
}

// goReader keeps the output of tests until it is known whether anybody wants to read it.
type goReader struct {
	totals
	out     io.Writer
	output  map[string]*strings.Builder // by package and test
	skips   []string
	cached  map[string]bool
	noTests map[string]bool
}

func readGo(in io.Reader, out io.Writer) (totals, error) {
	r := &goReader{out: out, output: map[string]*strings.Builder{}, cached: map[string]bool{}, noTests: map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // go's own words
			continue
		}
		r.take(e)
	}
	for _, s := range r.skips {
		fmt.Fprintln(out, s)
	}
	return r.totals, lines.Err()
}

func (r *goReader) take(e event) {
	key := e.Package + e.ImportPath + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
		if e.Test == "" {
			r.cached[e.Package] = r.cached[e.Package] || strings.Contains(e.Output, "(cached)")
			r.noTests[e.Package] = r.noTests[e.Package] || strings.Contains(e.Output, "[no test files]")
		}
		return
	case "build-fail":
		fmt.Fprint(r.out, r.text(key))
	case "pass":
		r.count(e, &r.passed, "ok  ")
	case "fail":
		r.count(e, &r.failed, "FAIL")
		if e.Test != "" {
			fmt.Fprint(r.out, r.text(key))
		} else if text := r.text(key); strings.Contains(text, "panic") || strings.Contains(text, "[build failed]") || strings.Contains(text, "DATA RACE") || strings.Contains(text, "exit status") {
			fmt.Fprint(r.out, text)
			if r.failed == 0 || strings.Contains(text, "[build failed]") {
				r.failed++ // no test of it could be counted
			}
		}
	case "skip":
		r.count(e, &r.skipped, "    ")
		if e.Test != "" {
			r.skips = append(r.skips, "skipped: "+e.Package+" "+e.Test+": "+reason(r.text(key)))
		}
	default:
		return
	}
	delete(r.output, key)
}

func (r *goReader) count(e event, n *int, word string) {
	if e.Test != "" {
		*n++
		return
	}
	if r.noTests[e.Package] {
		return
	}
	took := time.Duration(e.Elapsed * float64(time.Second)).Round(10 * time.Millisecond).String()
	if r.cached[e.Package] {
		took = "cached"
	}
	fmt.Fprintf(r.out, "%s %-50s %s\n", word, e.Package, took)
}

func (r *goReader) text(key string) string {
	if b := r.output[key]; b != nil {
		return b.String()
	}
	return ""
}

// reason is the last line that the test itself printed.
func reason(text string) string {
	last := "no reason given"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			last = line
		}
	}
	return last
}

// readTAP passes everything on and reads the summary that node prints at the end.
func readTAP(in io.Reader, out io.Writer) (totals, error) {
	var t totals
	found := false
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(out, line)
		for prefix, n := range map[string]*int{"# pass ": &t.passed, "# fail ": &t.failed, "# cancelled ": &t.failed, "# skipped ": &t.skipped} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				count, err := strconv.Atoi(rest)
				if err != nil {
					return t, fmt.Errorf("line %q: %w", line, err)
				}
				*n, found = *n+count, true
			}
		}
	}
	if !found {
		t.failed++
		fmt.Fprintln(out, "the test runner ended without a summary")
	}
	return t, lines.Err()
}
