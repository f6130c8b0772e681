package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// fake writes a journalctl made for these tests, constructed from
// journalctl(1): it knows --cursor, prints the entries of the file beside it
// and then waits as --follow does, or ends where a file "once" stands.
const fake = `#!/bin/sh
dir=$(dirname "$0")
cursor=
for a; do
	case $a in --cursor=*) cursor=${a#--cursor=} ;; --since=*) echo "$a" >"$dir/since" ;; esac
done
echo "$@" >>"$dir/calls"
if [ -n "$cursor" ] && [ -f "$dir/refuse" ]; then echo "Failed to seek to cursor: Invalid argument" >&2; exit 1; fi
on=; [ -z "$cursor" ] && on=1
grep -q "\"__CURSOR\":\"$cursor\"" "$dir/entries" || on=1
while IFS= read -r line; do
	case $line in *"\"__CURSOR\":\"$cursor\""*) on=1 ;; esac
	[ -n "$on" ] && printf '%s\n' "$line"
done <"$dir/entries"
[ -f "$dir/once" ] && exit 0
exec sleep 600
`

type spool struct {
	mu       sync.Mutex
	recs     []record.Record
	position []byte
	fail     error
	got      chan struct{}
}

func (s *spool) emit(_ context.Context, recs []record.Record, position []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.recs = append(s.recs, recs...)
	if position != nil {
		s.position = bytes.Clone(position)
	}
	select {
	case s.got <- struct{}{}:
	default:
	}
	return nil
}

func (s *spool) Position(string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position, nil
}

func (s *spool) take() []record.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recs
}

// until waits until the spool has n records.
func (s *spool) until(t *testing.T, n int) []record.Record {
	t.Helper()
	late := time.After(time.Minute)
	for {
		if recs := s.take(); len(recs) >= n {
			return recs
		}
		select {
		case <-s.got:
		case <-late:
			t.Fatalf("%d records after a minute, want %d", len(s.take()), n)
		}
	}
}

func newSpool() *spool { return &spool{got: make(chan struct{}, 1)} }

func cursorOf(i int) string {
	return fmt.Sprintf("s=721f5accd7a74c928f374f76db646ccd;i=%x;b=662d3f914d004d3199eb7cb7a1bf9a28;m=968d232d;t=660c449e31353;x=9181cb288db3f2eb", i)
}

