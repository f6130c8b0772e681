package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"nocturne/exporter/source/heartbeat"
	"nocturne/internal/record"
)

// saved is what a simulated server's journal keeps.
type saved struct {
	Server     record.ID                  `json:"server"`
	Credential string                     `json:"credential"`
	Epoch      record.EpochRef            `json:"epoch"`
	Prev       record.EpochRef            `json:"prev"`
	Seqs       map[record.Category]uint64 `json:"seqs"`      // last of the epoch
	PrevSeqs   map[record.Category]uint64 `json:"prev_seqs"` // last of the one before
	Last       place                      `json:"last"`
	Machine    State                      `json:"machine"`
}

// agent plays one server's exporter: it numbers what the machine makes, keeps
// it until the bridge has it, and sends it.
type agent struct {
	sim    *Sim
	spec   Spec
	log    *slog.Logger
	bridge *bridge
	wake   chan struct{} // one token: something waits to be sent
	kick   chan struct{} // one token: an incident began

	mu      sync.Mutex
	m       *Machine
	s       saved
	j       *journal
	out     [][]byte // frames that wait, oldest first
	recent  [][]byte // frames stored lately, to be sent again when the stream lost them
	refused bool
	dropped uint64
	err     error // the last of sending, nil when it went well
}

const (
	maxWaiting = 20000 // frames; further records are not made
	keepRecent = 256   // frames
	maxBatch   = 64    // frames of one request
	maxBody    = 2 << 20
)

// openAgent reads a server's journal.
func (s *Sim) openAgent(spec Spec) (*agent, error) {
	a := &agent{
		sim: s, spec: spec, log: s.cfg.Log.With("server", spec.Name), bridge: &bridge{s.cfg.Bridge, s.cfg.Client},
		wake: make(chan struct{}, 1), kick: make(chan struct{}, 1),
	}
	j, state, frames, err := openJournal(filepath.Join(s.cfg.Dir, spec.Name+".journal"))
	if err != nil {
		return nil, err
	}
	a.j, a.out = j, frames
	var old *State
	if state != nil {
		if err := json.Unmarshal(state, &a.s); err != nil {
			return nil, errors.Join(fmt.Errorf("read simulated server %s: %w", spec.Name, err), j.close())
		}
		old = &a.s.Machine
	}
	if a.s.Seqs == nil {
		a.s.Seqs = map[record.Category]uint64{}
	}
	a.m = NewMachine(spec, s.cfg.Settings, s.cfg.Seed, old)
	return a, nil
}

// run plays the server until ctx ends, then says goodbye.
func (a *agent) run(ctx context.Context) error {
	if err := a.enrol(ctx); err != nil {
		return err
	}
	if err := a.do(func(now time.Time) ([]Output, []Turn) { return a.m.Start(now), nil }); err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.send(ctx) })
	if a.sim.cfg.Metrics > 0 {
		wg.Go(func() { a.push(ctx) })
	}
	err := a.live(ctx)
	wg.Wait()
	if err == nil {
		err = a.goodbye()
	}
	return err
}

// live steps the machine whenever something is due.
func (a *agent) live(ctx context.Context) error {
	for {
		if err := a.do(a.m.Step); err != nil {
			return err
		}
		a.mu.Lock()
		next := a.m.Next()
		if a.s.Credential == "" { // enrolling anew: the machine stands still
			next = time.Now().Add(200 * time.Millisecond)
		}
		a.mu.Unlock()
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-a.kick:
			t.Stop()
		case <-t.C:
		}
	}
}

// enrol joins, once in the server's life. A name that cannot join is tried
// again: the bridge may not be up yet.
func (a *agent) enrol(ctx context.Context) error {
	for attempt := 0; a.s.Credential == ""; attempt++ {
		token, err := a.sim.cfg.JoinToken(ctx, a.spec)
		var e enrolled
		if err == nil {
			e, err = a.bridge.enrol(ctx, token, &a.spec)
		}
		if err == nil {
			a.mu.Lock()
			a.s.Server, a.s.Credential = e.ServerID, e.Credential
			err = a.save()
			a.mu.Unlock()
			if err != nil {
				return err
			}
			a.sim.acct.add(line{What: "enrolled", Server: a.spec.Name, ServerID: e.ServerID.String()})
			return nil
		}
		a.mu.Lock()
		a.err = err
		a.mu.Unlock()
		if attempt == 5 {
			a.log.Warn("simulated server cannot enrol, trying on", "err", err)
		}
		if !pause(ctx, attempt) {
			return nil
		}
	}
	return nil
}

// do runs a piece of the machine's life and keeps what comes of it.
func (a *agent) do(life func(now time.Time) ([]Output, []Turn)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.s.Credential == "" {
		return nil
	}
	now := time.Now()
	outs, turns := life(now)
	if len(outs) == 0 && len(turns) == 0 {
		return nil
	}
	if len(a.out) > maxWaiting {
		a.dropped += uint64(len(outs))
		outs = nil
	}
	if err := a.number(outs, now); err != nil {
		return err
	}
	for _, t := range turns {
		a.log.Info("simulated incident", "kind", t.Incident.Kind, "step", t.Step)
		a.sim.acct.add(line{What: "step", Server: a.spec.Name, ServerID: a.s.Server.String(), Incident: t.Incident.ID, Kind: t.Incident.Kind, Step: t.Step, Over: t.Over, At: t.At})
	}
	if err := a.save(); err != nil {
		return err
	}
	if err := a.compact(); err != nil {
		return err
	}
	notify(a.wake)
	return nil
}

