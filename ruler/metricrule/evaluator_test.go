package metricrule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/engine"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// fakeStore answers every query with what answers says, and keeps what is written.
type fakeStore struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]string // by query: JSON of the result
	status  int               // 0 = 200
	written map[string]float64
	asked   map[string]int
}

func newFake(t *testing.T) *fakeStore {
	f := &fakeStore{answers: map[string]string{}, written: map[string]float64{}, asked: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status != 0 {
		w.WriteHeader(f.status)
		return
	}
	switch r.URL.Path {
	case "/api/v1/query":
		q := r.PostFormValue("query")
		f.asked[q]++
		if r.PostFormValue("nocache") != "1" || r.PostFormValue("time") == "" {
			http.Error(w, "nocache and time are missing", http.StatusTeapot)
			return
		}
		a := f.answers[q]
		switch {
		case strings.HasPrefix(a, "refuse"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"status":"error","error":"bad query"}`)
		case strings.Contains(q, "ALERTS_FOR_STATE"):
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, a)
		default:
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, a)
		}
	case "/api/v1/write":
		body, _ := io.ReadAll(r.Body)
		raw, err := snappy.Decode(nil, body)
		var req prompb.WriteRequest
		if err != nil || req.Unmarshal(raw) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, ts := range req.Timeseries {
			var ls []string
			for _, l := range ts.Labels {
				ls = append(ls, l.Name+"="+l.Value)
			}
			f.written[strings.Join(ls, " ")] = ts.Samples[0].Value
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fakeStore) set(q, result string) { f.mu.Lock(); f.answers[q] = result; f.mu.Unlock() }
func (f *fakeStore) fail(status int)      { f.mu.Lock(); f.status = status; f.mu.Unlock() }

// rig is an evaluator whose time is told by the test.
type rig struct {
	t     *testing.T
	url   string
	fake  *fakeStore
	store *sqlite.Store
	e     *Evaluator
	k     *keeper
	now   time.Time
	told  []notify.Notification
	pack  *Pack
}

var db7 = record.ID{15: 7}

func newRig(t *testing.T, rules string) *rig {
	fake := newFake(t)
	r := newRigOn(t, rules, fake.URL)
	r.fake = fake
	return r
}

// newRigOn asks the store at a URL.
func newRigOn(t *testing.T, rules, url string) *rig {
	r := &rig{t: t, url: url, now: time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)}
	r.pack = packOf(t, rules)
	var err error
	r.store, err = sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ruler.db"), Partitions: stream.Partitions, Hash: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.store.Close() })
	r.server(db7, "db7", false)
	r.start()
	return r
}

func packOf(t *testing.T, rules string) *Pack {
	t.Helper()
	f, err := Parse("r.yml", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPack([]*File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// other commits as the owner of the partition of a server.
func (r *rig) other(c store.PartitionCommit) {
	r.t.Helper()
	cl, err := r.store.Claim(context.Background(), c.Partition, "engine")
	if err != nil {
		r.t.Fatal(err)
	}
	c.Epoch, c.From, c.To = cl.Epoch, cl.Position, store.Position{Incarnation: "one", Entry: cl.Position.Entry + 1}
	if err := r.store.Commit(context.Background(), []store.PartitionCommit{c}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) server(id record.ID, name string, gone bool) {
	state := store.StateUp
	if gone {
		state = store.StateDecommissioned
	}
	r.other(store.PartitionCommit{Partition: 7, Servers: []store.ServerWrite{{ID: id, Partition: 7, Labels: &store.ServerLabels{Name: name, Site: "bern"}, State: &store.StateWrite{State: state}}}})
}

// start is a new process on the same store.
func (r *rig) start() {
	r.t.Helper()
	var err error
	r.e, err = New(Options{Config: Config{URL: r.url, Interval: time.Minute}, Pack: r.pack, Store: r.store, Owner: "test", Now: func() time.Time { return r.now },
		Changed: func(n ...notify.Notification) { r.told = append(r.told, n...) }})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.e.groups, err = r.e.build(context.Background(), r.pack, nil); err != nil {
		r.t.Fatal(err)
	}
	r.k = &keeper{e: r.e, pack: r.pack}
	if err := r.k.claim(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// pass evaluates everything, n times a minute apart.
func (r *rig) pass(n int) {
	r.t.Helper()
	for range n {
		r.now = r.now.Add(time.Minute)
		for _, g := range r.e.groups {
			if err := r.k.take(context.Background(), r.e.evaluate(context.Background(), g, r.now)); err != nil {
				r.t.Fatal(err)
			}
		}
		if err := r.k.look(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// heard returns what was told since the last call, a line each.
func (r *rig) heard() string {
	var out []string
	for _, n := range r.told {
		who := n.Labels["server"]
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", n.State, who, n.Class, n.Device, n.Severity)))
	}
	r.told = nil
	return strings.Join(out, "; ")
}

func (r *rig) want(what, want string) {
	r.t.Helper()
	if got := r.heard(); got != want {
		r.t.Errorf("%s: told %q, want %q", what, got, want)
	}
}

func row(value string, pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, _ := json.Marshal(m)
	return fmt.Sprintf(`{"metric":%s,"value":[1700000000,%q]}`, b, value)
}

const disks = `groups:
  - name: disks
    rules:
      - record: disk:free:ratio
        expr: free
      - alert: DiskFull
        expr: full
        for: 2m
        labels: {severity: warning, class: disk-space, team: storage}
        annotations: {summary: "{{ $labels.server }}: {{ $labels.volume }} has {{ $value | humanizePercentage }} left", runbook: disk#full}
      - alert: Kept
        expr: kept
        keep_firing_for: 3m
        labels: {severity: critical}
`

func TestFromFirstSightToTheEnd(t *testing.T) {
	r := newRig(t, disks)
	r.fake.set("free", row("0.5", "server", "db7"))
	r.fake.set("full", row("0.04", "server_id", db7.String(), "server", "DB7.old", "volume", "C:"))
	r.pass(2)
	r.want("pending", "")
	r.pass(1)
	r.want("after two minutes", "firing db7 disk-space volume C: warning")
	r.pass(5)
	r.want("no news", "")
	r.fake.set("full", "")
	r.pass(1)
	r.want("over", "resolved db7 disk-space volume C: warning")
	page, err := r.store.Notifications(context.Background(), store.NotificationQuery{})
	if err != nil || page.Total != 1 {
		t.Fatal(page.Total, err)
	}
	n, err := r.store.Notification(context.Background(), page.Notifications[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"alertname": "DiskFull", "rule_id": "metric-disk-full", "server_id": db7.String(), "server": "db7", "site": "bern", "device": "volume C:", "severity": "warning", "team": "storage"} {
		if n.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, n.Labels[key], want)
		}
	}
	if n.Title != "DB7.old: C: has 4% left" || n.Annotations["runbook"] != "disk#full" {
		t.Errorf("reads %q %v", n.Title, n.Annotations)
	}
	if len(n.Evidence) != 2 || n.Evidence[0].Body != "full" || !strings.Contains(string(n.Evidence[0].Attrs), `"metric.value":"0.04"`) || !strings.Contains(string(n.Evidence[0].Attrs), "/vmui/#/?g0.") {
		t.Errorf("evidence: %+v", n.Evidence)
	}
	if r.fake.written["__name__=disk:free:ratio server=db7"] != 0.5 {
		t.Errorf("recorded: %v", r.fake.written)
	}
	found := false
	for s := range r.fake.written {
		found = found || strings.Contains(s, "__name__=ALERTS ") && strings.Contains(s, "alertstate=firing")
	}
	if !found {
		t.Errorf("ALERTS were not written: %v", r.fake.written)
	}
}

// While the store is away nothing fires and nothing is resolved, and after a
// time that is a notification of its own.
func TestStoreAway(t *testing.T) {
	r := newRig(t, disks)
	r.fake.set("kept", row("1", "server_id", db7.String()))
	r.pass(1)
	r.want("fires", "firing db7 kept  critical")
	r.fake.fail(http.StatusServiceUnavailable)
	r.pass(4)
	r.want("away for a short time", "")
	r.pass(3)
	r.want("away", "firing  metrics-store metrics store warning")
	r.start()
	r.pass(7)
	r.want("away after a restart too", "")
	r.fake.fail(0)
	r.pass(1)
	r.want("back", "resolved  metrics-store metrics store warning")
	r.fake.set("kept", "")
	r.pass(2)
	r.want("kept firing", "")
	r.pass(2)
	r.want("over", "resolved db7 kept  critical")
}

// A rule that fails holds what it has open; the others go on.
func TestRuleFails(t *testing.T) {
	r := newRig(t, disks)
	r.fake.set("full", row("0.04", "server_id", db7.String()))
	r.pass(3)
	r.want("fires", "firing db7 disk-space  warning")
	r.fake.set("full", "refuse")
	r.fake.set("kept", row("1"))
	r.pass(3)
	r.want("one fails", "firing  kept  critical")
}

func TestRestart(t *testing.T) {
	r := newRig(t, disks)
	full := row("0.04", "server_id", db7.String(), "volume", "C:")
	r.fake.set("full", full)
	r.pass(3)
	r.want("fires", "firing db7 disk-space volume C: warning")
	r.start()
	r.pass(1)
	r.want("pending again, but open", "")
	r.pass(4)
	r.want("nothing new", "")
	r.start()
	r.fake.set("full", "")
	r.pass(1)
	r.want("ended meanwhile", "resolved db7 disk-space volume C: warning")
}

// Since when an alert is pending is read back, also when that fails at first.
func TestRestoresPending(t *testing.T) {
	r := newRig(t, disks)
	alert := []string{"server_id", db7.String(), "volume", "C:"}
	r.fake.set("full", row("0.04", alert...))
	r.pass(2)
	r.want("pending for one minute", "")
	since := 0.0
	for s, v := range r.fake.written {
		if strings.Contains(s, "__name__=ALERTS_FOR_STATE") {
			since = v
		}
	}
	if since == 0 {
		t.Fatalf("ALERTS_FOR_STATE was not written: %v", r.fake.written)
	}
	q := `{__name__="ALERTS_FOR_STATE",alertname="DiskFull",class="disk-space",severity="warning",team="storage"}[3600s]`
	r.fake.set(q, fmt.Sprintf(`{"metric":{"__name__":"ALERTS_FOR_STATE","alertname":"DiskFull","class":"disk-space","severity":"warning","team":"storage","server_id":%q,"volume":"C:"},"values":[[%d,"%d"]]}`,
		db7.String(), r.now.Unix(), int64(since)))
	r.start()
	r.pass(1)
	if r.fake.asked[q] == 0 {
		t.Fatalf("asked: %v", r.fake.asked)
	}
	r.want("read back", "")
	r.pass(1)
	r.want("two minutes of being pending, the pause counts as none; without it a minute later", "firing db7 disk-space volume C: warning")
}

// Another rule's open notification of the same server, device and class speaks
// for ours as long as it lasts.
func TestFoldsIntoAnOpenOne(t *testing.T) {
	r := newRig(t, disks)
	n := notify.Notification{ID: "00000000000000aa", Server: db7, Device: "", Class: "kept", State: notify.Firing, Severity: notify.Critical, Title: "seen by event", Opened: r.now, Changed: r.now}
	r.other(store.PartitionCommit{Partition: 7, Notifications: []store.Notification{engine.Row(&n, 7)}})
	r.fake.set("kept", row("1", "server_id", db7.String()))
	r.pass(2)
	r.want("folded", "")
	r.start()
	r.pass(1)
	r.want("still folded after a restart", "")
	n.State, n.Resolved = notify.Resolved, r.now
	r.other(store.PartitionCommit{Partition: 7, Notifications: []store.Notification{engine.Row(&n, 7)}})
	r.pass(1)
	r.want("stands for itself", "firing db7 kept  critical")
	r.fake.set("kept", "")
	r.pass(5)
	r.want("over", "resolved db7 kept  critical")
}

func TestWhoseAlert(t *testing.T) {
	r := newRig(t, disks)
	r.server(record.ID{15: 9}, "old", true)
	r.fake.set("kept", strings.Join([]string{row("1", "server", "db7"), row("1", "server", "unheard-of"), row("1", "server_id", record.ID{15: 9}.String())}, ","))
	r.pass(1)
	r.want("by name, unknown, retired", "firing  kept server unheard-of critical; firing db7 kept  critical")
}

// reload takes another pack, as Run does.
func (r *rig) reload(p *Pack) {
	r.t.Helper()
	r.pack = p
	if err := r.e.Reload(r.pack); err != nil {
		r.t.Fatal(err)
	}
	groups, err := r.e.build(context.Background(), r.pack, r.e.groups)
	if err != nil {
		r.t.Fatal(err)
	}
	r.e.groups = groups
	r.k = &keeper{e: r.e, pack: r.pack}
	if err := r.k.claim(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	r := newRig(t, disks)
	r.fake.set("full", row("0.04", "server_id", db7.String()))
	r.fake.set("kept", row("1"))
	r.pass(3)
	r.want("fire", "firing  kept  critical; firing db7 disk-space  warning")
	r.reload(packOf(t, strings.Split(disks, "      - alert: Kept")[0]))
	r.want("the rule is gone", "resolved  kept  critical")
	r.pass(3)
	r.want("the other one stays", "")
}

// A rule that is switched off is not asked for, what it had open ends with why, and
// the others keep what they know; switched on it judges anew.
func TestSwitchedOff(t *testing.T) {
	r := newRig(t, disks)
	whole := r.pack
	r.fake.set("full", row("0.04", "server_id", db7.String()))
	r.fake.set("kept", row("1"))
	r.pass(2)
	r.want("one fires, the other is pending", "firing  kept  critical")
	r.reload(whole.Without(map[string]string{"metric-kept": "was switched off by ada", "gone": "is no rule"}))
	r.want("off", "resolved  kept  critical")
	page, err := r.store.Notifications(t.Context(), store.NotificationQuery{})
	if err != nil || page.Total != 1 || page.Notifications[0].Reason != "the rule metric-kept was switched off by ada" {
		t.Errorf("ended because of %q, %v", page.Notifications[0].Reason, err)
	}
	asked := r.fake.asked["kept"]
	r.pass(1)
	r.want("the other one goes on being pending", "firing db7 disk-space  warning")
	if n := r.fake.asked["kept"]; n != asked {
		t.Errorf("asked %d times while it was off", n-asked)
	}
	if s := r.e.States(); len(s) != 1 || s[0].Rule.ID != "metric-disk-full" {
		t.Errorf("carried out: %+v", s)
	}
	r.start()
	r.pass(3)
	r.want("still off after a restart", "")
	r.reload(whole.Without(nil))
	r.pass(1)
	r.want("on again", "firing  kept  critical")
}

// The series of a group, and of a rule, that is no more end at once.
func TestSeriesEndWithTheirGroup(t *testing.T) {
	second := strings.NewReplacer("name: disks", "name: others", "disk:free", "other:free", "DiskFull", "OtherFull", "alert: Kept", "alert: OtherKept").Replace(strings.TrimPrefix(disks, "groups:\n"))
	r := newRig(t, disks+second)
	r.fake.set("free", row("0.5"))
	r.fake.set("kept", row("1"))
	r.pass(2)
	ended := func() (ended, live []string) {
		r.fake.mu.Lock()
		defer r.fake.mu.Unlock()
		for series, v := range r.fake.written {
			name, _, _ := strings.Cut(strings.TrimPrefix(series, "__name__="), " ")
			if i := strings.Index(series, "alertname="); i >= 0 {
				name += " " + strings.Fields(series[i+len("alertname="):])[0]
			}
			if value.IsStaleNaN(v) {
				ended = append(ended, name)
			} else {
				live = append(live, name)
			}
		}
		slices.Sort(ended)
		slices.Sort(live)
		return ended, live
	}
	if gone, _ := ended(); len(gone) > 0 {
		t.Fatalf("ended before anything went: %v", gone)
	}
	r.pack = packOf(t, strings.Split(disks, "      - alert: Kept")[0])
	groups, err := r.e.build(t.Context(), r.pack, r.e.groups)
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(10 * time.Second)
	r.e.leave(t.Context(), r.e.groups, groups)
	gone, live := ended()
	if want := "[ALERTS OtherKept ALERTS_FOR_STATE OtherKept other:free:ratio]"; fmt.Sprint(gone) != want {
		t.Errorf("with the group ended %v, want %s", gone, want)
	}
	if want := "[ALERTS Kept ALERTS_FOR_STATE Kept disk:free:ratio]"; fmt.Sprint(live) != want {
		t.Errorf("live are %v, want %s", live, want)
	}
	r.e.groups = groups
	r.pass(1)
	if gone, _ := ended(); !slices.Contains(gone, "ALERTS Kept") || slices.Contains(gone, "disk:free:ratio") {
		t.Errorf("with the rule ended %v", gone)
	}
}

func TestFencedOff(t *testing.T) {
	r := newRig(t, disks)
	if _, err := r.store.Claim(context.Background(), store.MetricPartition, "another"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(2 * time.Minute)
	if err := r.k.look(context.Background()); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("a lease that another holds: %v", err)
	}
}
