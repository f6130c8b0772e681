package console

import (
	"strings"
	"testing"

	"nocturne/internal/record"
)

func TestReadable(t *testing.T) {
	var b strings.Builder
	r := record.Record{Name: record.NameSnapshot, Severity: record.Info, Body: "raid:\x1b[2J one drive\r\nmore",
		Attrs: []record.Attr{{Key: record.AttrRaw, Value: record.String(strings.Repeat("x", 5000))}},
		Snapshot: &record.Snapshot{
			Sections: []record.Section{{Type: "physical_drive", Scope: "c0"}},
			Devices:  []record.Device{{Type: "physical_drive", Place: "c0/e252/s4", Occupant: "K4", Fields: []record.Attr{{Key: "state", Value: record.String("Onln")}, {Key: "media_errors", Value: record.Int(3)}}}},
		}}
	if err := Readable(&b, record.RAID, &r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"raid  nocturne.snapshot  info\n  raid:?[2J one drive  more\n", "… (5000 bytes)\n", "  looked at physical_drive of c0: 1 devices\n",
		"    physical_drive  c0/e252/s4  K4      media_errors=3 state=Onln\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}
