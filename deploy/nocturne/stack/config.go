package stack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/alerts"
	"nocturne/internal/disk"
	"nocturne/internal/stream"
)

// The demo's clocks: something is to be seen soon. The ruler waits three heartbeats before it calls a server silent.
const (
	demoHeartbeat = 10 * time.Second
	demoSilence   = 30 * time.Second
	demoMetrics   = 15 * time.Second
)

// How often the parts are asked for their own metrics.
const (
	scrapeEvery   = 30 * time.Second
	scrapeTimeout = 10 * time.Second
)

// doc is one level of a YAML file.
type doc map[string]any

// generated is the first line of the files that a person may take over by deleting it.
const generated = "# Written by nocturne at every start. Delete this line and it stays as you leave it.\n"

// writeConfigs writes the configuration of all parts.
func (s *stack) writeConfigs() error {
	for _, dir := range []string{filepath.Dir(s.Config("x")), s.Rules()} { // the ruler takes a folder without rules, not one that is not there
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create folder for configurations: %w", err)
		}
	}
	for name, d := range map[string]doc{
		"eventbridge": s.eventbridgeConfig(),
		"ruler":       s.rulerConfig(),
		"exporter":    s.exporterConfig(),
	} {
		text, err := yaml.Marshal(d)
		if err != nil {
			return fmt.Errorf("encode configuration of %s: %w", name, err)
		}
		if err := writeGenerated(s.Config(name), text); err != nil {
			return err
		}
	}
	scrape, err := yaml.Marshal(s.scrapeConfig())
	if err != nil {
		return fmt.Errorf("encode configuration of scrapes: %w", err)
	}
	if err := writeGenerated(s.Config("scrape"), scrape); err != nil {
		return err
	}
	text, err := s.alertmanagerConfig()
	if err != nil {
		return err
	}
	texts, err := alerts.Files().ReadFile("nocturne.tmpl")
	if err != nil {
		return fmt.Errorf("read templates of messages: %w", err)
	}
	return errors.Join(writeGenerated(s.Config("alertmanager"), text), writeGenerated(filepath.Join(filepath.Dir(s.Config("x")), "nocturne.tmpl"), texts))
}

