package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"nocturne/internal/joinline"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

func (s *server) pipelineRoutes() []route {
	return []route{
		{method: "GET", path: "/pipeline", name: "pipeline", summary: "How well records flow: in, out, dropped, waiting, lag, ledger, sinks",
			result: Pipeline{}, handle: s.pipeline},
	}
}

// bridgeStatus is what we read of the bridge's GET /admin/v1/status.
type bridgeStatus struct {
	joinline.Bridge
	Probe struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	} `json:"probe"`
	Stages map[string]bridgeStage `json:"stages"`
	Stream []struct {
		Partition int    `json:"partition"`
		Head      uint64 `json:"head"`
	} `json:"stream"`
	Sinks  []bridgeSink `json:"sinks"`
	Errors []string     `json:"errors"`
}

type bridgeStage struct {
	In      int64            `json:"in"`
	Out     int64            `json:"out"`
	Waiting int64            `json:"waiting"`
	Dropped map[string]int64 `json:"dropped"`
}

type bridgeSink struct {
	Name    string           `json:"name"`
	Lag     int64            `json:"lag_entries"`
	In      int64            `json:"in_records"`
	Out     int64            `json:"out_records"`
	Waiting int64            `json:"waiting_records"`
	Dropped map[string]int64 `json:"dropped_records"`
	Store   string           `json:"store"` // "up", or the last error
}

const maxBridgeErrors = 5

// stageOrder is how records pass; a stage we do not know comes last.
var stageOrder = []string{"ingest", "otlp", "append"}

func (s *server) bridgeStatus(ctx context.Context) (*bridgeStatus, error) {
	if s.cfg.Bridge.URL == "" {
		return nil, errNoBridge
	}
	// The page waits for this answer: a bridge that hangs must not hang it.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	st := &bridgeStatus{}
	return st, s.ask(ctx, http.MethodGet, s.cfg.Bridge.URL+"/admin/v1/status", s.cfg.Bridge.TokenFile, nil, st)
}

// lateAfter is how far the ruler may be behind before the page says so. Ticks
// move stream time every second in every partition.
const lateAfter = 15 * time.Second

// recentBridge is the bridge's last answer. The page asks for the overview and
// the pipeline at once, and others may look at the same time.
type recentBridge struct {
	mu sync.Mutex
	at time.Time
	st *bridgeStatus
	e  error
}

// bridgeFor is how long an answer of the bridge is shown again.
const bridgeFor = time.Second

func (s *server) recentBridgeStatus(ctx context.Context) (*bridgeStatus, error) {
	c := &s.recent
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := s.now().Sub(c.at); c.at.IsZero() || age < 0 || age >= bridgeFor {
		// Others get this answer too: it must not end with whoever asked first.
		c.st, c.e = s.bridgeStatus(context.WithoutCancel(ctx))
		c.at = s.now()
	}
	return c.st, c.e
}

func (s *server) pipeline(r *request) (any, error) {
	p, err := s.judgedPipeline(r.ctx)
	if err != nil {
		return nil, err
	}
	p.Storage = s.storage(r.ctx)
	return *p, nil
}

func (s *server) judgedPipeline(ctx context.Context) (*Pipeline, error) {
	p, err := s.reader.Pipeline(ctx)
	if err != nil {
		return nil, err
	}
	out := &Pipeline{
		Ledger: ledgerOf(p.Ledger), StoreBytes: p.Bytes, Problems: []string{}, Stages: []Stage{}, Sinks: []Sink{},
		Partitions: mapSlice(p.Partitions, partitionOf),
	}
	st, err := s.recentBridgeStatus(ctx)
	switch {
	case errors.Is(err, errNoBridge):
	case err != nil:
		s.log.Debug("eventbridge did not answer", "err", err)
		out.Bridge = Bridge{Configured: true, Error: "no answer from its admin API"}
	default:
		out.Bridge = Bridge{Configured: true, Reachable: true}
		out.addBridge(st)
	}
	if s.cfg.Alerting != nil {
		for _, t := range s.cfg.Alerting() {
			out.Problems = append(out.Problems, alertingProblem(t))
		}
	}
	out.judge(p, s.now())
	return out, nil
}

func alertingProblem(t notify.Trouble) string {
	text := "Alertmanager at " + inline(t.Target) + " does not take notifications"
	if t.Waiting > 0 {
		text += fmt.Sprintf(", %d wait", t.Waiting)
	}
	return text + ": " + inline(t.Error)
}

func (out *Pipeline) addBridge(st *bridgeStatus) {
	names := slices.Sorted(maps.Keys(st.Stages))
	slices.SortStableFunc(names, func(a, b string) int { return stageRank(a) - stageRank(b) })
	for _, name := range names {
		g := st.Stages[name]
		out.Stages = append(out.Stages, stageOf(name, g.In, g.Out, g.Waiting, g.Dropped))
	}
	for _, k := range st.Sinks {
		sink := Sink{Name: clip(k.Name, maxName), OK: k.Store == "up", LagEntries: k.Lag}
		if !sink.OK {
			sink.Error = clip(k.Store, maxText)
		}
		out.Sinks = append(out.Sinks, sink)
		out.Stages = append(out.Stages, stageOf("sink "+k.Name, k.In, k.Out, k.Waiting, k.Dropped))
	}
	for _, e := range st.Errors[:min(len(st.Errors), maxBridgeErrors)] {
		out.Problems = append(out.Problems, "the eventbridge says: "+inline(e))
	}
	out.Bridge.ProbeOK, out.Bridge.Error = st.Probe.OK, clip(strings.Join(append(st.Errors, st.Probe.Error), " "), maxText)
	out.addHeads(st)
}

