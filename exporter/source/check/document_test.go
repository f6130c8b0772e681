package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
)

const whole = `{
  "nocturne": 1, "state": "warning", "text": "1 of 2 certificates ends soon", "details": "web1: 9 days\nmail: 80 days",
  "values": [{"name": "soonest", "value": 9, "unit": "d", "warning": "14:", "critical": "@~:3", "min": 0, "max": 400.5}, {"name": "ocsp", "value": null}],
  "records": [{"name": "certificate.renewed", "time": "2026-11-28T06:00:00.5Z", "severity": "warning", "text": "mail was renewed", "attrs": {"days": 80, "share": 0.5, "by": "acme", "ok": true, "left": null}}],
  "snapshot": {
    "sections": [{"type": "certificate"}, {"type": "licence", "scope": "office"}],
    "devices": [{"type": "certificate", "place": "store/web1", "serial": " 04AF ", "fields": {"state": "ending", "not_after": "2026-12-07"}}]
  }
}`

func TestDocument(t *testing.T) {
	r := Result{State: Critical}
	if err := parseDocument([]byte("\ufeff"+whole+"\n"), &r); err != nil {
		t.Fatal(err)
	}
	if r.State != Warning || r.Text != "1 of 2 certificates ends soon" || !strings.Contains(r.Details, "mail: 80") {
		t.Errorf("%+v", r)
	}
	if got, want := show(&r), `{"name":"soonest","value":9,"unit":"d","warning":"14:","critical":"@~:3","min":0,"max":400.5}`+"\n"+`{"name":"ocsp"}`; got != want {
		t.Errorf("values\n%s\nwant\n%s", got, want)
	}
	now := time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)
	recs, next := r.records("certs", seen{State: "ok", Text: "fine"}, now)
	if len(recs) != 3 || recs[0].Name != record.NameSnapshot || recs[1].Name != record.NameCheckResult || recs[2].Name != record.NameCheckEvent {
		t.Fatalf("%+v", recs)
	}
	b, err := json.Marshal(recs[0].Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Sections":[{"Type":"check","Scope":"certs"},{"Type":"certificate","Scope":"certs"},{"Type":"licence","Scope":"certs/office"}],` +
		`"Devices":[{"Type":"check","Place":"certs","Occupant":"","Fields":[{"Key":"state","Value":"warning"},{"Key":"text","Value":"1 of 2 certificates ends soon"}]},` +
		`{"Type":"certificate","Place":"certs/store/web1","Occupant":"04AF","Fields":[{"Key":"state","Value":"ending"},{"Key":"not_after","Value":"2026-12-07"}]}]}`
	if string(b) != want {
		t.Errorf("snapshot\n%s\nwant\n%s", b, want)
	}
	if e := recs[2]; e.Severity != record.Warn || e.Time.Format(time.RFC3339Nano) != "2026-11-28T06:00:00.5Z" || string(record.AppendJSONAttrs(nil, e.Attrs)) !=
		`{"check.name":"certs","check.event":"certificate.renewed","check.data.days":80,"check.data.share":0.5,"check.data.by":"acme","check.data.ok":true}` {
		t.Errorf("event %+v %s", e, record.AppendJSONAttrs(nil, e.Attrs))
	}
	if next.State != "warning" || strings.Join(next.Types, " ") != "certificate licence" {
		t.Errorf("remembers %+v", next)
	}
}

func TestDocumentWithoutSections(t *testing.T) {
	r := Result{State: Critical}
	doc := `{"nocturne":1,"snapshot":{"devices":[{"type":"licence","place":"a"},{"type":"licence","place":"b"},{"type":"dongle"}]}}`
	if err := parseDocument([]byte(doc), &r); err != nil {
		t.Fatal(err)
	}
	if r.State != Critical || len(r.Sections) != 2 || r.Sections[0].Type != "licence" || r.Sections[1].Type != "dongle" {
		t.Errorf("%+v: want the state of the exit code, and the listed types as sections", r)
	}
}