// number makes frames of outputs: neighbours of one category share one.
func (a *agent) number(outs []Output, now time.Time) error {
	for len(outs) > 0 {
		if outs[0].Epoch {
			a.newEpoch(outs[0].Record.Observed)
		}
		n := 1
		for n < len(outs) && outs[n].Category == outs[0].Category && !outs[n].Epoch {
			n++
		}
		recs := make([]record.Record, n)
		for i := range recs {
			recs[i] = outs[i].Record
		}
		c := outs[0].Category
		first := a.s.Seqs[c] + 1
		h := record.Header{
			Kind: record.FrameData, Producer: record.ExporterProducer(a.s.Server), Subject: a.s.Server, Category: c,
			Epoch: record.Epoch{EpochRef: a.s.Epoch, Prev: a.s.Prev, PrevLast: a.s.PrevSeqs[c]}, First: first, Last: first + uint64(n) - 1, Sent: now.UnixNano(),
		}
		frame, err := record.EncodeData(h, recs)
		if err != nil {
			return fmt.Errorf("simulated server %s: %w", a.spec.Name, err)
		}
		a.s.Seqs[c] = h.Last
		a.out = append(a.out, frame)
		a.j.add(entryFrame, frame)
		a.sim.count(&a.sim.totals.Sent, uint64(n))
		a.sim.acct.add(line{What: "sent", Server: a.spec.Name, ServerID: a.s.Server.String(), Category: c.String(), Epoch: a.s.Epoch.String(), First: h.First, Last: h.Last})
		outs = outs[n:]
	}
	return nil
}

// newEpoch begins an epoch. Its random number follows from the seed and the
// count of starts, so that one seed gives one story.
func (a *agent) newEpoch(at time.Time) {
	a.s.Prev, a.s.PrevSeqs = a.s.Epoch, a.s.Seqs
	r := rng(a.sim.cfg.Seed, a.spec.Index, fmt.Sprint("epoch ", a.m.st.Starts))
	a.s.Epoch = record.EpochRef{Start: at.UnixNano(), Random: r.Uint64()}
	a.s.Seqs = map[record.Category]uint64{}
}

// save writes the state, and the frames added before it, in one piece.
func (a *agent) save() error {
	a.s.Machine = a.m.State()
	b, err := json.Marshal(a.s)
	if err != nil {
		return fmt.Errorf("encode simulated server %s: %w", a.spec.Name, err)
	}
	a.j.add(entryState, b)
	return a.j.commit()
}

func (a *agent) compact() error {
	b, err := json.Marshal(a.s)
	if err != nil {
		return fmt.Errorf("encode simulated server %s: %w", a.spec.Name, err)
	}
	return a.j.compact(b, a.out)
}

// goodbye says that the simulator stops, and gives it a moment to arrive.
func (a *agent) goodbye() error {
	a.mu.Lock()
	gone := a.m.st.Off || a.m.st.Cut || a.s.Credential == ""
	a.mu.Unlock()
	if gone {
		return a.j.close()
	}
	err := a.do(func(now time.Time) ([]Output, []Turn) {
		return []Output{{Category: record.Heartbeat, Record: heartbeat.Goodbye(heartbeat.Cause{Reason: heartbeat.ReasonStop}, now)}}, nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for err == nil && a.waiting() > 0 {
		if a.sendOnce(ctx) != nil {
			break // it waits in the journal
		}
	}
	return errors.Join(err, a.j.close())
}

func (a *agent) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.out)
}

