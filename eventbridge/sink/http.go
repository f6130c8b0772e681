package sink

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Vitals is what the /metrics page of a VictoriaMetrics or VictoriaLogs says, or
// of a Prometheus in the place of the former.
type Vitals struct {
	// Instance names the running process, by its start time.
	Instance string
	// Ignored counts rows that the store answered with success and did not
	// keep: out of retention, too many labels, too long.
	Ignored float64
	// Flags are the flags it was started with, as they were written; empty where
	// they are hidden.
	Flags map[string]string
	// Prometheus tells that it is one.
	Prometheus bool
}

// AskVictoria reads the /metrics page of a store.
func AskVictoria(ctx context.Context, client *http.Client, base string) (Vitals, error) {
	url := strings.TrimSuffix(base, "/") + "/metrics"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Vitals{}, fmt.Errorf("ask %s for its start time: %w", url, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Vitals{}, fmt.Errorf("ask %s for its start time: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Vitals{}, fmt.Errorf("ask %s for its start time: HTTP %d", url, resp.StatusCode)
	}
	v := Vitals{Flags: map[string]string{}}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 16<<20))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		switch {
		case !ok:
		case strings.HasPrefix(name, `flag{name="`):
			if k, v1, ok := flag(lines.Text()); ok {
				v.Flags[k] = v1
			}
		case strings.HasPrefix(name, "prometheus_build_info{"):
			v.Prometheus = true
		case name == "vm_app_start_timestamp", name == "process_start_time_seconds" && v.Instance == "":
			v.Instance = value
		case strings.HasPrefix(name, "vm_rows_ignored_total"), strings.HasPrefix(name, "vl_rows_dropped_total"):
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				v.Ignored += n
			}
		}
	}
	if err := lines.Err(); err != nil {
		return Vitals{}, fmt.Errorf("read %s: %w", url, err)
	}
	if v.Instance == "" {
		return Vitals{}, fmt.Errorf("%s does not say when the store was started", url)
	}
	return v, nil
}

// flag reads `flag{name="retentionPeriod", value="30d", is_set="true"} 1`.
func flag(line string) (name, value string, ok bool) {
	name, rest, ok := strings.Cut(strings.TrimPrefix(line, `flag{name="`), `", value="`)
	if !ok {
		return "", "", false
	}
	value, _, ok = strings.Cut(rest, `", is_set="`)
	return name, value, ok
}

// Duration reads a duration as VictoriaMetrics' flags write it: "30d", "4w",
// "1y", "13M" or "13" (months of 31 days), "36h", "1ms".
func Duration(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	units := map[string]time.Duration{"": 31 * day, "M": 31 * day, "d": day, "w": 7 * day, "y": 365 * day}
	number := strings.TrimRight(s, "Mdwy")
	if n, err := strconv.ParseFloat(number, 64); err == nil && n >= 0 && n < 1e4 {
		if unit, ok := units[s[len(number):]]; ok {
			return time.Duration(n * float64(unit)), true
		}
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// Bytes reads a size as VictoriaMetrics' flags write it: "262144", "2MiB".
func Bytes(s string) (int, bool) {
	for suffix, unit := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1e3, "MB": 1e6, "GB": 1e9} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.Atoi(number)
			return n * unit, err == nil && n >= 0 && n < 1<<20
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

// Post sends a body and sorts the answer into the kinds of errors of Write.
func Post(ctx context.Context, client *http.Client, url string, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("write to store: %w", err)
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("write to store: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%s answers %d: %q: %w", url, resp.StatusCode, bytes.TrimSpace(said), ErrRefused)
	default:
		// 401, 403 and 404 are a wrong address or password: somebody can put it
		// right, so nothing is given up.
		return fmt.Errorf("%s answers %d: %q", url, resp.StatusCode, bytes.TrimSpace(said))
	}
}
