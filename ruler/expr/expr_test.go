package expr_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
)

func disk(id int64, attrs ...record.Attr) expr.Input {
	r := &record.Record{Name: record.NameWindowsEvent, Body: "The device has a bad block.", Attrs: append([]record.Attr{
		{Key: record.AttrProvider, Value: record.String("Disk")}, {Key: record.AttrEventID, Value: record.Int(id)},
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrLevel, Value: record.String("error")},
		{Key: "event.data.param1", Value: record.String(`\Device\Harddisk1\DR1`)}, {Key: "event.data.count", Value: record.String("17")}, {Key: "none", Value: record.Value{}},
	}, attrs...)}
	return expr.Input{Record: r, Header: &record.Header{Category: record.EventLog, Producer: "exporter/x"}, Label: func(key string) string {
		return map[string]string{"site": "bern", "name": "db7"}[key]
	}}
}

func TestHolds(t *testing.T) {
	f := func(src string, want bool, wantErr string) {
		t.Helper()
		c, m := expr.Compile(src)
		if m != nil {
			t.Errorf("%s: %+v", src, m)
			return
		}
		in := disk(7)
		got, err := c.Holds(&in)
		if got != want || (err == nil) != (wantErr == "") || err != nil && err.Error() != wantErr {
			t.Errorf("%s: %t, %v", src, got, err)
		}
	}
	f(`provider == "disk"`, true, "")
	f(`provider == "disk" && event_id in [7, 11]`, true, "")
	f(`event_id >= 8`, false, "")
	f(`level == "error" && channel == "system"`, true, "")
	f(`attr["event.data.param1"].startsWith("\\Device")`, true, "")
	f(`data.param1.endsWith("DR1")`, true, "")
	f(`has(data.param1) && !has(data.param2)`, true, "")
	f(`"event.data.param1" in attr && !("x" in attr) && !("none" in attr)`, true, "")
	f(`int(data.count) > 16`, true, "")
	f(`double(data.count) > 16`, true, "")
	f(`message.contains("bad block")`, true, "")
	f(`timestamp("2026-01-05T00:10:00.1234567Z") - timestamp("2026-01-05T00:00:00Z") > duration("5m")`, true, "")
	f(`timestamp("2026-01-05T00:00:00Z") - timestamp("2026-01-05T00:04:00Z") < duration("-5m")`, false, "")
	f(`timestamp(message) > timestamp("2026-01-05T00:04:00Z")`, false, `invalid RFC 3339 timestamp "The device has a bad block."`)
	f(`message.matches("(?i)BAD .*block")`, true, "")
	f(`server.site == "bern" && server.rack == ""`, true, "")
	f(`header.category == "eventlog" && header.producer.startsWith("exporter/") && !header.unassured`, true, "")
	f(`data.param2 == "x"`, false, "the record has no param2")
	f(`attr["none"] == "x"`, false, "the record has no none")
	f(`int(data.param1) > 1`, false, `type conversion error from 'string' to 'int'`)
	f(`event_id / (event_id - 7) == 1`, false, "division by zero")
	// What is false whatever the rest says is false, without an error.
	f(`provider == "ntfs" && data.param2 == "x"`, false, "")
	f(`data.param2 == "x" || event_id == 7`, true, "")
	f(`size(attr) == 6 && size(data) == 2`, true, "")
}

