package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"nocturne/exporter/enrol"
)

// call runs a command line and returns what it printed.
func call(t *testing.T, stdin string, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = run(t.Context(), args, stdio{strings.NewReader(stdin), &o, &e})
	return o.String(), e.String(), err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exporter.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	empty := write(t, "")
	data := t.TempDir()
	cases := []struct {
		name string
		args []string
		out  string // part of what is printed
		err  string // part of the error; "" = none
	}{
		{"help", []string{"--help"}, "exporter enrol --server URL --token TOKEN", flag.ErrHelp.Error()},
		{"help of a command", []string{"run", "--help"}, "-config", flag.ErrHelp.Error()},
		{"unknown command", []string{"rum"}, "exporter [run]", `unknown command "rum"`},
		{"version", []string{"version"}, version(), ""},
		{"version as a flag", []string{"--version"}, version(), ""},
		{"check", []string{"run", "--config", empty, "-check"}, "configuration is valid", ""},
		{"check without command", []string{"--config", empty, "-check"}, "configuration is valid", ""},
		{"check finds mistakes", []string{"--config", write(t, "heartbeat: {intervall: 1m}\n"), "-check"}, "", "line 1: unknown key intervall"},
		{"check finds mistakes in flags", []string{"--config", empty, "--listen", "9490", "-check"}, "", `metrics listen "9490": write ADDRESS:PORT`},
		{"log level", []string{"--config", empty, "--log-level", "loud"}, "", `log_level "loud": write debug, info, warn or error`},
		{"no such file", []string{"--config", filepath.Join(data, "none.yml")}, "", "read config: "},
		{"argument", []string{"run", "--config", empty, "now"}, "", `unexpected argument "now"`},
		{"enrol without flags", []string{"enrol", "--config", empty, "--data", data}, "", "enrol needs --server URL and --token TOKEN"},
		{"enrol in the clear", []string{"enrol", "--config", empty, "--data", data, "--server", "http://example.org:9470", "--token", "x"}, "", "plain http is for this machine only"},
		{"an import identity without a name", []string{"enrol", "--config", empty, "--data", data, "--server", "http://127.0.0.1:1", "--token", "x", "--for-import"}, "", "needs --name NAME"},
		{"import without a file", []string{"import", "--config", empty, "--data", data}, "", "import needs the path of one .evtx file"},
		{"check-config finds mistakes in check files", []string{"check-config", "--config", write(t, "check: {folder: '"+checkFolder(t)+"'}\n")}, "", "load.yml: line 1: unknown key comand: did you mean command?"},
		{"check-config", []string{"check-config", "--config", empty}, "configuration is valid", ""},
		{"check-config finds mistakes", []string{"check-config", "--config", write(t, "raid:\n  perid: 1m\n")}, "", "line 2: unknown key perid: did you mean period?"},
		{"install a wrong file", []string{"install", "--config", write(t, "raid: 1\n")}, "", "line 1: write keys and values instead of `1`"},
		{"test lists", []string{"test", "--config", empty}, "heartbeat", ""},
		{"test shows", []string{"test", "heartbeat", "--config", empty}, "nocturne.heartbeat", ""},
		{"test shows one", []string{"test", "--config", empty, "--data", data, "heartbeat"}, "nocturne.heartbeat", ""},
		{"test in JSON", []string{"test", "--config", empty, "--json", "heartbeat"}, `"category":"heartbeat","name":"nocturne.heartbeat"`, ""},
		{"test of all checks", []string{"test", "--config", empty, "check"}, "each check is a source of its own", ""},
		{"test of nothing", []string{"test", "--config", empty, "nothing"}, "", `no source is called "nothing"`},
		{"status of nothing", []string{"status", "--config", empty, "--data", data}, "no exporter runs in " + data, "exit code 3"},
		{"status with a wrong file", []string{"status", "--config", write(t, "raid: 1\n"), "--data", data, "--json"}, `"running": false`, "exit code 3"},
		{"status with a wrong file and a folder", []string{"status", "--config", write(t, "raid: 1\n"), "--data", data}, "no exporter runs in " + data, "exit code 3"},
		{"status with a wrong file names its folder", []string{"status", "--config", write(t, "data: "+filepath.ToSlash(data)+"\nraidd: {}\n")}, "no exporter runs in " + filepath.ToSlash(data), "exit code 3"},
		{"evtx-child alone", []string{"evtx-child"}, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, errOut, err := call(t, "", c.args...)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !strings.Contains(out+errOut, c.out) {
				t.Errorf("printed %q, want %q", out+errOut, c.out)
			}
		})
	}
}

