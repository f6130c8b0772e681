package dashboards

func updates() Dashboard {
	return Dashboard{
		UID: "nocturne-updates", Title: "Nocturne / Updates and support", About: "Which servers wait for updates or a restart, which systems and agents there are, and whose clock or uptime asks for attention.", Vars: fleetVars, Since: "now-30d", Page: "/servers?updates_pending=true",
		Rows: []Row{
			{Panels: []Panel{
				{Kind: Stat, Title: "Servers with updates waiting", About: "Servers on which at least one update waits, definition updates aside.", Unit: "none", Width: 6, Warn: at(1), Bad: at(1000), Queries: one(`sum((nocturne_updates_pending`+ofSite+`) > bool 0)`, "")},
				{Kind: Stat, Title: "With security updates waiting", About: "Servers on which at least one security update waits.", Unit: "none", Width: 6, Warn: at(1), Bad: at(100), Queries: one(`sum((nocturne_updates_pending_security`+ofSite+`) > bool 0)`, "")},
				{Kind: Stat, Title: "Restart required", About: "Servers that have to be restarted to complete updates.", Unit: "none", Width: 6, Warn: at(1), Bad: at(100), Queries: one(`sum(nocturne_updates_reboot_required`+ofSite+`)`, "")},
				{Kind: Stat, Title: "Up for over 60 days", About: "Servers that were not restarted for sixty days: they can hardly have all their updates.", Unit: "none", Width: 6, Warn: at(1), Bad: at(100), Queries: one(`sum((time() - nocturne_server_boot_time_seconds`+ofSite+`) > bool 60 * 86400)`, "")},
			}},
			{Title: "Updates", Panels: []Panel{
				{Kind: Lines, Title: "Updates waiting", About: "Updates that wait on all servers together.", Unit: "none", Width: 12, Min: at(0), Queries: []Query{{Expr: `sum(nocturne_updates_pending` + ofSite + `)`, Legend: "all"}, {Expr: `sum(nocturne_updates_pending_security` + ofSite + `)`, Legend: "security"}}},
				{Kind: Lines, Title: "Servers by state of their updates", About: "How many servers are up to date, wait, or cannot find out.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Queries: one(`count by (state) (nocturne_updates_state`+ofSite+`)`, "{{state}}")},
				{Kind: Table, Title: "Servers with the most updates waiting", About: "The fifty servers on which the most updates wait.", Unit: "none", Width: 12, Names: columns("Updates", map[string]string{"__name__": "", "place": ""}), Queries: one(`topk(50, nocturne_updates_pending`+ofSite+`)`, "")},
				{Kind: Table, Title: "Longest without a restart", About: "The fifty servers that were started longest ago.", Unit: "s", Width: 12, Warn: at(60 * 86400), Bad: at(180 * 86400), Names: columns("Up for", nil), Queries: one(`topk(50, time() - nocturne_server_boot_time_seconds`+ofSite+`)`, "")},
			}},
			{Title: "Systems and agents", Panels: []Panel{
				{Kind: Table, Title: "Operating systems", About: "How many servers run which operating system; the app's page of systems says until when each is supported.", Unit: "none", Width: 12, Names: map[string]string{"os": "System", "Value": "Servers"},
					Queries: one(`sort_desc(count by (os) (last_over_time(nocturne_server_info{site=~"$site",role=~"$role",os!=""}[1d])))`, "")},
				{Kind: Table, Title: "Exporter versions", About: "How many servers run which version of the exporter.", Unit: "none", Width: 12, Names: map[string]string{"version": "Version", "Value": "Servers"}, Queries: one(`sort_desc(count by (version) (nocturne_exporter_info`+ofSite+`))`, "")},
				{Kind: Table, Title: "Clocks", About: "The fifty servers whose clocks are furthest from the eventbridge's, either way.", Unit: "s", Width: 12, Warn: at(30), Bad: at(300), Names: columns("Off by", nil), Queries: one(`topk(50, abs(nocturne_server_clock_skew_seconds`+ofSite+`))`, "")},
			}},
		},
	}
}
