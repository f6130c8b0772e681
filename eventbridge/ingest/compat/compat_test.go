package compat

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
)

var rewrite = flag.Bool("update", false, "rewrite the wanted results")

var received = time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)

// Each folder holds a message, named after its kind, and what becomes of it.
func TestDecode(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) < 9 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(filepath.Dir(f)), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Decode(Kind(strings.TrimSuffix(filepath.Base(f), ".json")), b, received)
			if err != nil {
				t.Fatal(err)
			}
			got := render(&m)
			want := filepath.Join(filepath.Dir(f), "want.txt")
			if *rewrite {
				if err := os.WriteFile(want, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if w, err := os.ReadFile(want); err != nil || string(w) != got {
				t.Errorf("got\n%s\nwant\n%s\n%v", got, w, err)
			}
			if _, err := record.EncodeData(record.Header{Producer: "bridge/b1/amqp", Subject: record.ID{1}, Category: m.Category,
				Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1}}, First: 1}, []record.Record{m.Record}); err != nil {
				t.Error(err)
			}
		})
	}
}

// render writes a message for a person to review.
func render(m *Message) string {
	var b strings.Builder
	r := &m.Record
	b.WriteString(m.Host + " " + m.Category.String() + " " + r.Name + " " + r.Severity.String() + " " + r.Time.Format(time.RFC3339Nano) + "\n")
	b.WriteString("body " + r.Body + "\n")
	for _, a := range r.Attrs {
		b.WriteString("attr " + a.Key + "=" + a.Value.Text() + "\n")
	}
	if s := r.Snapshot; s != nil {
		for _, c := range s.Sections {
			b.WriteString("observed " + c.Type + " " + c.Scope + "\n")
		}
		for _, d := range s.Devices {
			b.WriteString(d.Type + " " + d.Place + " [" + d.Occupant + "]")
			for _, f := range d.Fields {
				b.WriteString(" " + f.Key + "=" + f.Value.Text())
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		kind Kind
		body string
		want string
	}{
		"not JSON":              {Heartbeat, "nonsense", "invalid character"},
		"empty":                 {Heartbeat, "", "EOF"},
		"two values":            {Heartbeat, `{"HostName":"a"}{}`, "more than one JSON value"},
		"the first of all":      {Heartbeat, `{"heartbeat":1}`, "names no host"},
		"no object":             {Storcli, `[]`, "cannot unmarshal array"},
		"a number as host":      {EventLog, `{"HostName":7}`, "cannot unmarshal number"},
		"a host that is none":   {EventLog, `{"HostName":"a b"}`, "is no name"},
		"a date in words":       {Heartbeat, `{"HostName":"a","DateTime":"yesterday"}`, "want 2006-01-02T15:04:05"},
		"a count in words":      {Storcli, `{"Name":"a","Controllers":[{"ControllerNumber":"0"}]}`, "cannot unmarshal string"},
		"no controller number":  {Storcli, `{"Name":"a","Controllers":[{}]}`, "controller without a number"},
		"two drives in a slot":  {Storcli, `{"Name":"a","Controllers":[{"ControllerNumber":0,"EnclosureDevices":[{"Eid":1,"PhysicalDrives":[{"Slot":1},{"Slot":1}]}]}]}`, "named twice"},
		"a sensor without name": {Superdoctor, `{"HostName":"a","Devices":[{"Value":1}]}`, "without a name"},
		"too many sensors":      {Superdoctor, `{"HostName":"a","Devices":[` + strings.Repeat(`{"Name":"x"},`, maxList) + `{"Name":"y"}]}`, "more than 4096 parts"},
		"another kind":          {"facter", `{}`, "want one of"},
	} {
		if _, err := Decode(c.kind, []byte(c.body), received); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Decode(Heartbeat, make([]byte, MaxBody+1), received); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i := range Kinds() {
			f.Add(i, b)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		kinds := Kinds()
		m, err := Decode(kinds[uint(kind)%uint(len(kinds))], body, received)
		if err != nil {
			return
		}
		if m.Host == "" || m.Host != strings.ToLower(m.Host) {
			t.Errorf("host %q", m.Host)
		}
		if record.RecordSize(&m.Record) > record.MaxRecord {
			return // refused by whoever frames it
		}
		if !json.Valid(body) && !strings.HasPrefix(string(body), "\xef\xbb\xbf") {
			t.Error("what is no JSON was taken")
		}
		frame, err := record.EncodeData(record.Header{Producer: "bridge/b1/amqp", Subject: record.ID{1}, Category: m.Category,
			Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1}}, First: 1}, []record.Record{m.Record})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := record.DecodeFrame(frame); err != nil {
			t.Fatal(err)
		}
	})
}

// What never happened has no time: programs write the year 1, and Windows also
// its two zero times.
func TestNever(t *testing.T) {
	for _, never := range []string{"0001-01-01T00:00:00", "1601-01-01T00:00:00Z", "1899-12-30T00:00:00"} {
		m, err := Decode(Updates, []byte(`{"HostName":"a","LastTimeUpdated":"`+never+`"}`), received)
		if err != nil || strings.Contains(render(&m), "last_success") {
			t.Errorf("%s: %s, %v", never, render(&m), err)
		}
		m, err = Decode(Heartbeat, []byte(`{"HostName":"a","LastBootUpTime":"`+never+`","DateTime":"`+never+`"}`), received)
		if err != nil || !m.Record.Attr(record.AttrBootTime).IsNull() || !m.Record.Time.Equal(received) {
			t.Errorf("%s: %s, %v", never, render(&m), err)
		}
	}
}
