package winlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

func xmlOf(id int) string {
	return fmt.Sprintf(`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='disk'/><EventID Qualifiers='49156'>%d</EventID><Level>2</Level><TimeCreated SystemTime='2026-01-02T03:04:05.1234567Z'/><EventRecordID>%d</EventRecordID><Channel>System</Channel><Computer>db7</Computer></System><EventData><Data>\Device\Harddisk1\DR1</Data><Binary>0A0B</Binary></EventData></Event>`, id, id)
}

// fakeLog is an event log whose calls fail as the test says.
type fakeLog struct {
	mu     sync.Mutex
	events []int            // record ids, ascending
	fail   map[string]error // of the next call: "subscribe", "next"
	calls  []string
	wake   chan struct{}
}

func (f *fakeLog) failing(call string) error {
	err := f.fail[call]
	delete(f.fail, call)
	return err
}

func (f *fakeLog) Subscribe(ch Channel, from Start) (Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf("subscribe %s %s %t", ch.Name, from.Bookmark, from.Oldest))
	if err := f.failing("subscribe"); err != nil {
		return nil, err
	}
	s := &fakeSub{log: f}
	switch {
	case from.Bookmark != "":
		if _, err := fmt.Sscan(from.Bookmark, &s.after); err != nil {
			return nil, err
		}
		if !slices.Contains(f.events, s.after) {
			return nil, fmt.Errorf("EvtSubscribe: %w", ErrBookmarkLost)
		}
	case !from.Oldest && len(f.events) > 0:
		s.after = f.events[len(f.events)-1]
	}
	return s, nil
}

type fakeSub struct {
	log   *fakeLog
	after int
}

func (s *fakeSub) Close() error { return nil }

func (s *fakeSub) Next(ctx context.Context, n int) (Batch, error) {
	for {
		s.log.mu.Lock()
		s.log.calls = append(s.log.calls, fmt.Sprintf("next %d", n))
		err := s.log.failing("next")
		var b Batch
		for _, id := range s.log.events {
			if id > s.after && len(b.Events) < n {
				b.Events = append(b.Events, Event{XML: xmlOf(id)})
				s.after = id
			}
		}
		b.Bookmark = fmt.Sprint(s.after)
		s.log.mu.Unlock()
		if err != nil || len(b.Events) > 0 {
			return b, err
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-s.log.wake:
		}
	}
}

type spool struct {
	mu       sync.Mutex
	recs     []record.Record
	position []byte
}

func (s *spool) emit(_ context.Context, recs []record.Record, position []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recs, s.position = append(s.recs, recs...), position
	return nil
}

func (s *spool) Position(string) ([]byte, error) { return s.position, nil }

func (s *spool) ids() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.recs {
		if r.Name == record.NameSourceFailed {
			out = append(out, "gap")
			continue
		}
		out = append(out, r.Attr(record.AttrRecordID).Text())
	}
	return strings.Join(out, " ")
}

// during runs the source over the log for some time of the bubble.
func during(t *testing.T, f *fakeLog, s *spool, d time.Duration, then ...func()) {
	t.Helper()
	cfg := Config{Enabled: true, Channels: []Channel{{Name: "System"}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(Options{Config: cfg, Positions: s, API: f}).Run(ctx, s.emit) }()
	synctest.Wait()
	for _, step := range then {
		step()
		synctest.Wait()
	}
	time.Sleep(d)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func (f *fakeLog) write(ids ...int) func() {
	return func() {
		f.mu.Lock()
		f.events = append(f.events, ids...)
		f.mu.Unlock()
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

func newLog(ids ...int) *fakeLog {
	return &fakeLog{events: ids, fail: map[string]error{}, wake: make(chan struct{}, 1)}
}

func TestFollowsAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newLog(1, 2, 3), &spool{}
		during(t, f, s, 0, f.write(4, 5))
		if s.ids() != "4 5" || string(s.position) != `{"System":"5"}` {
			t.Errorf("records %s, position %s: want only what is new", s.ids(), s.position)
		}
		f.write(6)()
		during(t, f, s, 0, f.write(7))
		if s.ids() != "4 5 6 7" {
			t.Errorf("records %s: want what came meanwhile, and nothing twice", s.ids())
		}
	})
}

func TestClearedLogIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newLog(101, 102), &spool{position: []byte(`{"System":"50"}`)}
		during(t, f, s, 0)
		if s.ids() != "gap 101 102" || string(s.position) != `{"System":"102"}` {
			t.Errorf("records %s, position %s: want the gap said, then the oldest left", s.ids(), s.position)
		}
	})
}

func TestErrorsOfTheInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(why, call string, fail error, wait time.Duration, calls string) {
			t.Helper()
			log, s := newLog(1), &spool{position: []byte(`{"System":"1"}`)}
			log.fail[call] = fail
			during(t, log, s, wait, log.write(2))
			if got := strings.TrimPrefix(s.ids(), "gap "); got != "2" {
				t.Errorf("%s: records %q, want the event", why, s.ids())
			}
			if got := strings.Join(log.calls, ", "); !strings.HasPrefix(got, calls) {
				t.Errorf("%s: calls %s, want %s", why, got, calls)
			}
		}
		const sub = "subscribe System 1 false, "
		f("the service was restarted", "next", classify("EvtNext", codeQueryResultStale), 2*time.Second, sub+"next 128, "+sub+"next 128, next 128")
		f("an answer too large", "next", classify("EvtNext", codeInvalidBound), 0, sub+"next 128, "+sub+"next 64, next 64, next 64")
		f("no handle and no code", "subscribe", classify("EvtSubscribe", 0), 2*time.Second, sub+sub+"next 128, next 128")
		f("no such channel, asked again in 5 minutes", "subscribe", classify("EvtSubscribe", codeChannelNotFound), 6*time.Minute, sub+sub+"next 128, next 128")
	})
}

func TestSpoolFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		f := newLog(1, 2)
		src := New(Options{Config: Config{Channels: []Channel{{Name: "System"}}}, API: f, Positions: &spool{position: []byte(`{"System":"1"}`)}})
		if err := src.Run(t.Context(), func(context.Context, []record.Record, []byte) error { return full }); !errors.Is(err, full) {
			t.Errorf("error %v, want the spool's", err)
		}
	})
}

func TestNotOnThisSystem(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is an event log here")
	}
	if err := New(Options{Config: DefaultConfig()}).Run(t.Context(), (&spool{}).emit); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want unsupported", err)
	}
}

func TestClassify(t *testing.T) {
	for code, want := range map[uint32]error{1168: ErrBookmarkLost, 15012: ErrBookmarkLost, 15007: ErrNoChannel, 1734: ErrTooMany, 6: ErrStale, 15011: ErrStale, 1722: ErrStale, 15037: ErrStale} {
		if err := classify("call", code); !errors.Is(err, want) {
			t.Errorf("code %d: %v, want %v", code, err, want)
		}
	}
	if err := classify("EvtNext", 5); err == nil || errors.Is(err, ErrStale) {
		t.Errorf("access denied: %v", err)
	}
	if !nothingYet(259) || !nothingYet(4317) || nothingYet(15011) {
		t.Error("259 and 4317 mean that there is nothing yet")
	}
}

// brokenSamples are not whole in the corpus, or no event with a head.
var brokenSamples = map[string]string{
	"Application_CarbonBlackDefense_1.xml":  "unexpected EOF",
	"Application_CarbonBlackDefense_33.xml": "unexpected EOF",
	"Application_CarbonBlackDefense_49.xml": "unexpected EOF",
	"xmldata_01.xml":                        "one of them is missing",
}

// Every event of the corpus that stands alone in a file, as tools rendered it.
func TestDecodeCorpus(t *testing.T) {
	files, _ := filepath.Glob(corpus.File(t, "events-rendered", "*", "*.xml"))
	if len(files) < 80 {
		t.Fatalf("%d files, want at least 80", len(files))
	}
	withData, times := 0, 0
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitAfterSeq(string(b), "</Event>") {
			i := strings.Index(part, "<Event")
			if i < 0 {
				continue
			}
			r, err := Decode(Event{XML: part[i:]}, time.Now())
			if reason, broken := brokenSamples[filepath.Base(path)]; broken {
				if err == nil || !strings.Contains(err.Error(), reason) {
					t.Errorf("%s: error %v, want %q", filepath.Base(path), err, reason)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", filepath.Base(path), err)
				continue
			}
			if !r.Time.IsZero() {
				times++
			}
			for _, a := range r.Attrs {
				if strings.HasPrefix(a.Key, record.AttrData) {
					withData++
					break
				}
			}
			if r.Body == "" || r.Attr(record.AttrProvider).Str() == "" {
				t.Errorf("%s: %+v", filepath.Base(path), r)
			}
		}
	}
	t.Logf("%d files, %d events with data, %d with a time", len(files), withData, times)
	if withData < 70 || times < 70 {
		t.Errorf("%d events with data, %d with a time: want at least 70", withData, times)
	}
}

