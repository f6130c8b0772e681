package notify

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
)

// target is one Alertmanager: a queue with one slot per notification, worked
// off by one goroutine, so that of one notification one request is in flight.
type target struct {
	s    *Sender
	base string // with credentials
	name string // without
	wake chan struct{}

	quiet silencing

	mu       sync.Mutex
	queue    map[string]*waiting
	news     []string // ids of the queue in the order in which they changed
	repeats  []string // ids of the queue that are only told again
	later    []string // ids of the queue that have to wait
	told     map[string]*told
	watchdog bool
	stuck    string // why the ruler is; "" = it is not
	postErr  error  // of the last request; nil = it was taken
	probeErr error  // of the last probe
}

// waiting is a notification that the target has to hear of.
type waiting struct {
	Notification
	news     bool      // for the latency: changed just now, not repeated
	notUntil time.Time // its end waits until the beginning has left
	delayed  bool      // its name is among later
	attempts int
	first    time.Time
}

// told is what the target accepted of a notification.
type told struct {
	firing   time.Time // when it first accepted that it fires; zero = never
	resolved time.Time // last time that it accepted the end
	version  uint64
	sets     int       // label sets beyond the first that it accepted
	seen     time.Time // when the stored table last listed it, or it was sent
	loaded   bool      // what the store knew of it is in
}

func newTarget(raw string, s *Sender) *target {
	t := &target{s: s, base: strings.TrimRight(raw, "/"), name: raw, wake: make(chan struct{}, 1), queue: map[string]*waiting{}, told: map[string]*told{},
		quiet: silencing{wake: make(chan struct{}, 1), results: map[string]string{}}}
	if u, err := url.Parse(raw); err == nil {
		u.User = nil
		t.name = u.String()
	}
	return t
}

func (t *target) wakeUp() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// put queues a notification unless a newer version waits already.
func (t *target) put(d Desired, news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enqueue(d, news)
}

func (t *target) enqueue(d Desired, news bool) {
	k := t.known(&d, news)
	w := t.queue[d.ID]
	switch {
	case w == nil && !news && d.State == Resolved && (k.firing.IsZero() || !k.resolved.IsZero()) && time.Since(d.Resolved) > resolvedFor:
		return // listed for another target, which has to hear the end
	case w == nil:
		t.list(&waiting{Notification: d.Notification, news: news})
	case d.Version < w.Version:
		return
	default:
		if d.State != w.State {
			w.attempts, w.first, w.notUntil = 0, time.Time{}, time.Time{}
		}
		w.Notification, w.news = d.Notification, w.news || news
		if news {
			t.list(w) // once more: it overtakes what is only repeated
		}
	}
}

// known returns what the target accepted of a notification, as we know it and,
// the first time, as the store does.
func (t *target) known(d *Desired, news bool) *told {
	k := t.record(d.ID, time.Now())
	if news || k.loaded {
		return k
	}
	k.loaded = true
	for i := range d.Accepted {
		a := &d.Accepted[i]
		switch {
		case a.Target != t.name || a.Error != "":
		case a.State == Firing && k.firing.IsZero():
			k.firing = a.At
		case a.State == Resolved && k.resolved.IsZero():
			k.resolved = a.At
		default:
			k.sets = max(k.sets, a.State.Escalated())
		}
	}
	return k
}

// record returns what the target accepted of a notification that is dealt with
// now: it is not forgotten while it is on its way, in neither queue nor answer.
func (t *target) record(id string, now time.Time) *told {
	k := t.told[id]
	if k == nil {
		k = &told{}
		t.told[id] = k
	}
	k.seen = now
	return k
}

// list puts a notification into the queue and names it where take looks. A
// name whose notification is gone by then is passed over.
func (t *target) list(w *waiting) {
	t.queue[w.ID] = w
	if w.news {
		t.news = append(t.news, w.ID)
	} else {
		t.repeats = append(t.repeats, w.ID)
	}
}

// refresh queues the whole desired state and forgets what is long over.
func (t *target) refresh(rows []Desired) {
	t.mu.Lock()
	now := time.Now()
	for i := range rows {
		t.enqueue(rows[i], false)
	}
	for id, k := range t.told {
		if t.queue[id] == nil && now.Sub(k.seen) > 2*resolvedFor {
			delete(t.told, id)
		}
	}
	t.watchdog = true
	t.mu.Unlock()
	t.wakeUp()
}

