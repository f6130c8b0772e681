package check

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nocturne/internal/corpus"
)

func parsed(out string) *Result {
	r := &Result{}
	parseNagios([]byte(out), r)
	return r
}

// show writes the values as label=number unit warning critical min max.
func show(r *Result) string {
	var out []string
	for _, v := range r.Values {
		b, err := json.Marshal(v.record())
		if err != nil {
			return err.Error()
		}
		out = append(out, string(b))
	}
	return strings.Join(out, "\n")
}

func TestPerformanceData(t *testing.T) {
	f := func(why, perf, want, problem string) {
		t.Helper()
		r := parsed("OK | " + perf)
		if got := show(r); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", why, got, want)
		}
		if got := strings.Join(r.Problems, "\n"); got != problem {
			t.Errorf("%s: problems %q, want %q", why, got, problem)
		}
	}
	f("a bare number", "users=3", `{"name":"users","value":3}`, "")
	f("everything", "/=2643MB;5948;5958;0;5968", `{"name":"/","value":2643,"unit":"MB","warning":"5948","critical":"5958","min":0,"max":5968}`, "")
	f("empty fields", "t=0.5s;;;0;", `{"name":"t","value":0.5,"unit":"s","min":0}`, "")
	f("several, with more spaces than needed", "a=1c   b=2%", "{\"name\":\"a\",\"value\":1,\"unit\":\"c\"}\n{\"name\":\"b\",\"value\":2,\"unit\":\"%\"}", "")
	f("quotes hold all there is", "'C:\\ used = 50% #1/2'=5GB", `{"name":"C:\\ used = 50% #1/2","value":5,"unit":"GB"}`, "")
	f("a doubled quote is one", "'it''s'=1", `{"name":"it's","value":1}`, "")
	f("spaces without quotes", "free space=1B", `{"name":"free space","value":1,"unit":"B"}`, "")
	f("a quote that never closes is part of the label", "it's=1", `{"name":"it's","value":1}`, "")
	f("a comma for a point", "load=0,25;1,5;2,5", `{"name":"load","value":0.25,"warning":"1.5","critical":"2.5"}`, "")
	f("an exponent", "x=1.5e-3s y=2E6B", "{\"name\":\"x\",\"value\":0.0015,\"unit\":\"s\"}\n{\"name\":\"y\",\"value\":2e+06,\"unit\":\"B\"}", "")
	f("a unit that begins with e", "x=3err/s", `{"name":"x","value":3,"unit":"err/s"}`, "")
	f("not measured", "x=U;5;6", `{"name":"x","warning":"5","critical":"6"}`, "")
	f("ranges", "a=1;10:;~:10 b=1;10:20;@10:20", "{\"name\":\"a\",\"value\":1,\"warning\":\"10:\",\"critical\":\"~:10\"}\n{\"name\":\"b\",\"value\":1,\"warning\":\"10:20\",\"critical\":\"@10:20\"}", "")
	f("limits with units", "a=1MB;5MB;6MB;0MB;9MB", `{"name":"a","value":1,"unit":"MB","warning":"5","critical":"6","min":0,"max":9}`, "")
	f("a limit that is none leaves the value", "a=1;x;2", `{"name":"a","value":1,"critical":"2"}`, `performance data "a=1;x;2": range "x": "" is no number`)
	f("no number", "a=none", "", `performance data "a=none": "" is no number`)
	f("hexadecimal and infinity are none", "a=0x10 b=Inf", `{"name":"a","value":0,"unit":"x10"}`, `performance data "b=Inf": "" is no number`)
	f("no value", "a= b=1", `{"name":"b","value":1}`, `performance data "a=": no value`)
	f("words at the end", "b=1 and so on", `{"name":"b","value":1}`, `performance data "and so on=": no value`)
	f("semicolons between", "a=1; b=2;", "{\"name\":\"a\",\"value\":1}\n{\"name\":\"b\",\"value\":2}", "")
}

func TestManyValuesAreCut(t *testing.T) {
	r := parsed("OK|" + strings.Repeat("a=1 ", maxValues+5))
	if len(r.Values) != maxValues || len(r.Problems) != 1 || r.Problems[0] != "5 values more than 256 are left out" {
		t.Errorf("%d values, problems %q", len(r.Values), r.Problems)
	}
}

