package simulate

import (
	"fmt"
	"math"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// wave is a sine of this period, from -1 to 1, with an offset in radians.
func wave(at time.Time, period time.Duration, offset float64) float64 {
	return math.Sin(2*math.Pi*float64(at.UnixNano()%int64(period))/float64(period) + offset)
}

// filled is the integral of 1+a·sin over the time since the year 2020, in
// seconds: a counter that rises fast by day and slowly by night, and is the
// same whenever and however often it is asked for.
func filled(at time.Time, a, offset float64) float64 {
	t := at.Sub(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)).Seconds()
	w := 2 * math.Pi / (24 * 3600)
	return t - a/w*(math.Cos(w*t+offset)-math.Cos(offset))
}

// services are those whose state an exporter sends by default.
var services = []string{"EventLog", "LanmanServer", "NocturneExporter", "Schedule", "W32Time", "Winmgmt"}

// sources are those of an exporter on Windows.
var sources = []string{"hardware", "heartbeat", "raid", "sensors", "smart", "software", "updates", "winlog"}

// samples are the metrics a server would push, by the names of
// windows_exporter and of the exporter itself: about sixty series, a function
// of time.
func samples(s *Spec, at, boot time.Time) []prompb.TimeSeries {
	var out []prompb.TimeSeries
	put := func(name string, v float64, pairs ...string) {
		ts := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}}, Samples: []prompb.Sample{{Value: v, Timestamp: at.UnixMilli()}}}
		for i := 0; i+1 < len(pairs); i += 2 {
			ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		out = append(out, ts)
	}
	off, share := float64(s.Index), 0.08+0.03*float64(s.Index%9)
	busy := filled(at, 0.8, off) * share
	cores := float64(s.CPUs * s.Cores)
	put("windows_cpu_time_total", busy*cores*0.7, "mode", "user")
	put("windows_cpu_time_total", busy*cores*0.3, "mode", "privileged")
	put("windows_cpu_time_total", (filled(at, 0, 0)-busy)*cores, "mode", "idle")
	total := float64(s.DIMMSize) * float64(s.DIMMs)
	put("windows_memory_physical_total_bytes", total)
	available := total * (0.45 + 0.15*wave(at, 24*time.Hour, off))
	put("windows_memory_available_bytes", available)
	put("windows_memory_committed_bytes", (total-available)*1.1)
	put("windows_memory_commit_limit", total*1.25)
	for i, vol := range []string{"C:", "D:"} {
		size := float64(int64(238+i*1800) << 30)
		put("windows_logical_disk_size_bytes", size, "volume", vol)
		put("windows_logical_disk_free_bytes", size*(0.35+0.05*float64(i)+0.02*wave(at, 7*24*time.Hour, off)), "volume", vol)
		put("windows_logical_disk_read_bytes_total", filled(at, 0.9, off+float64(i))*2.5e6, "volume", vol)
		put("windows_logical_disk_write_bytes_total", filled(at, 0.9, off+float64(i)+1)*1.5e6, "volume", vol)
	}
	for i, disk := range []string{"0", "1"} {
		read, written := filled(at, 0.9, off+float64(i))*2.5e6, filled(at, 0.9, off+float64(i)+1)*1.5e6
		put("windows_physical_disk_read_bytes_total", read, "disk", disk)
		put("windows_physical_disk_write_bytes_total", written, "disk", disk)
		put("windows_physical_disk_reads_total", read/32768, "disk", disk)
		put("windows_physical_disk_writes_total", written/16384, "disk", disk)
		put("windows_physical_disk_read_seconds_total", read/32768*0.004, "disk", disk)
		put("windows_physical_disk_write_seconds_total", written/16384*0.002, "disk", disk)
		put("windows_physical_disk_requests_queued", math.Round(1+wave(at, time.Hour, off+float64(i))), "disk", disk)
	}
	received, sent := filled(at, 0.9, off)*1.1e6, filled(at, 0.9, off+0.5)*0.9e6
	put("windows_net_bytes_received_total", received, "nic", "Ethernet 1")
	put("windows_net_bytes_sent_total", sent, "nic", "Ethernet 1")
	put("windows_net_packets_received_total", received/900, "nic", "Ethernet 1")
	put("windows_net_packets_sent_total", sent/700, "nic", "Ethernet 1")
	put("windows_net_packets_received_errors_total", 0, "nic", "Ethernet 1")
	put("windows_net_packets_outbound_errors_total", 0, "nic", "Ethernet 1")
	put("windows_net_current_bandwidth_bytes", 10e9/8, "nic", "Ethernet 1")
	for _, name := range services {
		put("windows_service_state", 1, "name", name, "state", "running")
	}
	put("windows_system_boot_time_timestamp", float64(boot.Unix()))
	put("windows_system_processes", 140+math.Round(20*wave(at, 3*time.Hour, off)))
	put("windows_system_threads", 2100+math.Round(300*wave(at, 3*time.Hour, off)))
	put("windows_system_processor_queue_length", math.Round(1+wave(at, time.Hour, off)))
	put("exporter_output_up", 1, "output", "eventbridge")
	put("exporter_spool_records_waiting", 0, "output", "eventbridge")
	put("exporter_spool_records_dropped_total", 0, "output", "eventbridge", "reason", "overflow")
	for _, name := range sources {
		put("exporter_source_success", 1, "source", name)
	}
	return out
}

// remoteWrite packs samples as remote-write v1.
func remoteWrite(ts []prompb.TimeSeries) ([]byte, error) {
	raw, err := (&prompb.WriteRequest{Timeseries: ts}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode samples: %w", err)
	}
	return snappy.Encode(nil, raw), nil
}
