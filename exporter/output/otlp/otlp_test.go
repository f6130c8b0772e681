package otlp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"nocturne/exporter/output"
	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

const credential = "noc1.aa010000000000000000000000000000.secret"

// bridge answers like an eventbridge, from the contract of its endpoints.
type bridge struct {
	mu          sync.Mutex
	bodies      []string
	headers     []record.Header
	sent        []int64
	hellos      []helloRequest
	incarnation string
	entry       uint64
	broken      int
	answer      func(w http.ResponseWriter, r *http.Request) bool // true = answered
	results     func(i int) string                                // status of a frame; nil = stored
}

func (b *bridge) Bodies() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.bodies)
}

func (b *bridge) Break(n int) { b.mu.Lock(); b.broken = n; b.mu.Unlock() }

func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+credential {
		http.Error(w, `{"error":"no credential"}`, http.StatusUnauthorized)
		return
	}
	if b.answer != nil && b.answer(w, r) {
		return
	}
	switch r.URL.Path {
	case "/nocturne/v1/hello":
		b.hello(w, r)
	case "/nocturne/v1/frames":
		b.frames(w, r)
	case "/v1/logs":
		b.logs(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (b *bridge) hello(w http.ResponseWriter, r *http.Request) {
	var q helloRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.hellos = append(b.hellos, q)
	a := helloAnswer{Bridge: "b1", Incarnation: b.incarnation, Partition: 3, Head: b.entry, Pace: 50}
	for _, l := range q.Last {
		if l.Incarnation != b.incarnation || l.Entry > b.entry {
			a.Rewind, a.Reason = true, "lost"
		}
	}
	_ = json.NewEncoder(w).Encode(a)
}

func (b *bridge) frames(w http.ResponseWriter, r *http.Request) {
	if b.broken > 0 {
		b.broken--
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/x-nocturne-frames" {
		http.Error(w, "content type", http.StatusUnsupportedMediaType)
		return
	}
	results := []frameResult{}
	b.entry++
	for i := 0; len(body) > 0; i++ {
		_, n, err := record.DecodeHeader(body)
		if err != nil {
			results = append(results, frameResult{Status: "refused", Reason: "header", Error: err.Error()})
			break
		}
		f, err := record.DecodeFrame(body[:n])
		body = body[n:]
		status := "stored"
		if b.results != nil {
			status = b.results(i)
		}
		if err != nil {
			status = "refused"
		}
		if status == "stored" {
			for _, rec := range f.Records {
				b.bodies = append(b.bodies, rec.Body)
			}
			b.headers = append(b.headers, f.Header)
			b.sent = append(b.sent, f.Sent)
		}
		results = append(results, frameResult{Status: status, place: place{b.incarnation, 3, b.entry}, Reason: "why"})
	}
	_ = json.NewEncoder(w).Encode(framesAnswer{results})
}

func (b *bridge) logs(w http.ResponseWriter, r *http.Request) {
	if b.broken > 0 {
		b.broken--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(z)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req := plogotlp.NewExportRequest()
	if err := req.UnmarshalProto(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, rl := range req.Logs().ResourceLogs().All() {
		v, ok := rl.Resource().Attributes().Get("service.name")
		c, ok2 := rl.Resource().Attributes().Get("nocturne.category")
		if !ok || v.Str() != "nocturne-exporter" || !ok2 || c.Str() != "eventlog" {
			http.Error(w, "resource", http.StatusBadRequest)
			return
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				b.bodies = append(b.bodies, lr.Body().AsString())
			}
		}
	}
	res := plogotlp.NewExportResponse()
	out, _ := res.MarshalProto()
	_, _ = w.Write(out)
}

func connect(t *testing.T, b *bridge, plain bool) *Output {
	t.Helper()
	b.incarnation = "i1"
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	c := NewClient(ClientOptions{URL: srv.URL + "/", Credential: credential, UserAgent: "test", Now: func() time.Time { return time.Unix(1_790_000_500, 0) }})
	o := New(c, Options{Producer: record.ExporterProducer(outputtest.Subject), Epoch: outputtest.Epoch, Plain: plain,
		Resource: []record.Attr{{Key: "service.name", Value: record.String("nocturne-exporter")}}})
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func TestContract(t *testing.T) {
	for name, plain := range map[string]bool{"frames": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			outputtest.Run(t, func(t *testing.T) (output.Output, outputtest.Receiver) {
				b := &bridge{}
				return connect(t, b, plain), b
			})
		})
	}
}

func TestFramesAreStampedWhenSent(t *testing.T) {
	b := &bridge{}
	o := connect(t, b, false)
	for range 2 {
		if _, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")}); err != nil {
			t.Fatal(err)
		}
	}
	if want := time.Unix(1_790_000_500, 0).UnixNano(); !slices.Equal(b.sent, []int64{want, want}) {
		t.Errorf("sent at %v", b.sent)
	}
	if h := b.headers[0]; h.Producer != record.ExporterProducer(outputtest.Subject) || h.Subject != outputtest.Subject || h.Epoch.EpochRef != outputtest.Epoch {
		t.Errorf("header %+v", h)
	}
}

func TestHelloPresentsTheLastAnswer(t *testing.T) {
	b := &bridge{}
	o := connect(t, b, false)
	g, err := o.Hello(t.Context(), nil)
	if err != nil || g.Rewind {
		t.Fatalf("%+v, %v", g, err)
	}
	a, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b")})
	if err != nil || a.Hello || string(a.Note) != `{"incarnation":"i1","partition":3,"entry":1}` {
		t.Fatalf("%s, %+v, %v", a.Note, a, err)
	}
	note := a.Note
	if g, err = o.Hello(t.Context(), note); err != nil || g.Rewind {
		t.Fatalf("the same stream: %+v, %v", g, err)
	}
	b.incarnation, b.entry = "i2", 0
	g, err = o.Hello(t.Context(), note)
	if err != nil || !g.Rewind || g.FramesPerSecond != 50 || string(g.Note) != `{"incarnation":"i2","partition":3,"entry":0}` {
		t.Fatalf("a new stream: %+v %s, %v", g, g.Note, err)
	}
	if g, err = o.Hello(t.Context(), []byte("rubbish")); err != nil || g.Rewind || len(b.hellos[len(b.hellos)-1].Last) != 0 {
		t.Fatalf("a note that cannot be read: %+v, %v", g, err)
	}
	if q := b.hellos[1]; q.Producer != record.ExporterProducer(outputtest.Subject) || q.Epoch.Random != 7 || len(q.Last) != 1 || q.Last[0].Entry != 1 {
		t.Errorf("hello said %+v", q)
	}
}

// A bridge that came back with another volume between two requests is noticed
// by its answers, and the old note is kept for the hello.
func TestAnotherStreamIsNoticedInAnswers(t *testing.T) {
	for name, change := range map[string]func(*bridge){
		"incarnation":     func(b *bridge) { b.incarnation = "i2" },
		"entries go back": func(b *bridge) { b.entry = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			b := &bridge{entry: 5}
			o := connect(t, b, false)
			a, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")})
			if err != nil || a.Hello {
				t.Fatal(a, err)
			}
			change(b)
			a, err = o.Send(t.Context(), []spool.Frame{outputtest.Data(2, "b")})
			if err != nil || !a.Hello || a.Note != nil || len(a.Verdicts) != 1 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	b := &bridge{results: func(i int) string { return []string{"stored", "refused", "stored", "busy", "stored"}[i] }}
	o := connect(t, b, false)
	var frames []spool.Frame
	for i := range 5 {
		frames = append(frames, outputtest.Data(uint64(i+1), fmt.Sprint(i)))
	}
	a, err := o.Send(t.Context(), frames)
	if err != nil || !slices.Equal(a.Verdicts, []spool.Verdict{spool.Stored, spool.Refused, spool.Stored}) || len(a.Reasons) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestFailures(t *testing.T) {
	cases := []struct {
		code  int
		head  string
		kind  output.Kind
		after time.Duration
	}{
		{401, "", output.Denied, 0},
		{403, "", output.Denied, 0},
		{404, "", output.Denied, 0},
		{415, "", output.Denied, 0},
		{302, "", output.Denied, 0},
		{413, "", output.TooLarge, 0},
		{429, "60", output.Busy, time.Minute},
		{503, "2", output.Busy, 2 * time.Second},
		{503, time.Unix(1_790_000_000, 0).UTC().Format(http.TimeFormat), output.Busy, 0}, // passed
		{503, time.Unix(1_790_000_530, 0).UTC().Format(http.TimeFormat), output.Busy, 30 * time.Second},
		{503, "99999999", output.Busy, 10 * time.Minute},
		{503, "-1", output.Busy, 0},
		{500, "", output.Busy, 0},
	}
	for _, c := range cases {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprint(c.code, c.head, plain), func(t *testing.T) {
				b := &bridge{answer: func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Retry-After", c.head)
					w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
					http.Error(w, "because\nof \x07 this", c.code)
					return true
				}}
				o := connect(t, b, plain)
				_, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b")})
				f, ok := err.(*output.Failure)
				if !ok || f.Kind != c.kind || f.After != c.after {
					t.Fatalf("%+v", err)
				}
				if s := err.Error(); !strings.HasSuffix(s, "because of this") || strings.Contains(s, "secret") {
					t.Errorf("error %q", s)
				}
			})
		}
	}
}

func TestPoisonIsFoundAlone(t *testing.T) {
	for _, plain := range []bool{false, true} {
		b := &bridge{answer: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "bad request", http.StatusBadRequest)
			return true
		}}
		o := connect(t, b, plain)
		_, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b")})
		if f, ok := err.(*output.Failure); !ok || f.Kind != output.TooLarge {
			t.Errorf("two frames: %v", err)
		}
		a, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")})
		if err != nil || !slices.Equal(a.Verdicts, []spool.Verdict{spool.Refused}) {
			t.Errorf("one frame: %+v, %v", a, err)
		}
	}
}