func TestDecode(t *testing.T) {
	f := func(why, xml, message, body, attrs string) {
		t.Helper()
		r, err := Decode(Event{XML: xml, Message: message}, time.Time{})
		if err != nil {
			t.Errorf("%s: %v", why, err)
			return
		}
		var got []string
		for _, a := range r.Attrs {
			if k, ok := strings.CutPrefix(a.Key, record.AttrData); ok {
				got = append(got, k+"="+a.Value.Text())
			}
		}
		if r.Body != body || strings.Join(got, "|") != attrs {
			t.Errorf("%s: %q %q, want %q %q", why, r.Body, got, body, attrs)
		}
	}
	const system = `<System><Provider Name="p"/><EventID>7</EventID><Channel>c</Channel></System>`
	f("positional and binary", xmlOf(7), "", `disk event 7, param1: \Device\Harddisk1\DR1`, `param1=\Device\Harddisk1\DR1|binary=0a0b`)
	f("a message of this machine", xmlOf(7), "The device has a bad block.\r\n\x00", "The device has a bad block.", `param1=\Device\Harddisk1\DR1|binary=0a0b`)
	f("a forwarded message comes first", `<Event>`+system+`<RenderingInfo><Message>theirs</Message></RenderingInfo></Event>`, "ours", "theirs", "")
	f("user data", `<Event>`+system+`<UserData><LogFileCleared xmlns="x"><SubjectUserName>bob</SubjectUserName><A><B>1</B></A></LogFileCleared></UserData></Event>`, "", "p event 7, SubjectUserName: bob", `SubjectUserName=bob|A={"B":"1"}`)
	f("twice the same name, empty data", `<Event>`+system+`<EventData><Data Name="a">1</Data><Data Name="a">2</Data><Data/></EventData></Event>`, "", "p event 7, a: 1", "a=1|param3=")
	f("binary with dashes, as one tool writes it", `<Event>`+system+`<EventData><Binary>AA-BB</Binary></EventData></Event>`, "", "p event 7", "binary=aabb")
	r, err := Decode(Event{XML: xmlOf(7)}, time.Time{})
	if err != nil || r.Time.Format(time.RFC3339Nano) != "2026-01-02T03:04:05.1234567Z" || r.Severity != record.Error || r.Attr(record.AttrLevel).Str() != "error" || r.Attr(record.AttrComputer).Str() != "db7" {
		t.Errorf("%+v %v", r, err)
	}
	for _, bad := range []string{"", "<Event>", "<Foo/>", "<Event><System/></Event>", "text", strings.Repeat("<a>", 100), strings.Repeat("x", maxXML+1), "<Event>" + strings.Repeat("<a/>", maxNodes) + "</Event>"} {
		if _, err := Decode(Event{XML: bad}, time.Time{}); err == nil {
			t.Errorf("%.30q was decoded", bad)
		}
	}
}

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if err := c.Validate(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(DefaultConfig(), "")
	f(Config{Channels: []Channel{{Name: "System"}, {Name: "system"}}}, "winlog channel system is there twice: write it once, with one query")
	f(Config{Channels: []Channel{{}}}, "winlog channel 1 has no name: write one, such as System")
	f(Config{Enabled: true}, "winlog is enabled without channels: write at least one, such as System")
}

func FuzzDecode(f *testing.F) {
	f.Add(xmlOf(7))
	f.Add(`<Event><System><Provider Name="p"/><EventID>7</EventID><Channel>c</Channel></System><UserData><A><B>1</B></A></UserData></Event>`)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Decode(Event{XML: s, Message: s}, time.Time{})
		if err == nil && len(r.Attrs) > record.MaxAttrs {
			t.Fatalf("%d attributes", len(r.Attrs))
		}
	})
}
