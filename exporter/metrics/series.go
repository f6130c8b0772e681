package metrics

import (
	"math"
	"sort"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
)

// series is one sample with its labels, sorted by name, the metric's name
// among them.
type series struct {
	labels []label
	value  float64
}

type label struct{ name, value string }

// choice says which series of a metric are pushed by default.
type choice struct {
	// without are labels summed away, so that the number of series does not
	// depend on the number of cores.
	without string
	// skip drops series by a label's value.
	skip func(get func(string) string) bool
}

// defaults are what a server sends unless told otherwise: about a hundred
// series on a machine with two volumes, two disks and two network cards,
// whatever the number of cores. TestDefaultSeries counts them.
var defaults = func() map[string]choice {
	m := map[string]choice{}
	add := func(c choice, prefix, suffix, names string) {
		for _, name := range strings.Fields(names) {
			m[prefix+name+suffix] = c
		}
	}
	add(choice{}, "exporter_", "", `build_info spool_records_out_total spool_records_dropped_total spool_records_waiting spool_size_bytes spool_losses_total
		output_up output_failures_total output_refused_frames_total source_success source_timeouts_total machine_up machine_age_seconds`)
	add(choice{}, "exporter_winlog_", "", "levels_total")
	add(choice{without: "channel"}, "exporter_winlog_", "", "missing_total")
	add(choice{skip: otherChannels}, "exporter_winlog_", "", "lag_seconds")
	add(choice{}, "exporter_journal_", "", "missing_total lag_seconds")
	add(choice{}, "", "", "process_cpu_seconds_total process_resident_memory_bytes process_open_fds process_start_time_seconds go_goroutines")

	add(choice{without: "cpu"}, "node_", "", "cpu_seconds_total")
	add(choice{}, "node_", "", "load1 load5 load15 uname_info time_seconds boot_time_seconds time_clocksource_current_info scrape_collector_success")
	add(choice{}, "node_memory_", "_bytes", "MemTotal MemAvailable MemFree Buffers Cached SwapTotal SwapFree Dirty")
	add(choice{skip: pseudoFilesystem}, "node_filesystem_", "", "size_bytes avail_bytes files files_free readonly device_error")
	add(choice{}, "node_", "", "timex_sync_status timex_maxerror_seconds filefd_allocated filefd_maximum")
	add(choice{}, "node_", "", "bonding_slaves bonding_active nf_conntrack_entries nf_conntrack_entries_limit zfs_zpool_state") // of collectors that are off by default
	add(choice{skip: virtualDisk}, "node_disk_", "_total", "read_bytes written_bytes reads_completed writes_completed io_time_seconds read_time_seconds write_time_seconds")
	add(choice{skip: virtualNIC}, "node_network_receive_", "_total", "bytes packets errs drop")
	add(choice{skip: virtualNIC}, "node_network_transmit_", "_total", "bytes packets errs drop")

	add(choice{without: "core"}, "windows_", "", "cpu_time_total")
	add(choice{}, "windows_", "", `cpu_logical_processor os_info os_hostname time_current_timestamp_seconds pagefile_limit_bytes pagefile_free_bytes
		system_boot_time_timestamp system_context_switches_total system_processes system_threads system_processor_queue_length exporter_collector_success`)
	add(choice{}, "windows_memory_", "", `available_bytes physical_total_bytes physical_free_bytes committed_bytes commit_limit cache_bytes
		pool_paged_bytes pool_nonpaged_bytes swap_page_operations_total`)
	add(choice{skip: noDriveLetter}, "windows_logical_disk_", "", "size_bytes free_bytes read_bytes_total write_bytes_total")
	add(choice{}, "windows_physical_disk_", "", "read_bytes_total write_bytes_total reads_total writes_total read_seconds_total write_seconds_total requests_queued")
	add(choice{skip: tunnelNIC}, "windows_net_", "", `bytes_received_total bytes_sent_total packets_received_total packets_sent_total packets_received_errors_total
		packets_received_discarded_total packets_outbound_errors_total packets_outbound_discarded_total current_bandwidth_bytes`)
	add(choice{skip: otherStates}, "windows_", "", "service_state")
	add(choice{skip: otherModes}, "windows_", "", "service_start_mode")
	return m
}()

// noDriveLetter: recovery and system partitions, which nobody fills.
func noDriveLetter(get func(string) string) bool {
	return hasPrefix(get("volume"), "HarddiskVolume", "_Total")
}

func tunnelNIC(get func(string) string) bool {
	return hasPrefix(strings.ToLower(get("nic")), "isatap", "teredo", "6to4", "microsoft isatap", "microsoft teredo", "microsoft 6to4", "microsoft kernel debug", "wan miniport")
}

// otherStates: whether a service runs is one series; the six other states and
// what they say stay at /metrics.
func otherStates(get func(string) string) bool { return get("state") != "running" }

// otherModes: whether Windows starts a service by itself.
func otherModes(get func(string) string) bool { return get("start_mode") != "auto" }

// otherChannels: how far reading is behind shows at the busiest logs.
func otherChannels(get func(string) string) bool {
	return get("channel") != "System" && get("channel") != "Application" && get("channel") != "Security"
}

