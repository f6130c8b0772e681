//go:build linux

package check

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nocturne/internal/freeport"
	"nocturne/internal/record"
)

const pluginDir = "/usr/lib/nagios/plugins/"

// TestMonitoringPlugins runs Debian's monitoring-plugins as they are, and holds
// what we make of them against their exit code, read here by other means.
func TestMonitoringPlugins(t *testing.T) {
	if _, err := os.Stat(pluginDir + "check_load"); err != nil {
		t.Skip("NOT RUN: no monitoring-plugins-basic here")
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer web.Close()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(web.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	closed, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	shut := fmt.Sprint(closed[0])
	bars := map[string]int{"check_http": 1, "check_dummy 1 a text with | a bar": 1}
	// want is the state, and the names of the values in order.
	f := func(want string, args ...string) {
		t.Helper()
		s := DefaultSpec()
		s.Name, s.Command = "x", append([]string{pluginDir + args[0]}, args[1:]...)
		var exit *exec.ExitError
		err := exec.Command(s.Command[0], s.Command[1:]...).Run()
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		code := 0
		if exit != nil {
			code = exit.ExitCode()
		}
		recs, err := NewCheck(Options{Spec: s}).Collect(t.Context())
		if err != nil || len(recs) != 2 {
			t.Errorf("%q: %d records, %v", args, len(recs), err)
			return
		}
		r := recs[0]
		got := r.Attr(record.AttrCheckState).Str()
		for _, v := range r.Attr(record.AttrCheckValues).List() {
			got += " " + v.Map()[0].Value.Str()
		}
		if got != want || !strings.HasPrefix(got, State(code).String()) || r.Attr(record.AttrCheckText).Str() == "" {
			t.Errorf("%q: got %q, want %q; it ended with %d and said %q", args, got, want, code, r.Attr(record.AttrCheckText).Str())
		}
		// A "|" in a text that is no performance data is told.
		if p := r.Attr(record.AttrCheckProblems); len(p.List()) != bars[strings.Join(args, " ")] {
			t.Errorf("%q: problems %s", args, p.Text())
		}
	}
	f("ok load1 load5 load15", "check_load", "-w", "1000,1000,1000", "-c", "2000,2000,2000")
	f("ok /", "check_disk", "-w", "0%", "-c", "0%", "-p", "/")
	f("critical /", "check_disk", "-w", "100%", "-c", "99.9%", "-p", "/")
	f("ok procs", "check_procs", "-w", "1:100000")
	f("warning procs", "check_procs", "-w", "100000:", "-c", "1:")
	f("critical procs", "check_procs", "-c", "@1:100000")
	f("ok users", "check_users", "-w", "10000", "-c", "20000")
	f("ok age size", "check_file_age", "-w", "1000000000", "-c", "2000000000", "-f", "/etc/passwd")
	f("warning", "check_dummy", "1", "a text with | a bar")
	f("critical", "check_dummy", "2")
	f("unknown", "check_dummy", "3")
	f("critical", "negate", "-o", "CRITICAL", pluginDir+"check_dummy", "0", "fine")
	f("ok time", "check_tcp", "-H", host, "-p", port)
	f("critical", "check_tcp", "-H", "127.0.0.1", "-p", shut)
	f("ok time size", "check_http", "-H", host, "-p", port)
	f("critical time size", "check_http", "-H", host, "-p", port, "-u", "/broken")
	f("unknown", "check_http") // usage
	// A server that takes the connection and says nothing: the plugin has no
	// time-out shorter than ours.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	s := DefaultSpec()
	s.Name, s.Deadline = "x", time.Second
	s.Command = []string{pluginDir + "check_http", "-H", "127.0.0.1", "-p", fmt.Sprint(silent.Addr().(*net.TCPAddr).Port), "-t", "60"}
	recs, err := NewCheck(Options{Spec: s}).Collect(t.Context())
	if err == nil || len(recs) == 0 || recs[0].Attr(record.AttrCheckReason).Str() != ReasonTimeout {
		t.Errorf("%+v, %v: want the time-out", recs, err)
	}
}
