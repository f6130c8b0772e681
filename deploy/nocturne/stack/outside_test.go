package stack

import (
	"slices"
	"strings"
	"testing"
)

func TestOutsideTakesOneOfEachAndSeveralAlertmanagers(t *testing.T) {
	var o Outside
	for _, text := range []string{"metrics=http://vm:8428/", "logs=https://vl.example.org/logs", "alertmanager=http://a:9093", "alertmanager=http://b:9093"} {
		if err := o.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if o.Metrics != "http://vm:8428" || o.Logs != "https://vl.example.org/logs" || !slices.Equal(o.Alertmanagers, []string{"http://a:9093", "http://b:9093"}) {
		t.Errorf("%+v", o)
	}
	for text, want := range map[string]string{
		"":                           "want metrics=URL, logs=URL or alertmanager=URL",
		"grafana=http://g:3000":      "want metrics=URL, logs=URL or alertmanager=URL",
		"metrics=http://other:8428":  "metrics is named twice",
		"alertmanager=http://a:9093": "alertmanager is named twice",
		"metrics":                    "want its address",
		"metrics=vm:8428":            "want its address",
		"metrics=http://u:p@vm:8428": "without a password",
		"logs=http://vl:9428?x=1":    "want its address",
	} {
		if err := o.Set(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

func TestWhatIsOutsideIsUsedAndNotStarted(t *testing.T) {
	for _, tt := range []struct {
		outside                        Outside
		started                        string
		metrics, logs, told, receiving string
	}{
		{
			Outside{}, "victoria-metrics victoria-logs alertmanager receiver eventbridge ruler exporter",
			"http://127.0.0.1:8428", "http://127.0.0.1:9428", "http://127.0.0.1:9093", "http://127.0.0.1:9481",
		},
		{
			Outside{Metrics: "http://vm", Logs: "http://vl", Alertmanagers: []string{"http://a", "http://b"}}, "eventbridge ruler exporter",
			"http://vm", "http://vl", "http://a http://b", "",
		},
	} {
		o := Options{Mode: Run, Ports: DefaultPorts(), Outside: tt.outside, Keep: DefaultRetention()}
		s := &stack{Options: o, Layout: Layout{t.TempDir()}, state: State{Ports: o.Ports, Outside: o.Outside}}
		var started []string
		for _, stage := range s.stages() {
			for _, service := range stage {
				started = append(started, service.Name)
			}
		}
		if got := strings.Join(started, " "); got != tt.started {
			t.Errorf("%+v: started are %s, want %s", tt.outside, got, tt.started)
		}
		bridge, ruler := s.eventbridgeConfig(), s.rulerConfig()
		for what, urls := range map[string][2]any{
			"the bridge's metrics": {bridge["victoriametrics"].(doc)["url"], tt.metrics},
			"the bridge's logs":    {bridge["victorialogs"].(doc)["url"], tt.logs},
			"the ruler's metrics":  {ruler["metrics"].(doc)["url"], tt.metrics},
			"the ruler's logs":     {ruler["logs"].(doc)["url"], tt.logs},
			"who is told":          {strings.Join(ruler["alertmanager"].(doc)["urls"].([]string), " "), tt.told},
		} {
			if urls[0] != urls[1] {
				t.Errorf("%+v: %s: %v, want %v", tt.outside, what, urls[0], urls[1])
			}
		}
		if got, _ := ruler["api"].(doc)["demo"].(doc)["receiver_url"].(string); got != tt.receiving {
			t.Errorf("%+v: the receiver is %q, want %q", tt.outside, got, tt.receiving)
		}
	}
}
