package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Silencer is what people have asked not to hear of. It must be safe for
// concurrent use.
type Silencer interface {
	// Silences returns those that every Alertmanager should have now. What is
	// not among them is lifted.
	Silences(ctx context.Context) ([]Silence, error)
	// Silenced notes results, each when it changed.
	Silenced(ctx context.Context, results []SilenceResult) error
}

// Silence keeps the alerts that it matches from being told.
type Silence struct {
	ID string // ours; Alertmanager makes its own
	// Ended names the notification whose end lifts it, before that end is
	// handed over: people hear that it is over. "" = it stays until Ends.
	Ended    string
	Matchers []Matcher
	Starts   time.Time
	Ends     time.Time // zero = until it is lifted
	By       string
	Comment  string
}

// Matcher is a condition on a label, as Alertmanager writes it.
type Matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual bool   `json:"isEqual"`
}

// SilenceResult is how an Alertmanager took a silence.
type SilenceResult struct {
	Silence string
	Target  string // URL without credentials
	At      time.Time
	Error   string // empty = it has it
}

// remoteSilence is a gettableSilence or a postableSilence of API v2.
type remoteSilence struct {
	ID        string    `json:"id,omitempty"`
	Matchers  []Matcher `json:"matchers"`
	StartsAt  time.Time `json:"startsAt"`
	EndsAt    time.Time `json:"endsAt"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
	Status    *struct {
		State string `json:"state"`
	} `json:"status,omitempty"`
}

// Our mark at the end of a comment tells which silences at an Alertmanager are
// ours, also in a cluster whose members tell each other.
const silenceMark = " [nocturne "

func marked(comment string) string {
	i := strings.LastIndex(comment, silenceMark)
	if i < 0 || !strings.HasSuffix(comment, "]") {
		return ""
	}
	return comment[i+len(silenceMark) : len(comment)-1]
}

const (
	maxSilences    = 32 << 20        // bytes of an Alertmanager's list
	silenceRetry   = 5 * time.Second // after a failure
	silenceRefresh = horizon / 2     // left of one without an end when it is prolonged
)

// silencing is a target's view of silences.
type silencing struct {
	wake chan struct{}

	mu      sync.Mutex          // held while it is made to agree, so that an end waits
	ended   map[string][]string // notification → ids at the Alertmanager, to be lifted at its end
	results map[string]string   // ours → the result that was noted
}

// SilencesChanged makes every Alertmanager agree at once. It never blocks.
func (s *Sender) SilencesChanged() {
	for _, t := range s.targets {
		t.silencesChanged()
	}
}

func (t *target) silencesChanged() {
	select {
	case t.quiet.wake <- struct{}{}:
	default:
	}
}

// silence makes the Alertmanager agree every minute, and when told to.
func (t *target) silence(ctx context.Context) error {
	if t.s.opts.Silences == nil {
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-t.quiet.wake:
		}
		wait := round
		if t.s.opts.Owns() {
			if err := t.agree(ctx); err != nil && ctx.Err() == nil {
				t.s.opts.Log.Warn("alertmanager does not have the silences that it should", "target", t.name, "err", err)
				wait = silenceRetry
			}
		}
		timer.Reset(wait)
	}
}

// agree compares what is wanted with what is there, and mends it.
func (t *target) agree(ctx context.Context) error {
	t.quiet.mu.Lock()
	defer t.quiet.mu.Unlock()
	return t.agreeLocked(ctx)
}

func (t *target) agreeLocked(ctx context.Context) error {
	q := &t.quiet
	want, err := t.s.opts.Silences.Silences(ctx)
	if err != nil {
		return fmt.Errorf("read silences: %w", err)
	}
	have, err := t.silences(ctx)
	var results []SilenceResult
	note := func(w *Silence, err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if before, ok := q.results[w.ID]; !ok || before != text {
			q.results[w.ID] = text
			results = append(results, SilenceResult{Silence: w.ID, Target: t.name, At: time.Now(), Error: text})
		}
	}
	ended := map[string][]string{}
	wanted := map[string]bool{}
	errs := []error{err}
	for i := range want {
		w := &want[i]
		wanted[w.ID] = true
		if err == nil {
			ids, failed := t.ensure(ctx, w, have[w.ID])
			if w.Ended != "" {
				ended[w.Ended] = append(ended[w.Ended], ids...)
			}
			errs = append(errs, failed)
			note(w, failed)
			continue
		}
		note(w, err)
	}
	if err == nil {
		q.ended = ended
		errs = append(errs, t.liftOthers(ctx, have, wanted))
	}
	for id := range q.results {
		if !wanted[id] {
			delete(q.results, id)
		}
	}
	if len(results) > 0 {
		errs = append(errs, t.s.opts.Silences.Silenced(ctx, results))
	}
	return errors.Join(errs...)
}

// silences lists those of ours that the Alertmanager has, by our id.
func (t *target) silences(ctx context.Context) (map[string][]remoteSilence, error) {
	b, err := t.callUpTo(ctx, http.MethodGet, "/api/v2/silences?expired=false", nil, maxSilences)
	if err != nil {
		return nil, err
	}
	var list []remoteSilence
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read silences of %s: %w", t.name, err)
	}
	have := map[string][]remoteSilence{}
	for _, r := range list {
		if id := marked(r.Comment); id != "" && (r.Status == nil || r.Status.State != "expired") {
			have[id] = append(have[id], r)
		}
	}
	return have, nil
}

// ensure makes sure that one silence is there, and once is enough.
func (t *target) ensure(ctx context.Context, w *Silence, have []remoteSilence) (ids []string, err error) {
	now := time.Now()
	p := remoteSilence{Matchers: w.Matchers, StartsAt: w.Starts, EndsAt: w.Ends, CreatedBy: w.By, Comment: w.Comment + silenceMark + w.ID + "]"}
	if p.StartsAt.Before(now) {
		p.StartsAt = now
	}
	if w.Ends.IsZero() {
		p.EndsAt = now.Add(horizon)
	}
	for _, r := range have {
		ids = append(ids, r.ID)
	}
	for _, r := range have {
		switch {
		case !sameMatchers(r.Matchers, w.Matchers):
			continue
		case w.Ends.IsZero() && r.EndsAt.Sub(now) >= silenceRefresh, !w.Ends.IsZero() && r.EndsAt.Sub(w.Ends).Abs() < time.Second:
			return ids, nil
		}
		p.ID = r.ID
		if r.StartsAt.Before(now) {
			p.StartsAt = r.StartsAt // of an active one it must not change
		}
		break
	}
	body, err := json.Marshal(p)
	if err != nil {
		return ids, fmt.Errorf("encode silence: %w", err)
	}
	answer, err := t.call(ctx, http.MethodPost, "/api/v2/silences", body)
	t.s.metrics.silence(err)
	if err != nil {
		return ids, err
	}
	var made struct {
		ID string `json:"silenceID"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.ID == "" {
		return ids, fmt.Errorf("read answer of %s to a silence: %.100q", t.name, answer)
	}
	if !slices.Contains(ids, made.ID) {
		ids = append(ids, made.ID)
	}
	return ids, nil
}