func TestMistakes(t *testing.T) {
	f := func(src string, line, column int, want string) {
		t.Helper()
		_, m := expr.Compile(src)
		if m == nil {
			t.Errorf("%s: no mistake", src)
			return
		}
		if got := m.Text + ": " + m.Hint; m.Line != line || m.Column != column || !strings.HasPrefix(got, want) {
			if len(src) > 100 {
				src = src[:100]
			}
			t.Errorf("%s: %d:%d %s", src, m.Line, m.Column, got)
		}
	}
	f(`provider = "disk"`, 1, 10, `Syntax error: token recognition error at: '= ': "is" is written ==`)
	f(`provider == "disk" and level == "error"`, 1, 20, `Syntax error: mismatched input 'and' expecting <EOF>: "and" is written &&, "or" is written ||, "not" is written !`)
	f("provider == \"disk\" &&\n sevrity == 1", 2, 2, `undeclared reference to 'sevrity': known are provider, event_id, channel, level, message, attr["…"], data.…, server.site, header.category and the func`)
	f(`server.sit == "x"`, 1, 7, `undeclared reference to 'server.sit' (did you mean 'server.site'?): known are server.name, server.site, server.rack, server.role, server.owner, server`)
	f(`header.seq == 1`, 1, 1, `undeclared reference to 'header': known are header.category, header.producer, header.unassured`)
	f(`event.data == "x"`, 1, 1, `undeclared reference to 'event' (did you mean 'event_id'?): write attr["event.data.param1"], or data.param1`)
	f(`attr["x"] > 5`, 1, 11, `found no matching overload for '_>_' applied to '(string, int)': attributes are texts: write int(attr["…"]) > 5 to compare numbers`)
	f(`message`, 1, 1, `the condition is of type string, not bool: compare it with something: message == "…"`)
	f(`[1, 2].all(x, x > 0)`, 1, 11, `undeclared reference to 'all': there are no loops in conditions; several rules can be of one class`)
	f(`provider == "Disk"`, 1, 13, `provider never is "Disk": it compares without case and is given in lower case: write "disk"`)
	f(`level == "warn"`, 1, 10, `level never is "warn": known are critical, error, warning, info, verbose, audit_success, audit_failure`)
	f(`level in ["error", "fatal"]`, 1, 20, `level never is "fatal": known are critical, error, warning, info, verbose, audit_success, audit_failure`)
	f(`message.matches(data.x)`, 1, 16, `the pattern of matches() is not written out: a pattern never comes from a record: write it as a text`)
	f(`message.matches("(a")`, 1, 16, "pattern \"(a\": error parsing regexp: missing closing ): `(a`: patterns are RE2: no back references, no look-ahead")
	f(`message.matches("(a{1000}){1000}")`, 1, 16, "pattern \"(a{1000}){1000}\": error parsing regexp: invalid repeat count: `{1000}`: patterns are RE2: no back references, no look-ahead")
	f(`message.matches("`+strings.Repeat("a", expr.MaxPattern+1)+`")`, 1, 16, `a pattern of 1025 bytes: at most 1024`)
	f(`attr["event.provider"] == "disk"`, 1, 5, `attr["event.provider"]: write provider: it is indexed`)
	f(`{"a": 1}["a"] == 1`, 1, 1, `a condition makes no maps: compare with values or lists`)
	f(strings.Repeat("(", 60)+"true"+strings.Repeat(")", 60), 1, 1, `expression recursion limit exceeded: 50: at most 500 parts, nested 50 deep; make several rules`)
	f(`true`+strings.Repeat(" && true", 400), 1, 1, `expression node count exceeds limit: count 801, limit 500: at most 500 parts, nested 50 deep; make several rules`)
	f(strings.Repeat("x", expr.MaxSource+1), 1, 1, `4097 bytes are too long: at most 4096; make several rules`)
	f("true \xff", 1, 1, `the text is not UTF-8: `)
	f("", 1, 1, `Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, `)
	f(`timestamp("2026-01-01T00:00:00Z").getHours("Europe/Berlin") == 1`, 1, 43, `undeclared reference to 'getHours': known are provider, event_id, channel, level, message, attr["…"], data.…, server.site, header.category and the functions contains, startsWith, endsWith, matches, size, int, double, string, timestamp, duration`)
}

