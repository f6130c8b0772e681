package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Version is the version of the document that this exporter reads.
const Version = 1

var (
	typeForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	fieldForm = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,127}$`)
	eventForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,127}$`)
)

// parseDocument reads the JSON of docs/checks/schema.json. It is strict: an
// unknown key, a key twice, a wrong type or too much of something refuses the
// document, with the path of the mistake. A document without a state leaves
// that of the exit code.
func parseDocument(out []byte, r *Result) error {
	d := document{r: r}
	raw := bytes.TrimPrefix(out, []byte("\ufeff"))
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("no JSON document on the standard output")
	}
	if !json.Valid(raw) {
		return fmt.Errorf("not one JSON document: %w", syntax(raw))
	}
	version, state := 0, ""
	err := d.object("", raw, fields{
		"nocturne": func(at string, b []byte) error { return d.scalar(at, b, "1", &version) },
		"state":    func(at string, b []byte) error { return d.scalar(at, b, "a text", &state) },
		"text":     func(at string, b []byte) error { return d.text(at, b, maxText, &r.Text) },
		"details":  func(at string, b []byte) error { return d.text(at, b, maxDetails, &r.Details) },
		"values":   func(at string, b []byte) error { return d.list(at, b, maxValues, d.value) },
		"records":  func(at string, b []byte) error { return d.list(at, b, maxEvents, d.event) },
		"snapshot": d.snapshot,
	}, "nocturne")
	if err != nil {
		return err
	}
	if version != Version {
		return fmt.Errorf("nocturne: version %d, this exporter reads %d", version, Version)
	}
	if state != "" {
		s, ok := parseState(state)
		if !ok {
			return fmt.Errorf("state: %.40q, write ok, warning, critical or unknown", state)
		}
		r.State = s
	}
	r.Text = line(r.Text)
	return nil
}

// syntax says where JSON goes wrong.
func syntax(raw []byte) error {
	var v any
	err := json.Unmarshal(raw, &v)
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(raw[:min(int(s.Offset), len(raw))], []byte("\n")), err)
	}
	return err
}

type document struct{ r *Result }

// fields are the keys of an object, and who reads each.
type fields map[string]func(at string, raw []byte) error

// object reads an object with known keys.
func (d document) object(at string, raw []byte, known fields, required ...string) error {
	seen := map[string]bool{}
	err := members(at, raw, func(key string, val []byte) error {
		read, ok := known[key]
		if !ok {
			return fmt.Errorf("%s: unknown key", join(at, key))
		}
		seen[key] = true
		return read(join(at, key), val)
	})
	if err != nil {
		return err
	}
	for _, key := range required {
		if !seen[key] {
			return fmt.Errorf("%s: missing", join(at, key))
		}
	}
	return nil
}

// members calls fn for each member of an object, which is valid JSON.
func members(at string, raw []byte, fn func(key string, val []byte) error) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%s: write an object", orRoot(at))
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%s: %w", orRoot(at), err)
		}
		key, _ := t.(string)
		if seen[key] {
			return fmt.Errorf("%s: written twice", join(at, key))
		}
		seen[key] = true
		var val json.RawMessage
		if err := dec.Decode(&val); err != nil {
			return fmt.Errorf("%s: %w", join(at, key), err)
		}
		if err := fn(key, val); err != nil {
			return err
		}
	}
	return nil
}

// list reads an array of at most limit items.
func (d document) list(at string, raw []byte, limit int, item func(at string, raw []byte) error) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%s: write a list", at)
	}
	for i := 0; dec.More(); i++ {
		if i == limit {
			return fmt.Errorf("%s: more than %d items", at, limit)
		}
		var val json.RawMessage
		if err := dec.Decode(&val); err != nil {
			return fmt.Errorf("%s[%d]: %w", at, i, err)
		}
		if err := item(fmt.Sprintf("%s[%d]", at, i), val); err != nil {
			return err
		}
	}
	return nil
}

func join(at, key string) string {
	key = clean(key, maxName)
	if at == "" {
		return key
	}
	return at + "." + key
}

func orRoot(at string) string {
	if at == "" {
		return "the document"
	}
	return at
}

