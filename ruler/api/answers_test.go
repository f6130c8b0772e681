package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

func TestServerList(t *testing.T) {
	b := newBench(t, nil)
	list := get[ServerList](b, "/servers?limit=3")
	var got []string
	for _, s := range list.Items {
		got = append(got, s.Name+" "+string(s.Status))
	}
	if want := []string{"sim-south-12 silent", "sim-north-05 critical"}; !slices.Equal(got[:2], want) {
		t.Errorf("worst first: %q, want %q", got, want)
	}
	if list.Total != 21 || len(list.Items) != 3 || list.Limit != 3 {
		t.Errorf("total %d, %d items, limit %d", list.Total, len(list.Items), list.Limit)
	}
	f := func(query string, total int) {
		t.Helper()
		if l := get[ServerList](b, "/servers?"+query); l.Total != total {
			t.Errorf("%s: %d servers, want %d", query, l.Total, total)
		}
	}
	f("search=VAULT", 1)
	f("site=south", 8)
	f("site=south&rack=s01", 4)
	f("role=sql&simulated=true", 6) // five and a clone of one
	f("simulated=false", 4)
	f("state=silent,stopped", 2)
	f("severity=critical", 2)
	f("clones=true", 2)
	f("search=&site=", 21) // empty parameters are none
	f("offset=1000", 21)
	names := get[ServerList](b, "/servers?sort=-name&site=north")
	if names.Items[0].Name != "sim-north-10" {
		t.Errorf("sort=-name begins with %s", names.Items[0].Name)
	}
}

func TestServerDetail(t *testing.T) {
	b := newBench(t, nil)
	d := get[ServerDetail](b, "/servers/"+apitest.ID(5).String())
	if d.Server.Status != StatusCritical || !d.Server.Simulated || len(d.Notifications) != 1 {
		t.Errorf("server %+v with %d notifications", d.Server, len(d.Notifications))
	}
	byPlace := map[string]Device{}
	var order []string
	for _, v := range d.Devices {
		byPlace[v.Place] = v
		order = append(order, v.Place)
	}
	if g := byPlace["package-07"].Group; g != "" {
		t.Errorf("a program hangs on controller %q", g)
	}
	drive := byPlace["c0/e252/s4"]
	if drive.Status != StatusCritical || drive.State != "Failed" || drive.Serial != "ZA10504K" || drive.Group != "c0" || *drive.SizeBytes != 4_000_787_030_016 {
		t.Errorf("the failed drive is %+v", drive)
	}
	if v := byPlace["c0/v0"]; v.Status != StatusWarning || v.StatusText != "Virtual drive degraded: state is Dgrd" {
		t.Errorf("a part of the problem is %+v", v)
	}
	if byPlace["c0/e252/s5"].Status != StatusOK {
		t.Errorf("its neighbour is %+v", byPlace["c0/e252/s5"])
	}
	if want := []string{"c0/e252/s1", "c0/e252/s2", "c0/e252/s3", "c0/e252/s4"}; slices.Index(order, "c0") > slices.Index(order, want[0]) || !slices.Equal(order[slices.Index(order, want[0]):][:4], want) {
		t.Errorf("devices stand in the order %q", order)
	}
	twin := get[ServerDetail](b, "/servers/"+apitest.ID(16).String())
	if !twin.Server.Clone || len(twin.Lines) != 1 || twin.Lines[0].CloneOf != apitest.ID(16).String() {
		t.Errorf("a cloned identity: %+v, lines %+v", twin.Server, twin.Lines)
	}
}

