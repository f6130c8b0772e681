package series

import (
	"fmt"
	"runtime"
	"testing"

	"nocturne/internal/record"
)

// TestMemoryPerServer: records come in frames of many kilobytes whose memory
// their strings share; what is remembered must not hold on to it.
func TestMemoryPerServer(t *testing.T) {
	const servers = 500
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewState()
	for n := range servers {
		var devs []record.Device
		for i := range 12 {
			devs = append(devs, drive(fmt.Sprintf("c0/e252/s%d", i), fmt.Sprint("S", n, i), "Onln", record.Attr{Key: record.FieldModel, Value: record.String("ST1200MM0099")}))
		}
		rec := snapshot(devs...)
		rec.Body = fmt.Sprintf("%65536d", n)
		decoded, _, err := record.DecodeRecords(record.AppendRecords(nil, []record.Record{rec}))
		if err != nil {
			t.Fatal(err)
		}
		h := header(record.RAID)
		h.Subject = record.ID{byte(n), byte(n >> 8), 1}
		samples, _ := Append(nil, s.Learn(h, &decoded[0]), h, &decoded[0], 0)
		s.Ends(nil, h, &decoded[0], samples)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / servers
	t.Logf("%d bytes per server with 12 drives", per)
	if per > 8<<10 {
		t.Errorf("%d bytes per server, want at most 8 KiB", per)
	}
	runtime.KeepAlive(s)
}
