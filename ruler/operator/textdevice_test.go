package operator

import (
	"strings"
	"testing"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// A device may be named in the text alone, as Linux' kernel does.
func TestDeviceOfText(t *testing.T) {
	f := func(pattern, text, want string) {
		t.Helper()
		p, err := rule.ParseTextPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		r := &record.Record{Name: record.NameJournal, Body: text}
		if got := deviceOf(rule.DeviceRef{Type: record.DeviceDisk, Text: p}, r); got != want {
			t.Errorf("%s in %.60q: %q, want %q", pattern, text, got, want)
		}
	}
	f(`dev (\S+), sector`, "blk_update_request: I/O error, dev sda, sector 8 op 0x0:(READ)", "disk sda")
	f(`dev (\S+), sector`, "nothing of the kind", "")
	f(`\(device (\S+)\)|XFS \((\S+)\)`, "XFS (dm-0): log I/O error -5", "disk dm-0") // the group that takes part
	f(`dev (.*)`, "dev \x1b[31msda\x00", "disk [31msda")                             // as every text, without control characters
	f(`(z)`, strings.Repeat("a", 5<<10)+"z", "")                                     // only the beginning is searched
	f(`(a+)`, strings.Repeat("a", 5<<10), "disk "+rule.Clean(strings.Repeat("a", 4<<10), maxKept))
}
