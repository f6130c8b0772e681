package otlp

import (
	"encoding/json"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
)

// FuzzAnswer takes any bytes for the answer of an eventbridge and of a foreign
// backend: never more verdicts than frames, and no note that cannot be read.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"results":[{"status":"stored","incarnation":"i","partition":3,"entry":7},{"status":"refused","reason":"x"}]}`))
	f.Add([]byte(`{"results":[{"status":"busy"}]}`))
	res := plogotlp.NewExportResponse()
	res.PartialSuccess().SetRejectedLogRecords(3)
	res.PartialSuccess().SetErrorMessage("no")
	if b, err := res.MarshalProto(); err == nil {
		f.Add(b)
	}
	frames := []spool.Frame{outputtest.Data(1, "a"), outputtest.Data(2, "b")}
	f.Fuzz(func(t *testing.T, b []byte) {
		o := New(NewClient(ClientOptions{URL: "http://127.0.0.1:1"}), Options{})
		var a framesAnswer
		if json.Unmarshal(b, &a) == nil {
			got, err := o.verdicts(frames, a.Results)
			var p place
			if err == nil && (len(got.Verdicts) > len(frames) || got.Note != nil && json.Unmarshal(got.Note, &p) != nil) {
				t.Fatalf("%+v", got)
			}
		}
		if got := plainAnswer([]spool.Verdict{spool.Stored}, b); len(got.Verdicts) != 1 {
			t.Fatalf("%+v", got)
		}
		_ = shorten(b)
	})
}