// clear empties the queue of a process that is not the owner.
func (t *target) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.queue)
	t.news, t.repeats, t.later, t.watchdog, t.stuck = nil, nil, nil, false, ""
}

// setStuck has it told, once a minute, that the ruler is stuck.
func (t *target) setStuck(why string) {
	t.mu.Lock()
	t.stuck = why
	t.mu.Unlock()
	if why != "" {
		t.wakeUp()
	}
}

// batch is what one request carries.
type batch struct {
	rows     []*waiting
	as       []State // how each is told: an end whose beginning was never told is told as firing first
	watchdog bool
	stuck    string
}

func (b *batch) empty() bool { return len(b.rows) == 0 && !b.watchdog && b.stuck == "" }

// take picks what is due, news first, and says how long to wait for the rest.
func (t *target) take(now time.Time, limit int) (b batch, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ripe(now)
	t.news = t.pop(&b, t.news, now, limit)
	t.repeats = t.pop(&b, t.repeats, now, limit)
	wait = round
	for _, id := range t.later {
		if w := t.queue[id]; w != nil {
			wait = min(wait, max(w.notUntil.Sub(now), 0))
		}
	}
	b.watchdog, t.watchdog = t.watchdog, false
	b.stuck, t.stuck = t.stuck, ""
	return b, wait
}

// ripe makes news of what has waited long enough.
func (t *target) ripe(now time.Time) {
	waiting := t.later[:0]
	for _, id := range t.later {
		switch w := t.queue[id]; {
		case w == nil:
		case w.notUntil.After(now):
			waiting = append(waiting, id)
		default:
			w.delayed = false
			t.news = append(t.news, id)
		}
	}
	t.later = waiting
}

// pop moves names from a list into the batch and returns the rest of the list.
func (t *target) pop(b *batch, names []string, now time.Time, limit int) []string {
	for len(names) > 0 && len(b.rows) < limit {
		id := names[0]
		names = names[1:]
		w := t.queue[id]
		if w == nil {
			continue
		}
		k := t.record(id, now)
		as := w.State
		if as == Resolved && k.resolved.IsZero() {
			switch {
			case k.firing.IsZero():
				as = Firing
			case now.Sub(k.firing) < settle:
				w.notUntil = k.firing.Add(settle)
			}
		}
		if w.notUntil.After(now) {
			if !w.delayed {
				w.delayed = true
				t.later = append(t.later, id)
			}
			continue
		}
		b.rows, b.as = append(b.rows, w), append(b.as, as)
		delete(t.queue, id)
	}
	if len(names) == 0 {
		return nil
	}
	return names
}

// accepted notes that the target took a batch, and returns the results.
func (t *target) accepted(b batch, now time.Time) []Delivery {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Delivery, 0, len(b.rows))
	for i, w := range b.rows {
		k := t.record(w.ID, now)
		known := k.version == w.Version && (b.as[i] == Firing && !k.firing.IsZero() || b.as[i] == Resolved && !k.resolved.IsZero())
		if b.as[i] == Firing {
			if k.firing.IsZero() {
				k.firing = now
			}
		} else {
			k.resolved = now
		}
		k.version, k.loaded = w.Version, true // from now on we know better than the store
		if !known || w.attempts > 0 {
			out = append(out, t.result(w, b.as[i], now, ""))
		}
		for ; b.as[i] == Firing && k.sets < len(w.Escalations); k.sets++ {
			d := t.result(w, EscalatedState(k.sets+1), now, "")
			d.First = now // attempts at an earlier set are not its own
			out = append(out, d)
		}
		if b.as[i] != w.State && t.queue[w.ID] == nil { // the end is still to be told
			t.list(&waiting{Notification: w.Notification, news: w.news, notUntil: k.firing.Add(settle)})
		}
	}
	return out
}

// requeue puts a batch back as it was, unless something newer waits.
func (t *target) requeue(b batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range b.rows {
		if t.queue[w.ID] == nil {
			t.list(w)
		}
	}
	t.watchdog = t.watchdog || b.watchdog
	t.stuck = cmp.Or(t.stuck, b.stuck)
}

// failed puts a batch back and returns what is worth storing: the first
// failure of a row; the success will tell the number of attempts.
func (t *target) failed(b batch, now time.Time, reason string) []Delivery {
	out := t.refused(b, now, reason)
	t.requeue(b)
	return out
}

