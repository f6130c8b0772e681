package dashboards

func pipeline() Dashboard {
	return Dashboard{
		UID: "nocturne-pipeline", Title: "Nocturne / Pipeline health", About: "Whether records arrive, how far the stores and the ruler are behind, what is lost, and how long the disks last.", Since: "now-6h", Page: "/pipeline",
		Rows: []Row{
			{Panels: []Panel{
				{Kind: Stat, Title: "Parts up", About: "How many of Nocturne's parts answer when they are asked for their metrics.", Unit: "none", Width: 4, Queries: one(`sum(up{job=~"eventbridge|ruler|alertmanager|victoria-metrics|victoria-logs"})`, "")},
				{Kind: Stat, Title: "Ruler behind", About: "How far the ruler is behind the stream, the slowest partition.", Unit: "s", Width: 4, Warn: at(15), Bad: at(120), Queries: one(`max(ruler_partition_lag_seconds)`, "")},
				{Kind: Stat, Title: "Stores behind", About: "How far the slower of the two stores is behind the stream.", Unit: "s", Width: 4, Warn: at(60), Bad: at(300), Queries: one(`max(eventbridge_sink_behind_seconds)`, "")},
				{Kind: Stat, Title: "Records missing", About: "Records that went missing on the way and that nobody declared lost.", Unit: "none", Width: 4, Bad: at(1), Queries: one(`max(eventbridge_sink_ledger_missing_records)`, "")},
				{Kind: Stat, Title: "Waiting at servers", About: "Records that wait in the exporters' spools.", Unit: "none", Width: 4, Warn: at(10000), Bad: at(100000), Queries: one(`sum(nocturne_exporter_spool_records)`, "")},
				{Kind: Stat, Title: "Least disk left", About: "The smallest share of free space among the disks of bridge, ruler, metrics store and log store.", Unit: "percentunit", Width: 4, Low: true, Warn: at(0.2), Bad: at(0.1),
					Queries: one(`min((vm_free_disk_space_bytes / vm_total_disk_space_bytes) or (vl_free_disk_space_bytes / vl_total_disk_space_bytes) or (eventbridge_data_free_bytes / (eventbridge_data_size_bytes > 0)) or (ruler_data_free_bytes / (ruler_data_size_bytes > 0)))`, "")},
			}},
			{Title: "Flow", Panels: []Panel{
				{Kind: Lines, Title: "Records in", About: "Records a second that come in, by way.", Unit: "rps", Width: 8, Min: at(0), Queries: []Query{{Expr: `sum(rate(eventbridge_ingest_records_in_total[5m]))`, Legend: "exporters"}, {Expr: `sum(rate(eventbridge_otlp_records_in_total[5m]))`, Legend: "OpenTelemetry"}, {Expr: `sum(rate(eventbridge_append_records_out_total[5m]))`, Legend: "into the stream"}}},
				{Kind: Lines, Title: "Records out", About: "Records a second that each store has written.", Unit: "rps", Width: 8, Min: at(0), Queries: []Query{{Expr: `sum by (sink) (rate(eventbridge_sink_out_records_total[5m]))`, Legend: "{{sink}}"}, {Expr: `sum(rate(ruler_engine_records_out_total[5m]))`, Legend: "ruler"}}},
				{Kind: Lines, Title: "Dropped", About: "Records a second that a stage did not pass on, by stage and reason; repeats are dropped on purpose.", Unit: "rps", Width: 8, Min: at(0), Queries: []Query{{Expr: `sum by (reason) (rate(eventbridge_ingest_records_dropped_total[5m]))`, Legend: "ingest {{reason}}"}, {Expr: `sum by (sink, reason) (rate(eventbridge_sink_dropped_records_total[5m]))`, Legend: "{{sink}} {{reason}}"}}},
				{Kind: Lines, Title: "Behind the stream", About: "How far ruler and stores are behind the stream.", Unit: "s", Width: 8, Min: at(0), Queries: []Query{{Expr: `max by (sink) (eventbridge_sink_behind_seconds)`, Legend: "{{sink}}"}, {Expr: `max(ruler_partition_lag_seconds)`, Legend: "ruler"}}},
				{Kind: Lines, Title: "Waiting", About: "Records that wait for a store, and those that wait at servers.", Unit: "none", Width: 8, Min: at(0), Queries: []Query{{Expr: `sum by (sink) (eventbridge_sink_waiting_records)`, Legend: "{{sink}}"}, {Expr: `sum(nocturne_exporter_spool_records)`, Legend: "at servers"}}},
				{Kind: Lines, Title: "Metrics pushed", About: "Samples a second that servers push, and those that were dropped.", Unit: "cps", Width: 8, Min: at(0), Queries: []Query{{Expr: `sum(rate(eventbridge_metrics_out_samples_total[5m]))`, Legend: "forwarded"}, {Expr: `sum(rate(eventbridge_metrics_dropped_samples_total[5m]))`, Legend: "dropped"}}},
			}},
			{Title: "Stores", Panels: []Panel{
				{Kind: Lines, Title: "Size on disk", About: "What each store takes on its disk.", Unit: "bytes", Width: 12, Min: at(0), Queries: storeSizes},
				{Kind: Lines, Title: "Free space", About: "What is left on the disks of the stores.", Unit: "bytes", Width: 12, Min: at(0), Queries: []Query{{Expr: `vm_free_disk_space_bytes`, Legend: "VictoriaMetrics"}, {Expr: `vl_free_disk_space_bytes`, Legend: "VictoriaLogs"}, {Expr: `eventbridge_data_free_bytes >= 0`, Legend: "eventbridge"}, {Expr: `ruler_data_free_bytes >= 0`, Legend: "ruler"}}},
			}},
			{Title: "Messages", Panels: []Panel{
				{Kind: Lines, Title: "From record to Alertmanager", About: "Time from the append of a record to Alertmanager's answer: half of them, and 99 of 100.", Unit: "s", Width: 12, Min: at(0), Queries: []Query{{Expr: `histogram_quantile(0.5, sum by (le) (increase(ruler_notify_handover_seconds_bucket[1h])))`, Legend: "half"}, {Expr: `histogram_quantile(0.99, sum by (le) (increase(ruler_notify_handover_seconds_bucket[1h])))`, Legend: "99 of 100"}}},
				{Kind: Lines, Title: "Commits of the ruler", About: "Transactions a second, and how long one takes on average.", Unit: "s", Width: 12, Min: at(0), Queries: []Query{{Expr: `rate(ruler_store_commit_duration_seconds_sum[5m]) / rate(ruler_store_commit_duration_seconds_count[5m])`, Legend: "time of one"}}},
			}},
		},
	}
}

var storeSizes = []Query{
	{Expr: `sum(eventbridge_data_used_bytes{part="stream"})`, Legend: "stream"},
	{Expr: `sum(eventbridge_data_used_bytes{part="register"})`, Legend: "register"},
	{Expr: `sum(vm_data_size_bytes)`, Legend: "VictoriaMetrics"},
	{Expr: `sum(vl_data_size_bytes)`, Legend: "VictoriaLogs"},
	{Expr: `ruler_store_file_bytes`, Legend: "ruler {{file}}"},
}
