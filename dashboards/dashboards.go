// Package dashboards holds Nocturne's dashboards for Grafana, as tables of
// panels (one file a dashboard) and as the JSON that Grafana provisions from
// this folder. The JSON is made from the tables: after a change of one,
// `go test ./dashboards -update` writes it.
//
// Queries go to VictoriaMetrics through a data source of type prometheus, and to
// VictoriaLogs through its plugin victoriametrics-logs-datasource; both are
// chosen on the dashboard. deploy.TestChain asks every query of real stores.
package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// AppPath is where the app's pages are in Grafana.
const AppPath = "/a/nocturne-fleet-app"

// schemaVersion is that of the dashboard's JSON, which Grafana 12 takes.
const schemaVersion = 41

// Dashboard is one dashboard.
type Dashboard struct {
	UID, Title, About string
	// Vars are asked for above the panels, beside the data sources.
	Vars []Var
	// Logs says that some panels ask VictoriaLogs.
	Logs bool
	// Since is how much it shows at first: "now-24h".
	Since string
	// Page is the app's page that belongs to it, below AppPath.
	Page string
	Rows []Row
}

// Var is a variable that VictoriaMetrics is asked for.
type Var struct {
	Name, Label, Query string
	One                bool // one value, not several or all
	Hidden             bool
}

// Row is a titled line of panels.
type Row struct {
	Title  string
	Panels []Panel
}

// Kinds of panels.
const (
	Stat  = "stat"
	Lines = "timeseries"
	Table = "table"
	Logs  = "logs"
)

// Panel is one panel. Its queries are PromQL, or LogsQL where Logs is set.
type Panel struct {
	Kind, Title string
	About       string // a sentence
	Unit        string // Grafana's name
	Width       int    // of 24; Height 0 = that of its kind
	Height      int
	Logs        bool
	Queries     []Query
	Min, Max    *float64
	// Bad is from which value on it is red, Warn orange; nil = it has no colour.
	Warn, Bad *float64
	// Low says that small values are the bad ones.
	Low     bool
	Stacked bool
	Names   map[string]string // of a table's columns; "" hides one
}

// Query is one query of a panel.
type Query struct {
	Expr   string
	Legend string
	// Kind is how VictoriaLogs is asked: instant, stats, statsRange.
	Kind string
}

func at(v float64) *float64 { return &v }

// one makes a panel's queries of one.
func one(expr, legend string) []Query { return []Query{{Expr: expr, Legend: legend}} }

// All lists every dashboard.
func All() []Dashboard {
	return []Dashboard{fleet(), server(), storage(), events(), updates(), pipeline()}
}

// File is the name of its JSON.
func (d *Dashboard) File() string { return d.UID + ".json" }

type obj = map[string]any

var (
	metricsSource = obj{"type": "prometheus", "uid": "${metrics}"}
	logsSource    = obj{"type": "victoriametrics-logs-datasource", "uid": "${logs}"}
)

// JSON returns what Grafana reads.
func (d *Dashboard) JSON() ([]byte, error) {
	links := []obj{link("Nocturne: this page", AppPath+d.Page)}
	links = append(links, obj{"title": "Dashboards", "type": "dashboards", "tags": []string{"nocturne"}, "asDropdown": true, "includeVars": true, "keepTime": true, "icon": "external link", "targetBlank": false, "tooltip": "", "url": ""})
	out := obj{
		"uid": d.UID, "title": d.Title, "description": d.About, "tags": []string{"nocturne"}, "schemaVersion": schemaVersion, "version": 1, "id": nil,
		"editable": true, "graphTooltip": 1, "fiscalYearStartMonth": 0, "liveNow": false, "preload": false, "weekStart": "", "timezone": "browser", "refresh": "1m",
		"time": obj{"from": d.Since, "to": "now"}, "timepicker": obj{}, "annotations": obj{"list": []any{}}, "links": links,
		"templating": obj{"list": d.vars()}, "panels": d.panels(),
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return nil, fmt.Errorf("encode dashboard %s: %w", d.UID, err)
	}
	return b.Bytes(), nil
}

func link(title, url string) obj {
	return obj{"title": title, "type": "link", "url": url, "icon": "external link", "keepTime": false, "includeVars": false, "asDropdown": false, "targetBlank": false, "tags": []string{}, "tooltip": ""}
}

func (d *Dashboard) vars() []obj {
	source := func(name, label, plugin string) obj {
		return obj{"name": name, "label": label, "type": "datasource", "query": plugin, "current": obj{}, "hide": 0, "includeAll": false, "multi": false, "options": []any{}, "refresh": 1, "regex": "", "skipUrlSync": false}
	}
	out := []obj{source("metrics", "Metrics", "prometheus")}
	if d.Logs {
		out = append(out, source("logs", "Logs", "victoriametrics-logs-datasource"))
	}
	for _, v := range d.Vars {
		hide := 0
		if v.Hidden {
			hide = 2
		}
		o := obj{"name": v.Name, "label": v.Label, "type": "query", "datasource": metricsSource, "definition": v.Query, "query": obj{"query": v.Query, "refId": "Variable-" + v.Name, "qryType": 1},
			"refresh": 2, "sort": 1, "hide": hide, "multi": !v.One, "includeAll": !v.One, "regex": "", "options": []any{}, "current": obj{}, "skipUrlSync": false}
		if !v.One {
			o["allValue"] = ".*"
			o["current"] = obj{"text": []string{"All"}, "value": []string{"$__all"}}
		}
		out = append(out, o)
	}
	return out
}

var heights = map[string]int{Stat: 4, Lines: 8, Table: 9, Logs: 10}

func (d *Dashboard) panels() []obj {
	var out []obj
	id, y := 0, 0
	add := func(p obj, x, w, h int) {
		id++
		p["id"], p["gridPos"] = id, obj{"x": x, "y": y, "w": w, "h": h}
		out = append(out, p)
	}
	for _, r := range d.Rows {
		if r.Title != "" {
			add(obj{"type": "row", "title": r.Title, "collapsed": false, "panels": []any{}}, 0, 24, 1)
			y++
		}
		x, tall := 0, 0
		for i := range r.Panels {
			p := &r.Panels[i]
			h := p.Height
			if h == 0 {
				h = heights[p.Kind]
			}
			if x+p.Width > 24 {
				x, y, tall = 0, y+tall, 0
			}
			add(p.object(), x, p.Width, h)
			x, tall = x+p.Width, max(tall, h)
		}
		y += tall
	}
	return out
}