func entryLine(i int, message string) string {
	m, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"__CURSOR":"%s","__REALTIME_TIMESTAMP":"%d","MESSAGE":%s,"PRIORITY":"3","SYSLOG_IDENTIFIER":"kernel","_SYSTEMD_UNIT":"x.service","_PID":"7","_HOSTNAME":"db7"}`, cursorOf(i), 1795246029738835+i, m)
}

// setup returns a source over the fake, and the folder that steers it.
func setup(t *testing.T, s *spool, lines ...string) (source.Source, string) {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh for the journalctl that stands in")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "journalctl"), fake, 0o755)
	write(t, filepath.Join(dir, "entries"), strings.Join(lines, "\n")+"\n", 0o644)
	cfg := DefaultConfig()
	cfg.Command = []string{filepath.Join(dir, "journalctl")}
	return New(Options{Config: cfg, Positions: s}), dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// run runs the source until stop is called, which returns its error.
func run(t *testing.T, src source.Source, s *spool) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, s.emit) }()
	return func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			t.Fatal("the source does not end")
			return nil
		}
	}
}

func TestFollowAndResume(t *testing.T) {
	s := newSpool()
	src, dir := setup(t, s, entryLine(1, "first"), entryLine(2, "second"))
	stop := run(t, src, s)
	recs := s.until(t, 2)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the end of the context", err)
	}
	if recs[1].Body != "second" || string(s.position) != cursorOf(2) {
		t.Errorf("records %+v, position %s", recs, s.position)
	}
	// The next start asks for the last entry again, does not send it twice, and goes on.
	write(t, filepath.Join(dir, "entries"), strings.Join([]string{entryLine(1, "first"), entryLine(2, "second"), entryLine(3, "third")}, "\n")+"\n", 0o644)
	stop = run(t, src, s)
	recs = s.until(t, 3)
	_ = stop() // the end of the context, as above
	if len(recs) != 3 || recs[2].Body != "third" {
		t.Errorf("after the restart: %+v", recs)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || !strings.Contains(string(calls), "--cursor="+cursorOf(2)) || !strings.Contains(string(calls), "--lines=0") {
		t.Errorf("calls %s, %v", calls, err)
	}
}

func TestGap(t *testing.T) {
	s := newSpool()
	s.position = []byte(cursorOf(2))
	src, _ := setup(t, s, entryLine(9, "much later"))
	stop := run(t, src, s)
	recs := s.until(t, 2)
	_ = stop() // the end of the context
	if recs[0].Name != record.NameSourceFailed || !strings.Contains(recs[0].Body, "were removed from the journal before they were read; it goes on at "+cursorOf(9)+"; at most 6 are missing") || recs[1].Body != "much later" {
		t.Errorf("records %+v: want the gap said, then the entry", recs)
	}
}

func TestCursorRefused(t *testing.T) {
	s := newSpool()
	s.position = []byte(cursorOf(2))
	src, dir := setup(t, s, entryLine(9, "again"))
	write(t, filepath.Join(dir, "refuse"), "", 0o644)
	stop := run(t, src, s)
	recs := s.until(t, 3)
	_ = stop() // the end of the context
	since, err := os.ReadFile(filepath.Join(dir, "since"))
	if err != nil || strings.TrimSpace(string(since)) != "--since=@1795246029" {
		t.Errorf("since %s, %v: want the time in the cursor", since, err)
	}
	if recs[0].Name != record.NameSourceFailed || recs[2].Body != "again" {
		t.Errorf("records %+v", recs)
	}
}

func TestChildEnds(t *testing.T) {
	s := newSpool()
	src, dir := setup(t, s, entryLine(1, "last words"))
	write(t, filepath.Join(dir, "once"), "", 0o644)
	err := src.Run(t.Context(), s.emit)
	if !errors.Is(err, errEnded) || len(s.take()) != 1 {
		t.Errorf("error %v, %d records: want all that came, and an error that starts it again", err, len(s.take()))
	}
}

func TestSpoolFails(t *testing.T) {
	s := newSpool()
	s.fail = errors.New("disk full")
	src, _ := setup(t, s, entryLine(1, "x"))
	if err := src.Run(t.Context(), s.emit); !errors.Is(err, s.fail) {
		t.Errorf("error %v, want the spool's", err)
	}
}

func TestNoJournald(t *testing.T) {
	src := New(Options{Config: DefaultConfig(), Root: t.TempDir()})
	if err := src.Run(t.Context(), newSpool().emit); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want unsupported", err)
	}
}

func TestEntry(t *testing.T) {
	f := func(why, fields string, body string, severity record.Severity) {
		t.Helper()
		e, err := parseEntry([]byte(`{"__CURSOR":"` + cursorOf(1) + `","__REALTIME_TIMESTAMP":"1795246029738835",` + fields + `}`))
		if err != nil {
			t.Errorf("%s: %v", why, err)
			return
		}
		r := e.record(32, time.Now())
		if r.Body != body || r.Severity != severity || !r.Time.Equal(time.UnixMicro(1795246029738835)) {
			t.Errorf("%s: %q %v %v, want %q %v", why, r.Body, r.Severity, r.Time, body, severity)
		}
	}
	f("a string", `"MESSAGE":"hello","PRIORITY":"6"`, "hello", record.Info)
	f("bytes", `"MESSAGE":[104, 255,105],"PRIORITY":"4"`, "h\ufffdi", record.Warn)
	f("no bytes at all", `"MESSAGE":[]`, "", record.Info)
	f("twice", `"MESSAGE":["a",[98,10],null],"PRIORITY":"0"`, "a\nb\n\n", record.Fatal)
	f("too long for journalctl", `"MESSAGE":null,"PRIORITY":"2"`, "", record.Error+1)
	f("a number where a string should be", `"MESSAGE":12,"PRIORITY":7`, "12", record.Debug)
	f("priority out of range", `"MESSAGE":"x","PRIORITY":"9"`, "x", record.Info)
	f("long, cut inside a letter", `"MESSAGE":"1234567890123456789012345678901ééé"`, "1234567890123456789012345678901… (37 bytes)", record.Info)
	for _, bad := range []string{``, `[]`, `{`, `{"MESSAGE":"no cursor"}`, `{"__CURSOR":"--help"}`, `{"__CURSOR":"s=1; rm"}`} {
		if _, err := parseEntry([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestAttributes(t *testing.T) {
	e, err := parseEntry([]byte(entryLine(1, "x")))
	if err != nil {
		t.Fatal(err)
	}
	r := e.record(1024, time.Now())
	for k, want := range map[string]string{
		record.AttrChannel: "journal", record.AttrProvider: "kernel", record.AttrLevel: "error", record.AttrUnit: "x.service",
		record.AttrComputer: "db7", record.AttrData + "pid": "7", record.AttrEventID: "0",
	} {
		if got := r.Attr(k).Text(); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
}

func TestReadLines(t *testing.T) {
	f := func(why, in string, want ...string) {
		t.Helper()
		out := make(chan line, 100)
		readLines(t.Context(), strings.NewReader(in), 8, out)
		close(out)
		var got []string
		for l := range out {
			if l.cut > 0 {
				l.text = fmt.Appendf(nil, "cut %d", l.cut)
			}
			got = append(got, string(l.text))
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: %q, want %q", why, got, want)
		}
	}
	f("lines", "a\nbb\n", "a", "bb")
	f("the last has no end", "a\nb", "a")
	f("one too long", "a\n123456789\nb\n", "a", "cut 9", "b")
	long := strings.Repeat("x", 200<<10)
	f("far too long", "a\n"+long+"\nb\n", "a", "cut 204800", "b")
}

func FuzzEntry(f *testing.F) {
	f.Add([]byte(entryLine(1, "hello")))
	f.Add([]byte(`{"__CURSOR":"s=1234567","MESSAGE":[[1],[2,"x"],null]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if e, err := parseEntry(b); err == nil {
			e.record(100, time.Time{})
		}
	})
}

