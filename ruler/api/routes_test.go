package api

import (
	"strings"
	"testing"

	"nocturne/ruler/api/apitest"
)

// The store counts nanoseconds in 64 bits: what it cannot keep is refused, not
// taken for a time of the past.
func TestTimesThatNobodyMeans(t *testing.T) {
	b, _ := stored(t, nil)
	five := "/servers/" + apitest.ID(5).String()
	for _, target := range []string{"/changes?before=2300-01-01T00:00:00Z", five + "?at=2300-01-01T00:00:00Z", five + "/diff?from=0001-01-01T00:00:00Z", "/audit?since=1600-01-01T00:00:00Z", "/rules/noise?since=2300-01-01T00:00:00Z"} {
		if w := b.call("GET", Prefix+target, "", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "hint") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	post[Problem](b, "/silences", `{"site":"north","starts_at":"2300-11-22T00:00:00Z","ends_at":"2300-11-22T04:00:00Z","reason":"power"}`, 400)
	post[Problem](b, "/notifications/"+problemID+"/comment", `{"text":"x"}}`, 400)
}
