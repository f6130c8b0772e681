package dashboards

// written chooses Windows events and journal lines of the servers and the
// level chosen. The values are a regular expression by Grafana's own hand.
const written = "category:=eventlog server:~`^(${server:regex})$` site:~`^(${site:regex})$`"

func counted(filter, by string) []Query {
	legend := "{{" + by + "}}"
	return []Query{{Expr: written + filter + ` | stats by (` + by + `) count() events`, Legend: legend, Kind: "statsRange"}}
}

func events() Dashboard {
	top := func(title, about, filter, by string) Panel {
		return Panel{Kind: Table, Title: title, About: about, Unit: "none", Width: 12, Logs: true, Names: map[string]string{},
			Queries: []Query{{Expr: written + filter + ` | stats by (` + by + `) count() events | sort by (events desc) | limit 20`, Kind: "stats"}}}
	}
	return Dashboard{
		UID: "nocturne-events", Title: "Nocturne / Windows events", About: "What servers write into their event logs and journals, from VictoriaLogs.", Since: "now-24h", Page: "/events", Logs: true,
		Vars: []Var{{Name: "site", Label: "Site", Query: "label_values(nocturne_server_info, site)"}, {Name: "server", Label: "Server", Query: `label_values(nocturne_server_info{site=~"$site"}, server)`}},
		Rows: []Row{
			{Panels: []Panel{
				{Kind: Lines, Title: "Events by level", About: "How many events were written, by level.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Logs: true, Queries: counted("", "level")},
				{Kind: Lines, Title: "Warnings and errors by provider", About: "Events of level warning and worse, by who wrote them.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Logs: true, Queries: counted(" level:in(critical, error, warning)", "provider")},
			}},
			{Title: "The most", Panels: []Panel{
				top("Providers and event ids", "The twenty events that come most often; an event is provider and id together.", "", "provider, event_id"),
				top("Servers with warnings and errors", "The twenty servers that write the most events of level warning and worse.", " level:in(critical, error, warning)", "server"),
				{Kind: Lines, Title: "Failed logons", About: "Event 4625 of Windows' security log, by server.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Logs: true, Queries: counted(" event_id:=4625", "server")},
				{Kind: Lines, Title: "Events by channel", About: "How many events each log of Windows took.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Logs: true, Queries: counted(` channel:!=""`, "channel")},
			}},
			{Title: "Events", Panels: []Panel{
				{Kind: Logs, Title: "Newest warnings and errors", About: "The newest events of level warning and worse.", Width: 24, Height: 14, Logs: true, Queries: []Query{{Expr: written + " level:in(critical, error, warning)", Kind: "instant"}}},
			}},
		},
	}
}
