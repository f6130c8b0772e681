package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend/grpcplugin"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
)

// The built binary, started the way Grafana starts a plugin (go-plugin's
// handshake, gRPC), asks the real API over its real store:
// ruler/console/consoletest of the repository, with a fixed fleet.
func TestAsGrafanaDoes(t *testing.T) {
	dir := t.TempDir()
	binary := build(t, "..", filepath.Join(dir, "gpx_nocturne_fleet"), "./pkg")
	ruler := startRuler(t, build(t, "../..", filepath.Join(dir, "consoletest"), "./ruler/console/consoletest"))
	p := startPlugin(t, binary)

	configured := &pluginContext{url: ruler, token: pluginToken(t, ruler, "editor"), at: time.Now()}
	h, err := p.diagnostics.CheckHealth(t.Context(), &pluginv2.CheckHealthRequest{PluginContext: (&pluginContext{}).as("root", "Admin")})
	if err != nil || h.Status != pluginv2.CheckHealthResponse_ERROR || !strings.Contains(h.Message, "settings page") {
		t.Errorf("without settings: %v, %v", h, err)
	}
	// Other settings make another instance.
	h, err = p.diagnostics.CheckHealth(t.Context(), &pluginv2.CheckHealthRequest{PluginContext: configured.as("root", "Admin")})
	if err != nil || h.Status != pluginv2.CheckHealthResponse_OK || !strings.Contains(h.Message, "ruler consoletest, ") || !strings.Contains(h.Message, "more than the role editor") {
		t.Fatalf("with settings: %v, %v", h, err)
	}

	stream := p.follow(t, configured.as("alice", "Viewer"))
	if e := stream.next(t); e.kind != "hello" {
		t.Fatalf("the stream begins with %+v", e)
	}
	var list struct {
		Total int
		Items []struct {
			ID    string
			State string
			Work  struct{ Revision int }
		}
	}
	p.get(t, configured.as("alice", "Viewer"), "api/v1/notifications?state=firing&limit=1", 200, &list)
	if len(list.Items) != 1 {
		t.Fatalf("%+v", list)
	}
	id := list.Items[0].ID
	ack := `{"revision":-1,"text":"on it"}`
	if r := p.call(t, configured.as("alice", "Viewer"), "POST", "api/v1/notifications/"+id+"/acknowledge", ack); r.code != 403 {
		t.Errorf("a viewer acknowledged: %+v", r)
	}
	if r := p.call(t, configured.as("bob", "Editor"), "POST", "api/v1/notifications/"+id+"/acknowledge", ack); r.code != 200 {
		t.Errorf("an editor could not acknowledge: %+v", r)
	}
	for e := stream.next(t); ; e = stream.next(t) {
		if strings.Contains(e.data, id) && strings.Contains(e.data, `"bob"`) {
			break
		}
	}
	if r := p.call(t, configured.as("root", "Admin"), "POST", "api/v1/tokens", `{"name":"x","role":"admin"}`); r.code != 403 || !strings.Contains(r.body, "root is editor") {
		t.Errorf("an admin got more than the token: %+v", r)
	}
	var me struct{ Name, Via, Role string }
	p.get(t, configured.as("carol@example.org", "Editor"), "api/v1/me", 200, &me)
	if me.Name != "carol@example.org" || me.Role != "editor" || !strings.HasPrefix(me.Via, "plugin ") {
		t.Errorf("%+v", me)
	}
	// The token of a person is not taken for one of a plugin.
	person := &pluginContext{url: ruler, token: newToken(t, ruler, `{"name":"person","role":"admin"}`), at: configured.at.Add(time.Second)}
	h, err = p.diagnostics.CheckHealth(t.Context(), &pluginv2.CheckHealthRequest{PluginContext: person.as("root", "Admin")})
	if err != nil || h.Status != pluginv2.CheckHealthResponse_ERROR || !strings.Contains(h.Message, "not of kind plugin") {
		t.Errorf("a person's token: %v, %v", h, err)
	}
	// The old instance is disposed of some seconds later, and its streams end:
	// Grafana begins them anew.
	if err := stream.end(t); err == nil || !strings.Contains(err.Error(), "the settings changed") {
		t.Errorf("the stream ended with %v", err)
	}
	s, err := p.stream.SubscribeStream(t.Context(), &pluginv2.SubscribeStreamRequest{PluginContext: configured.as("alice", ""), Path: "changes"})
	if err != nil || s.Status != pluginv2.SubscribeStreamResponse_PERMISSION_DENIED {
		t.Errorf("somebody without a role listens: %v, %v", s, err)
	}
	pub, err := p.stream.PublishStream(t.Context(), &pluginv2.PublishStreamRequest{PluginContext: configured.as("root", "Admin"), Path: "changes", Data: []byte("{}")})
	if err != nil || pub.Status != pluginv2.PublishStreamResponse_PERMISSION_DENIED {
		t.Errorf("published: %v, %v", pub, err)
	}
	p.stop(t)
}