// Help that was asked for is output, and no mistake: main ends with 0.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"run", "--help"}, {"enrol", "--help"}, {"import", "-h"}} {
		out, errOut, err := call(t, "", args...)
		if !errors.Is(err, flag.ErrHelp) || out == "" || errOut != "" {
			t.Errorf("%v: %v, stdout %q, stderr %q", args, err, out, errOut)
		}
	}
	out, errOut, err := call(t, "", "run", "--porrt", "1")
	if err == nil || errors.Is(err, flag.ErrHelp) || out != "" || !strings.Contains(errOut, "not defined: -porrt") {
		t.Errorf("unknown flag: %v, stdout %q, stderr %q", err, out, errOut)
	}
}

// A file that is none is found out before the data folder is touched, and no
// counts of nothing are told.
func TestImportOfNoFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, path := range []string{filepath.Join(t.TempDir(), "absent.evtx"), write(t, "no event log\n")} {
		out, errOut, err := call(t, "", "import", "--config", write(t, ""), "--data", data, path)
		if err == nil || !strings.Contains(err.Error(), path) || out+errOut != "" {
			t.Errorf("%v, printed %q", err, out+errOut)
		}
		if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the data folder was made: %v", err)
		}
	}
}

// An identity for imports tells nothing of the machine that imports.
func TestEnrolForImport(t *testing.T) {
	var got struct {
		Name, OS string
		Evidence map[string]string
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"server_id":"12340000000000000000000000000000","credential":"noc1.12340000000000000000000000000000.s","server":"old-db7"}`)
	}))
	defer srv.Close()
	_, _, err := call(t, "", "enrol", "--config", write(t, ""), "--data", t.TempDir(), "--server", srv.URL, "--token", "x", "--name", "old-db7", "--for-import")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "old-db7" || got.OS != "" || got.Evidence["machine_id"]+got.Evidence["smbios_uuid"]+got.Evidence["serial"] != "" {
		t.Errorf("told %+v", got)
	}
}

func TestEnrol(t *testing.T) {
	const secret = "the-secret-of-this-server"
	tokens, reported := []string{}, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Token, Name, OS string
			Reported        enrol.Labels
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.OS == "" || q.Name != "db7" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		reported = q.Reported.Site
		tokens = append(tokens, q.Token)
		_, _ = io.WriteString(w, `{"server_id":"12340000000000000000000000000000","credential":"noc1.12340000000000000000000000000000.`+secret+`","server":"db7"}`)
	}))
	defer srv.Close()
	data, empty := t.TempDir(), write(t, "")
	args := []string{"enrol", "--config", empty, "--data", data, "--name", "db7", "--server", srv.URL}
	steps := []struct {
		name  string
		stdin string
		more  []string
		out   string
		err   string
	}{
		{"first", "", []string{"--token", "nocj1.one", "--site", "berlin", "--rack", ""}, "enrolled as db7 (server id 12340000000000000000000000000000)", ""},
		{"again by mistake", "", []string{"--token", "nocj1.two"}, "", "add --force to enrol again"},
		{"again, keep", "", []string{"--token", "nocj1.two", "--keep"}, "enrolled already as db7", ""},
		{"again on purpose, token from stdin", "nocj1.three\n", []string{"--token", "-", "--force"}, "enrolled as db7", ""},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			out, errOut, err := call(t, s.stdin, append(args, s.more...)...)
			if (err == nil) != (s.err == "") || err != nil && !strings.Contains(err.Error(), s.err) || !strings.Contains(out, s.out) {
				t.Errorf("%q, %v", out, err)
			}
			if all := out + errOut + errText(err); strings.Contains(all, secret) || strings.Contains(all, "nocj1") {
				t.Errorf("a secret was printed: %s", all)
			}
		})
	}
	if l, err := enrol.LoadLabels(data); err != nil || l.Site != "berlin" || l.Rack != "" || reported != "berlin" {
		t.Errorf("labels %+v, %v; the bridge heard of site %q", l, err, reported)
	}
	if strings.Join(tokens, " ") != "nocj1.one nocj1.three" {
		t.Errorf("tokens used: %v", tokens)
	}
}

// A token is kept for the service, which waits until the bridge takes it.
func TestEnrolLater(t *testing.T) {
	const token = "nocj1.for-later"
	var up atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Token, Name string }
		if !up.Load() || json.NewDecoder(r.Body).Decode(&q) != nil || q.Token != token || q.Name != "db7" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"server_id":"12340000000000000000000000000000","credential":"noc1.12340000000000000000000000000000.s","server":"db7"}`)
	}))
	defer srv.Close()
	data := filepath.Join(t.TempDir(), "data")
	config := write(t, "metrics: {listen: '', machine: false}\njournal: {enabled: false}\nraid: {enabled: false}\nhardware: {enabled: false}\nupdates: {enabled: false}\nsoftware: {enabled: false}\n")
	tokenFile := write(t, token+"\n")
	args := []string{"enrol", "--config", config, "--data", data, "--server", srv.URL, "--name", "db7", "--later", "--token-file", tokenFile}
	if out, errOut, err := call(t, "", args...); err != nil || !strings.Contains(out, "the service will enrol at") || strings.Contains(out+errOut, token) {
		t.Fatalf("%q %q %v", out, errOut, err)
	}
	if out, _, err := call(t, "", "status", "--config", config, "--data", data); err == nil || !strings.Contains(out, "the service tries it at "+srv.URL) {
		t.Errorf("status: %v, %s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	said := &watched{seen: map[string]func(){"enrolment failed": func() { up.Store(true) }, "exporter runs": stop}}
	if err := run(ctx, []string{"run", "--config", config, "--data", data}, stdio{strings.NewReader(""), io.Discard, said}); err != nil {
		t.Error(err)
	}
	if text := said.String(); !strings.Contains(text, "waiting for it; paste the line of `nocturne token create`") || strings.Contains(text, token) {
		t.Errorf("said %s", text)
	}
	if files, err := filepath.Glob(filepath.Join(data, "join*")); err != nil || len(files) > 0 {
		t.Errorf("left %v %v", files, err)
	}
	if out, _, err := call(t, "", args...); err != nil || !strings.Contains(out, "enrolled already as db7") {
		t.Errorf("again: %q %v", out, err)
	}
}

// A stop ends a wait for the enrolment, and is no failure.
func TestWaitForEnrolmentIsStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	said := &watched{seen: map[string]func(){"not enrolled": stop}}
	if err := run(ctx, []string{"run", "--config", write(t, ""), "--data", t.TempDir()}, stdio{strings.NewReader(""), io.Discard, said}); err != nil {
		t.Error(err)
	}
}

// watched calls a function when a text is written.
type watched struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	seen map[string]func()
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for text, f := range w.seen {
		if bytes.Contains(b, []byte(text)) {
			f()
		}
	}
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestRunEndsWithItsContext(t *testing.T) {
	path := write(t, "outputs: [{name: screen, type: console}]\nmetrics: {listen: '', machine: false}\njournal: {enabled: false}\nraid: {enabled: false}\n")
	ctx, stop := context.WithCancel(t.Context())
	out := &firstLine{seen: stop}
	err := run(ctx, []string{"run", "--config", path, "--data", t.TempDir()}, stdio{strings.NewReader(""), out, io.Discard})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "nocturne.heartbeat") || !strings.Contains(s, "nocturne.goodbye") {
		t.Errorf("printed %s", s)
	}
}

// firstLine calls seen with the first line.
type firstLine struct {
	bytes.Buffer
	seen func()
}

func (f *firstLine) Write(b []byte) (int, error) {
	f.seen()
	return f.Buffer.Write(b)
}

// checkFolder holds one check file, with a mistake.
func checkFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "load.yml"), []byte("comand: [/bin/true]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
