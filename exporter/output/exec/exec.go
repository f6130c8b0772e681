// Package exec hands frames to a program on this machine and believes its
// answers: an output that needs no rebuild of the exporter. The program reads
// one JSON object per line from its standard input and answers each with one on
// its standard output; docs/outputs/exec.md is the protocol, example/ a program.
//
// The program is started at the first session and kept. When it ends, answers
// nonsense or does not answer in time, it is killed with everything that it
// started; the driver's next session, after its back-off, starts it again. What
// it writes to its standard error goes to the log, within limits.
//
// An Output belongs to one driver. To test: go test ./exporter/output/exec.
package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"nocturne/exporter/output"
	"nocturne/exporter/output/jsonlines"
	"nocturne/exporter/source"
	"nocturne/exporter/spool"
)

// Config is what an output of type exec needs beside what all have.
type Config struct {
	// Command is the program's absolute path and its arguments. Only an
	// administrator, or the exporter's user, may be able to replace it.
	Command []string `yaml:"command"`
	// Env is added to the little of the environment that the program gets.
	Env map[string]string `yaml:"env"`
	// User runs it under another account; "" = the exporter's. Not on Windows.
	User string `yaml:"user"`
	// Dir is its working directory; empty = that of the program.
	Dir string `yaml:"dir"`
	// StopTime is what it gets to end after its input has ended.
	StopTime time.Duration `yaml:"stop_time"`
}

// DefaultConfig has no command.
func DefaultConfig() Config { return Config{StopTime: 5 * time.Second} }

// Validate says what to write instead.
func (c Config) Validate() error {
	if len(c.Command) == 0 || !filepath.IsAbs(c.Command[0]) {
		return errors.New("exec command: write the program's absolute path and its arguments, such as [/usr/local/bin/ship, --fast]")
	}
	if c.StopTime < 100*time.Millisecond || c.StopTime > time.Minute {
		return fmt.Errorf("exec stop_time %s: write a time from 100ms to 1m", c.StopTime)
	}
	for k := range c.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return fmt.Errorf("exec env %q: write NAME: value", k)
		}
	}
	return nil
}

// IsZero tells whether nothing was configured.
func (c Config) IsZero() bool {
	return len(c.Command) == 0 && len(c.Env) == 0 && c.User == "" && c.Dir == "" && c.StopTime == DefaultConfig().StopTime
}

// Options are what New needs.
type Options struct {
	Config Config
	Name   string // of the output; the program is told
	Log    *slog.Logger
}

// Output speaks to one program.
type Output struct {
	o    Options
	run  *run // nil = it does not run
	sent uint64
}

// New returns an output that starts its program at its first Hello.
func New(o Options) *Output { return &Output{o: o} }

// run is the program while it runs.
type run struct {
	child   *source.Child
	stdin   io.WriteCloser
	answers chan answer
	flooded atomic.Bool // more answers than anybody asked for
}

// answer is a line of the program. One that says nothing of a frame, or is no
// answer at all, has an error.
type answer struct {
	Protocol   int     `json:"protocol"`
	Seq        uint64  `json:"seq"`
	Result     string  `json:"result"` // stored, refused, busy
	Reason     string  `json:"reason"`
	RetryAfter float64 `json:"retry_after_s"`
	err        error
}

const (
	protocol   = 1
	maxAnswer  = 16 << 10 // bytes of a line
	maxReason  = 400
	maxWaiting = 1024 // answers that nobody asked for yet
)

// Hello implements output.Output: it makes sure that the program runs and
// speaks the protocol.
func (o *Output) Hello(ctx context.Context, _ []byte) (output.Greeting, error) {
	return output.Greeting{}, o.start(ctx)
}

func (o *Output) start(ctx context.Context) error {
	if o.run != nil {
		return nil
	}
	path := o.o.Config.Command[0]
	if err := source.CheckTool(path); err != nil {
		return &output.Failure{Kind: output.Denied, Err: err}
	}
	dir := o.o.Config.Dir
	if dir == "" {
		dir = filepath.Dir(path)
	}
	cmd := osexec.Command(path, o.o.Config.Command[1:]...)
	cmd.Dir, cmd.Env = dir, environment(o.o.Config.Env)
	r := &run{answers: make(chan answer, maxWaiting)}
	said := &logLines{log: o.o.Log}
	cmd.Stdout, cmd.Stderr = &lines{max: maxAnswer, line: r.answered}, &lines{max: maxLog, cut: true, line: said.line}
	var err error
	if r.stdin, err = cmd.StdinPipe(); err == nil {
		r.child, err = source.StartChild(cmd, o.o.Config.User)
	}
	if err != nil {
		kind := output.Unreachable
		if errors.Is(err, fs.ErrPermission) {
			kind = output.Denied
		}
		return &output.Failure{Kind: kind, Err: fmt.Errorf("start %s: %w", path, err)}
	}
	o.run = r
	hello, err := json.Marshal(map[string]any{"protocol": protocol, "output": o.o.Name})
	if err == nil {
		err = o.write(ctx, append(hello, '\n'))
	}
	if err != nil {
		return o.broken(err)
	}
	a, err := o.next(ctx)
	if err == nil && a.Protocol != protocol {
		err = fmt.Errorf("the program answered the greeting with protocol %d, want %d", a.Protocol, protocol)
	}
	if err != nil {
		return o.broken(err)
	}
	o.o.Log.Info("program is ready", "path", path)
	return nil
}

