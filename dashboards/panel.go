package dashboards

import "maps"

// object is a panel as Grafana has it.
func (p *Panel) object() obj {
	source := metricsSource
	if p.Logs {
		source = logsSource
	}
	out := obj{"type": p.Kind, "title": p.Title, "description": p.About, "datasource": source, "targets": p.targets(source),
		"fieldConfig": obj{"defaults": p.defaults(), "overrides": p.overrides()}, "options": p.options()}
	if p.Kind == Table {
		hidden := obj{"Time": true}
		renamed := obj{}
		for _, name := range []string{"Value", "Value #A"} {
			if to := p.Names["Value"]; to != "" {
				renamed[name] = to
			}
		}
		for column, name := range p.Names {
			switch {
			case name == "":
				hidden[column] = true
			case column != "Value":
				renamed[column] = name
			}
		}
		out["transformations"] = []obj{{"id": "organize", "options": obj{"excludeByName": hidden, "renameByName": renamed, "indexByName": obj{}}}}
	}
	return out
}

func (p *Panel) targets(source obj) []obj {
	var out []obj
	for i, q := range p.Queries {
		t := obj{"refId": string(rune('A' + i)), "datasource": source, "expr": q.Expr, "editorMode": "code"}
		if q.Legend != "" {
			t["legendFormat"] = q.Legend
		}
		switch {
		case p.Logs:
			t["queryType"] = q.Kind
			if p.Kind == Logs {
				t["maxLines"] = 500
			}
		case p.Kind == Table:
			t["instant"], t["range"], t["format"] = true, false, "table"
		case p.Kind == Stat:
			t["instant"], t["range"] = true, false
		default:
			t["instant"], t["range"] = false, true
		}
		out = append(out, t)
	}
	return out
}

func (p *Panel) defaults() obj {
	out := obj{"mappings": []any{}, "unit": p.Unit, "color": obj{"mode": "palette-classic"}, "thresholds": obj{"mode": "absolute", "steps": []obj{{"color": "text", "value": nil}}}}
	if p.Kind == Table || p.Kind == Logs {
		delete(out, "color")
	}
	if p.Min != nil {
		out["min"] = *p.Min
	}
	if p.Max != nil {
		out["max"] = *p.Max
	}
	if p.Bad != nil {
		out["thresholds"] = obj{"mode": "absolute", "steps": p.steps()}
		if p.Kind != Lines {
			out["color"] = obj{"mode": "thresholds"}
		}
	}
	switch p.Kind {
	case Lines:
		fill, stack := 0, "none"
		if p.Stacked {
			fill, stack = 30, "normal"
		}
		out["custom"] = obj{"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false, "stacking": obj{"mode": stack, "group": "A"}, "axisPlacement": "auto",
			"thresholdsStyle": obj{"mode": "off"}}
	case Table:
		out["custom"] = obj{"align": "auto", "filterable": true}
	}
	return out
}

func (p *Panel) steps() []obj {
	good, bad, warn := "green", "red", "orange"
	var steps []obj
	if p.Low {
		steps = append(steps, obj{"color": bad, "value": nil})
		if p.Warn != nil {
			steps = append(steps, obj{"color": warn, "value": *p.Bad}, obj{"color": good, "value": *p.Warn})
		} else {
			steps = append(steps, obj{"color": good, "value": *p.Bad})
		}
		return steps
	}
	steps = append(steps, obj{"color": good, "value": nil})
	if p.Warn != nil {
		steps = append(steps, obj{"color": warn, "value": *p.Warn})
	}
	return append(steps, obj{"color": bad, "value": *p.Bad})
}

// overrides give a table's columns their links: a server's name leads to its
// dashboard, its id to its page.
func (p *Panel) overrides() []obj {
	if p.Kind != Table {
		return []obj{}
	}
	override := func(column string, properties ...obj) obj {
		return obj{"matcher": obj{"id": "byName", "options": column}, "properties": properties}
	}
	links := func(title, url string) obj {
		return obj{"id": "links", "value": []obj{{"title": title, "url": url, "targetBlank": false}}}
	}
	var out []obj
	if p.Names["server"] != "" {
		out = append(out, override(p.Names["server"], links("Dashboard of this server", "/d/nocturne-server?var-server=${__value.raw}&${__url_time_range}")))
	}
	if p.Names["server_id"] != "" {
		out = append(out, override(p.Names["server_id"], links("Page of this server", AppPath+"/servers/${__value.raw}"),
			obj{"id": "mappings", "value": []obj{{"type": "regex", "options": obj{"pattern": ".+", "result": obj{"text": "open", "index": 0}}}}}, obj{"id": "custom.width", "value": 80}))
	}
	if v := p.Names["Value"]; v != "" && p.Bad != nil {
		out = append(out, override(v, obj{"id": "custom.cellOptions", "value": obj{"type": "color-text"}}))
	}
	return out
}

func (p *Panel) options() obj {
	switch p.Kind {
	case Stat:
		return obj{"reduceOptions": obj{"values": false, "calcs": []string{"lastNotNull"}, "fields": ""}, "colorMode": "value", "graphMode": "none", "textMode": "auto", "justifyMode": "auto", "orientation": "auto", "wideLayout": true}
	case Lines:
		return obj{"legend": obj{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}, "tooltip": obj{"mode": "multi", "sort": "desc"}}
	case Table:
		return obj{"showHeader": true, "cellHeight": "sm"}
	case Logs:
		return obj{"showTime": true, "wrapLogMessage": true, "sortOrder": "Descending", "enableLogDetails": true, "dedupStrategy": "none", "prettifyLogMessage": false, "showLabels": false, "showCommonLabels": false}
	}
	return obj{}
}

// columns names a table's columns: those of a server first, then more.
func columns(value string, more map[string]string) map[string]string {
	out := map[string]string{"server": "Server", "server_id": "Page", "Value": value}
	maps.Copy(out, more)
	return out
}
