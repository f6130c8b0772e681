package dashboards

import "fmt"

func mine(query string) string { return fmt.Sprintf(query, `server="$server"`) }

func server() Dashboard {
	return Dashboard{
		UID: "nocturne-server", Title: "Nocturne / Server", About: "One server: load, disks, network, temperatures, what its agent says and what it wrote.", Since: "now-24h", Page: "/servers/${server_id}", Logs: true,
		Vars: []Var{
			{Name: "server", Label: "Server", Query: "label_values(nocturne_server_info, server)", One: true},
			{Name: "server_id", Label: "Id", Query: `label_values(nocturne_server_info{server="$server"}, server_id)`, One: true, Hidden: true},
		},
		Rows: []Row{
			{Panels: []Panel{
				{Kind: Stat, Title: "Last heartbeat", About: "How long ago the server's last heartbeat was made.", Unit: "s", Width: 4, Warn: at(300), Bad: at(600), Queries: one(`time() - max(last_over_time(nocturne_heartbeat_timestamp_seconds{server="$server"}[7d]))`, "")},
				{Kind: Stat, Title: "Up for", About: "How long ago the operating system was started.", Unit: "s", Width: 4, Queries: one(`time() - max(last_over_time(nocturne_server_boot_time_seconds{server="$server"}[7d]))`, "")},
				{Kind: Stat, Title: "Processor now", About: "Share of all cores that were busy within five minutes.", Unit: "percentunit", Width: 4, Warn: at(0.8), Bad: at(0.95), Queries: one(mine(cpuBusy), "")},
				{Kind: Stat, Title: "Memory now", About: "Share of memory that programs use.", Unit: "percentunit", Width: 4, Warn: at(0.85), Bad: at(0.95), Queries: one(mine(memoryUsed), "")},
				{Kind: Stat, Title: "Least space on a volume", About: "The smallest share of free space among its volumes.", Unit: "percentunit", Width: 4, Low: true, Warn: at(0.2), Bad: at(0.1), Queries: one(`min(`+mine(volumeFree)+`)`, "")},
				{Kind: Stat, Title: "Updates waiting", About: "Updates that wait, without definition updates.", Unit: "none", Width: 4, Warn: at(1), Bad: at(20), Queries: one(`sum(last_over_time(nocturne_updates_pending{server="$server"}[7d]))`, "")},
			}},
			{Title: "Load", Panels: []Panel{
				{Kind: Lines, Title: "Processor", About: "What the cores spend their time with, as a share of all of them.", Unit: "percentunit", Width: 12, Min: at(0), Max: at(1), Stacked: true,
					Queries: one(`sum by (mode) (rate(windows_cpu_time_total{server="$server",mode!="idle"}[5m])) / on () group_left () sum(rate(windows_cpu_time_total{server="$server"}[5m]))
  or sum by (mode) (rate(node_cpu_seconds_total{server="$server",mode!="idle"}[5m])) / on () group_left () sum(rate(node_cpu_seconds_total{server="$server"}[5m]))`, "{{mode}}")},
				{Kind: Lines, Title: "Memory", About: "Memory in use, and all there is.", Unit: "bytes", Width: 12, Min: at(0), Queries: []Query{
					{Expr: `windows_memory_physical_total_bytes{server="$server"} - windows_memory_available_bytes{server="$server"} or node_memory_MemTotal_bytes{server="$server"} - node_memory_MemAvailable_bytes{server="$server"}`, Legend: "in use"},
					{Expr: `windows_memory_physical_total_bytes{server="$server"} or node_memory_MemTotal_bytes{server="$server"}`, Legend: "all"},
				}},
			}},
			{Title: "Disks", Panels: []Panel{
				{Kind: Lines, Title: "Free space", About: "Share of each volume that is free.", Unit: "percentunit", Width: 8, Min: at(0), Max: at(1), Queries: one(mine(volumeFree), "{{volume}}")},
				{Kind: Lines, Title: "Reads and writes", About: "Bytes a second that each disk reads and writes.", Unit: "Bps", Width: 8, Min: at(0), Queries: []Query{
					{Expr: `rate(windows_physical_disk_read_bytes_total{server="$server"}[5m]) or label_replace(rate(node_disk_read_bytes_total{server="$server"}[5m]), "disk", "$1", "device", "(.*)")`, Legend: "{{disk}} read"},
					{Expr: `rate(windows_physical_disk_write_bytes_total{server="$server"}[5m]) or label_replace(rate(node_disk_written_bytes_total{server="$server"}[5m]), "disk", "$1", "device", "(.*)")`, Legend: "{{disk}} written"},
				}},
				{Kind: Lines, Title: "Time of a read or write", About: "How long each disk took for a read or write, on average.", Unit: "s", Width: 8, Min: at(0), Queries: []Query{
					{Expr: `rate(windows_physical_disk_read_seconds_total{server="$server"}[5m]) / (rate(windows_physical_disk_reads_total{server="$server"}[5m]) > 0)
  or label_replace(rate(node_disk_read_time_seconds_total{server="$server"}[5m]) / (rate(node_disk_reads_completed_total{server="$server"}[5m]) > 0), "disk", "$1", "device", "(.*)")`, Legend: "{{disk}} read"},
					{Expr: `rate(windows_physical_disk_write_seconds_total{server="$server"}[5m]) / (rate(windows_physical_disk_writes_total{server="$server"}[5m]) > 0)
  or label_replace(rate(node_disk_write_time_seconds_total{server="$server"}[5m]) / (rate(node_disk_writes_completed_total{server="$server"}[5m]) > 0), "disk", "$1", "device", "(.*)")`, Legend: "{{disk}} write"},
				}},
			}},
			{Title: "Network and temperatures", Panels: []Panel{
				{Kind: Lines, Title: "Network", About: "Bits a second that each network card receives and sends.", Unit: "bps", Width: 8, Min: at(0), Queries: []Query{
					{Expr: `8 * (rate(windows_net_bytes_received_total{server="$server"}[5m]) or label_replace(rate(node_network_receive_bytes_total{server="$server"}[5m]), "nic", "$1", "device", "(.*)"))`, Legend: "{{nic}} in"},
					{Expr: `8 * (rate(windows_net_bytes_sent_total{server="$server"}[5m]) or label_replace(rate(node_network_transmit_bytes_total{server="$server"}[5m]), "nic", "$1", "device", "(.*)"))`, Legend: "{{nic}} out"},
				}},
				{Kind: Lines, Title: "Network errors", About: "Packets a second that network cards could not receive or send.", Unit: "pps", Width: 8, Min: at(0), Queries: []Query{
					{Expr: `rate(windows_net_packets_received_errors_total{server="$server"}[5m]) or label_replace(rate(node_network_receive_errs_total{server="$server"}[5m]), "nic", "$1", "device", "(.*)")`, Legend: "{{nic}} in"},
					{Expr: `rate(windows_net_packets_outbound_errors_total{server="$server"}[5m]) or label_replace(rate(node_network_transmit_errs_total{server="$server"}[5m]), "nic", "$1", "device", "(.*)")`, Legend: "{{nic}} out"},
				}},
				{Kind: Lines, Title: "Temperatures", About: "What sensors, drives and RAID controllers measure.", Unit: "celsius", Width: 8,
					Queries: one(`{__name__=~"nocturne_(sensor|raid_physical_drive|raid_controller|raid_battery|smart_drive)_temperature_celsius",server="$server"}`, "{{place}}")},
			}},
			{Title: "The agent", Panels: []Panel{
				{Kind: Lines, Title: "Records waiting", About: "Records in the exporter's spool that the eventbridge has not answered yet.", Unit: "none", Width: 8, Min: at(0), Queries: one(`nocturne_exporter_spool_records{server="$server"}`, "waiting")},
				{Kind: Lines, Title: "Clock", About: "How far the server's clock is behind that of the eventbridge; negative is ahead.", Unit: "s", Width: 8, Queries: one(`nocturne_server_clock_skew_seconds{server="$server"}`, "behind")},
				{Kind: Table, Title: "Sources", About: "Whether what the exporter observes could be read the last time: 1 is yes.", Unit: "none", Width: 8, Height: 8, Low: true, Bad: at(1), Names: columns("Works", map[string]string{"source": "Source", "server": "", "server_id": "", "__name__": ""}),
					Queries: one(`exporter_source_success{server="$server"}`, "")},
			}},
			{Title: "Events", Panels: []Panel{
				{Kind: Lines, Title: "Events by level", About: "How many events the server wrote, by level.", Unit: "none", Width: 24, Min: at(0), Stacked: true, Logs: true,
					Queries: []Query{{Expr: `category:=eventlog server:="$server" | stats by (level) count() events`, Legend: "{{level}}", Kind: "statsRange"}}},
				{Kind: Logs, Title: "Newest events", About: "The newest records of its event logs or journal.", Width: 24, Logs: true, Queries: []Query{{Expr: `category:=eventlog server:="$server"`, Kind: "instant"}}},
			}},
		},
	}
}