func TestHistoryAndChanges(t *testing.T) {
	b := newBench(t, nil)
	h := get[History](b, "/servers/"+apitest.ID(5).String()+"/history?limit=2")
	if len(h.Snapshots) != 2 || len(h.Changes) != 2 || h.NextBeforeID != 5 {
		t.Fatalf("%d snapshots, %d changes, next %d", len(h.Snapshots), len(h.Changes), h.NextBeforeID)
	}
	rest := get[History](b, "/servers/"+apitest.ID(5).String()+"/history?before_id=5&category=raid")
	if len(rest.Changes) != 2 || rest.NextBeforeID != 0 {
		t.Errorf("the rest: %+v", rest.Changes)
	}
	var texts []string
	for _, c := range get[ChangeList](b, "/changes").Items {
		if want := c.ServerID == apitest.ID(5).String(); c.Simulated != want {
			t.Errorf("change %d of %s: simulated %v, want %v", c.ID, c.Server, c.Simulated, want)
		}
	}
	if len(h.Changes) == 0 || !h.Changes[0].Simulated {
		t.Errorf("a change in a history: %+v", h.Changes)
	}
	for _, c := range get[ChangeList](b, "/changes?server="+apitest.ID(5).String()).Items {
		texts = append(texts, c.Text)
	}
	want := []string{
		"virtual drive c0/v0: state Optl → Dgrd",
		"physical drive c0/e252/s4: state Onln → Failed",
		"physical drive c0/e252/s7 was replaced: serial ZA10404X left, ZA10507K came",
		"physical drive ZA10509K moved from c0/e252/s8 to c0/e252/s9",
		"memory module DIMM_B1 appeared (serial 3G000005)",
		"memory module DIMM_C1 is gone (serial 3H000005)",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("changes read\n%s\nwant\n%s", strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
	since := now.Add(-24 * time.Hour).Format(time.RFC3339)
	if l := get[ChangeList](b, "/changes?device_type=physical_drive&kind=field&since="+since); len(l.Items) != 1 {
		t.Errorf("filtered: %+v", l.Items)
	}
}

func TestLedger(t *testing.T) {
	b := newBench(t, nil)
	l := get[ServerLedger](b, "/servers/"+apitest.ID(5).String()+"/ledger")
	if len(l.Sequences) != 4 || l.Sequences[0].Category != "eventlog" || l.Sequences[1].Received != 62 || l.Sequences[3].LastSeq != 7 || l.Sequences[0].EpochStart == nil {
		t.Errorf("sequences %+v", l.Sequences)
	}
	if l.Text != "4569 records received, 0 missing, 2 duplicates counted once." {
		t.Errorf("it reads %q", l.Text)
	}
	twin := get[ServerLedger](b, "/servers/"+apitest.ID(36).String()+"/ledger")
	if len(twin.Sequences) != 4 || twin.Sequences[0].Producer != "exporter/"+apitest.ID(16).String() {
		t.Errorf("a line of a cloned identity shows %+v, want the identity's", twin.Sequences)
	}
	if w := b.call("GET", Prefix+"/servers/"+apitest.ID(99).String()+"/ledger", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("an unknown server: %d", w.Code)
	}
	empty := newBench(t, func(c *Config) {
		s := openStore(t)
		if err := apitest.Fill(t.Context(), s, apitest.Demo(now)); err != nil {
			t.Fatal(err)
		}
		c.Reader = s
	})
	if l := get[ServerLedger](empty, "/servers/"+apitest.ID(5).String()+"/ledger"); len(l.Sequences) != 0 {
		t.Errorf("SQLite without working state: %+v", l.Sequences)
	}
}

func TestNotificationDetail(t *testing.T) {
	b := newBench(t, nil)
	n := get[NotificationDetail](b, "/notifications/a1b2c3d4e5f60718")
	if n.Before != "Onln" || n.After != "Failed" || n.Notification.Site != "north" || !n.Notification.Simulated {
		t.Errorf("notification %+v, %s → %s", n.Notification, n.Before, n.After)
	}
	if len(n.Why) != 2 || n.Why[0].RuleID != "raid-drive-failed" || !n.Why[0].Cause {
		t.Errorf("the cause does not come first: %+v", n.Why)
	}
	none := NotificationDetail{Why: []Part{{}}, Evidence: []Evidence{{Before: "a", After: "b"}, {Before: "c", After: "d"}, {}}}
	if before, after := beforeAfter(&none); before != "c" || after != "d" {
		t.Errorf("without a cause that says it: %s → %s, want the newest evidence's", before, after)
	}
	none.Why = []Part{{Cause: true, Before: "Onln", After: "Failed"}, {Before: "x"}}
	if before, after := beforeAfter(&none); before != "Onln" || after != "Failed" {
		t.Errorf("with a cause: %s → %s", before, after)
	}
	if r := n.Runbook; r.Title != "Drive failed" || !strings.Contains(r.Text, "pull the drive that failed, not its neighbour") || r.Own {
		t.Errorf("what to do: %+v", r)
	}
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "raid.md"), []byte("## Drive failed\n\nCall Eva.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	site := newBench(t, func(c *Config) { c.Runbooks = own })
	if r := get[NotificationDetail](site, "/notifications/a1b2c3d4e5f60718").Runbook; r.Text != "Call Eva." || !r.Own {
		t.Errorf("what to do at this site: %+v", r)
	}
	var kinds []string
	for _, e := range n.Timeline {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"opened", "firing", "delivered", "escalated", "delivered"}; !slices.Equal(kinds, want) {
		t.Errorf("timeline %q, want %q", kinds, want)
	}
	if got, want := n.Timeline[2].Text, "firing as warning handed to http://127.0.0.1:9093"; got != want {
		t.Errorf("timeline says %q, want %q", got, want)
	}
	if got, want := n.Timeline[3].Text+"; "+n.Timeline[4].Text, "to critical by rule raid-drive-failed; firing as critical handed to http://127.0.0.1:9093"; got != want {
		t.Errorf("timeline says %q, want %q", got, want)
	}
	if len(n.Deliveries) != 3 || n.Deliveries[1].OK || n.Deliveries[1].Error == "" {
		t.Errorf("deliveries %+v", n.Deliveries)
	}
	if d := n.Deliveries[2]; d.State != "firing" || d.Set != 1 || d.Severity != "critical" {
		t.Errorf("the escalated hand-over is %+v", d)
	}
	has := func(list []Fact, name, value string) bool {
		return slices.Contains(list, Fact{Name: name, Value: value})
	}
	if len(n.Escalated) != 1 || !has(n.Labels, "severity", "warning") || !has(n.Escalated[0].Labels, "severity", "critical") || !has(n.Escalated[0].Labels, "alertname", "RaidDriveFailed") {
		t.Errorf("labels %+v, escalated %+v", n.Labels, n.Escalated)
	}
	if p := get[NotificationDetail](b, "/notifications/b2c3d4e5f6071829"); len(p.Escalated) != 0 || p.Escalated == nil {
		t.Errorf("a notification that did not get worse: %+v", p.Escalated)
	}
	if len(n.Evidence) != 1 || n.Evidence[0].Fields[1] != (Fact{Name: "media_errors", Value: "17"}) {
		t.Errorf("evidence %+v", n.Evidence)
	}
	f := func(query string, total int) {
		t.Helper()
		if l := get[NotificationList](b, "/notifications?"+query); l.Total != total {
			t.Errorf("%s: %d, want %d", query, l.Total, total)
		}
	}
	f("", 6)
	f("state=firing", 4)
	f("state=resolved", 2)
	f("state=firing&severity=critical", 2)
	f("server="+apitest.ID(7).String(), 2)
	f("class="+store.ClassSilent+"&site=south", 1)
	f("muted=true", 0)
}

func TestReasonIsTheWorstThatFires(t *testing.T) {
	n := store.Notification{State: store.Firing, Reason: "smart_alert is false", Parts: []store.Part{
		{State: store.Resolved, Severity: "critical", Reason: "state is Rbld", Cause: true},
		{State: store.Firing, Severity: "info", Reason: "replaced"},
		{State: store.Firing, Severity: "critical", Reason: "state is Pdgd"},
		{State: store.Firing, Severity: "critical", Reason: "another"},
	}}
	if got := reason(&n); got != "state is Pdgd" {
		t.Errorf("reason %q", got)
	}
	n.Parts[2].Device = "virtual_drive c0/v0"
	if got := reason(&n); got != "virtual_drive c0/v0: state is Pdgd" {
		t.Errorf("of another device: %q", got)
	}
	n.State = store.Resolved
	if got := reason(&n); got != "smart_alert is false" {
		t.Errorf("once resolved: %q", got)
	}
	n.State, n.Parts = store.Firing, nil
	if got := reason(&n); got != "smart_alert is false" {
		t.Errorf("without parts: %q", got)
	}
}

func TestOverviewAndSilent(t *testing.T) {
	b := newBench(t, nil)
	o := get[Overview](b, "/overview")
	if o.Servers.Total != 21 || o.Servers.Silent != 1 || o.Servers.Planned != 1 || o.Servers.New != 1 || o.Servers.Critical != 2 || o.Servers.Clones != 2 {
		t.Errorf("counts %+v", o.Servers)
	}
	if o.Status != StatusSilent || o.Text != "Of 21 servers: 1 silent, 2 critical, 2 with a warning." {
		t.Errorf("the fleet is %s: %s", o.Status, o.Text)
	}
	if o.Sites[0].Site != "south" || o.Features != (Features{Demo: true, Delivered: true, AddServer: true, Charts: true}) {
		t.Errorf("sites %+v, features %+v", o.Sites, o.Features)
	}
	if !o.PipelineOK || !strings.Contains(o.PipelineText, "0 missing") || !o.SilenceJudged {
		t.Errorf("the pipeline is %v (%s), silence judged %v", o.PipelineOK, o.PipelineText, o.SilenceJudged)
	}
	l := get[SilentList](b, "/silent")
	if l.Total != 1 || l.Items[0].Server.Name != "sim-south-12" || l.Items[0].NotificationID != "d4e5f60718293041" || l.Items[0].Planned {
		t.Errorf("silent %+v", l)
	}
	l = get[SilentList](b, "/silent?planned=true&limit=1")
	if l.Total != 2 || len(l.Items) != 1 || !l.Items[0].Planned {
		t.Errorf("with planned ones, longest first: %+v", l)
	}
}

func TestPipeline(t *testing.T) {
	b := newBench(t, nil)
	p := get[Pipeline](b, "/pipeline")
	if !p.OK || len(p.Problems) != 0 || !p.Bridge.Reachable || len(p.Partitions) != 16 || *p.LagSeconds != 1 {
		t.Errorf("a good pipeline: %+v", p)
	}
	var stages []string
	for _, g := range p.Stages {
		stages = append(stages, g.Name)
		if g.In != g.Out+g.Dropped+g.Waiting {
			t.Errorf("stage %+v does not add up", g)
		}
	}
	if want := []string{"ingest", "otlp", "append", "sink victoriametrics", "sink victorialogs"}; !slices.Equal(stages, want) {
		t.Errorf("stages %q, want %q", stages, want)
	}
	if r := p.Stages[0].Reasons; len(r) != 1 || r[0] != (Drop{Reason: "malformed", Records: 1}) {
		t.Errorf("reasons %+v", r)
	}
	if *p.LagEntries != 3 || *p.Partitions[0].Head != 2003 || p.Partitions[2].Head != nil {
		t.Errorf("lag %d entries, partition 0 %+v", *p.LagEntries, p.Partitions[0])
	}
	if !strings.Contains(p.Text, "0 missing") {
		t.Errorf("it reads %q", p.Text)
	}
	f := func(want string, change func(*store.Pipeline)) {
		t.Helper()
		b := newBench(t, nil)
		change(&b.fleet.PipelineState)
		if p := get[Pipeline](b, "/pipeline"); p.OK || !strings.Contains(p.Text, want) {
			t.Errorf("ok %v: %q, want %q", p.OK, p.Text, want)
		}
	}
	f("is 5m0s behind", func(p *store.Pipeline) { p.Partitions[3].StreamTime = now.Add(-5 * time.Minute) })
	f("3 records are missing", func(p *store.Pipeline) { p.Ledger.Missing = 3 })
	f("clock of 1 partition stands still: no good ticks", func(p *store.Pipeline) { p.Partitions[1].Frozen = "no good ticks" })
	f("lost its volume 1 time", func(p *store.Pipeline) { p.Partitions[1].Losses.VolumeLost = 1 })
	f("9 entries were deleted", func(p *store.Pipeline) { p.Partitions[1].Losses.LogTruncated = 9 })
	f("read nothing", func(p *store.Pipeline) { p.Partitions = nil })

	untold := newBench(t, func(c *Config) {
		c.Alerting = func() []notify.Trouble {
			return []notify.Trouble{{Target: "http://am:9093", Error: "connection\nrefused", Waiting: 3}}
		}
	})
	if p := get[Pipeline](untold, "/pipeline"); p.OK || p.Text != "Alertmanager at http://am:9093 does not take notifications, 3 wait: connection\ufffdrefused." {
		t.Errorf("without Alertmanager: %q", p.Text)
	}

	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"probe":{"ok":true},"errors":["no broker for frames since then","b","c","d","e","f"]}`)
	}))
	t.Cleanup(broken.Close)
	ill := newBench(t, func(c *Config) { c.Bridge.URL = broken.URL })
	if p := get[Pipeline](ill, "/pipeline"); p.OK || !p.Bridge.ProbeOK || len(p.Problems) != maxBridgeErrors || p.Problems[0] != "the eventbridge says: no broker for frames since then" {
		t.Errorf("what the bridge says: %q", p.Problems)
	}

	down := newBench(t, func(c *Config) { c.Bridge.URL = "http://127.0.0.1:1" })
	if p := get[Pipeline](down, "/pipeline"); p.OK || p.Bridge.Reachable || !strings.Contains(p.Text, "The eventbridge does not answer") {
		t.Errorf("without the bridge: %+v", p.Bridge)
	}
}

// When nobody can see the fleet, the overview does not say that all is well.
func TestOverviewKnowsThePipeline(t *testing.T) {
	f := func(name string, judged bool, change func(*bench)) {
		t.Helper()
		b := newBench(t, nil)
		calm := &apitest.Fleet{List: b.fleet.List[:1], PipelineState: b.fleet.PipelineState}
		*b.fleet = *calm
		if o := get[Overview](b, "/overview"); o.Status != StatusOK || !o.PipelineOK {
			t.Fatalf("a calm fleet is %s: %s %s", o.Status, o.Text, o.PipelineText)
		}
		b = newBench(t, func(c *Config) {
			c.Bridge.URL = map[bool]string{true: "http://127.0.0.1:1", false: c.Bridge.URL}[name == "the eventbridge does not answer"]
		})
		*b.fleet = *calm
		change(b)
		o := get[Overview](b, "/overview")
		if o.Status != StatusWarning || o.PipelineOK || !strings.Contains(strings.ToLower(o.PipelineText), name) || !strings.HasSuffix(o.Text, "the pipeline has problems.") || o.SilenceJudged != judged {
			t.Errorf("%s: %s, %q, pipeline %v %q, silence judged %v", name, o.Status, o.Text, o.PipelineOK, o.PipelineText, o.SilenceJudged)
		}
	}
	f("the eventbridge does not answer", true, func(*bench) {})
	f("stands still", false, func(b *bench) { b.fleet.PipelineState.Partitions[1].Frozen = "the bridge is not heard" })
	f("behind", false, func(b *bench) { b.fleet.PipelineState.Partitions[1].StreamTime = now.Add(-time.Minute) })
	f("read nothing", false, func(b *bench) { b.fleet.PipelineState.Partitions = nil })
}

func TestBridgeIsAskedOnceASecond(t *testing.T) {
	clock := now
	b := newBench(t, func(c *Config) { c.Now = func() time.Time { return clock } })
	asked := func(want int) {
		t.Helper()
		get[Overview](b, "/overview")
		get[Pipeline](b, "/pipeline")
		if len(b.asked) != want {
			t.Errorf("asked %q, want %d questions", b.asked, want)
		}
	}
	asked(1)
	asked(1)
	clock = clock.Add(bridgeFor)
	asked(2)
}

func TestSitesWithoutANameComeLast(t *testing.T) {
	b := newBench(t, nil)
	for i := range b.fleet.List {
		if s := &b.fleet.List[i].Server; s.ID == apitest.ID(1) {
			s.Site = ""
		}
	}
	var got []string
	for _, s := range get[Overview](b, "/overview").Sites {
		got = append(got, s.Site)
	}
	if want := []string{"south", "north", "lab", ""}; !slices.Equal(got, want) {
		t.Errorf("sites %q, want %q", got, want)
	}
}

func TestAlertsOfOneNotificationAreOne(t *testing.T) {
	got := foldAlerts([]MessageAlert{
		{NotificationID: "a", Status: "resolved", Severity: "warning", LabelSets: 1}, {NotificationID: "", LabelSets: 1}, {NotificationID: "b", Status: "resolved", Severity: "critical", LabelSets: 1},
		{NotificationID: "a", Status: "resolved", Severity: "critical", LabelSets: 1}, {NotificationID: "", LabelSets: 1}, {NotificationID: "b", Status: "firing", Severity: "warning", LabelSets: 1},
		{NotificationID: "a", Status: "resolved", Severity: "info", LabelSets: 1},
	})
	var lines []string
	for _, a := range got {
		lines = append(lines, fmt.Sprintf("%s %s %s %d", a.NotificationID, a.Status, a.Severity, a.LabelSets))
	}
	if want := []string{"a resolved critical 3", "   1", "b firing warning 2", "   1"}; !slices.Equal(lines, want) {
		t.Errorf("folded %q, want %q", lines, want)
	}
}

func TestDelivered(t *testing.T) {
	b := newBench(t, nil)
	d := get[Delivered](b, "/delivered?limit=1")
	if d.Total != 2 || len(d.Items) != 1 {
		t.Fatalf("total %d, %d items", d.Total, len(d.Items))
	}
	m := d.Items[0]
	if m.Status != "resolved" || len(m.Alerts) != 1 || m.Alerts[0].NotificationID != "a1b2c3d4e5f60718" || !m.Alerts[0].Simulated || m.Title != "Drive failed on sim-north-05" {
		t.Errorf("the newest message is %+v", m)
	}
	none := newBench(t, func(c *Config) { c.Demo = DemoConfig{} })
	if w := none.call("GET", Prefix+"/delivered", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("without a demo answered %d", w.Code)
	}
}

func TestIncident(t *testing.T) {
	b := newBench(t, nil)
	w := b.call("POST", Prefix+"/demo/incident", `{"kind":"drive","server_id":"`+apitest.ID(5).String()+`"}`, nil)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"simulated":true`) {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	if len(b.asked) != 1 || !strings.HasPrefix(b.asked[0], "POST /incident") || !strings.Contains(b.asked[0], `"drive"`) {
		t.Errorf("the simulator was asked %q", b.asked)
	}
	none := newBench(t, func(c *Config) { c.Demo = DemoConfig{} })
	if w := none.call("POST", Prefix+"/demo/incident", `{}`, nil); w.Code != http.StatusNotFound {
		t.Errorf("without a simulator answered %d", w.Code)
	}
}

func TestJoin(t *testing.T) {
	b := newBench(t, nil)
	w := b.call("POST", Prefix+"/join-tokens", `{"site":"north","role":"sql","uses":2,"ttl_seconds":600}`, nil)
	for _, want := range []string{`exporter enrol --server https://10.0.0.5:9471 --ca-fingerprint`, `"network":true`, `"uses":2`, `.\\exporter.exe enrol`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("answer lacks %s: %d %s", want, w.Code, w.Body)
		}
	}
	if last := b.asked[len(b.asked)-1]; !strings.Contains(last, `"site":"north"`) || !strings.Contains(last, `"ttl_s":600`) || !strings.Contains(last, `"simulated":false`) {
		t.Errorf("the bridge was asked %s", last)
	}
	if strings.Contains(b.log.String(), "secret-part") || strings.Contains(b.log.String(), "the-bridge-admin-token") {
		t.Error("a secret is in the log")
	}
	down := newBench(t, func(c *Config) { c.Bridge.URL = "http://127.0.0.1:1" })
	if w := down.call("POST", Prefix+"/join-tokens", `{}`, nil); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "is the eventbridge running") {
		t.Errorf("with the bridge down answered %d %s", w.Code, w.Body)
	}
	none := newBench(t, func(c *Config) { c.Bridge = BridgeConfig{} })
	if w := none.call("POST", Prefix+"/join-tokens", `{}`, nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without a bridge answered %d", w.Code)
	}
}

