package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func take(t *testing.T, s *Series, check, text string) map[string]int {
	t.Helper()
	families, err := parsePrometheus([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.take(check, families)
}

func TestSeries(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := NewSeries(6)
	if err := reg.Register(s); err != nil {
		t.Fatal(err)
	}
	refused := take(t, s, "apt", `# HELP apt_upgrades_pending Updates that wait.
# TYPE apt_upgrades_pending gauge
apt_upgrades_pending{origin="security"} 3 1700000000000
apt_upgrades_pending{origin="security"} 4
apt_upgrades_pending{origin="main",check="other"} 1
apt_upgrades_pending{server="db7"} 1
exporter_source_success{source="raid"} 1
`)
	if refused[refusedTwice] != 1 || refused[refusedName] != 3 {
		t.Errorf("refused %v", refused)
	}
	if got := take(t, s, "other", "# TYPE apt_upgrades_pending counter\napt_upgrades_pending 1\n"); got[refusedClash] != 1 {
		t.Errorf("refused %v, want the clash", got)
	}
	if got := take(t, s, "third", "# HELP apt_upgrades_pending Something else.\n# TYPE apt_upgrades_pending gauge\napt_upgrades_pending 7\n"); len(got) != 0 {
		t.Errorf("refused %v: another help text is no reason", got)
	}
	if got := take(t, s, "many", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\na 1\nb 1\nc 1"); got[refusedMany] != 1 {
		t.Errorf("refused %v, want what is beyond the limit of 6 series", got)
	}
	want := `
# HELP apt_upgrades_pending Updates that wait.
# TYPE apt_upgrades_pending gauge
apt_upgrades_pending{check="third"} 7
apt_upgrades_pending{check="apt",origin="security"} 3
# HELP exporter_check_series Series of each check's last run that are served and pushed.
# TYPE exporter_check_series gauge
exporter_check_series{source="check/apt"} 1
exporter_check_series{source="check/many"} 3
exporter_check_series{source="check/other"} 0
exporter_check_series{source="check/third"} 1
# HELP exporter_check_series_refused_total Series of checks that were not taken, by reason.
# TYPE exporter_check_series_refused_total counter
exporter_check_series_refused_total{reason="clash"} 1
exporter_check_series_refused_total{reason="duplicate"} 1
exporter_check_series_refused_total{reason="limit"} 1
exporter_check_series_refused_total{reason="name"} 3
exporter_check_series_refused_total{reason="too_long"} 0
`
	if got := gather(t, reg, "apt_upgrades_pending", "exporter_check_series", "exporter_check_series_refused_total"); got != want[1:] {
		t.Errorf("got\n%swant%s", got, want)
	}
	s.forget("apt")
	if got := take(t, s, "third", ""); len(got) != 0 {
		t.Error(got)
	}
	if got := take(t, s, "other", "# TYPE apt_upgrades_pending counter\napt_upgrades_pending 1\n"); len(got) != 0 {
		t.Errorf("refused %v, but nobody has the name any more", got)
	}
	own, err := gatherOwn(reg)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(own).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// gather writes the named families as text.
func gather(t *testing.T, g prometheus.Gatherer, names ...string) string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if !slices.Contains(names, f.GetName()) {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// gatherOwn returns the metrics that are not a plugin's.
func gatherOwn(g prometheus.Gatherer) ([]*dto.MetricFamily, error) {
	families, err := g.Gather()
	return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "exporter_") }), err
}

func FuzzPrometheus(f *testing.F) {
	for _, s := range []string{"", "a 1", "# TYPE a counter\na{b=\"c\"} 1 2\n", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", "a{b=\"\\n\"} NaN\n", "a{a=\"1\",a=\"2\"} 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		families, err := parsePrometheus(b)
		if err != nil {
			return
		}
		s := NewSeries(10)
		reg := prometheus.NewPedanticRegistry()
		if err := reg.Register(s); err != nil {
			t.Fatal(err)
		}
		s.take("x", families)
		// What was taken never spoils what is gathered beside it.
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
	})
}