// scalar reads a text or a number into to; null is neither.
func (d document) scalar(at string, raw []byte, want string, to any) error {
	if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, to) != nil {
		return fmt.Errorf("%s: write %s", at, want)
	}
	return nil
}

func (d document) text(at string, raw []byte, limit int, to *string) error {
	if err := d.scalar(at, raw, "a text", to); err != nil {
		return err
	}
	if len(*to) > limit {
		return fmt.Errorf("%s: %d bytes, at most %d", at, len(*to), limit)
	}
	*to = clean(*to, limit)
	return nil
}

// formed reads a text of a given form.
func (d document) formed(at string, raw []byte, form *regexp.Regexp, to *string) error {
	if err := d.scalar(at, raw, "a text", to); err != nil {
		return err
	}
	if !form.MatchString(*to) {
		return fmt.Errorf("%s: %.60q, write what matches %s", at, *to, form)
	}
	return nil
}

func (d document) number(at string, raw []byte, to **float64) error {
	*to = new(float64)
	return d.scalar(at, raw, "a number", *to)
}

func (d document) limit(at string, raw []byte, to **Range) error {
	var text string
	if err := d.scalar(at, raw, `a range such as "10:20"`, &text); err != nil {
		return err
	}
	r, err := ParseRange(text)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	*to = &r
	return nil
}

func (d document) value(at string, raw []byte) error {
	var v Value
	err := d.object(at, raw, fields{
		"name": func(at string, b []byte) error { return d.text(at, b, maxName, &v.Name) },
		"value": func(at string, b []byte) error {
			if bytes.Equal(b, []byte("null")) {
				return nil // could not be measured
			}
			v.Known = true
			return d.scalar(at, b, "a number, or null", &v.Number)
		},
		"unit":     func(at string, b []byte) error { return d.text(at, b, 32, &v.Unit) },
		"warning":  func(at string, b []byte) error { return d.limit(at, b, &v.Warning) },
		"critical": func(at string, b []byte) error { return d.limit(at, b, &v.Critical) },
		"min":      func(at string, b []byte) error { return d.number(at, b, &v.Min) },
		"max":      func(at string, b []byte) error { return d.number(at, b, &v.Max) },
	}, "name", "value")
	if v.Name = line(v.Name); err == nil && v.Name == "" {
		return fmt.Errorf("%s.name: write a name", at)
	}
	d.r.Values = append(d.r.Values, v)
	return err
}

var severities = map[string]record.Severity{"debug": record.Debug, "info": record.Info, "warning": record.Warn, "error": record.Error, "critical": record.Fatal}

func (d document) event(at string, raw []byte) error {
	e := Event{Severity: record.Info}
	var when, severity string
	err := d.object(at, raw, fields{
		"name":     func(at string, b []byte) error { return d.formed(at, b, eventForm, &e.Name) },
		"text":     func(at string, b []byte) error { return d.text(at, b, maxText, &e.Text) },
		"time":     func(at string, b []byte) error { return d.scalar(at, b, "a time such as 2026-11-28T06:00:00Z", &when) },
		"severity": func(at string, b []byte) error { return d.scalar(at, b, "a text", &severity) },
		"attrs": func(at string, b []byte) (err error) {
			e.Attrs, err = d.attrs(at, b, maxAttrs)
			return err
		},
	}, "name", "text")
	if err != nil {
		return err
	}
	if when != "" {
		if e.Time, err = time.Parse(time.RFC3339Nano, when); err != nil {
			return fmt.Errorf("%s.time: %.40q, write a time such as 2026-11-28T06:00:00Z", at, when)
		}
	}
	if severity != "" {
		var ok bool
		if e.Severity, ok = severities[severity]; !ok {
			return fmt.Errorf("%s.severity: %.40q, write debug, info, warning, error or critical", at, severity)
		}
	}
	d.r.Events = append(d.r.Events, e)
	return nil
}