func TestDiscovery(t *testing.T) {
	b := newBench(t, nil)
	groups := get[[]TargetGroup](b, "/discovery")
	if len(groups) != 1 || groups[0].Targets[0] != "VAULT:9490" || groups[0].Labels["server_id"] != apitest.ID(1).String() || groups[0].Labels["server"] != "vault" {
		t.Errorf("targets %+v: want the one real server with a usable name", groups)
	}
}

func TestStatus(t *testing.T) {
	f := func(state store.ServerState, worst string, open int, want Status) {
		t.Helper()
		if got, why := status(&store.Server{State: state, Worst: worst, Open: open}); got != want || why == "" {
			t.Errorf("%s with %q: %s (%s), want %s", state, worst, got, why, want)
		}
	}
	f(store.StateUp, "", 0, StatusOK)
	f(store.StateUp, "info", 1, StatusInfo)
	f(store.StateUp, "warning", 1, StatusWarning)
	f(store.StateUp, "critical", 2, StatusCritical)
	f(store.StateUp, "error", 2, StatusCritical)        // a rule file may say so
	f(store.StateUp, "purple", 1, StatusInfo)           // or this
	f(store.StateSilent, "critical", 1, StatusSilent)   // silence hides everything else
	f(store.StateStopped, "", 0, StatusPlanned)         // a goodbye
	f(store.StateStopped, "info", 1, StatusPlanned)     //
	f(store.StateStopped, "warning", 1, StatusWarning)  // a problem outlives a goodbye
	f(store.StateWaiting, "", 0, StatusNew)             //
	f(store.StateRevoked, "critical", 1, StatusRevoked) //
	f(store.StateDecommissioned, "critical", 1, StatusDecommissioned)
}