func TestDocumentMistakes(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		if err := parseDocument([]byte(doc), &Result{}); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", doc, err, want)
		}
	}
	in := func(s string) string { return `{"nocturne": 1, ` + s + `}` }
	f("", "no JSON document on the standard output")
	f("OK - fine", "not one JSON document: line 1: invalid character 'O' looking for beginning of value")
	f("{}\n{}", "not one JSON document: line 2: invalid character '{' after top-level value")
	f("[]", "the document: write an object")
	f("{}", "nocturne: missing")
	f(`{"nocturne": "1"}`, "nocturne: write 1")
	f(`{"nocturne": 2}`, "nocturne: version 2, this exporter reads 1")
	f(in(`"status": "ok"`), "status: unknown key")
	f(in(`"text": "a", "text": "b"`), "text: written twice")
	f(in(`"text": null`), "text: write a text")
	f(in(`"state": "fine"`), `state: "fine", write ok, warning, critical or unknown`)
	f(in(`"values": {}`), "values: write a list")
	f(in(`"values": [{"name": "a"}]`), "values[0].value: missing")
	f(in(`"values": [{"name": " ", "value": 1}]`), "values[0].name: write a name")
	f(in(`"values": [{"name": "a", "value": "1"}]`), "values[0].value: write a number, or null")
	f(in(`"values": [{"name": "a", "value": 1e999}]`), "values[0].value: write a number, or null")
	f(in(`"values": [{"name": "a", "value": 1, "warning": 5}]`), `values[0].warning: write a range such as "10:20"`)
	f(in(`"values": [{"name": "a", "value": 1, "warning": "5:1"}]`), `values[0].warning: range "5:1": begins after its end`)
	f(in(`"values": [`+strings.Repeat(`{"name":"a","value":1},`, maxValues)+`{"name":"a","value":1}]`), "values: more than 256 items")
	f(in(`"records": [{"name": "A", "text": ""}]`), `records[0].name: "A", write what matches ^[a-z0-9][a-z0-9_.-]{0,127}$`)
	f(in(`"records": [{"name": "a", "text": "", "time": "today"}]`), `records[0].time: "today", write a time such as 2026-11-28T06:00:00Z`)
	f(in(`"records": [{"name": "a", "text": "", "severity": "bad"}]`), `records[0].severity: "bad", write debug, info, warning, error or critical`)
	f(in(`"records": [{"name": "a", "text": "", "attrs": {"a": [1]}}]`), "records[0].attrs.a: write a text, a number, true, false or null")
	f(in(`"records": [{"name": "a", "text": "", "attrs": {"A": 1}}]`), "records[0].attrs.A: write a key that matches ^[a-z][a-z0-9_.]{0,127}$")
	f(in(`"snapshot": {}`), "snapshot.devices: missing")
	f(in(`"snapshot": {"devices": [{"place": "a"}]}`), "snapshot.devices[0].type: missing")
	f(in(`"snapshot": {"devices": [{"type": "physical_drive"}]}`), "snapshot.devices[0].type: physical_drive is a type of the exporter's own, choose another name")
	f(in(`"snapshot": {"devices": [], "sections": [{"type": "check"}]}`), "snapshot.sections[0].type: check is a type of the exporter's own, choose another name")
	f(in(`"snapshot": {"devices": [{"type": "a", "place": "/x"}]}`), `snapshot.devices[0].place: "/x", write a place such as store/web1: one line, no slash at its ends`)
	f(in(`"snapshot": {"devices": [{"type": "a", "place": "x"}, {"type": "a", "place": "x"}]}`), `snapshot.devices[1]: a second a at the place "x"`)
	f(in(`"snapshot": {"devices": [{"type": "a", "fields": {"b": {}}}]}`), "snapshot.devices[0].fields.b: write a text, a number, true, false or null")
}

// TestSchema holds docs/checks/schema.json and the example documents against
// the decoder: what the schema names, the decoder knows.
func TestSchema(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "checks", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", schema["$schema"])
	}
	// A document made of the examples of every property, required or not.
	doc := example(t, schema, schema)
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	r := Result{}
	if err := parseDocument(text, &r); err != nil {
		t.Errorf("the decoder refuses what the schema allows: %v\n%s", err, text)
	}
	for _, key := range []string{"state", "text", "details", "values", "records", "snapshot", "nocturne"} {
		if _, ok := schema["properties"].(map[string]any)[key]; !ok {
			t.Errorf("the schema does not name %s", key)
		}
	}
}

// example makes a value of a schema from its examples.
func example(t *testing.T, root, s map[string]any) any {
	t.Helper()
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/$defs/")
		return example(t, root, root["$defs"].(map[string]any)[name].(map[string]any))
	}
	if c, ok := s["const"]; ok {
		return c
	}
	if e, ok := s["examples"].([]any); ok {
		return e[0]
	}
	switch s["type"] {
	case "object":
		if s["additionalProperties"] != false {
			t.Errorf("an object without examples is open: %v", s["description"])
		}
		out := map[string]any{}
		for k, v := range s["properties"].(map[string]any) {
			out[k] = example(t, root, v.(map[string]any))
		}
		return out
	case "array":
		return []any{example(t, root, s["items"].(map[string]any))}
	}
	t.Errorf("no example: %v", s)
	return nil
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{whole, `{"nocturne":1}`, `{"nocturne":1,"snapshot":{"devices":[{"type":"a"}]}}`, `{`, `{"nocturne":1,"values":[{"name":"a","value":1e400}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Result{}
		if parseDocument(b, &r) != nil {
			return
		}
		recs, _ := r.records("x", seen{}, time.Unix(0, 0))
		for _, s := range recs[0].Snapshot.Sections {
			if s.Scope != "x" && !strings.HasPrefix(s.Scope, "x/") {
				t.Errorf("a section reaches out of its check: %+v", s)
			}
		}
		for i, d := range recs[0].Snapshot.Devices {
			if d.Place != "x" && !strings.HasPrefix(d.Place, "x/") || i > 0 && record.BuiltinDevice(d.Type) {
				t.Errorf("a device that is not the check's own: %+v", d)
			}
		}
		if len(recs) > maxEvents+2 {
			t.Errorf("%d records", len(recs))
		}
	})
}
