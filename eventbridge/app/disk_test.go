package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/eventbridge/config"
)

// The files of the data folder are looked at once a minute, not at every scrape.
func TestSizesAreLookedAtOnceAMinute(t *testing.T) {
	a := &App{cfg: config.Config{Data: t.TempDir()}}
	d := a.diskMetrics().(*diskMetrics)
	now := time.Now()
	d.now = func() time.Time { return now }
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(d)
	grow := func(bytes int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(a.cfg.Data, "registry.db"), make([]byte, bytes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	says := func(bytes float64) {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "eventbridge_data_used_bytes" && m.GetLabel()[0].GetValue() == partRegister && m.GetGauge().GetValue() != bytes {
					t.Errorf("%v bytes, want %v", m.GetGauge().GetValue(), bytes)
				}
			}
		}
	}
	grow(10)
	says(10)
	grow(20)
	now = now.Add(sizesFor - time.Second)
	says(10)
	now = now.Add(time.Second)
	says(20)
	grow(30)
	now = now.Add(-time.Hour) // the clock was set back
	says(30)
}