func stageRank(name string) int {
	if i := slices.Index(stageOrder, name); i >= 0 {
		return i
	}
	return len(stageOrder)
}

func stageOf(name string, in, out, waiting int64, dropped map[string]int64) Stage {
	g := Stage{Name: clip(name, maxName), In: in, Out: out, Waiting: waiting, Reasons: []Drop{}}
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		g.Dropped += dropped[reason]
		if dropped[reason] > 0 {
			g.Reasons = append(g.Reasons, Drop{Reason: clip(reason, maxName), Records: dropped[reason]})
		}
	}
	return g
}

// addHeads says how far the stream is, and how far behind it the ruler.
func (out *Pipeline) addHeads(st *bridgeStatus) {
	heads := map[int]uint64{}
	for _, p := range st.Stream {
		heads[p.Partition] = p.Head
	}
	var lag int64
	for i := range out.Partitions {
		head, ok := heads[out.Partitions[i].Partition]
		if !ok {
			continue
		}
		out.Partitions[i].Head = &head
		if head > out.Partitions[i].Entry {
			lag += int64(head - out.Partitions[i].Entry)
		}
	}
	if len(heads) > 0 {
		out.LagEntries = &lag
	}
}

// judge says what is wrong, and the whole in a sentence.
func (out *Pipeline) judge(p store.Pipeline, now time.Time) {
	var oldest time.Time
	frozen := map[string]int{}
	for _, v := range p.Partitions {
		if v.Partition >= store.FleetPartition {
			continue
		}
		out.Losses.VolumeLost += v.Losses.VolumeLost
		out.Losses.LogTruncated += v.Losses.LogTruncated
		if v.Frozen != "" {
			frozen[v.Frozen]++
		}
		if !v.StreamTime.IsZero() && (oldest.IsZero() || v.StreamTime.Before(oldest)) {
			oldest = v.StreamTime
		}
	}
	say := func(format string, args ...any) { out.Problems = append(out.Problems, fmt.Sprintf(format, args...)) }
	if out.Bridge.Configured && !out.Bridge.Reachable {
		say("the eventbridge does not answer")
	}
	if out.Bridge.Reachable && !out.Bridge.ProbeOK {
		say("the eventbridge cannot reach its own listener: %s", inline(out.Bridge.Error))
	}
	if oldest.IsZero() {
		say("the ruler has read nothing from the stream yet")
	} else {
		lag := max(0, now.Sub(oldest).Seconds())
		out.LagSeconds = &lag
		if lag > lateAfter.Seconds() {
			say("the ruler is %s behind", time.Duration(lag*float64(time.Second)).Round(time.Second))
		}
	}
	out.ClocksRun = len(frozen) == 0 && out.LagSeconds != nil && *out.LagSeconds <= lateAfter.Seconds()
	for _, why := range slices.Sorted(maps.Keys(frozen)) {
		n := frozen[why]
		say("the clock of %s stands still: %s", counted(n, "partition", "partitions"), inline(why))
	}
	for _, k := range out.Sinks {
		if !k.OK {
			say("sink %s fails: %s", inline(k.Name), inline(k.Error))
		}
	}
	if n := out.Ledger.Missing; n > 0 {
		say("%s missing and nobody said why", counted(n, "record is", "records are"))
	}
	if n := out.Losses.VolumeLost; n > 0 {
		say("the stream lost its volume %s", counted(n, "time", "times"))
	}
	if n := out.Losses.LogTruncated; n > 0 {
		say("%s deleted from the stream before the ruler read them", counted(n, "entry was", "entries were"))
	}
	out.OK = len(out.Problems) == 0
	out.Text = out.sentence()
}

func (out *Pipeline) sentence() string {
	if !out.OK {
		text := strings.Join(out.Problems, "; ")
		return strings.ToUpper(text[:1]) + text[1:] + "."
	}
	text := receivedText(out.Ledger.Received, out.Ledger.Missing, out.Ledger.Duplicate)
	if n := out.Ledger.Declared; n > 0 {
		text += fmt.Sprintf(", %d declared lost by their sources", n)
	}
	if out.LagSeconds != nil {
		text += fmt.Sprintf(", %.0f s behind", *out.LagSeconds)
	}
	return text + "."
}

func ledgerOf(l store.LedgerTotals) Ledger {
	return Ledger{Received: l.Received, Duplicate: l.Duplicate, Late: l.Late, Declared: l.Declared, Missing: l.Missing, Rejected: l.Rejected, Sequences: l.Sequences}
}

func partitionOf(p store.PartitionStatus) Partition {
	return Partition{
		Partition: p.Partition, Owner: p.Owner, Incarnation: p.Position.Incarnation, Entry: p.Position.Entry,
		StreamTime: at(p.StreamTime), Clock: at(p.Clock), CommittedAt: at(p.Committed), Frozen: clip(p.Frozen, maxText), Ledger: ledgerOf(p.Ledger),
	}
}
