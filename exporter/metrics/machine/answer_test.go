package machine

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

func counter(name string, v float64, labels ...string) *dto.MetricFamily {
	m := &dto.Metric{Counter: &dto.Counter{Value: &v}}
	for i := 0; i < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	return &dto.MetricFamily{Name: &name, Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{m}}
}

func TestDecodeLeavesOutWhatSpoilsTheRest(t *testing.T) {
	good := counter("windows_good_total", 1, "nic", "Intel[R] 82574L")
	gaugeWithoutValue := &dto.MetricFamily{Name: proto.String("a"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{}}}
	for _, c := range []struct {
		name   string
		f      *dto.MetricFamily
		reason string
	}{
		{"the name twice", counter("windows_good_total", 2), reasonInvalid},
		{"one of the exporter's names", counter("exporter_spool_records_out_total", 1), reasonReserved},
		{"one of the process' names", counter("process_cpu_seconds_total", 1), reasonReserved},
		{"no name", counter("", 1), reasonInvalid},
		{"a name that is none", counter("windows good", 1), reasonInvalid},
		{"a name that begins with a digit", counter("9a", 1), reasonInvalid},
		{"a label that is none", counter("a", 1, "n-c", "x"), reasonInvalid},
		{"a label with a colon", counter("a", 1, "n:c", "x"), reasonInvalid},
		{"a label twice", counter("a", 1, "n", "x", "n", "y"), reasonInvalid},
		{"a value of more than 4 KiB", counter("a", 1, "n", strings.Repeat("x", 4097)), reasonInvalid},
		{"a counter of NaN", counter("a", math.NaN()), reasonInvalid},
		{"a gauge without a value", gaugeWithoutValue, reasonInvalid},
		{"no metrics", &dto.MetricFamily{Name: proto.String("a"), Type: dto.MetricType_GAUGE.Enum()}, reasonInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload, unsent := encode([]*dto.MetricFamily{good, c.f})
			families, left, err := decode(payload)
			if err != nil || unsent != 0 {
				t.Fatal(err, unsent)
			}
			if len(families) != 1 || families[0].GetName() != "windows_good_total" || left[c.reason] != 1 {
				t.Errorf("%v, left out %v", families, left)
			}
		})
	}
}

func TestAnAnswerHasLimits(t *testing.T) {
	var many []*dto.MetricFamily
	for range maxFamilies + 1 {
		many = append(many, counter("a"+strings.Repeat("b", len(many)%200)+strings.Repeat("c", len(many)/200), 1))
	}
	payload, _ := encode(many)
	if _, _, err := decode(payload); !errors.Is(err, errProtocol) {
		t.Error(err)
	}
	big := counter("a", 1, "n", strings.Repeat("x", maxAnswer/3))
	if payload, left := encode([]*dto.MetricFamily{big, big, big, big}); left != 2 || len(payload) > maxAnswer {
		t.Errorf("%d families left out of an answer of %d bytes", left, len(payload))
	}
	for _, c := range []struct {
		answer string
		want   error
	}{
		{"", errEnded}, {"A\x05\x00\x00\x00ab", errEnded}, {"A\x00\x00\x00\x7f", errProtocol}, {"X\x00\x00\x01\x00", errProtocol}, {"?\x00\x00\x00\x00", errProtocol},
		{"X\x02\x00\x00\x00no", errChild}, {"A\x00\x00\x00\x00", nil},
	} {
		if _, err := readAnswer(strings.NewReader(c.answer)); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.answer, err, c.want)
		}
	}
}

