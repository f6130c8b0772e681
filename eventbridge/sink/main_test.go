package sink_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
)

// TestMain uses the shared packer and unpacker once: their channels must not
// be made inside a synctest bubble.
func TestMain(m *testing.M) {
	now := time.Now()
	h := record.Header{Producer: "warm", Subject: record.ID{1}, Category: record.Heartbeat, Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 1}}, First: 1, Last: 1, Sent: 1}
	b, err := record.EncodeData(h, []record.Record{{Time: now, Observed: now, Name: record.NameHeartbeat, Body: strings.Repeat("long enough to be packed ", 99)}})
	if err == nil {
		_, err = record.DecodeFrame(b)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