// environment is what every program needs, without what may be secret.
func environment(more map[string]string) []string {
	var out []string
	for _, k := range []string{"PATH", "LANG", "TZ", "TMPDIR", "SystemRoot", "SystemDrive", "TEMP", "TMP", "ProgramData", "ProgramFiles"} {
		if v, ok := os.LookupEnv(k); ok {
			out = append(out, k+"="+v)
		}
	}
	keys := make([]string, 0, len(more))
	for k := range more {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		out = append(out, k+"="+more[k])
	}
	return out
}

func (r *run) answered(b []byte) {
	select {
	case r.answers <- parse(b):
	default:
		r.flooded.Store(true)
	}
}

func parse(b []byte) answer {
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		return answer{err: fmt.Errorf("the program answered %.80q: want one JSON object in a line of at most %d bytes", b, maxAnswer)}
	}
	return a
}

// write gives the program a text before ctx ends.
func (o *Output) write(ctx context.Context, text []byte) error {
	done := context.AfterFunc(ctx, o.run.child.Kill) // the pipe breaks by it
	defer done()
	if _, err := o.run.stdin.Write(text); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the program does not read: %w", ctx.Err())
		}
		return fmt.Errorf("write to the program: %w", err)
	}
	return nil
}

// next is the program's next answer. What it said before it ended counts.
func (o *Output) next(ctx context.Context) (answer, error) {
	select {
	case a := <-o.run.answers:
		return a, a.err
	default:
	}
	if o.run.flooded.Load() {
		return answer{}, fmt.Errorf("the program gave more than %d answers that nobody asked for", maxWaiting)
	}
	select {
	case a := <-o.run.answers:
		return a, a.err
	case <-o.run.child.Done():
	case <-ctx.Done():
		return answer{}, fmt.Errorf("no answer from the program: %w", ctx.Err())
	}
	select {
	case a := <-o.run.answers:
		return a, a.err
	default:
		return answer{}, o.ended()
	}
}

func (o *Output) ended() error {
	if err := o.run.child.Err(); err != nil {
		return fmt.Errorf("the program ended: %w", err)
	}
	return errors.New("the program ended by itself")
}

// broken ends the program; the next session starts it again.
func (o *Output) broken(err error) error {
	o.run.child.Kill()
	o.run = nil
	return &output.Failure{Kind: output.Unreachable, Err: err}
}

// Send implements output.Output.
func (o *Output) Send(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	if err := ctx.Err(); err != nil {
		return output.Answer{}, err
	}
	if err := o.start(ctx); err != nil {
		return output.Answer{}, err
	}
	first := o.sent + 1
	var text []byte
	for i := range frames[:min(len(frames), maxWaiting)] {
		line := append(text, `{"seq":`...)
		line = strconv.AppendUint(line, o.sent+1, 10)
		line, err := jsonlines.AppendFrame(line, &frames[i])
		if err != nil {
			if i == 0 { // cannot be said at all: skip it
				return output.Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{err.Error()}}, nil
			}
			break // it is the first one of the next batch
		}
		text = append(line, '}', '\n')
		o.sent++
	}
	if err := o.write(ctx, text); err != nil {
		return output.Answer{}, o.broken(err)
	}
	return o.collect(ctx, first, o.sent)
}

// collect reads the answers about frames first to last, all of them, so that
// the next one is about the next frame.
func (o *Output) collect(ctx context.Context, first, last uint64) (output.Answer, error) {
	var out output.Answer
	var busy *output.Failure
	for seq := first; seq <= last; seq++ {
		a, err := o.next(ctx)
		if err == nil && a.Seq != seq {
			err = fmt.Errorf("the program answered about frame %d, want %d: answers come in order", a.Seq, seq)
		}
		if err == nil && a.Result != "stored" && a.Result != "refused" && a.Result != "busy" {
			err = fmt.Errorf("the program's result %.40q: want stored, refused or busy", a.Result)
		}
		switch {
		case err != nil:
			if err = o.broken(err); len(out.Verdicts) > 0 {
				return out, nil // what was answered is; the rest comes again
			}
			return output.Answer{}, err
		case busy != nil: // whatever it says: order holds
		case a.Result == "stored":
			out.Verdicts = append(out.Verdicts, spool.Stored)
		case a.Result == "refused":
			out.Verdicts = append(out.Verdicts, spool.Refused)
			out.Reasons = append(out.Reasons, shorten(a.Reason))
		default:
			busy = &output.Failure{Kind: output.Busy, After: wait(a.RetryAfter), Err: fmt.Errorf("the program is busy: %s", shorten(a.Reason))}
		}
	}
	if busy != nil && len(out.Verdicts) == 0 {
		return output.Answer{}, busy
	}
	return out, nil
}

func shorten(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s[:min(len(s), maxReason)], "\ufffd")), " ")
}

// wait bounds the program's wish.
func wait(seconds float64) time.Duration {
	if !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, 600) * float64(time.Second))
}

// Close implements output.Output: the program's input ends, and it gets some
// time to end too.
func (o *Output) Close() error {
	if o.run == nil {
		return nil
	}
	r := o.run
	o.run = nil
	_ = r.stdin.Close() // it has ended already, if that fails
	t := time.NewTimer(o.o.Config.StopTime)
	defer t.Stop()
	select {
	case <-r.child.Done():
	case <-t.C:
		o.o.Log.Warn("program does not end with its input, killed", "path", o.o.Config.Command[0])
		r.child.Kill()
	}
	return nil
}