// liftOthers ends what is ours and not wanted any more.
func (t *target) liftOthers(ctx context.Context, have map[string][]remoteSilence, wanted map[string]bool) error {
	var errs []error
	for id, list := range have {
		if wanted[id] {
			continue
		}
		for _, r := range list {
			errs = append(errs, t.expire(ctx, r.ID))
		}
	}
	return errors.Join(errs...)
}

// expire ends a silence at the Alertmanager; one that it lost is ended too.
func (t *target) expire(ctx context.Context, id string) error {
	_, err := t.call(ctx, http.MethodDelete, "/api/v2/silence/"+url.PathEscape(id), nil)
	if errors.Is(err, errGone) {
		err = nil
	}
	t.s.metrics.silence(err)
	return err
}

// liftEnded ends the silences of notifications whose end is about to be handed
// over. What is being made meanwhile it waits for: the store knows of the end,
// so nothing makes it anew. Where it fails the end may be muted; it is told
// again every minute, and the silence goes with the next try.
func (t *target) liftEnded(ctx context.Context, b batch) {
	if t.s.opts.Silences == nil || !slices.Contains(b.as, Resolved) {
		return
	}
	q := &t.quiet
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	if q.ended == nil { // we do not know yet what is there
		errs = append(errs, t.agreeLocked(ctx))
	}
	for i, w := range b.rows {
		if b.as[i] != Resolved {
			continue
		}
		for _, id := range q.ended[w.ID] {
			errs = append(errs, t.expire(ctx, id))
		}
		delete(q.ended, w.ID)
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		t.s.opts.Log.Warn("silences of what is over not lifted", "target", t.name, "err", err)
		t.silencesChanged()
	}
}

// sameMatchers compares without order: Alertmanager keeps its own.
func sameMatchers(a, b []Matcher) bool {
	if len(a) != len(b) {
		return false
	}
	for _, m := range a {
		if !slices.Contains(b, m) {
			return false
		}
	}
	return true
}