// attrs reads an object of texts, numbers and truth values. A key with null
// says nothing and is left out: what was known holds.
func (d document) attrs(at string, raw []byte, limit int) ([]record.Attr, error) {
	var out []record.Attr
	err := members(at, raw, func(key string, b []byte) error {
		at := join(at, key)
		if !fieldForm.MatchString(key) {
			return fmt.Errorf("%s: write a key that matches %s", at, fieldForm)
		}
		if len(out) == limit {
			return fmt.Errorf("%s: more than %d keys", at, limit)
		}
		v, err := d.any(at, b)
		if err == nil && !v.IsNull() {
			out = append(out, record.Attr{Key: key, Value: v})
		}
		return err
	})
	return out, err
}

func (d document) any(at string, raw []byte) (record.Value, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	t, err := dec.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return record.Value{}, fmt.Errorf("%s: %w", at, err)
	}
	switch t := t.(type) {
	case nil:
		return record.Value{}, nil
	case bool:
		return record.Bool(t), nil
	case string:
		if len(t) > maxText {
			return record.Value{}, fmt.Errorf("%s: %d bytes, at most %d", at, len(t), maxText)
		}
		return record.String(clean(t, maxText)), nil
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return record.Int(i), nil
		}
		if f, err := t.Float64(); err == nil {
			return record.Double(f), nil
		}
	}
	return record.Value{}, fmt.Errorf("%s: write a text, a number, true, false or null", at)
}

// snapshot reads sections and devices. Without sections, all devices of the
// types that it lists are taken to be listed.
func (d document) snapshot(at string, raw []byte) error {
	sections := false
	err := d.object(at, raw, fields{
		"sections": func(at string, b []byte) error {
			sections = true
			return d.list(at, b, maxSections, d.section)
		},
		"devices": func(at string, b []byte) error { return d.list(at, b, maxDevices, d.device) },
	}, "devices")
	if err != nil {
		return err
	}
	if !sections {
		seen := map[string]bool{}
		for _, dev := range d.r.Devices {
			if !seen[dev.Type] {
				seen[dev.Type] = true
				d.r.Sections = append(d.r.Sections, record.Section{Type: dev.Type})
			}
		}
	}
	places := map[[2]string]bool{}
	for i, dev := range d.r.Devices {
		if k := [2]string{dev.Type, dev.Place}; places[k] {
			return fmt.Errorf("%s.devices[%d]: a second %s at the place %.60q", at, i, dev.Type, dev.Place)
		} else {
			places[k] = true
		}
	}
	return nil
}

// ownType reads the type of a device, which must not be one that a source of
// the exporter itself states: rules about drives are not a plugin's to fire.
func (d document) ownType(at string, raw []byte, to *string) error {
	if err := d.formed(at, raw, typeForm, to); err != nil {
		return err
	}
	if record.BuiltinDevice(*to) {
		return fmt.Errorf("%s: %s is a type of the exporter's own, choose another name", at, *to)
	}
	return nil
}

func (d document) place(at string, raw []byte, to *string) error {
	if err := d.text(at, raw, maxName, to); err != nil {
		return err
	}
	if *to != strings.Trim(line(*to), "/") {
		return fmt.Errorf("%s: %.60q, write a place such as store/web1: one line, no slash at its ends", at, *to)
	}
	return nil
}

func (d document) section(at string, raw []byte) error {
	var s record.Section
	err := d.object(at, raw, fields{
		"type":  func(at string, b []byte) error { return d.ownType(at, b, &s.Type) },
		"scope": func(at string, b []byte) error { return d.place(at, b, &s.Scope) },
	}, "type")
	d.r.Sections = append(d.r.Sections, s)
	return err
}

func (d document) device(at string, raw []byte) error {
	var dev record.Device
	err := d.object(at, raw, fields{
		"type":   func(at string, b []byte) error { return d.ownType(at, b, &dev.Type) },
		"place":  func(at string, b []byte) error { return d.place(at, b, &dev.Place) },
		"serial": func(at string, b []byte) error { return d.text(at, b, maxName, &dev.Occupant) },
		"fields": func(at string, b []byte) (err error) {
			dev.Fields, err = d.attrs(at, b, maxFields)
			return err
		},
	}, "type")
	dev.Occupant = line(dev.Occupant)
	d.r.Devices = append(d.r.Devices, dev)
	return err
}
