package file

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nocturne/exporter/output"
	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
)

// failing is a file whose writes can fail half way.
type failing struct {
	*os.File
	r *receiver
}

func (d failing) Write(b []byte) (int, error) {
	if d.r.broken > 0 {
		d.r.broken--
		n, _ := d.File.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	return d.File.Write(b)
}

type receiver struct {
	t      *testing.T
	cfg    Config
	broken int
}

func (r *receiver) Break(n int) { r.broken = n }

// Bodies reads all files, the oldest first.
func (r *receiver) Bodies() []string {
	var out []string
	for n := r.cfg.MaxFiles; n >= 0; n-- {
		b, err := os.ReadFile((&Output{cfg: r.cfg}).numbered(n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var l struct{ Body, Frame string }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				r.t.Errorf("%q: %v", line, err)
			}
			if l.Frame == "" {
				out = append(out, l.Body)
			}
		}
	}
	return out
}

func fresh(t *testing.T) (*Output, *receiver) {
	r := &receiver{t: t, cfg: Config{Path: filepath.Join(t.TempDir(), "records.jsonl"), MaxBytes: 1000, MaxFiles: 3}}
	o := New(r.cfg)
	o.wrap = func(f *os.File) handle { return failing{f, r} }
	return o, r
}

func TestContract(t *testing.T) {
	outputtest.Run(t, func(t *testing.T) (output.Output, outputtest.Receiver) { return fresh(t) })
}

func send(t *testing.T, o *Output, frames ...spool.Frame) {
	t.Helper()
	a, err := o.Send(t.Context(), frames)
	if err != nil || !slices.Equal(a.Verdicts, slices.Repeat([]spool.Verdict{spool.Stored}, len(frames))) {
		t.Fatalf("%+v, %v", a, err)
	}
}

func TestRotation(t *testing.T) {
	o, r := fresh(t)
	body := strings.Repeat("x", 500)
	for i := range uint64(6) {
		send(t, o, outputtest.Data(i+1, body))
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(r.cfg.Path + "*")
	if err != nil || len(files) != r.cfg.MaxFiles {
		t.Errorf("%q, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Size() > r.cfg.MaxBytes || info.Size() == 0 {
			t.Errorf("%s has %d bytes, %v", f, info.Size(), err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", f, info.Mode().Perm())
		}
	}
	if got := r.Bodies(); len(got) != 3 {
		t.Errorf("%d records are left", len(got))
	}
	one := New(Config{Path: r.cfg.Path, MaxBytes: 1000, MaxFiles: 1})
	send(t, one, outputtest.Data(7, body))
	send(t, one, outputtest.Data(8, "last "+body))
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(r.cfg.Path); err != nil || strings.Contains(string(b), `-7-2-7"`) || !strings.Contains(string(b), "last") {
		t.Errorf("%s, %v", b, err)
	}
}

// Somebody holds the file open, and Windows does not rename it: what is old
// already stays until the file can be rotated.
func TestRotationThatFailsLosesNothing(t *testing.T) {
	o, r := fresh(t)
	o.cfg.MaxFiles, r.cfg.MaxFiles = 4, 4
	body := strings.Repeat("x", 500)
	for i := range uint64(4) {
		send(t, o, outputtest.Data(i+1, body))
	}
	rename := o.rename
	o.rename = func(from, to string) error {
		if from == o.cfg.Path {
			return errors.New("in use by another process")
		}
		return rename(from, to)
	}
	for range 6 {
		if _, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(5, body)}); err == nil {
			t.Fatal("it was sent")
		}
	}
	if got := r.Bodies(); len(got) < 3 { // the oldest one has gone for the new one
		t.Errorf("%d records are left of 4", len(got))
	}
	o.rename = rename
	send(t, o, outputtest.Data(5, body))
	if got := r.Bodies(); len(got) != 4 {
		t.Errorf("%d records, want 4", len(got))
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crash leaves half a line; it is not there any more after the next start.
func TestHalfALine(t *testing.T) {
	o, r := fresh(t)
	send(t, o, outputtest.Data(1, "a"))
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(r.cfg.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"time":null,"body":"ha`)
	f.Close()
	send(t, o, outputtest.Data(2, "b"))
	if got := r.Bodies(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("received %q", got)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNeedsAPerson(t *testing.T) {
	o := New(Config{Path: filepath.Join(t.TempDir(), "nowhere", "f"), MaxBytes: 1 << 20, MaxFiles: 2})
	var f *output.Failure
	if _, err := o.Hello(t.Context(), nil); !errors.As(err, &f) || f.Kind != output.Denied {
		t.Error(err)
	}
	o = New(Config{Path: t.TempDir(), MaxBytes: 1 << 20, MaxFiles: 2})
	if _, err := o.Hello(t.Context(), nil); err == nil {
		t.Error("a folder is written to")
	}
}
