package raid

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nocturne/internal/record"
)

// MaxDocument is the largest reply that is read. A controller with 240 drives
// answers with about 1 MiB.
const MaxDocument = 16 << 20

const maxProblems = 64

// ErrNotJSON says that the tool was asked for JSON and printed text, which it
// does for syntax errors, for some commands, and on Windows in some builds.
var ErrNotJSON = errors.New("the tool printed text instead of JSON")

// Problem is something that a reply says went wrong, or that could not be read.
type Problem struct {
	// Place is the controller or drive it is about, "" when none is named.
	Place string
	Text  string
}

// String returns "c0: text".
func (p Problem) String() string {
	if p.Place == "" {
		return p.Text
	}
	return p.Place + ": " + p.Text
}

// Parse reads replies of storcli to `J` commands and states what they say
// together; what a later one says of a device replaces what an earlier one
// said. The error is about documents of which none could be read; a document
// that cannot be read beside one that can is a problem. The snapshot is in
// order of place, so that equal facts give equal snapshots.
func Parse(docs ...[]byte) (*record.Snapshot, []Problem, error) {
	p := &parser{devices: map[key]*device{}, sections: map[record.Section]bool{}}
	var failed []error
	read := 0
	for _, doc := range docs {
		if err := p.document(doc); err != nil {
			failed = append(failed, err)
			continue
		}
		read++
	}
	if read == 0 {
		if len(failed) == 0 {
			failed = append(failed, errors.New("no document"))
		}
		return nil, p.problems, fmt.Errorf("read storcli's reply: %w", errors.Join(failed...))
	}
	for _, err := range failed {
		p.problem("", err.Error())
	}
	return p.snapshot(), p.problems, nil
}

type key struct{ typ, place string }

// device collects fields in the order they are first set.
type device struct {
	occupant string
	fields   []record.Attr
}

type parser struct {
	devices  map[key]*device
	sections map[record.Section]bool
	problems []Problem
}

func (p *parser) problem(place, text string) {
	if len(p.problems) < maxProblems && text != "" {
		if len(text) > 512 {
			text = strings.ToValidUTF8(text[:512], "") + "…"
		}
		p.problems = append(p.problems, Problem{Place: place, Text: text})
	}
}

func (p *parser) observed(typ, scope string) {
	p.sections[record.Section{Type: typ, Scope: scope}] = true
}

// device returns the device at a place, new or as an earlier reply left it.
func (p *parser) device(typ, place string) *device {
	k := key{typ, place}
	d := p.devices[k]
	if d == nil {
		if len(p.devices) >= record.MaxDevices {
			return &device{} // counted by nobody: no controller has that many
		}
		d = &device{}
		p.devices[k] = d
	}
	return d
}

// set sets a field; a null value says nothing and changes nothing.
func (d *device) set(name string, v record.Value) {
	if v.IsNull() {
		return
	}
	for i := range d.fields {
		if d.fields[i].Key == name {
			d.fields[i].Value = v
			return
		}
	}
	d.fields = append(d.fields, record.Attr{Key: name, Value: v})
}

func (p *parser) document(doc []byte) error {
	if len(doc) > MaxDocument {
		return fmt.Errorf("a reply of %d bytes: the limit is %d", len(doc), MaxDocument)
	}
	doc = bytes.TrimSpace(bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf")))
	if len(doc) == 0 {
		return errors.New("the reply is empty")
	}
	if doc[0] != '{' && doc[0] != '[' {
		return fmt.Errorf("%w: %s", ErrNotJSON, textReason(doc))
	}
	var top any
	if err := unmarshal(doc, &top); err != nil {
		return fmt.Errorf("the reply is not JSON: %w", err)
	}
	m := obj(lower(top))
	list, ok := m["controllers"].([]any)
	if !ok {
		return errors.New(`the reply has no list "Controllers"`)
	}
	for _, c := range list {
		p.reply(obj(c))
	}
	return nil
}

// unmarshal reads JSON; where it is broken by raw control characters inside
// strings, which some drives put into their model or serial, those are made
// spaces first.
func unmarshal(doc []byte, v any) error {
	err := decode(doc, v)
	if err == nil {
		return nil
	}
	mended := bytes.Clone(doc)
	inside, escaped := false, false
	for i, b := range mended {
		switch {
		case inside && b < ' ':
			mended[i] = ' '
		case escaped:
			escaped = false
		case inside && b == '\\':
			escaped = true
		case b == '"':
			inside = !inside
		}
	}
	if decode(mended, v) == nil {
		return nil
	}
	return err
}

func decode(doc []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	return d.Decode(v)
}

// textReason finds the reason in a reply in text form.
func textReason(doc []byte) string {
	var out []string
	for line := range strings.SplitSeq(string(doc[:min(len(doc), 16<<10)]), "\n") {
		k, v, ok := strings.Cut(line, "=")
		if k, v = strings.TrimSpace(k), strings.TrimSpace(v); ok && (k == "Status" || k == "Description" || k == "ErrMsg") && v != "None" {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		out = strings.Fields(string(doc[:min(len(doc), 120)]))
		return strings.ToValidUTF8(strings.Join(out, " "), "?")
	}
	return strings.ToValidUTF8(strings.Join(out, ", "), "?")
}

// snapshot sorts what was collected and drops the sections that lie in others.
func (p *parser) snapshot() *record.Snapshot {
	s := &record.Snapshot{}
	for sec := range p.sections {
		if sec.Scope == "" || !p.coveredByOther(sec) {
			s.Sections = append(s.Sections, sec)
		}
	}
	for k, d := range p.devices {
		s.Devices = append(s.Devices, record.Device{Type: k.typ, Place: k.place, Occupant: d.occupant, Fields: d.fields})
	}
	sorted(s)
	return s
}

// sorted puts a snapshot in order of place, and bounds it.
func sorted(s *record.Snapshot) {
	slices.SortFunc(s.Sections, func(a, b record.Section) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), comparePlaces(a.Scope, b.Scope))
	})
	slices.SortFunc(s.Devices, func(a, b record.Device) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), comparePlaces(a.Place, b.Place))
	})
	s.Sections = s.Sections[:min(len(s.Sections), record.MaxSections)]
	s.Devices = s.Devices[:min(len(s.Devices), record.MaxDevices)]
}

func (p *parser) coveredByOther(s record.Section) bool {
	for scope := s.Scope; scope != ""; {
		i := max(strings.LastIndexByte(scope, '/'), 0)
		scope = scope[:i]
		if p.sections[record.Section{Type: s.Type, Scope: scope}] {
			return true
		}
	}
	return false
}

// comparePlaces orders "c0/e8/s10" after "c0/e8/s9".
func comparePlaces(a, b string) int {
	for a != "" && b != "" {
		na, ra := number(a)
		nb, rb := number(b)
		if na >= 0 && nb >= 0 {
			if c := cmp.Compare(na, nb); c != 0 {
				return c
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// number splits off the digits at the start of s; -1 when there are none.
func number(s string) (int, string) {
	n, i := 0, 0
	for i < len(s) && i < 9 && s[i] >= '0' && s[i] <= '9' {
		n = 10*n + int(s[i]-'0')
		i++
	}
	if i == 0 {
		return -1, s
	}
	return n, s[i:]
}