func TestPartialSuccessIsCounted(t *testing.T) {
	b := &bridge{answer: func(w http.ResponseWriter, _ *http.Request) bool {
		res := plogotlp.NewExportResponse()
		res.PartialSuccess().SetRejectedLogRecords(3)
		res.PartialSuccess().SetErrorMessage("too old")
		out, _ := res.MarshalProto()
		_, _ = w.Write(out)
		return true
	}}
	a, err := connect(t, b, true).Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")})
	if err != nil || a.Rejected != 3 || !slices.Equal(a.Reasons, []string{"too old"}) || len(a.Verdicts) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":         "<html>login</html>",
		"more than asked":  `{"results":[{"status":"stored"},{"status":"stored"}]}`,
		"a giant":          `{"results":"` + strings.Repeat("x", maxAnswer) + `"}`,
		"another's status": `{"results":[{"status":"maybe"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := &bridge{answer: func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, text); return true }}
			o := connect(t, b, false)
			a, err := o.Send(t.Context(), []spool.Frame{outputtest.Data(1, "a")})
			if err == nil && len(a.Verdicts) > 0 {
				t.Errorf("verdicts %v", a.Verdicts)
			}
			if _, err := o.Hello(t.Context(), nil); err == nil {
				t.Error("hello was taken for an eventbridge's")
			}
		})
	}
}
