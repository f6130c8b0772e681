package sink

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	day := 24 * time.Hour
	for in, want := range map[string]time.Duration{
		"30d": 30 * day, "4w": 28 * day, "1y": 365 * day, "13": 13 * 31 * day, "13M": 13 * 31 * day, "1ms": time.Millisecond, "36h": 36 * time.Hour, "0s": 0, "1.5y": 547*day + 12*time.Hour,
	} {
		if got, ok := Duration(in); !ok || got != want {
			t.Errorf("%q is %s, %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "d", "x", "-3d", "1dd", "1e9d", "NaN"} {
		if got, ok := Duration(in); ok {
			t.Errorf("%q is %s", in, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]int{"262144": 262144, "2MiB": 2 << 20, "64KiB": 64 << 10, "1MB": 1e6} {
		if got, ok := Bytes(in); !ok || got != want {
			t.Errorf("%q is %d, %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "99999999GiB"} {
		if got, ok := Bytes(in); ok {
			t.Errorf("%q is %d", in, got)
		}
	}
}

func TestAskVictoria(t *testing.T) {
	page := `vm_rows_ignored_total{reason="big_timestamp"} 3
vm_rows_ignored_total{reason="nan_value"} 4
process_start_time_seconds 5
vm_app_start_timestamp 1795249076
flag{name="retentionPeriod", value="30d", is_set="true"} 1
flag{name="dedup.minScrapeInterval", value="1ms", is_set="true"} 1
flag{broken
`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) }))
	defer srv.Close()
	v, err := AskVictoria(t.Context(), srv.Client(), srv.URL+"/")
	if err != nil || v.Instance != "1795249076" || v.Ignored != 7 || v.Flags["retentionPeriod"] != "30d" || v.Flags["dedup.minScrapeInterval"] != "1ms" {
		t.Errorf("%+v, %v", v, err)
	}
	page = "up 1\n"
	if _, err := AskVictoria(t.Context(), srv.Client(), srv.URL); err == nil {
		t.Error("a page without a start time is accepted")
	}
}