// refused drops a batch: trying again does not help. The next round will try
// all the same, so nothing is lost by a mistake of the other side.
func (t *target) refused(b batch, now time.Time, reason string) []Delivery {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Delivery
	for i, w := range b.rows {
		if w.attempts == 0 {
			w.first = now
			out = append(out, t.result(w, b.as[i], now, reason))
		}
		w.attempts++
	}
	return out
}

func (t *target) result(w *waiting, as State, now time.Time, reason string) Delivery {
	first := w.first
	if first.IsZero() {
		first = now
	}
	return Delivery{Notification: w.ID, Target: t.name, State: as, Version: w.Version, First: first, At: now, Attempts: w.attempts + 1, Error: reason}
}

// restarted is called when the Alertmanager is another process than before. It
// knows no alert any more, and may have died with a beginning that it accepted
// and told nobody. An end that it died with needs no such care: its log says
// that people were told of the beginning, so the end alone makes it tell the end.
func (t *target) restarted(lastGood time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	doubtful := lastGood.Add(-settle)
	for _, k := range t.told {
		if k.resolved.IsZero() && k.firing.After(doubtful) {
			k.firing = time.Time{}
		}
	}
	for _, w := range t.queue {
		w.notUntil = time.Time{} // what it waited for may be undone
	}
}

// posted and probed note how the last request and the last probe went.
func (t *target) posted(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.postErr = err
}

func (t *target) probed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probeErr = err
}

func (t *target) trouble() (Trouble, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.postErr
	if err == nil {
		err = t.probeErr
	}
	if err == nil {
		return Trouble{}, false
	}
	return Trouble{Target: t.name, Error: err.Error(), Waiting: len(t.queue)}, true
}

func (t *target) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}

// run sends what waits, one request at a time.
func (t *target) run(ctx context.Context) error {
	timer := time.NewTimer(round)
	defer timer.Stop()
	failures := 0
	for {
		wait, err := t.drain(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			t.posted(err)
			failures++
			wait = backoff(failures)
			t.s.opts.Log.Warn("alertmanager does not take notifications", "target", t.name, "waiting", t.waiting(), "retry_in", wait, "err", err)
		default:
			failures = 0
		}
		timer.Reset(wait)
		wake := t.wake
		if failures > 0 {
			wake = nil // the timer says when
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-wake:
		}
	}
}

// backoff doubles with every failure in a row.
func backoff(failures int) time.Duration {
	d := minBackoff << min(failures-1, 10)
	return min(d, maxBackoff)
}

// drain sends until nothing is due, and says when something will be.
func (t *target) drain(ctx context.Context) (time.Duration, error) {
	limit := maxBatch
	for {
		b, wait := t.take(time.Now(), limit)
		if b.empty() {
			return wait, nil
		}
		if !t.s.opts.Owns() {
			return wait, nil // the new owner sends it
		}
		t.liftEnded(ctx, b)
		err := t.post(ctx, b)
		now := time.Now()
		switch {
		case err == nil:
			t.posted(nil)
			t.note(ctx, t.accepted(b, now))
			t.s.metrics.handed(b, now)
			limit = maxBatch
		case errors.Is(err, errRefused) && len(b.rows) > 1:
			// Alertmanager took the valid ones and does not say which: one by one.
			t.requeue(b)
			limit = 1
		case errors.Is(err, errRefused) && len(b.rows) == 0:
			return 0, err // the watchdog: not ours to mend
		case errors.Is(err, errRefused):
			t.posted(nil) // it takes the others
			t.note(ctx, t.refused(b, now, err.Error()))
			t.s.metrics.refused.Inc()
			t.s.opts.Log.Error("alertmanager refuses a notification", "target", t.name, "notification", b.rows[0].ID, "err", err)
		default:
			t.note(ctx, t.failed(b, now, err.Error()))
			return 0, err
		}
	}
}

// note stores results. Losing some costs a repeated request.
func (t *target) note(ctx context.Context, results []Delivery) {
	if len(results) == 0 {
		return
	}
	if err := t.s.opts.Source.Delivered(ctx, results); err != nil && ctx.Err() == nil {
		t.s.opts.Log.Warn("store delivery results", "target", t.name, "results", len(results), "err", err)
	}
}