// TestRealJournald starts a journald of its own in a mount namespace, so that
// nothing of it is seen outside, and reads what systemd-cat writes.
func TestRealJournald(t *testing.T) {
	if os.Getenv("NOCTURNE_JOURNALD") == "inside" {
		insideNamespace(t)
		return
	}
	for _, need := range []string{"/lib/systemd/systemd-journald", "/usr/bin/journalctl", "/usr/bin/systemd-cat", "/usr/bin/unshare"} {
		if _, err := os.Stat(need); err != nil {
			t.Skipf("no %s: the real journal is not tested here", need)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: a journald in a mount namespace of its own needs it")
	}
	if b, err := os.ReadFile("/etc/machine-id"); err != nil || len(bytes.TrimSpace(b)) != 32 {
		t.Skip("no /etc/machine-id: journald does not start without one")
	}
	if out, err := exec.CommandContext(t.Context(), "/usr/bin/unshare", "-m", "true").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace: %v %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/unshare", "-m", "/bin/sh", "-c",
		`mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal && exec "$0" -test.run '^TestRealJournald$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "NOCTURNE_JOURNALD=inside")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// journald starts the daemon and waits for its socket.
func journald(t *testing.T, src source.Source) *exec.Cmd {
	t.Helper()
	daemon := exec.CommandContext(t.Context(), "/lib/systemd/systemd-journald")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ready := time.NewTicker(20 * time.Millisecond)
	defer ready.Stop()
	for !src.(*journal).running() {
		<-ready.C
	}
	return daemon
}

func say(t *testing.T, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/systemd-cat", "-t", "nocturne-test", "-p", "warning", "/bin/echo", text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("systemd-cat: %v %s", err, out)
	}
}

// hears tells whether one of the records begins with the text.
func hears(recs []record.Record, text string) bool {
	for _, r := range recs {
		if strings.HasPrefix(r.Body, text) {
			return true
		}
	}
	return false
}

func insideNamespace(t *testing.T) {
	s := newSpool()
	src := New(Options{Config: DefaultConfig(), Positions: s})
	daemon := journald(t, src)
	stop := run(t, src, s)
	// journalctl says nothing when it is ready: speak until it hears.
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for len(s.take()) == 0 {
		say(t, "hello")
		<-again.C
	}
	_ = stop() // the end of the context
	heard := len(s.take())
	say(t, "while nobody listened \xff")
	stop = run(t, src, s)
	for !hears(s.take()[heard:], "while nobody listened") {
		<-s.got
	}
	_ = stop() // the end of the context
	recs := s.take()
	seen := map[int64]bool{}
	for _, r := range recs {
		if r.Name != record.NameJournal {
			t.Errorf("record %+v: nothing was lost, so no gap may be said", r)
		}
		if seen[r.Time.UnixMicro()] {
			t.Errorf("record %+v came twice", r)
		}
		seen[r.Time.UnixMicro()] = true
	}
	if last := recs[len(recs)-1]; last.Severity != record.Warn || last.Attr(record.AttrProvider).Str() != "nocturne-test" {
		t.Errorf("the last record: %+v", last)
	}
	// The journal is gone, as after a rotation that took it all.
	heard = len(recs)
	_ = daemon.Process.Kill()
	_ = daemon.Wait() // killed
	for _, dir := range []string{"/run/log/journal", "/run/systemd/journal"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	daemon = journald(t, src)
	say(t, "a new journal")
	stop = run(t, src, s)
	for !hears(s.take()[heard:], "a new journal") {
		<-s.got
	}
	_ = stop() // the end of the context
	if first := s.take()[heard]; first.Name != record.NameSourceFailed || !strings.Contains(first.Body, "were removed from the journal before they were read") {
		t.Errorf("%+v: the journal is gone, and nothing says so", first)
	}
	_ = daemon.Process.Kill()
	_ = daemon.Wait() // killed
}