func pseudoFilesystem(get func(string) string) bool {
	switch get("fstype") {
	case "tmpfs", "ramfs", "overlay", "squashfs", "devtmpfs", "efivarfs", "iso9660", "fuse.lxcfs", "erofs":
		return true
	}
	return false
}

func virtualDisk(get func(string) string) bool {
	return hasPrefix(get("device"), "loop", "ram", "zram", "sr", "fd", "nbd")
}

func virtualNIC(get func(string) string) bool {
	return get("device") == "lo" || hasPrefix(get("device"), "veth", "docker", "br-", "virbr", "cali", "flannel", "cni", "tap", "tun", "dummy", "ifb")
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// fromCheck tells whether a family is what a check's plugin said.
func fromCheck(f *dto.MetricFamily) bool {
	return len(f.GetMetric()) > 0 && value(f.GetMetric()[0], "check") != ""
}

// flatten turns families into series, the default ones or all. Those of checks
// come last: it is them that are cut when there are too many.
func flatten(families []*dto.MetricFamily, onlyDefaults bool) []series {
	var out []series
	first, last := make([]*dto.MetricFamily, 0, len(families)), []*dto.MetricFamily(nil)
	for _, f := range families {
		if fromCheck(f) {
			last = append(last, f)
		} else {
			first = append(first, f)
		}
	}
	for i, f := range append(first, last...) {
		c, chosen := defaults[f.GetName()]
		chosen = chosen || i >= len(first)
		if onlyDefaults && !chosen {
			continue
		}
		if !onlyDefaults {
			c = choice{}
		}
		sums := map[string]int{}
		for _, m := range f.GetMetric() {
			get := func(name string) string { return value(m, name) }
			if c.skip != nil && c.skip(get) {
				continue
			}
			for _, s := range samples(f, m, c.without) {
				if c.without == "" {
					out = append(out, s)
				} else if i, ok := sums[s.key()]; ok {
					out[i].value += s.value
				} else {
					sums[s.key()] = len(out)
					out = append(out, s)
				}
			}
		}
	}
	return out
}

func value(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (s *series) key() string {
	var b strings.Builder
	for _, l := range s.labels {
		b.WriteString(l.name)
		b.WriteByte(0xff)
		b.WriteString(l.value)
		b.WriteByte(0xff)
	}
	return b.String()
}

// samples expands one metric as the text format does.
func samples(f *dto.MetricFamily, m *dto.Metric, without string) []series {
	one := func(suffix string, v float64, extra ...label) series {
		labels := append([]label{{"__name__", f.GetName() + suffix}}, extra...)
		for _, l := range m.GetLabel() {
			if l.GetName() != without && l.GetValue() != "" {
				labels = append(labels, label{l.GetName(), l.GetValue()})
			}
		}
		sort.Slice(labels, func(i, j int) bool { return labels[i].name < labels[j].name })
		return series{labels, v}
	}
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		return []series{one("", m.GetCounter().GetValue())}
	case dto.MetricType_GAUGE:
		return []series{one("", m.GetGauge().GetValue())}
	case dto.MetricType_UNTYPED:
		return []series{one("", m.GetUntyped().GetValue())}
	case dto.MetricType_SUMMARY:
		s := m.GetSummary()
		out := []series{one("_sum", s.GetSampleSum()), one("_count", float64(s.GetSampleCount()))}
		for _, q := range s.GetQuantile() {
			out = append(out, one("", q.GetValue(), label{"quantile", number(q.GetQuantile())}))
		}
		return out
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		out := []series{one("_sum", h.GetSampleSum()), one("_count", float64(h.GetSampleCount()))}
		for _, b := range h.GetBucket() {
			out = append(out, one("_bucket", float64(b.GetCumulativeCount()), label{"le", number(b.GetUpperBound())}))
		}
		return append(out, one("_bucket", float64(h.GetSampleCount()), label{"le", "+Inf"}))
	default:
		return nil
	}
}

func number(f float64) string {
	if math.IsInf(f, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// Field numbers of prompb remote.proto and types.proto (remote write v1).
const (
	fieldTimeseries = 1
	fieldLabels     = 1
	fieldSamples    = 2
	fieldName       = 1
	fieldLabelValue = 2
	fieldValue      = 1
	fieldTimestamp  = 2
)

func appendWriteRequest(b []byte, list []series, ms int64) []byte {
	var ts, part []byte
	for i := range list {
		ts = ts[:0]
		for _, l := range list[i].labels {
			part = protowire.AppendString(protowire.AppendTag(part[:0], fieldName, protowire.BytesType), l.name)
			part = protowire.AppendString(protowire.AppendTag(part, fieldLabelValue, protowire.BytesType), l.value)
			ts = protowire.AppendBytes(protowire.AppendTag(ts, fieldLabels, protowire.BytesType), part)
		}
		part = protowire.AppendFixed64(protowire.AppendTag(part[:0], fieldValue, protowire.Fixed64Type), math.Float64bits(list[i].value))
		part = protowire.AppendVarint(protowire.AppendTag(part, fieldTimestamp, protowire.VarintType), uint64(ms))
		ts = protowire.AppendBytes(protowire.AppendTag(ts, fieldSamples, protowire.BytesType), part)
		b = protowire.AppendBytes(protowire.AppendTag(b, fieldTimeseries, protowire.BytesType), ts)
	}
	return b
}
