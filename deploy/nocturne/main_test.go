package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/deploy/nocturne/stack"
	"nocturne/deploy/nocturne/supervise"
	"nocturne/internal/trust"
	"nocturne/internal/trust/trusttest"
)

// call runs a command line as main does.
func call(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), args, env{&o, &e})
	return code, o.String(), e.String()
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args []string
		code int
		want string // in either output
	}{
		{nil, exitMisused, "nocturne demo"},
		{[]string{"help"}, exitOK, "nocturne token create"},
		{[]string{"version"}, exitOK, "nocturne "},
		{[]string{"frobnicate"}, exitMisused, `no command is called "frobnicate"`},
		{[]string{"token"}, exitMisused, "want nocturne token create"},
		{[]string{"token", "make"}, exitMisused, "want nocturne token create"},
		{[]string{"token", "--help"}, exitOK, "nocturne token create [flags]"},
		{[]string{"help", "token", "create"}, exitOK, "--site"},
		{[]string{"help", "token"}, exitOK, "nocturne token create [flags]"},
		{[]string{"run", "--help"}, exitOK, "  --keep-metrics DURATION\n"},
		{[]string{"run", "extra"}, exitMisused, "want no arguments"},
		{[]string{"run", "--ports", "web=1"}, exitMisused, `no port is called "web"`},
		{[]string{"run", "--log-level", "loud"}, exitMisused, "want debug, info, warn or error"},
		{[]string{"run", "--servers", "3"}, exitMisused, "not defined"},
		{[]string{"status", "--data", t.TempDir()}, exitFailed, "nocturne is not running"},
		{[]string{"token", "create", "--data", t.TempDir()}, exitFailed, "start it with nocturne run"},
		{[]string{"token", "create", "--uses", "0"}, exitMisused, "--uses: want how many"},
		{[]string{"token", "create", "--uses", "x"}, exitMisused, "want a whole number"},
		{[]string{"token", "create", "--ttl", "90d"}, exitMisused, "for flag --ttl: want a time like 90m or 24h"},
		{[]string{"token", "create", "--ttl", "0s"}, exitMisused, "--ttl: want a second"},
		{[]string{"servers", "revoke"}, exitMisused, "a server's id or name"},
		{[]string{"servers", "list", "--data", t.TempDir()}, exitFailed, "start it with nocturne run"},
		{[]string{"servers", "frobnicate", "x"}, exitMisused, "want list"},
		{[]string{"simulate", "--pace", "0"}, exitMisused, "--pace: want a factor above 0"},
		{[]string{"simulate", "incident", "drive"}, exitMisused, "incident KIND SERVER, of the kinds drive, failure, replace, silence, rack, reboot, patchday"},
		{[]string{"simulate", "incident"}, exitMisused, "of the kinds drive, failure"},
		{[]string{"simulate", "incident", "drive", "db7", "--data", t.TempDir()}, exitFailed, "nocturne is not running"},
		{[]string{"simulate", "--servers", "5001"}, exitMisused, "want a number from 1 to 5000"},
		{[]string{"demo", "--servers", "-3"}, exitMisused, "want a number from 1 to 5000"},
		{[]string{"run", "--keep-logs", "forever"}, exitMisused, "for flag --keep-logs: want two days"},
		{[]string{"run", "--keep-metrics", "forever"}, exitMisused, "like 13, 400d or 2y"},
		{[]string{"run", "--keep-stream", "7d"}, exitMisused, "like 168h"},
		{[]string{"run", "--log-disk", "all"}, exitMisused, "like 50GiB"},
		{[]string{"run", "--listen", "nonsense"}, exitMisused, "want an address and a port"},
		{[]string{"run", "--page-listen", "0.0.0.0:9480"}, exitMisused, "give --page-cert FILE and --page-key FILE"},
		{[]string{"run", "--page-cert", "x.pem"}, exitMisused, "belong together"},
		{[]string{"run", "--page-listen", ":9480", "--page-cert", "missing.pem", "--page-key", "missing.key"}, exitMisused, "missing.pem"},
		{[]string{"status", "--token-file", "missing.token", "--data", t.TempDir()}, exitFailed, "missing.token"},
		{[]string{"simulate", "--data", t.TempDir()}, exitFailed, "start it with nocturne run or nocturne demo"},
		{[]string{"alertmanager", "--config", "missing.yml", "--data", t.TempDir()}, exitFailed, "missing.yml"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, out, errs := call(t, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("code %d, out %q, err %q; want %d and %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

func TestHelpGoesOutAndMistakesComeLast(t *testing.T) {
	for _, c := range commands() {
		name := strings.Fields(c.name)
		code, out, errs := call(t, append(name, "--help")...)
		if code != exitOK || !strings.HasPrefix(out, "nocturne "+c.name) || errs != "" {
			t.Errorf("%s --help: code %d, out %q, err %q", c.name, code, out, errs)
		}
		code, out, errs = call(t, append(name, "--nonsense")...)
		want := "usage: nocturne " + c.name + " " + c.usage + ", more with --help\nnocturne " + c.name + ": flag provided but not defined: --nonsense\n"
		if code != exitMisused || out != "" || errs != want {
			t.Errorf("%s --nonsense: code %d, out %q, err %q, want %q", c.name, code, out, errs, want)
		}
	}
}

func TestFlagErrorsHaveTwoDashes(t *testing.T) {
	for text, want := range map[string]string{
		"flag provided but not defined: -x":                  "flag provided but not defined: --x",
		"flag needs an argument: -data":                      "flag needs an argument: --data",
		`invalid value "a\" for -b" for flag -data: want -c`: `invalid value "a\" for -b" for flag --data: want -c`,
		`invalid boolean value "7" for -demo: parse error`:   `invalid boolean value "7" for --demo: parse error`,
		"bad flag syntax: ---x":                              "bad flag syntax: ---x",
	} {
		if got := twoDashes(text); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWelcomePrintsWhatCanBeTyped(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	lock, err := supervise.Lock(filepath.Join(os.Getenv("XDG_DATA_HOME"), "nocturne-demo"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	demo, err := stack.DefaultDir(stack.Demo)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ program, data, want string }{
		{"bin/nocturne", demo, ": bin/nocturne simulate incident drive sim-ber-dc01\n"},
		{"nocturne", "/tmp/x", ": nocturne simulate incident drive sim-ber-dc01 --data /tmp/x\n"},
		{"/opt/my bin/nocturne", "/tmp/my data", `"/opt/my bin/nocturne" status --data "/tmp/my data"`},
	} {
		var out strings.Builder
		welcome(env{&out, io.Discard}, stack.State{Mode: stack.Demo, Ports: stack.DefaultPorts()}, typed(tt.program, tt.data), tt.data, time.Second)
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("no %q in %s", tt.want, &out)
		}
	}
}

func TestARestartedSimulatorHasNoPlan(t *testing.T) {
	s := stack.State{Parts: []supervise.Status{{Name: "ruler", Restarts: 3}, {Name: stack.Simulator}}}
	if restarted(s) {
		t.Error("the first start is taken for another one")
	}
	s.Parts[1].Restarts = 1
	if !restarted(s) {
		t.Error("the second start is taken for the first")
	}
}

func TestReceiverCommandServesUntilToldToStop(t *testing.T) {
	var ports stack.Ports
	if err := ports.Set("free"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"receiver", "--data", t.TempDir(), "--listen", stack.Addr(ports.Receiver)}, env{io.Discard, t.Output()})
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for url := stack.URL(ports.Receiver) + "/messages"; ; <-tick.C {
		res, err := http.Get(url)
		if err != nil {
			continue
		}
		var got struct{ Messages []any }
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Messages == nil {
			t.Errorf("messages: %+v, %v", got, err)
		}
		res.Body.Close()
		break
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("code %d after an ordinary stop", code)
	}
}

func TestSlowRequestBodiesAreGivenUp(t *testing.T) {
	if s := newServer(nil); s.ReadTimeout <= 0 || s.ReadTimeout > 30*time.Second || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Errorf("a request may take %s to arrive, %s to be answered, %s to follow: want limits", s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
}

func TestPlain(t *testing.T) {
	if got := plain("db\x1b[2J7\nü"); got != "db?[2J7?ü" {
		t.Errorf("%q", got)
	}
}

// Status shows the ruler its token, believes the certificate of the page's file alone, and says what to do when it is refused.
func TestStatusAsksAsSomebody(t *testing.T) {
	t.Setenv(trust.TokenVariable, "")
	dir := t.TempDir()
	files := trusttest.Certificate(t, dir, "nocturne.example.org")
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{
		"":              `401 {"error":"a login is needed","hint":"log in"}`,
		"Bearer wrong":  `401 {"error":"this token is unknown","hint":"make another"}`,
		"Bearer viewer": `200 {"ok":true,"text":"All is well."}`,
		"Bearer narrow": `403 {"error":"this takes the role viewer","hint":"ask an admin"}`,
		"Bearer proxy":  `502 <html>`,
	}
	ruler := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body, _ := strings.Cut(answers[r.Header.Get("Authorization")], " ")
		n, _ := strconv.Atoi(code)
		w.WriteHeader(n)
		_, _ = io.WriteString(w, body)
	}))
	ruler.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	ruler.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are refused on purpose
	ruler.StartTLS()
	defer ruler.Close()
	address, _ := strings.CutPrefix(ruler.URL, "https://")
	lock, err := supervise.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	now := time.Now()
	state := stack.State{Mode: stack.Run, Ready: &now, Started: now, Page: stack.Page{Listen: address, Files: files}}
	state.Ports.Ruler = state.Page.Port()
	write := func() {
		t.Helper()
		text, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(stack.Layout{Dir: dir}.State(), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	for token, want := range map[string]string{
		"": "ruler tokens add -config", "wrong": "does not take this token", "viewer": "All is well.", "narrow": "this takes the role viewer (ask an admin)", "proxy": "answers 502",
	} {
		args := []string{"status", "--data", dir}
		if token != "" {
			path := filepath.Join(dir, token)
			if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "--token-file", path)
		}
		if code, out, errs := call(t, args...); !strings.Contains(out, want) || (code == exitOK) != (token == "viewer") {
			t.Errorf("token %q: code %d, %s%s, want %s", token, code, out, errs, want)
		}
	}
	t.Setenv(trust.TokenVariable, "viewer")
	if code, out, _ := call(t, "status", "--data", dir); code != exitOK {
		t.Errorf("the environment's token: %s", out)
	}
	state.Page.Files = trusttest.Certificate(t, t.TempDir(), "nocturne.example.org")
	write()
	if code, out, _ := call(t, "status", "--data", dir); code == exitOK || !strings.Contains(out, "not that of") {
		t.Errorf("a stranger is believed: %s", out)
	}
}

func TestStatusSaysWhatIsDown(t *testing.T) {
	now := time.Now()
	state := stack.State{Ready: &now, Parts: []supervise.Status{
		{Name: "ruler", PID: 7, Ready: true, Since: now},
		{Name: "eventbridge", Restarts: 3, Since: now},
		{Name: "exporter", PID: 9, Since: now},
		{Name: "simulator"},
	}}
	var out strings.Builder
	well, err := printParts(&out, state)
	if err != nil || well {
		t.Errorf("well is %v, %v, want false", well, err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line)[:4], " "))
	}
	want := []string{"PART STATE PROCESS RESTARTS", "ruler up 7 0", "eventbridge down - 3", "exporter starting 9 0", "simulator down - 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	state.Parts = state.Parts[:1]
	if well, err := printParts(&out, state); err != nil || !well {
		t.Errorf("only what is up: well is %v, %v, want true", well, err)
	}
	out.Reset()
	p := pipeline{Text: "Sink x fails.", Problems: []string{"sink x fails\x1b"}}
	p.Stages = make([]stageTotals, 1)
	p.Stages[0].Name, p.Stages[0].In, p.Stages[0].Dropped = "ingest", 5, 1
	p.Stages[0].Reasons = []dropped{{"too_large", 1}}
	if err := printPipeline(&out, p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Sink x fails.", "too_large 1", "Not as it should be:\n  sink x fails?\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}