// send sends until ctx ends.
func (a *agent) send(ctx context.Context) {
	hello := true
	for attempt := 0; ; {
		err := a.sayHello(ctx, &hello)
		if err == nil {
			err = a.sendOnce(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errStranger) {
			err = a.rejoin(ctx)
		}
		a.mu.Lock()
		a.err = err
		idle := len(a.out) == 0 || a.m.st.Cut
		if errors.Is(err, errRefused) {
			a.refused = true
		}
		gone := a.refused
		a.mu.Unlock()
		if gone {
			a.log.Warn("simulated server is not wanted any more", "err", err)
			return
		}
		if err != nil {
			hello = true
			if !pause(ctx, attempt) {
				return
			}
			attempt++
			continue
		}
		attempt = 0
		if idle {
			select {
			case <-ctx.Done():
				return
			case <-a.wake:
			}
		}
	}
}

// rejoin enrols anew under a new id; what waited under the old one has nobody
// to go to.
func (a *agent) rejoin(ctx context.Context) error {
	a.log.Warn("the bridge does not know this simulated server any more; it enrols anew")
	a.mu.Lock()
	a.s = saved{Machine: a.m.State(), Seqs: map[record.Category]uint64{}}
	a.out, a.recent = nil, nil
	a.j.add(entryReset, nil)
	err := a.save()
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if err := a.enrol(ctx); err != nil {
		return err
	}
	return a.do(func(now time.Time) ([]Output, []Turn) { return a.m.Start(now), nil })
}

// sayHello asks, after a break, whether the stream still has what it had.
func (a *agent) sayHello(ctx context.Context, due *bool) error {
	a.mu.Lock()
	cut, credential, epoch, last := a.m.st.Cut, a.s.Credential, a.s.Epoch, a.s.Last
	producer := record.ExporterProducer(a.s.Server)
	a.mu.Unlock()
	if !*due || cut {
		return nil
	}
	rewind, err := a.bridge.hello(ctx, credential, producer, epoch, last)
	if err != nil {
		return err
	}
	*due = false
	if rewind {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.log.Warn("the stream lost what it had acknowledged, sending again", "frames", len(a.recent))
		a.out = append(append([][]byte(nil), a.recent...), a.out...)
		a.recent, a.s.Last = nil, place{}
		a.j.add(entryReset, nil)
		for _, f := range a.out {
			a.j.add(entryFrame, f)
		}
		return a.save()
	}
	return nil
}

// sendOnce sends one request with what waits longest.
func (a *agent) sendOnce(ctx context.Context) error {
	a.mu.Lock()
	if a.m.st.Cut || len(a.out) == 0 {
		a.mu.Unlock()
		return nil
	}
	var body []byte
	n := 0
	now := time.Now().UnixNano()
	for n < len(a.out) && n < maxBatch && (n == 0 || len(body)+len(a.out[n]) <= maxBody) {
		from := len(body)
		body = append(body, a.out[n]...)
		if err := record.Stamp(body[from:], now); err != nil {
			a.mu.Unlock()
			return fmt.Errorf("stamp frame: %w", err)
		}
		n++
	}
	credential := a.s.Credential
	a.mu.Unlock()
	results, err := a.bridge.frames(ctx, credential, body)
	if err != nil {
		return err
	}
	return a.answered(results[:min(n, len(results))])
}

// answered takes the stored frames out, as far as no other one is before them.
func (a *agent) answered(results []result) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := 0
	var busy error
	for i, r := range results {
		h, _, err := record.DecodeHeader(a.out[i])
		if err != nil {
			return fmt.Errorf("own frame: %w", err)
		}
		switch r.Status {
		case statusStored:
			a.s.Last = r.place
			a.sim.count(&a.sim.totals.Acked, h.Len())
			a.sim.acct.add(line{What: "acked", Server: a.spec.Name, ServerID: a.s.Server.String(), Category: h.Category.String(), Epoch: h.Epoch.EpochRef.String(), First: h.First, Last: h.Last, Partition: r.Partition, Entry: r.Entry})
		case statusRefused:
			a.log.Error("the bridge refused a frame", "reason", r.Reason, "err", r.Error)
			a.sim.count(&a.sim.totals.Refused, h.Len())
			a.sim.acct.add(line{What: "refused", Server: a.spec.Name, ServerID: a.s.Server.String(), Category: h.Category.String(), Epoch: h.Epoch.EpochRef.String(), First: h.First, Last: h.Last, Step: r.Reason})
		default:
			busy = fmt.Errorf("the bridge is busy: %s", r.Error)
		}
		if busy != nil {
			break
		}
		done++
	}
	if done > 0 {
		a.recent = append(a.recent, a.out[:done]...)
		if over := len(a.recent) - keepRecent; over > 0 {
			a.recent = append([][]byte(nil), a.recent[over:]...)
		}
		a.out = append([][]byte(nil), a.out[done:]...)
		a.j.add(entryAcked, appendUvarint(done))
		if err := a.save(); err != nil {
			return err
		}
	} else if busy == nil {
		busy = errors.New("the bridge answered about no frame")
	}
	return busy
}

// push sends metrics, best effort, as an exporter does.
func (a *agent) push(ctx context.Context) {
	t := time.NewTicker(a.sim.cfg.Metrics)
	defer t.Stop()
	// Not all at once.
	if !pauseFor(ctx, rand.N(a.sim.cfg.Metrics)) {
		return
	}
	for {
		a.mu.Lock()
		on := !a.m.st.Off && !a.m.st.Cut && !a.refused
		credential, boot := a.s.Credential, a.m.st.Boot
		a.mu.Unlock()
		if on {
			body, err := remoteWrite(samples(&a.spec, time.Now(), boot))
			if err == nil {
				err = a.bridge.metrics(ctx, credential, body)
			}
			if err != nil && ctx.Err() == nil {
				a.log.Debug("metrics were not taken", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// begin starts an incident on this server.
func (a *agent) begin(kind, id string) (Incident, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.s.Credential == "" {
		return Incident{}, fmt.Errorf("%w: %s is still enrolling", errBusy, a.spec.Name)
	}
	if a.m.st.Off {
		return Incident{}, fmt.Errorf("%w: %s is off", errBusy, a.spec.Name)
	}
	i, err := a.m.Begin(kind, id, time.Now())
	if err != nil {
		return i, err
	}
	notify(a.kick)
	return i, nil
}
