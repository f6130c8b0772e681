package winlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

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

func TestProviderOf(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := providerOf(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f(xmlOf(7), "disk")
	f(security, "Microsoft-Windows-Security-Auditing")
	f(`<Provider Guid="{1}" Name="A &amp; B" EventSourceName='c'/>`, "A & B")
	f(`<Provider EventSourceName='c'/>`, "")
	f(``, "")
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
