package expr_test

import (
	"testing"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
)

// A condition is a file's or a person's, the record is anybody's: whatever they
// are, compiling and evaluating end, and what the keys leave out is false.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{`provider == "disk" && event_id in [7, 11]`, `attr["event.data.param1"].startsWith("x") && level == "error"`, `has(data.param1) ? int(data.param1) > 3 : false`,
		`message.matches("(?i)bad (block|sector)")`, `server.site != "lab" || header.unassured`, `size(attr) > 3 && !("x" in attr)`, `data == attr`, `attr[message]`, `"a" in data`, "1 + 'a'", `dyn(1) == 1`} {
		f.Add(s, "Disk", int64(7), "param1", "17", "bad block")
	}
	f.Fuzz(func(t *testing.T, src, provider string, id int64, key, value, body string) {
		c, m := expr.Compile(src)
		if (c == nil) == (m == nil) {
			t.Fatalf("%v, %v", c, m)
		}
		if m != nil {
			if m.Line < 1 || m.Column < 1 || m.Text == "" || len(m.Text) > 1000 {
				t.Fatalf("%+v", m)
			}
			return
		}
		in := expr.Input{Record: &record.Record{Body: body, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(provider)},
			{Key: record.AttrEventID, Value: record.Int(id)}, {Key: record.AttrData + key, Value: record.String(value)}, {Key: key, Value: record.Double(1.5)}}}}
		ok, err := c.Holds(&in)
		if ok && err != nil {
			t.Fatal("an error is a match")
		}
		if (ok || err != nil) && !c.Keys().Fit(in.Record) {
			t.Fatalf("%s: left out by its keys %+v, but %t, %v", src, c.Keys(), ok, err)
		}
		for _, p := range c.Parts() {
			if _, m := expr.Compile(p); m != nil && len(p) <= expr.MaxSource {
				t.Fatalf("part %q of %q: %+v", p, src, m)
			}
		}
	})
}
