package exec

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/exporter/output"
	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
)

// As a plugin, the test misbehaves as its first argument says.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "plugin=") {
		misbehave(strings.TrimPrefix(os.Args[1], "plugin="))
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func misbehave(how string) {
	in := bufio.NewReader(os.Stdin)
	if how == "deaf" {
		<-time.After(time.Hour) // a timer, or Go calls it a deadlock
	}
	if _, err := in.ReadString('\n'); err != nil {
		return
	}
	if how == "old" {
		fmt.Println(`{"protocol":0}`)
		return
	}
	fmt.Println(`{"protocol":1}`)
	for seq := 1; ; seq++ {
		if _, err := in.ReadString('\n'); err != nil {
			if how == "lingers" {
				<-time.After(time.Hour) // a timer, or Go calls it a deadlock
			}
			return
		}
		switch how {
		case "silent":
		case "ends":
			os.Exit(7)
		case "nonsense":
			fmt.Println("all is well")
		case "long":
			fmt.Println(strings.Repeat("x", maxAnswer+1))
		case "wrong order":
			fmt.Printf("{\"seq\":%d,\"result\":\"stored\"}\n", seq+1)
		case "unknown result":
			fmt.Printf("{\"seq\":%d,\"result\":\"maybe\"}\n", seq)
		case "busy":
			fmt.Printf("{\"seq\":%d,\"result\":\"busy\",\"reason\":\"disk full\",\"retry_after_s\":7}\n", seq)
		case "refuses second":
			fmt.Printf("{\"seq\":%d,\"result\":\"%s\",\"reason\":\"no\"}\n", seq, map[bool]string{true: "refused", false: "stored"}[seq == 2])
		case "one of two":
			if seq > 1 {
				os.Exit(7)
			}
			fmt.Printf("{\"seq\":%d,\"result\":\"stored\"}\n", seq)
		default:
			fmt.Fprintln(os.Stderr, "got one")
			fmt.Printf("{\"seq\":%d,\"result\":\"stored\"}\n", seq)
		}
	}
}

func plugin(t *testing.T, how string) (*Output, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := DefaultConfig()
	c.Command, c.StopTime = []string{self, "plugin=" + how}, 100*time.Millisecond
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(Options{Config: c, Name: "ship", Log: slog.New(slog.NewTextHandler(&log, nil))}), &log
}

func TestMisbehaviour(t *testing.T) {
	for _, c := range []struct {
		how  string
		kind output.Kind
		want string
	}{
		{"ends", output.Unreachable, "the program ended: exit status 7"},
		{"nonsense", output.Unreachable, "want one JSON object"},
		{"long", output.Unreachable, "a line that is too long"},
		{"wrong order", output.Unreachable, "about frame 2, want 1"},
		{"unknown result", output.Unreachable, "want stored, refused or busy"},
		{"busy", output.Busy, "disk full"},
		{"old", output.Unreachable, "protocol 0, want 1"},
	} {
		t.Run(c.how, func(t *testing.T) {
			o, _ := plugin(t, c.how)
			_, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b")})
			var f *output.Failure
			if !errors.As(err, &f) || f.Kind != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s: …%s", err, c.kind, c.want)
			}
			if c.kind == output.Busy && f.After != 7*time.Second {
				t.Errorf("after %s", f.After)
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	for how, want := range map[string][]spool.Verdict{
		"well":           {spool.Stored, spool.Stored, spool.Stored},
		"refuses second": {spool.Stored, spool.Refused, spool.Stored},
		"one of two":     {spool.Stored},
	} {
		o, _ := plugin(t, how)
		a, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b"), outputtest.Gap(3, 4)})
		if err != nil || !slices.Equal(a.Verdicts, want) {
			t.Errorf("%s: %v, %v, want %v", how, a, err, want)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A program that does not answer, or not even read, ends at the request's time;
// a large batch does not fit into its pipe.
func TestTimeout(t *testing.T) {
	large := outputtest.Data(1, strings.Repeat("x", 400<<10))
	for _, how := range []string{"silent", "deaf"} {
		o, _ := plugin(t, how)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := o.Send(ctx, []spool.Frame{large})
		cancel()
		var f *output.Failure
		if !errors.As(err, &f) || f.Kind != output.Unreachable || !errors.Is(err, context.DeadlineExceeded) || o.run != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
}

func TestCloseKillsWhatLingers(t *testing.T) {
	o, log := plugin(t, "lingers")
	if _, err := o.Hello(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	done := o.run.child.Done()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
	if !strings.Contains(log.String(), "does not end with its input") {
		t.Error(log.String())
	}
}

func TestWhatItSaysIsLogged(t *testing.T) {
	o, log := plugin(t, "well")
	if _, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")}); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil { // its error output has been read to the end
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "got one") {
		t.Error(log.String())
	}
}

func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &logLines{log: slog.New(slog.NewTextHandler(&log, nil))}
		w := &lines{max: maxLog, cut: true, line: l.line}
		for range 100 {
			fmt.Fprintln(w, "again")
		}
		time.Sleep(logWindow + time.Second)
		fmt.Fprint(w, strings.Repeat("y", 3*maxLog)+"\nlast\n")
		if n := strings.Count(log.String(), "text=again"); n != logLimit {
			t.Errorf("%d lines", n)
		}
		if !strings.Contains(log.String(), "lines=80") || strings.Contains(log.String(), strings.Repeat("y", maxLog+1)) || !strings.Contains(log.String(), "text=last") {
			t.Error(log.String()[max(0, log.Len()-4000):])
		}
	})
}

func TestToolIsChecked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access lists are not read")
	}
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Command = []string{path}
	_, err := New(Options{Config: c, Log: slog.New(slog.DiscardHandler)}).Hello(t.Context(), nil)
	var f *output.Failure
	if !errors.As(err, &f) || f.Kind != output.Denied {
		t.Error(err)
	}
}

// receiver is the example's file.
type receiver struct {
	t    *testing.T
	o    *Output
	path string
}

func (r *receiver) Break(int) { r.o.run.child.Kill() }

func (r *receiver) Bodies() []string {
	b, err := os.ReadFile(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// The example keeps the contract of an output.
func TestContract(t *testing.T) {
	example := filepath.Join(t.TempDir(), "example.exe")
	if out, err := osexec.CommandContext(t.Context(), "go", "build", "-o", example, "./example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	outputtest.Run(t, func(t *testing.T) (output.Output, outputtest.Receiver) {
		r := &receiver{t: t, path: filepath.Join(t.TempDir(), "bodies")}
		c := DefaultConfig()
		c.Command = []string{example, r.path}
		r.o = New(Options{Config: c, Name: "example", Log: slog.New(slog.DiscardHandler)})
		return r.o, r
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("{\"seq\":1,\"result\":\"stored\"}\n"), 7)
	f.Add([]byte("nonsense\r\n\n\n{"), 1)
	f.Fuzz(func(t *testing.T, text []byte, chunk int) {
		n := 0
		w := &lines{max: 100, line: func(b []byte) {
			n++
			if len(b) > 100 || bytes.IndexByte(b, '\n') >= 0 {
				t.Errorf("line %q", b)
			}
			a := parse(b)
			_ = shorten(a.Reason)
			if d := wait(a.RetryAfter); d < 0 || d > 10*time.Minute {
				t.Errorf("wait %s", d)
			}
		}}
		for len(text) > 0 {
			k := max(1, min(len(text), chunk))
			if m, err := w.Write(text[:k]); m != k || err != nil {
				t.Fatal(m, err)
			}
			text = text[k:]
		}
	})
}