// stop tries that the ruler hears of it when a browser ends a request, or leaves
// the page: Grafana ends the call then.
func (p *running) stop(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	ruler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = io.WriteString(w, "{\"progress\":[]}\n") // whoever reads it says what is wrong
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	}))
	defer ruler.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	who := (&pluginContext{url: ruler.URL, token: "noc_x", at: time.Now()}).as("bob", "Editor")
	calls, err := p.resource.CallResource(ctx, &pluginv2.CallResourceRequest{PluginContext: who, Method: "POST", Path: "api/v1/rules/backtest", Url: "api/v1/rules/backtest", Body: []byte("{}"),
		Headers: map[string]*pluginv2.StringList{"Content-Type": {Values: []string{"application/json"}}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := calls.Recv()
	if err != nil || r.Code != 200 || !strings.Contains(string(r.Body), "progress") {
		t.Fatalf("the first line: %v, %v", r, err)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(time.Minute): // so long that it is not the machine's
		t.Error("the ruler goes on although nobody waits")
	}
}

// build compiles a program of one of the two modules; dir is where its module is.
func build(t *testing.T, dir, out, pkg string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		out += ".exe"
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, b)
	}
	return out
}

// startRuler runs the API until the test is over.
func startRuler(t *testing.T, binary string) string {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // how it ended is not what is tested
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the API did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

// pluginToken makes what ruler tokens add -kind plugin makes; on the ruler's
// own machine nobody needs a token for it.
func pluginToken(t *testing.T, ruler, role string) string {
	return newToken(t, ruler, `{"name":"tested","kind":"plugin","role":"`+role+`"}`)
}

func newToken(t *testing.T, ruler, request string) string {
	t.Helper()
	resp, err := http.Post(ruler+"/api/v1/tokens", "application/json", strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Value string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Value == "" {
		t.Fatalf("no token: %d, %v", resp.StatusCode, err)
	}
	return answer.Value
}

// pluginContext makes what Grafana sends beside a call.
type pluginContext struct {
	url, token string
	at         time.Time
}

func (c *pluginContext) as(login, role string) *pluginv2.PluginContext {
	settings, err := json.Marshal(map[string]string{"rulerUrl": c.url})
	if err != nil {
		panic(err) // two strings
	}
	return &pluginv2.PluginContext{OrgId: 1, PluginId: "nocturne-fleet-app", PluginVersion: "1.0.0",
		User:                &pluginv2.User{Login: login, Name: login, Role: role},
		AppInstanceSettings: &pluginv2.AppInstanceSettings{JsonData: settings, DecryptedSecureJsonData: map[string]string{"token": c.token}, LastUpdatedMS: c.at.UnixMilli()}}
}

// running is the plugin as Grafana holds it.
type running struct {
	diagnostics pluginv2.DiagnosticsClient
	resource    pluginv2.ResourceClient
	stream      pluginv2.StreamClient
}

func startPlugin(t *testing.T, binary string) *running {
	t.Helper()
	client := goplugin.NewClient(&goplugin.ClientConfig{
		Cmd:              exec.Command(binary),
		HandshakeConfig:  goplugin.HandshakeConfig{ProtocolVersion: grpcplugin.ProtocolVersion, MagicCookieKey: grpcplugin.MagicCookieKey, MagicCookieValue: grpcplugin.MagicCookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{grpcplugin.ProtocolVersion: {"diagnostics": &grpcplugin.DiagnosticsGRPCPlugin{}, "resource": &grpcplugin.ResourceGRPCPlugin{}, "stream": &grpcplugin.StreamGRPCPlugin{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		SyncStderr:       os.Stderr,
	})
	t.Cleanup(client.Kill)
	rpc, err := client.Client()
	if err != nil {
		t.Fatalf("start the plugin: %v", err)
	}
	part := func(name string) any {
		v, err := rpc.Dispense(name)
		if err != nil {
			t.Fatalf("the plugin has no %s: %v", name, err)
		}
		return v
	}
	return &running{part("diagnostics").(pluginv2.DiagnosticsClient), part("resource").(pluginv2.ResourceClient), part("stream").(pluginv2.StreamClient)}
}

type answer struct {
	code int32
	body string
}

func (p *running) call(t *testing.T, who *pluginv2.PluginContext, method, url, body string) answer {
	t.Helper()
	path, _, _ := strings.Cut(url, "?")
	calls, err := p.resource.CallResource(t.Context(), &pluginv2.CallResourceRequest{PluginContext: who, Method: method, Path: path, Url: url, Body: []byte(body),
		Headers: map[string]*pluginv2.StringList{"Content-Type": {Values: []string{"application/json"}}, "X-Nocturne-Role": {Values: []string{"admin"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	for {
		r, err := calls.Recv()
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			t.Fatalf("%s %s: %v", method, url, err)
		}
		if a.code == 0 {
			a.code = r.Code
		}
		a.body += string(r.Body)
	}
}

func (p *running) get(t *testing.T, who *pluginv2.PluginContext, url string, code int32, into any) {
	t.Helper()
	a := p.call(t, who, "GET", url, "")
	if err := json.Unmarshal([]byte(a.body), into); err != nil || a.code != code {
		t.Fatalf("%s: %d %.500s, %v", url, a.code, a.body, err)
	}
}

// follower is a stream that Grafana runs.
type follower struct {
	client pluginv2.Stream_RunStreamClient
	events []event
}

type event struct{ kind, id, data string }

func (p *running) follow(t *testing.T, who *pluginv2.PluginContext) *follower {
	t.Helper()
	s, err := p.stream.SubscribeStream(t.Context(), &pluginv2.SubscribeStreamRequest{PluginContext: who, Path: "changes"})
	if err != nil || s.Status != pluginv2.SubscribeStreamResponse_OK {
		t.Fatalf("subscribe: %v, %v", s, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	client, err := p.stream.RunStream(ctx, &pluginv2.RunStreamRequest{PluginContext: who, Path: "changes"})
	if err != nil {
		t.Fatal(err)
	}
	return &follower{client: client}
}

// next is the next event of the frames.
func (f *follower) next(t *testing.T) event {
	t.Helper()
	for len(f.events) == 0 {
		packet, err := f.client.Recv()
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		var frame struct {
			Data struct{ Values []json.RawMessage }
		}
		if err := json.Unmarshal(packet.Data, &frame); err != nil || len(frame.Data.Values) != 4 {
			t.Fatalf("%s, %v", packet.Data, err)
		}
		var kinds, ids, texts []string
		for i, into := range []*[]string{&kinds, &ids, &texts} {
			if err := json.Unmarshal(frame.Data.Values[i+1], into); err != nil {
				t.Fatal(err)
			}
		}
		for i := range kinds {
			f.events = append(f.events, event{kinds[i], ids[i], texts[i]})
		}
	}
	e := f.events[0]
	f.events = f.events[1:]
	return e
}

// end reads until the stream is over.
func (f *follower) end(t *testing.T) error {
	t.Helper()
	for {
		if _, err := f.client.Recv(); err != nil {
			return err
		}
	}
}