// FuzzAnswer: whatever a child says, what is kept can be registered, gathered
// and encoded again, and stays the same.
func FuzzAnswer(f *testing.F) {
	payload, _ := encode([]*dto.MetricFamily{counter("a", 1, "n", "x"), counter("b", 2)})
	var framed bytes.Buffer
	if err := writeAnswer(&framed, answerMetrics, payload); err != nil {
		f.Fatal(err)
	}
	f.Add(framed.Bytes())
	f.Add([]byte("X\x02\x00\x00\x00no"))
	f.Add([]byte("A\x03\x00\x00\x00\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := readAnswer(bytes.NewReader(b))
		if err != nil {
			return
		}
		families, _, err := decode(payload)
		if err != nil {
			return
		}
		packed, unsent := encode(families)
		again, left, err := decode(packed)
		if err != nil || unsent+len(left) > 0 || len(again) != len(families) {
			t.Fatalf("decoded anew: %d of %d families, %v left out, %v", len(again), len(families), left, err)
		}
		g := prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })}
		_, _ = g.Gather() // it may complain of the same labels twice, and must not panic
	})
}

func TestSettingsAreChecked(t *testing.T) {
	f := func(goos string, s Settings, want string) {
		t.Helper()
		got := ""
		if err := s.Validate(goos); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s %+v: %q, want %q", goos, s, got, want)
		}
	}
	f("linux", Settings{Collectors: Defaults("linux"), Services: DefaultServices()}, "")
	f("windows", Settings{Collectors: Defaults("windows"), Services: DefaultServices()}, "")
	f("plan9", Settings{}, "")
	f("plan9", Settings{Collectors: []string{"cpu"}}, "metrics collectors: there are none for plan9: remove them")
	f("windows", Settings{Collectors: []string{"update"}}, "metrics collectors: remove update: it spins while Windows Update cannot be asked; the source updates tells what is installed and pending")
	f("linux", Settings{Collectors: []string{"memory"}}, `metrics collectors: "memory" is unknown on linux: write some of meminfo, meminfo_numa`)
	f("windows", Settings{Collectors: []string{"meminfo"}}, `metrics collectors: "meminfo" is unknown on windows: write some of memory`)
	f("linux", Settings{Collectors: []string{"cpu", "cpu"}}, "metrics collectors: cpu stands there twice: remove one")
	f("windows", Settings{Services: []string{`a\b`}}, "metrics services: \"a\\\\b\": write the short name of a service, as in `sc query`")
	f("windows", Settings{Services: slices.Repeat([]string{"a"}, 101)}, "metrics services: 101: write at most 100")
	if err := (Settings{Collectors: []string{"x"}}).Validate("linux"); err == nil || !strings.Contains(err.Error(), "zoneinfo") {
		t.Errorf("nothing is near: %v", err)
	}
}

func TestSettingsTravelToTheChild(t *testing.T) {
	for goos, want := range map[string]string{"linux": "cpu,diskstats", "windows": "cpu,logical_disk"} {
		s := Settings{Services: []string{"W32Time", "a,b"}}.complete(goos)
		got, err := parseArgs(s.args())
		if err != nil || !slices.Equal(got.Collectors, s.Collectors) || !slices.Equal(got.Services, s.Services) || !strings.HasPrefix(s.args()[0], want) {
			t.Errorf("%s: %+v, %v", goos, got, err)
		}
	}
	if s := (Settings{}).complete("windows"); slices.Contains(s.Collectors, "service") {
		t.Error("all services would be watched")
	}
	if got := servicePattern([]string{"W32Time", "a.b"}); got != `(?i)^(?:W32Time|a\.b)$` {
		t.Error(got)
	}
}

// The names that are let through are those of the libraries, the refused aside.
func TestCollectorsAreKnown(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus-community/windows_exporter").Output()
	if err != nil {
		t.Skip("no module cache here")
	}
	windows, err := os.ReadDir(strings.TrimSpace(string(dir)) + "/internal/collector")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range windows {
		if refused["windows"][e.Name()] == "" {
			names = append(names, e.Name())
		}
	}
	if !slices.Equal(names, known["windows"]) {
		t.Errorf("windows_exporter has %v, known are %v", names, known["windows"])
	}
	for goos, list := range known {
		if !slices.IsSorted(list) {
			t.Errorf("the collectors of %s are not sorted", goos)
		}
		for _, d := range defaults[goos] {
			if !slices.Contains(list, d) {
				t.Errorf("%s is a default of %s and not known", d, goos)
			}
		}
	}
}
