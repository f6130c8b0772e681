package winlog

import (
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Limits of one event.
const (
	maxXML     = 1 << 20
	maxNodes   = 4096
	maxDepth   = 16
	maxText    = 32 << 10
	maxMessage = 32 << 10
	maxData    = 256
	maxBinary  = 4 << 10
	maxEvent   = 256 << 10 // bytes of all values
)

// Decode makes a record of an event as Windows renders it
// (http://schemas.microsoft.com/win/2004/08/events/event).
func Decode(e Event, now time.Time) (record.Record, error) {
	top, err := parseXML(e.XML)
	if err != nil {
		return record.Record{}, fmt.Errorf("event of %d bytes: %w", len(e.XML), err)
	}
	if top.name != "Event" {
		return record.Record{}, fmt.Errorf("element %.40q instead of an Event", top.name)
	}
	system := top.child("System")
	provider, channel := system.child("Provider").attr("Name"), system.child("Channel").text
	if provider == "" {
		provider = system.child("Provider").attr("EventSourceName")
	}
	id, err := strconv.ParseInt(strings.TrimSpace(system.child("EventID").text), 10, 64)
	if err != nil || provider == "" || channel == "" {
		return record.Record{}, fmt.Errorf("event %.40q of provider %.80q in channel %.80q: one of them is missing", system.child("EventID").text, provider, channel)
	}
	r := record.Record{Observed: now, Name: record.NameWindowsEvent, Time: eventTime(system.child("TimeCreated").attr("SystemTime"))}
	level, _ := strconv.ParseInt(strings.TrimSpace(system.child("Level").text), 10, 32) // 0 where it is missing
	keywords, _ := strconv.ParseUint(strings.TrimSpace(system.child("Keywords").text), 0, 64)
	word, severity := Level(level, keywords)
	r.Severity = severity
	add := func(key string, v record.Value) { r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: v}) }
	add(record.AttrChannel, record.String(Clip(channel, 512)))
	add(record.AttrProvider, record.String(Clip(provider, 512)))
	add(record.AttrEventID, record.Int(id))
	add(record.AttrLevel, record.String(word))
	if n, err := strconv.ParseInt(strings.TrimSpace(system.child("EventRecordID").text), 10, 64); err == nil {
		add(record.AttrRecordID, record.Int(n))
	}
	if c := system.child("Computer").text; c != "" {
		add(record.AttrComputer, record.String(Clip(c, 512)))
	}
	d := &data{}
	d.event(top)
	r.Attrs = append(r.Attrs, d.attrs...)
	if r.Body = message(e, top); r.Body == "" {
		r.Body = Summary(provider, id, d.attrs)
	}
	return r, nil
}

// message is the text for people: what a forwarded event carries comes before
// what a library of this machine makes of it.
func message(e Event, top *node) string {
	m := top.child("RenderingInfo").child("Message").text
	if m == "" {
		m = e.Message
	}
	m = strings.ToValidUTF8(strings.ReplaceAll(m, "\r\n", "\n"), "\ufffd")
	return Clip(strings.TrimSpace(strings.TrimRight(m, "\x00")), maxMessage)
}

// eventTime reads the times of Windows, with 7 digits, 9 digits or none, and
// those of tools that leave out T and Z.
func eventTime(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1600 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// data collects the event's own fields within the limits.
type data struct {
	attrs []record.Attr
	bytes int
	n     int // unnamed ones so far
}

func (d *data) event(top *node) {
	for _, part := range []string{"EventData", "UserData", "ProcessingErrorData"} {
		kids := top.child(part).kids
		if part == "UserData" && len(kids) == 1 && len(kids[0].kids) > 0 {
			kids = kids[0].kids // <UserData><LogFileCleared>…: a name, not a field
		}
		for _, k := range kids {
			d.field(k)
		}
	}
}

func (d *data) field(n *node) {
	switch n.name {
	case "Data", "ComplexData":
		name := n.attr("Name")
		d.n++
		if name == "" {
			name = "param" + strconv.Itoa(d.n) // as Windows names positional data
		}
		d.add(name, record.String(Clip(n.text, maxText)))
	case "Binary":
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(n.text), "-", ""))
		if err != nil {
			d.add("binary", record.String(Clip(n.text, maxText)))
		} else if len(b) > 0 {
			d.add("binary", record.Bytes(b[:min(len(b), maxBinary)]))
		}
	default:
		if len(n.kids) == 0 {
			d.add(n.name, record.String(Clip(n.text, maxText)))
			return
		}
		d.add(n.name, n.value(0))
	}
}

func (d *data) add(name string, v record.Value) {
	if len(d.attrs) >= maxData || d.bytes > maxEvent || v.IsNull() {
		return
	}
	key := Clip(record.AttrData+name, record.MaxKey)
	for i := range d.attrs {
		if d.attrs[i].Key == key {
			return // twice the same name: the first stands
		}
	}
	d.bytes += len(key) + len(v.Text())
	d.attrs = append(d.attrs, record.Attr{Key: key, Value: v})
}

// node is an element.
type node struct {
	name  string
	attrs []xml.Attr
	text  string
	kids  []*node
}

// child returns the first element of a name, or one that is empty.
func (n *node) child(name string) *node {
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return &node{}
}

func (n *node) attr(name string) string {
	for _, a := range n.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// value makes a map of an element with elements inside.
func (n *node) value(depth int) record.Value {
	if len(n.kids) == 0 || depth > record.MaxDepth-3 {
		return record.String(Clip(n.text, maxText))
	}
	var m []record.Attr
	seen := map[string]bool{}
	for _, k := range n.kids {
		if !seen[k.name] && len(m) < maxData {
			seen[k.name] = true
			m = append(m, record.Attr{Key: Clip(k.name, record.MaxKey), Value: k.value(depth + 1)})
		}
	}
	return record.Map(m)
}

var errTooDeep = errors.New("nested too deep or too many elements")

// parseXML reads one element and what is in it.
func parseXML(s string) (*node, error) {
	if len(s) > maxXML {
		return nil, fmt.Errorf("the limit is %d bytes", maxXML)
	}
	d := xml.NewDecoder(strings.NewReader(strings.ToValidUTF8(s, "\ufffd")))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now, whatever it says
	d.Strict = false                                                                     // providers write control characters and stray ampersands
	var stack []*node
	count := 0
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not whole: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if count++; count > maxNodes || len(stack) >= maxDepth {
				return nil, errTooDeep
			}
			n := &node{name: t.Name.Local, attrs: t.Copy().Attr}
			if len(stack) > 0 {
				p := stack[len(stack)-1]
				p.kids = append(p.kids, n)
			}
			stack = append(stack, n)
		case xml.EndElement:
			if len(stack) == 0 {
				return nil, errors.New("an end without a beginning")
			}
			n := stack[len(stack)-1]
			if stack = stack[:len(stack)-1]; len(n.kids) > 0 {
				n.text = strings.TrimSpace(n.text)
			}
			if len(stack) == 0 {
				return n, nil
			}
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(t)
			}
		}
	}
}

var providerName = regexp.MustCompile(`<Provider\s[^>]*?\bName\s*=\s*(?:'([^']*)'|"([^"]*)")`)

// providerOf returns the provider's name in an event's text, without reading the
// whole of it; "" where there is none or it is written in an unusual way.
func providerOf(text string) string {
	m := providerName.FindStringSubmatch(text[:min(len(text), 2048)])
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1] + m[2])
}