func TestKeys(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		c, m := expr.Compile(src)
		if m != nil {
			t.Errorf("%s: %+v", src, m)
			return
		}
		if got := fmt.Sprintf("%+v", c.Keys()); got != want {
			t.Errorf("%s: %s", src, got)
		}
	}
	f(`provider == "disk"`, "{Provider:[disk] Channel:[] Level:[] EventID:[]}")
	f(`"disk" == provider && event_id in [7, 11] && message != ""`, "{Provider:[disk] Channel:[] Level:[] EventID:[{Low:7 High:7} {Low:11 High:11}]}")
	f(`event_id >= 7000 && event_id <= 7034 && level == "error"`, "{Provider:[] Channel:[] Level:[error] EventID:[{Low:7000 High:7034}]}")
	f(`7000 < event_id && event_id < 7034`, "{Provider:[] Channel:[] Level:[] EventID:[{Low:7001 High:7033}]}")
	f(`provider == "a" || provider == "b"`, "{Provider:[a b] Channel:[] Level:[] EventID:[]}")
	f(`provider == "a" || event_id == 7`, "{Provider:[] Channel:[] Level:[] EventID:[]}")
	f(`(provider == "a" && event_id == 1) || (provider == "b" && event_id == 2)`, "{Provider:[a b] Channel:[] Level:[] EventID:[{Low:1 High:1} {Low:2 High:2}]}")
	f(`!(provider == "a")`, "{Provider:[] Channel:[] Level:[] EventID:[]}")
	f(`provider == "a" ? true : false`, "{Provider:[] Channel:[] Level:[] EventID:[]}")
	f(`provider == "a" && provider == "b"`, "{Provider:[a] Channel:[] Level:[] EventID:[]}")
	f(`event_id == 1 || event_id >= 5`, "{Provider:[] Channel:[] Level:[] EventID:[{Low:1 High:1} {Low:5 High:9223372036854775807}]}")
}

func TestShapeIsTheText(t *testing.T) {
	c, _ := expr.Compile(`provider == "disk"`)
	b, err := json.Marshal(c)
	if err != nil || string(b) != `"provider == \"disk\""` {
		t.Errorf("%s, %v", b, err)
	}
	if got := c.Parts(); !reflect.DeepEqual(got, []string{`provider == "disk"`}) {
		t.Errorf("%q", got)
	}
}

// The keys may only leave out records for which the condition does not hold,
// and for which it has no error either.
func TestKeysLeaveNothingOut(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	atoms := []string{`provider == "disk"`, `provider in ["ntfs", "disk"]`, `provider != "disk"`, `event_id == 7`, `event_id > 8`, `event_id in [7, 9]`, `9 >= event_id`,
		`level == "error"`, `channel == "system"`, `data.param2 == "x"`, `int(data.param1) > 3`, `message.contains("bad")`, `true`}
	var build func(depth int) string
	build = func(depth int) string {
		if depth == 0 || dice.IntN(3) == 0 {
			return atoms[dice.IntN(len(atoms))]
		}
		switch dice.IntN(5) {
		case 0:
			return "!(" + build(depth-1) + ")"
		case 1, 2:
			return "(" + build(depth-1) + " || " + build(depth-1) + ")"
		default:
			return "(" + build(depth-1) + " && " + build(depth-1) + ")"
		}
	}
	pick := func(words ...string) record.Value { return record.String(words[dice.IntN(len(words))]) }
	left := 0
	for range 2000 {
		src := build(4)
		c, m := expr.Compile(src)
		if m != nil {
			t.Fatalf("%s: %+v", src, m)
		}
		for range 10 {
			in := expr.Input{Record: &record.Record{Body: "bad", Attrs: []record.Attr{{Key: record.AttrProvider, Value: pick("Disk", "ntfs", "x")},
				{Key: record.AttrEventID, Value: record.Int(int64(dice.IntN(5) + 6))}, {Key: record.AttrLevel, Value: pick("error", "info")}, {Key: record.AttrChannel, Value: pick("System", "x")}}}}
			ok, err := c.Holds(&in)
			if c.Keys().Fit(in.Record) {
				continue
			}
			left++
			if ok || err != nil {
				t.Fatalf("%s: left out %v, which gives %t, %v", src, in.Record.Attrs, ok, err)
			}
		}
	}
	if left < 1000 {
		t.Errorf("only %d left out", left)
	}
}

func BenchmarkHolds(b *testing.B) {
	for name, src := range map[string]string{"provider": `provider == "disk" && event_id in [7, 11, 51, 153]`, "attr": `data.param1.startsWith("\\Device") && level == "error"`,
		"pattern": `message.matches("bad (block|sector)")`} {
		c, _ := expr.Compile(src)
		in := disk(7)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := c.Holds(&in); !ok || err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