// writeGenerated replaces a file unless a person has taken it over.
func writeGenerated(path string, text []byte) error {
	old, err := os.ReadFile(path)
	text = append([]byte(generated), text...)
	if err == nil && (!bytes.HasPrefix(old, []byte(generated)) || bytes.Equal(old, text)) {
		return nil
	}
	if err := disk.Replace(path, text, 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

func (s *stack) eventbridgeConfig() doc {
	return doc{
		"data":            s.Part("eventbridge"),
		"ingest":          doc{"address": Addr(s.Ports.Ingest), "listen": s.Listen},
		"admin":           doc{"address": Addr(s.Ports.Admin)},
		"stream":          doc{"address": Addr(s.Ports.Stream), "max_age": s.Keep.Stream.String()},
		"victoriametrics": doc{"url": s.state.MetricsURL()},
		"victorialogs":    doc{"url": s.state.LogsURL(), "keep": (time.Duration(s.Keep.Logs) * 24 * time.Hour).String()},
	}
}

func (s *stack) rulerConfig() doc {
	demo := doc{}
	if len(s.Outside.Alertmanagers) == 0 {
		demo["receiver_url"] = URL(s.Ports.Receiver) // the page shows what was delivered, in run too
	}
	rules := doc{}
	if s.Mode == Demo {
		demo["simulator_url"] = URL(s.Ports.Simulator)
		rules["overrides"] = doc{"server-silent": doc{"after": demoSilence.String()}}
	}
	rules["dirs"] = []string{s.Rules()} // also while it is empty: who takes the file over puts rules there later
	metrics := doc{"url": s.state.MetricsURL()}
	if s.Mode == Demo {
		metrics["interval"] = demoMetrics.String()
	}
	rules["metrics"] = []string{filepath.Join(s.Rules(), "metrics", "*.yml")}
	api := doc{
		"bridge":        doc{"url": URL(s.Ports.Admin), "token_file": s.AdminToken()},
		"demo":          demo,
		"exporter_port": s.Ports.Exporter,
		"runbooks":      filepath.Join(s.Rules(), "runbooks"),
	}
	d := doc{
		"data":   s.Part("ruler"),
		"listen": s.Page.Addr(s.Ports.Ruler),
		"stream": doc{
			"url":        "nats://" + Addr(s.Ports.Stream),
			"token_file": stream.TokenFile(s.in("eventbridge", "stream"), stream.RoleRuler),
		},
		"alertmanager": doc{"urls": s.state.AlertmanagerURLs(), "console_url": s.Page.URL(s.Ports.Ruler)},
		"api":          api,
		"rules":        rules,
		"metrics":      metrics,
		"logs":         doc{"url": s.state.LogsURL()},
	}
	if s.Page.TLS() {
		d["tls"] = doc{"cert_file": s.Page.Files.CertFile, "key_file": s.Page.Files.KeyFile}
	}
	if names := s.Page.Names(); len(names) > 0 && s.Page.Listen != "" { // then it asks for a login anyway
		api["hosts"] = names
	}
	return d
}

// scrapeConfig makes VictoriaMetrics gather what the parts say of themselves:
// rules about the pipeline ask for it. The exporters push theirs.
func (s *stack) scrapeConfig() doc {
	job := func(name string, port int) doc {
		return doc{"job_name": name, "static_configs": []doc{{"targets": []string{Addr(port)}}}}
	}
	ruler := job("ruler", s.Ports.Ruler)
	if s.Page.TLS() {
		// This machine is asked, by another name than the certificate has, and nothing secret is sent.
		ruler["scheme"], ruler["tls_config"] = "https", doc{"insecure_skip_verify": true}
	}
	ruler["static_configs"] = []doc{{"targets": []string{strings.TrimPrefix(s.Page.Here(s.Ports.Ruler), s.Page.scheme()+"://")}}}
	jobs := []doc{job("eventbridge", s.Ports.Admin), ruler}
	if len(s.Outside.Alertmanagers) == 0 {
		jobs = append(jobs, job("alertmanager", s.Ports.Alertmanager))
	}
	if s.Outside.Metrics == "" {
		jobs = append(jobs, job("victoria-metrics", s.Ports.Metrics))
	}
	if s.Outside.Logs == "" {
		jobs = append(jobs, job("victoria-logs", s.Ports.Logs))
	}
	return doc{
		"global":         doc{"scrape_interval": scrapeEvery.String(), "scrape_timeout": scrapeTimeout.String()},
		"scrape_configs": jobs,
	}
}

func (s *stack) exporterConfig() doc {
	d := doc{
		"data":    s.Part("exporter"),
		"metrics": doc{"listen": Addr(s.Ports.Exporter)},
		// The address is written down, not left to the enrolment, because ports may change from start to start.
		"outputs": []doc{{"name": "eventbridge", "type": "otlp", "url": URL(s.Ports.Ingest)}},
	}
	if s.Mode == Demo {
		d["heartbeat"] = doc{"interval": demoHeartbeat.String()}
		d["metrics"] = doc{"listen": Addr(s.Ports.Exporter), "interval": demoMetrics.String()}
	}
	return d
}

// alertmanagerConfig is the one of the repository, with the receiver where ours listens.
func (s *stack) alertmanagerConfig() ([]byte, error) {
	text, err := alerts.Files().ReadFile("alertmanager.yml")
	if err != nil {
		return nil, fmt.Errorf("read default configuration of alertmanager: %w", err)
	}
	return bytes.ReplaceAll(text, []byte(Addr(DefaultPorts().Receiver)), []byte(Addr(s.Ports.Receiver))), nil
}
