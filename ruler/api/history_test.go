package api

import (
	"fmt"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/store"
)

// All configurations of a server can be had, page after page, each once, also
// where several came in one moment.
func TestHistoryPages(t *testing.T) {
	b := newBench(t, nil)
	id := apitest.ID(5)
	b.fleet.Entries = nil
	for i := range 60 { // newest first, three of a moment
		b.fleet.Entries = append(b.fleet.Entries, store.HistoryEntry{Server: id, Category: record.RAID, At: now.Add(-time.Duration(i/3)*time.Minute - time.Nanosecond), RecordID: fmt.Sprint(i)})
	}
	for _, limit := range []int{1, 2, 7, 100} {
		var got []string
		before := ""
		for range 100 {
			h := get[History](b, fmt.Sprintf("/servers/%s/history?limit=%d%s", id, limit, before))
			for _, v := range h.Snapshots {
				got = append(got, v.RecordID)
			}
			if h.NextBefore == nil {
				break
			}
			before = "&before=" + h.NextBefore.Format(time.RFC3339Nano)
		}
		for i := range max(len(got), 60) {
			if len(got) != 60 || got[i] != fmt.Sprint(i) {
				t.Fatalf("limit %d: %q", limit, got)
			}
		}
	}
}
