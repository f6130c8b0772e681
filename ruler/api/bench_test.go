package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
)

// questions are what the benchmark asks, by route: what the pages ask, and the
// worst of it. FAR is a place near the end of a list of all servers, DEEP one of
// all drives of one model.
var questions = map[string][]string{
	"/overview": {""}, "/silent": {""}, "/discovery": {""}, "/server-facets": {""}, "/systems": {""}, "/updates": {""},
	"/servers":      {"", "?sort=name&limit=1000", "?search=srv-000", "?site=site-07&sort=-last_seen", "?sort=os&offset=FAR", "?status=critical,warning", "?sort=support_end&offset=FAR", "?updates_pending=true&sort=updates"},
	"/servers/{id}": {"", "?at=2026-11-20T12:00:00Z"}, "/servers/{id}/ledger": {""}, "/servers/{id}/history": {""}, "/servers/{id}/diff": {"?from=2026-11-20T12:00:00Z"},
	"/devices":       {"", "?device_type=physical_drive&status=critical", "?device_type=physical_drive&model=ST4000NM0035-1V4107&offset=DEEP", "?search=ZA105", "?site=site-07"},
	"/device-facets": {"", "?device_type=physical_drive", "?site=site-07"},
	"/serials":       {"", "?search=ZA105"}, "/serials/{serial}": {""},
	"/changes":       {"", "?category=raid&device_type=physical_drive", "?field=state&since=2026-11-20T12:00:00Z"},
	"/notifications": {"", "?state=firing", "?site=site-07&search=drive"}, "/notifications/{id}": {""},
	"/register": {"", "?missing=true", "?search=srv-000"}, "/register/export": {""},
	"/rules": {""}, "/rules/{id}": {""}, "/rules/{id}/versions": {""}, "/rules/{id}/diff": {"?from=1&to=1"}, "/rules/generations": {""}, "/rules/noise": {""},
	"/windows": {""}, "/windows/{id}": {""}, "/silences": {""}, "/audit": {""}, "/tokens": {""}, "/users": {""}, "/login": {""}, "/me": {""}, "/openapi.json": {""},
	"/pipeline": {""}, "/charts": {""}, "/join-tokens": {""}, "/delivered": {""},
}

// elsewhere are routes whose time is another program's.
var elsewhere = map[string]string{
	"/charts/{name}": "VictoriaMetrics", "/events": "VictoriaLogs", "/events/{id}": "VictoriaLogs", "/event-counts": "VictoriaLogs", "/event-kinds": "VictoriaLogs", "/stream": "it does not end",
}

// Nobody adds a route that is never measured.
func TestEveryAnswerIsMeasured(t *testing.T) {
	known := map[string]bool{}
	for _, rt := range (&server{}).routes() {
		known[rt.path] = true
		if rt.method == "GET" && questions[rt.path] == nil && elsewhere[rt.path] == "" {
			t.Errorf("GET %s: no question in questions, and not one of elsewhere", rt.path)
		}
	}
	for path := range questions {
		if !known[path] {
			t.Errorf("%s is asked and is no route", path)
		}
	}
}

// BenchmarkAnswers asks every route about 20, 650 and 10,000 servers in SQLite
// and prints the 95th percentile, without the time of the neighbours. The figure
// to reach is 100 ms, on a quiet machine:
//
//	go test -run '^$' -bench Answers -benchtime 100x -timeout 30m ./ruler/api
func BenchmarkAnswers(b *testing.B) {
	sizes := []int{20, 650, 10_000}
	took := map[string]map[int]time.Duration{}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, s := apitest.Lived(n, now), openStore(b)
			if err := apitest.Fill(context.Background(), s, f); err != nil {
				b.Fatal(err)
			}
			bench := newBench(b, func(c *Config) { c.Reader, c.Desk, c.Tokens, c.Users = s, s, s, s })
			here := strings.NewReplacer("{serial}", "ZA10004K", "FAR", fmt.Sprint(n*97/100), "DEEP", fmt.Sprint(6*n))
			for _, path := range paths() {
				for _, query := range questions[path] {
					target := here.Replace(strings.Replace(path, "{id}", subjectID(path, f), 1) + query)
					b.Run(path[1:]+query, func(b *testing.B) {
						if took[path+query] == nil {
							took[path+query] = map[int]time.Duration{}
						}
						took[path+query][n] = percentile(b, func() {
							if w := bench.call("GET", Prefix+target, "", nil); w.Code != 200 {
								b.Fatalf("%s answered %d %s", target, w.Code, w.Body)
							}
						})
					})
				}
			}
		})
	}
	fmt.Print("\n95th percentile in ms\n\n" + table(took, sizes) + "\n")
}

func paths() []string {
	var out []string
	for path := range questions {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

func subjectID(path string, f *apitest.Fleet) string {
	switch {
	case strings.HasPrefix(path, "/notifications"):
		return f.Problems[0].ID
	case strings.HasPrefix(path, "/rules"):
		return "nic-link-lost"
	case strings.HasPrefix(path, "/windows"):
		return "bern-patching"
	}
	return f.List[len(f.List)/2].ID.String()
}

// percentile is the 95th of what a call takes.
func percentile(b *testing.B, ask func()) time.Duration {
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		ask()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	p := took[(len(took)*95+99)/100-1]
	b.ReportMetric(float64(p.Microseconds())/1000, "p95-ms")
	return p
}

func table(took map[string]map[int]time.Duration, sizes []int) string {
	out := strings.Builder{}
	fmt.Fprint(&out, "| answer |")
	for _, n := range sizes {
		fmt.Fprintf(&out, " %d |", n)
	}
	fmt.Fprint(&out, "\n|---|"+strings.Repeat("---|", len(sizes))+"\n")
	for _, path := range paths() {
		for _, query := range questions[path] {
			if took[path+query] == nil {
				continue // -bench left it out
			}
			fmt.Fprintf(&out, "| `%s` |", path+query)
			for _, n := range sizes {
				cell := ""
				if p, ok := took[path+query][n]; ok {
					cell = fmt.Sprintf(" %.1f", float64(p.Microseconds())/1000)
				}
				fmt.Fprint(&out, cell+" |")
			}
			fmt.Fprintln(&out)
		}
	}
	return out.String()
}
