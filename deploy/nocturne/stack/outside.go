package stack

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Outside are the URLs of programs that somebody runs already and that a stack uses in place of its own. They are
// neither started nor watched. What is empty is ours.
type Outside struct {
	Metrics       string   `json:"metrics,omitempty"`      // VictoriaMetrics
	Logs          string   `json:"logs,omitempty"`         // VictoriaLogs
	Alertmanagers []string `json:"alertmanager,omitempty"` // every one is told
}

// Set takes one, as a flag names it: "metrics=http://vm:8428". There may be several Alertmanagers.
func (o *Outside) Set(text string) error {
	name, address, _ := strings.Cut(text, "=")
	address = strings.TrimRight(address, "/")
	known := map[string][]string{"metrics": {o.Metrics}, "logs": {o.Logs}, "alertmanager": o.Alertmanagers}
	before, ok := known[name]
	if !ok {
		return fmt.Errorf("%q: want metrics=URL, logs=URL or alertmanager=URL", text)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s=%s: want its address, like http://127.0.0.1:8428, without a password", name, address)
	}
	if name != "alertmanager" && before[0] != "" || slices.Contains(before, address) {
		return fmt.Errorf("%s is named twice", name)
	}
	switch name {
	case "metrics":
		o.Metrics = address
	case "logs":
		o.Logs = address
	default:
		o.Alertmanagers = append(o.Alertmanagers, address)
	}
	return nil
}

// MetricsURL is where VictoriaMetrics is found, ours or not.
func (s State) MetricsURL() string { return cmp.Or(s.Outside.Metrics, URL(s.Ports.Metrics)) }

// LogsURL is where VictoriaLogs is found.
func (s State) LogsURL() string { return cmp.Or(s.Outside.Logs, URL(s.Ports.Logs)) }

// AlertmanagerURLs are where people are told.
func (s State) AlertmanagerURLs() []string {
	if len(s.Outside.Alertmanagers) > 0 {
		return s.Outside.Alertmanagers
	}
	return []string{URL(s.Ports.Alertmanager)}
}
