package dashboards

import "fmt"

// Queries of every server's processor and memory, whichever system it has.
// Pushes come once a minute: five minutes hold enough of them.
const (
	cpuBusy = `(1 - sum by (server, server_id) (rate(windows_cpu_time_total{mode="idle",%[1]s}[5m])) / sum by (server, server_id) (rate(windows_cpu_time_total{%[1]s}[5m]))
  or 1 - sum by (server, server_id) (rate(node_cpu_seconds_total{mode=~"idle|iowait",%[1]s}[5m])) / sum by (server, server_id) (rate(node_cpu_seconds_total{%[1]s}[5m])))`
	memoryUsed = `(1 - windows_memory_available_bytes{%[1]s} / windows_memory_physical_total_bytes{%[1]s}
  or 1 - node_memory_MemAvailable_bytes{%[1]s} / node_memory_MemTotal_bytes{%[1]s})`
	volumeFree = `(windows_logical_disk_free_bytes{%[1]s} / windows_logical_disk_size_bytes{%[1]s}
  or label_replace(node_filesystem_avail_bytes{%[1]s} / node_filesystem_size_bytes{%[1]s}, "volume", "$1", "mountpoint", "(.*)"))`
)

// ofSite narrows series, which carry the server only, to the servers chosen.
const ofSite = ` and on (server_id) last_over_time(nocturne_server_info{site=~"$site",role=~"$role"}[1d])`

var fleetVars = []Var{
	{Name: "site", Label: "Site", Query: "label_values(nocturne_server_info, site)"},
	{Name: "role", Label: "Role", Query: "label_values(nocturne_server_info, role)"},
}

func all(query string) string { return fmt.Sprintf(query, `server!=""`) }

func fleet() Dashboard {
	silence := `time() - max by (server, server_id) (last_over_time(nocturne_heartbeat_timestamp_seconds[1d]))` + ofSite
	return Dashboard{
		UID: "nocturne-fleet", Title: "Nocturne / Fleet overview", About: "All servers at a glance: who speaks, who is loaded, whose disks fill up.", Vars: fleetVars, Since: "now-6h", Page: "/tonight", Logs: true,
		Rows: []Row{
			{Panels: []Panel{
				{Kind: Stat, Title: "Servers", About: "Servers that were heard within the last day.", Unit: "none", Width: 4, Queries: one(`count(count by (server_id) (last_over_time(nocturne_server_info{site=~"$site",role=~"$role"}[1d])))`, "")},
				{Kind: Stat, Title: "Silent for 10 minutes", About: "Servers whose last heartbeat is older than ten minutes; planned restarts are among them, the app's page Silent servers knows which.", Unit: "none", Width: 4, Warn: at(1), Bad: at(5),
					Queries: one(`sum((`+silence+`) > bool 600)`, "")},
				{Kind: Stat, Title: "Drives not well", About: "Physical drives behind RAID controllers that are neither online nor a spare nor unused.", Unit: "none", Width: 4, Bad: at(1),
					Queries: one(`count(nocturne_raid_physical_drive_state`+ofSite+`) - (count(nocturne_raid_physical_drive_state{`+goodDrives+`}`+ofSite+`) or vector(0))`, "")},
				{Kind: Stat, Title: "Arrays not optimal", About: "Virtual drives that are degraded, rebuilding or offline.", Unit: "none", Width: 4, Bad: at(1),
					Queries: one(`count(nocturne_raid_virtual_drive_state`+ofSite+`) - (count(nocturne_raid_virtual_drive_state{`+goodArrays+`}`+ofSite+`) or vector(0))`, "")},
				{Kind: Stat, Title: "Restart required", About: "Servers that have to be restarted to complete their updates.", Unit: "none", Width: 4, Warn: at(1), Bad: at(1000), Queries: one(`sum(nocturne_updates_reboot_required`+ofSite+`)`, "")},
				{Kind: Stat, Title: "Open alerts", About: "Alerts that Alertmanager holds active or silenced, the watchdog among them, which always fires.", Unit: "none", Width: 4, Queries: one(`sum(alertmanager_alerts{state=~"active|suppressed"})`, "")},
			}},
			{Title: "Servers", Panels: []Panel{
				{Kind: Lines, Title: "Servers by site", About: "How many servers were heard within five minutes, by site.", Unit: "none", Width: 12, Min: at(0), Stacked: true,
					Queries: one(`count by (site) (nocturne_server_info{site=~"$site",role=~"$role"})`, "{{site}}")},
				{Kind: Table, Title: "Longest silent", About: "The twenty servers whose last heartbeat is oldest.", Unit: "s", Width: 12, Warn: at(300), Bad: at(600), Names: columns("Last heartbeat", nil),
					Queries: one(`topk(20, `+silence+`)`, "")},
			}},
			{Title: "Load", Panels: []Panel{
				{Kind: Lines, Title: "Busiest processors", About: "The ten servers with the highest processor use in the time shown.", Unit: "percentunit", Width: 12, Min: at(0), Max: at(1),
					Queries: one(`topk_max(10, `+all(cpuBusy)+ofSite+`)`, "{{server}}")},
				{Kind: Lines, Title: "Fullest memories", About: "The ten servers with the highest share of memory in use.", Unit: "percentunit", Width: 12, Min: at(0), Max: at(1),
					Queries: one(`topk_max(10, `+all(memoryUsed)+ofSite+`)`, "{{server}}")},
				{Kind: Table, Title: "Volumes with the least space left", About: "The twenty volumes with the smallest share of free space.", Unit: "percentunit", Width: 12, Low: true, Warn: at(0.2), Bad: at(0.1),
					Names:   columns("Free", map[string]string{"volume": "Volume", "device": "", "fstype": "", "mountpoint": ""}),
					Queries: one(`bottomk(20, `+all(volumeFree)+ofSite+`)`, "")},
				{Kind: Table, Title: "Hottest parts", About: "The twenty highest temperatures of RAID controllers, drives and sensors.", Unit: "celsius", Width: 12, Warn: at(55), Bad: at(70), Names: columns("Temperature", map[string]string{"place": "Place", "part": "Part"}),
					Queries: one(`topk(20, `+temperatures+ofSite+`)`, "")},
			}},
			{Title: "Events", Panels: []Panel{
				{Kind: Lines, Title: "Warnings and errors", About: "Events of level warning and worse that the fleet wrote, by site.", Unit: "none", Width: 24, Min: at(0), Stacked: true, Logs: true,
					Queries: []Query{{Expr: `category:=eventlog level:in(critical, error, warning) site:~` + "`^(${site:regex})$`" + ` | stats by (site) count() events`, Legend: "{{site}}", Kind: "statsRange"}}},
			}},
		},
	}
}
