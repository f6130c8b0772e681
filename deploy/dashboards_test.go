//go:build linux

package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/deploy/nocturne/simulate"
	"nocturne/deploy/nocturne/stack"
)

// panelQuery is one query of one panel, as Grafana would ask it.
type panelQuery struct {
	name   string // "nocturne-fleet: Servers A"
	logs   bool
	kind   string // of logs: instant, stats, statsRange
	ranged bool
	expr   string
}

// panelQueries reads the queries of all dashboards from the files that Grafana
// is given, with their variables filled in: all where there are several, this
// server where it is one.
func panelQueries(t *testing.T, server, id string) []panelQuery {
	t.Helper()
	files, err := filepath.Glob("../dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %d %v", len(files), err)
	}
	var out []panelQuery
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			UID        string
			Templating struct {
				List []struct {
					Name, Type string
					Multi      bool
					Query      json.RawMessage
				}
			}
			Panels []struct {
				Title   string
				Targets []struct {
					RefID, Expr, QueryType string
					Range                  bool
					Datasource             struct{ Type string }
				}
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		fill := []string{"${server:regex}", ".*", "${site:regex}", ".*", "$server_id", id}
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			value := server
			if v.Multi {
				value = ".*"
			}
			fill = append(fill, "$"+v.Name, value)
			var q struct{ Query string }
			if err := json.Unmarshal(v.Query, &q); err != nil {
				t.Fatalf("%s: variable %s: %v", file, v.Name, err)
			}
			selector, _, ok := strings.Cut(strings.TrimPrefix(q.Query, "label_values("), ", ")
			if !ok {
				t.Errorf("%s: variable %s asks %q", file, v.Name, q.Query)
			}
			out = append(out, panelQuery{name: d.UID + ": variable " + v.Name, expr: strings.NewReplacer("$server", server, "$site", ".*").Replace(selector)})
		}
		filled := strings.NewReplacer(fill...)
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				out = append(out, panelQuery{name: d.UID + ": " + p.Title + " " + q.RefID, logs: q.Datasource.Type != "prometheus", kind: q.QueryType, ranged: q.Range, expr: filled.Replace(q.Expr)})
			}
		}
	}
	for _, q := range out {
		if strings.Contains(q.expr, "$server") || strings.Contains(q.expr, "$site") || strings.Contains(q.expr, "${") {
			t.Errorf("%s: a variable is left: %s", q.name, q.expr)
		}
	}
	return out
}

// ask returns how many series or rows the answer has.
func (n *nocturne) ask(q *panelQuery) (int, error) {
	now := time.Now()
	form := url.Values{"query": {q.expr}, "nocache": {"1"}}
	base, path := stack.URL(n.ports.Metrics), "/api/v1/query"
	from := now.Add(-5 * time.Minute)
	switch {
	case q.logs && q.kind == "instant":
		rows, err := n.events(q.expr)
		return len(rows), err
	case q.logs:
		base, path = stack.URL(n.ports.Logs), "/select/logsql/stats_query"
		if q.kind == "statsRange" {
			path += "_range"
		}
		form.Set("start", from.Format(time.RFC3339))
		form.Set("end", now.Format(time.RFC3339))
		form.Set("step", "15s")
	case q.ranged:
		path += "_range"
		form.Set("start", from.Format(time.RFC3339))
		form.Set("end", now.Format(time.RFC3339))
		form.Set("step", "1s")
	}
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	err := getJSON(base+path+"?"+form.Encode(), &answer)
	return len(answer.Data.Result), err
}

// fastScrapes makes VictoriaMetrics ask the parts every second, in a file taken
// over as a person would.
func (n *nocturne) fastScrapes() {
	n.t.Helper()
	jobs := ""
	for name, port := range map[string]int{"eventbridge": n.ports.Admin, "ruler": n.ports.Ruler, "alertmanager": n.ports.Alertmanager, "victoria-metrics": n.ports.Metrics, "victoria-logs": n.ports.Logs} {
		jobs += fmt.Sprintf("  - {job_name: %s, static_configs: [{targets: [%q]}]}\n", name, stack.Addr(port))
	}
	writeFile(n.t, stack.Layout{Dir: n.data}.Config("scrape"), "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"+jobs)
}

// expectDashboards asks every query of every dashboard while simulated servers
// send, and wants an answer that is not empty.
func (n *nocturne) expectDashboards(t *testing.T) {
	sim, err := simulate.New(simulate.Config{
		Bridge: stack.URL(n.ports.Ingest), JoinToken: simulate.AdminTokens(n.bridge()), Dir: filepath.Join(t.TempDir(), "sim"), Servers: 2, Seed: 3, Metrics: time.Second, Control: "none",
		Settings: simulate.Settings{Heartbeat: time.Second, RAID: 2 * time.Second, Hardware: 2 * time.Second, Events: 1200}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("simulator: %v", err)
		}
	}()
	if _, err := http.Post(stack.URL(n.ports.Logs)+"/internal/force_flush", "", nil); err != nil {
		t.Fatal(err)
	}
	one := sim.Servers()[0]
	queries := panelQueries(t, one.Name, one.ServerID)
	began, all := time.Now(), len(queries)
	wait(t, seeLimit, "every panel to show something", func() error {
		var empty []panelQuery
		var errs []error
		for _, q := range queries {
			found, err := n.ask(&q)
			if err != nil {
				t.Fatalf("%s: %v\n%s", q.name, err, q.expr)
			}
			if found == 0 {
				empty = append(empty, q)
				errs = append(errs, fmt.Errorf("%s is empty: %s", q.name, q.expr))
			}
		}
		queries = empty
		return errors.Join(errs...)
	})
	t.Logf("%d queries of panels and variables answered within %s", all, time.Since(began).Round(100*time.Millisecond))
}