func TestNaturalOrder(t *testing.T) {
	in := []string{"c0/e252/s10", "c0/e8/s2", "c0/e252/s9", "", "c0", "c1", "c0/e252/s09", "c10"}
	slices.SortStableFunc(in, naturalCompare)
	if want := []string{"", "c0", "c0/e8/s2", "c0/e252/s9", "c0/e252/s09", "c0/e252/s10", "c1", "c10"}; !slices.Equal(in, want) {
		t.Errorf("sorted %q, want %q", in, want)
	}
}

func TestClipAndInline(t *testing.T) {
	if got := clip(strings.Repeat("ä", 10), 10); got != "äää…" {
		t.Errorf("clip = %q", got)
	}
	if got := inline("a\u202eb\nc\x00"); got != "a\ufffdb\ufffdc\ufffd" {
		t.Errorf("inline = %q", got)
	}
}

func TestDevicesThatAreGoneComeLast(t *testing.T) {
	gone := deviceOf(store.Device{Category: record.RAID, Type: "physical_drive", Place: "c0/e1/s0", Removed: now})
	there := deviceOf(store.Device{Category: record.RAID, Type: "virtual_drive", Place: "c9/v0"})
	if compareDevices(gone, there) <= 0 {
		t.Error("a part that is gone stands before one that is there")
	}
}
