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
// series on a machine with two filesystems, two disks and two network cards.
// TestDefaultSeries counts them.
var defaults = func() map[string]choice {
	m := map[string]choice{
		"node_cpu_seconds_total": {without: "cpu"},
	}
	for _, name := range strings.Fields(`
		node_load1 node_load5 node_load15 node_uname_info node_time_seconds node_boot_time_seconds node_time_clocksource_current_info
		node_memory_MemTotal_bytes node_memory_MemAvailable_bytes node_memory_MemFree_bytes node_memory_Buffers_bytes node_memory_Cached_bytes
		node_memory_SwapTotal_bytes node_memory_SwapFree_bytes node_memory_Dirty_bytes
		exporter_build_info exporter_spool_records_out_total exporter_spool_records_dropped_total exporter_spool_records_waiting
		exporter_spool_size_bytes exporter_spool_losses_total exporter_output_up exporter_output_failures_total exporter_output_refused_frames_total
		exporter_source_success exporter_source_duration_seconds exporter_source_timeouts_total
		process_cpu_seconds_total process_resident_memory_bytes process_open_fds process_start_time_seconds go_goroutines`) {
		m[name] = choice{}
	}
	for _, name := range strings.Fields("size_bytes avail_bytes files files_free readonly") {
		m["node_filesystem_"+name] = choice{skip: pseudoFilesystem}
	}
	for _, name := range strings.Fields("read_bytes written_bytes reads_completed writes_completed io_time_seconds read_time_seconds write_time_seconds") {
		m["node_disk_"+name+"_total"] = choice{skip: virtualDisk}
	}
	for _, name := range strings.Fields("bytes packets errs drop") {
		m["node_network_receive_"+name+"_total"] = choice{skip: virtualNIC}
		m["node_network_transmit_"+name+"_total"] = choice{skip: virtualNIC}
	}
	return m
}()

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

// flatten turns families into series, the default ones or all.
func flatten(families []*dto.MetricFamily, onlyDefaults bool) []series {
	var out []series
	for _, f := range families {
		c, chosen := defaults[f.GetName()]
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