func TestText(t *testing.T) {
	r := parsed("\ufeffDISK OK - fine | a=1\r\nmore \x1b[31mtext\r\nand more | b=2\r\nc=3\r\n")
	if r.Text != "DISK OK - fine" || r.Details != "more [31mtext\nand more " || len(r.Values) != 3 {
		t.Errorf("%q %q %s", r.Text, r.Details, show(r))
	}
	if r := parsed(""); r.Text != "" || r.Values != nil {
		t.Errorf("of nothing came %+v", r)
	}
	if r := parsed("a\xffb"); r.Text != "a\ufffdb" {
		t.Errorf("%q", r.Text)
	}
}

func TestRange(t *testing.T) {
	f := func(text, want string, bad ...float64) {
		t.Helper()
		r, err := ParseRange(text)
		if err != nil || r.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, r, err, want)
			return
		}
		for v := -5.0; v <= 25; v += 5 {
			isBad := false
			for _, b := range bad {
				isBad = isBad || b == v
			}
			if r.Bad(v) != isBad {
				t.Errorf("%s: %g is bad: %t, want %t", text, v, r.Bad(v), isBad)
			}
		}
	}
	f("10", "10", -5, 15, 20, 25)
	f("10:", "10:", -5, 0, 5)
	f("~:10", "~:10", 15, 20, 25)
	f("10:20", "10:20", -5, 0, 5, 25)
	f("@10:20", "@10:20", 10, 15, 20)
	f("0:10", "10", -5, 15, 20, 25)
	f("0:", "0:", -5)
	f(":10", "10", -5, 15, 20, 25)
	f("-5:5", "-5:5", 10, 15, 20, 25)
	f("@~:0", "@~:0", -5, 0)
	for _, text := range []string{"", "a", "20:10", "1:2:3", "~", "@"} {
		if r, err := ParseRange(text); err == nil {
			t.Errorf("%q gives %s", text, r)
		}
	}
}

// TestCorpus puts every captured output through the parser. What it cannot
// read is wrong in the captures: ranges that end before they begin, a value
// that is missing, and text with a "|" in it.
func TestCorpus(t *testing.T) {
	type count struct{ outputs, values, problems int }
	var got count
	take := func(name, out string) {
		r := parsed(out)
		got.outputs++
		got.values += len(r.Values)
		got.problems += len(r.Problems)
		if len(r.Problems) > 0 {
			t.Logf("%s: %q", name, r.Problems)
		}
		if strings.Contains(name, "ENCODED") || strings.Contains(out, "<~") && !strings.Contains(r.Text+r.Details, "<~") {
			t.Errorf("%s: the payload is not in the text", name)
		}
	}
	for _, dir := range []string{"atc0005.go-nagios", "influxdata.telegraf"} {
		files, err := filepath.Glob(corpus.File(t, "nagios", dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			take(filepath.Base(f), string(b))
		}
	}
	if want := (count{38, 31, 0}); got != want {
		t.Errorf("files: %+v, want %+v", got, want)
	}
	got = count{}
	f, err := os.Open(corpus.File(t, "nagios", "centreon.centreon-plugins", "centreon_plugin_outputs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		var l struct{ Source, Output string }
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		take(l.Source, l.Output)
	}
	if want := (count{700, 4000, 19}); got != want {
		t.Errorf("lines: %+v, want %+v", got, want)
	}
}

func FuzzNagios(f *testing.F) {
	for _, s := range []string{"", "OK", "OK | a=1", "OK|'a b'=1;2;3;4;5\nlong\n| c=U\n'd''=1", "x|a=1,5;@1:2;~:", "|||===;;;''''"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parsed(string(b))
		if len(r.Values) > maxValues || len(r.Problems) > maxProblems || len(r.Text) > maxText || len(r.Details) > maxDetails+3 {
			t.Errorf("beyond a limit: %d values, %d problems, %d and %d bytes", len(r.Values), len(r.Problems), len(r.Text), len(r.Details))
		}
		for _, v := range r.Values {
			for _, l := range []*Range{v.Warning, v.Critical} {
				if l == nil {
					continue
				}
				if again, err := ParseRange(l.String()); err != nil || again != *l {
					t.Errorf("%+v becomes %q, that %+v, %v", l, l.String(), again, err)
				}
			}
		}
	})
}
