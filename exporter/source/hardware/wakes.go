package hardware

import (
	"slices"
	"strings"

	"nocturne/internal/record"
)

// Wakes implements source.Waker: Windows tells that a device came, went or got
// another driver. On Linux the kernel says so itself, see Listen.
func (r *Reader) Wakes(rec *record.Record) bool {
	if rec.Name != record.NameWindowsEvent {
		return false
	}
	id, _ := rec.Attr(record.AttrEventID).Int()
	return slices.Contains(events[strings.ToLower(rec.Attr(record.AttrProvider).Str())], id)
}

// events by provider, in lower case: of the channel System and of those that
// the winlog source reads by default.
var events = map[string][]int64{
	"disk":                         {157}, // surprise removed
	"microsoft-windows-userpnp":    {20001, 20003, 20010},
	"microsoft-windows-kernel-pnp": {400, 410, 411, 420, 430, 441},
	"microsoft-windows-partition":  {1006}, // a disk came or went
}
