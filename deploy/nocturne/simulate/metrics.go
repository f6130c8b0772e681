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

// samples are the metrics a server would push, by the names of
// windows_exporter: about twenty series, a function of time.
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
	put("windows_memory_available_bytes", total*(0.45+0.15*wave(at, 24*time.Hour, off)))
	for i, vol := range []string{"C:", "D:"} {
		size := float64(int64(238+i*1800) << 30)
		put("windows_logical_disk_size_bytes", size, "volume", vol)
		put("windows_logical_disk_free_bytes", size*(0.35+0.05*float64(i)+0.02*wave(at, 7*24*time.Hour, off)), "volume", vol)
		put("windows_logical_disk_read_bytes_total", filled(at, 0.9, off+float64(i))*2.5e6, "volume", vol)
		put("windows_logical_disk_write_bytes_total", filled(at, 0.9, off+float64(i)+1)*1.5e6, "volume", vol)
	}
	put("windows_net_bytes_received_total", filled(at, 0.9, off)*1.1e6, "nic", "Ethernet 1")
	put("windows_net_bytes_sent_total", filled(at, 0.9, off+0.5)*0.9e6, "nic", "Ethernet 1")
	put("windows_system_boot_time_timestamp", float64(boot.Unix()))
	put("windows_system_processes", 140+math.Round(20*wave(at, 3*time.Hour, off)))
	put("windows_system_threads", 2100+math.Round(300*wave(at, 3*time.Hour, off)))
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
