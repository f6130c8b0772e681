package operator

import (
	"fmt"
	"slices"
	"time"

	"nocturne/ruler/rule"
)

// takeNext takes what waits and happened first.
func (s *sequence) takeNext(out []Verdict, k key, c *chain, now time.Time) []Verdict {
	s.dirty[k] = struct{}{}
	h := c.waiting[0]
	c.waiting = slices.Delete(c.waiting, 0, 1)
	late := h.time < c.taken
	if late && (c.fired != 0 || c.begun()) {
		v := s.verdict(Noted, k, c, now)
		v.RecordID = h.record
		v.Reason = fmt.Sprintf("came %s late: %s", span(time.Duration(c.taken-h.time)), s.name(c, &h))
		out = append(out, v)
	}
	c.taken = max(c.taken, h.time)
	if c.limit != 0 && h.time > c.limit {
		out = s.pastLimit(out, k, c, now)
	}
	switch {
	case c.fired != 0:
		return s.whileFired(out, k, c, &h, late, now)
	case c.begun():
		return s.goOn(out, k, c, &h, late, now)
	case h.bits&1 != 0 && !late:
		c.first = h
		return s.did(out, k, c, &h, now)
	}
	return out
}

// begun tells whether a match is under way that has not fired.
func (c *chain) begun() bool { return c.step > 0 || len(c.times) > 0 }

// since is when the last step that happened did.
func (c *chain) since() int64 {
	switch {
	case len(c.stamps) > 0:
		return c.stamps[len(c.stamps)-1]
	case len(c.times) > 0:
		return c.times[0]
	}
	return 0
}

// goOn takes a hit while a match is under way. A late one can only end it.
func (s *sequence) goOn(out []Verdict, k key, c *chain, h *hit, late bool, now time.Time) []Verdict {
	step := &s.spec.Steps[c.step]
	is := h.bits&(1<<c.step) != 0
	switch {
	case h.bits&(1<<bitGone) != 0:
		if h.device == c.first.device {
			s.end(k, c)
		}
	case late && h.time < c.since():
	case h.bits&(1<<bitUntil) != 0, step.Not && is:
		s.end(k, c)
	case h.bits&(1<<bitDoubtUntil) != 0, step.Not && h.bits&(1<<bitDoubtNot) != 0:
		return s.giveUp(out, k, c, h, now)
	case late || step.Not:
	case is:
		return s.did(out, k, c, h, now)
	case s.repeats(c, h):
		// The step before happened once more: what follows may be later by so much.
		if c.stamps[c.step-1] = h.time; c.step == 1 {
			c.first = *h
		}
		c.last = *h
		c.wait(h.time, step.Within, now)
	}
	return out
}

// giveUp ends a match of which it cannot be told whether it has ended already:
// nobody is told of what is not known to be so.
func (s *sequence) giveUp(out []Verdict, k key, c *chain, h *hit, now time.Time) []Verdict {
	v := s.verdict(Failed, k, c, now)
	v.RecordID = h.record
	v.Reason = "the sequence is given up, because a condition that would end it cannot be evaluated: " + s.name(c, h)
	s.end(k, c)
	return append(out, v)
}

// repeats tells whether a hit is the step before the one that is waited for,
// in its own window.
func (s *sequence) repeats(c *chain, h *hit) bool {
	if c.step == 0 || h.bits&(1<<(c.step-1)) == 0 || len(c.times) > 0 {
		return false
	}
	before := &s.spec.Steps[c.step-1]
	return before.Times == 1 && (c.step == 1 || h.time <= c.stamps[c.step-2]+int64(before.Within))
}

// wait gives the next step, or the next of several times, its window.
func (c *chain) wait(from int64, within time.Duration, now time.Time) {
	c.limit, c.giveUp = from+int64(within), now.Add(within).UnixNano()
}

// did notes that the step waited for happened.
func (s *sequence) did(out []Verdict, k key, c *chain, h *hit, now time.Time) []Verdict {
	step := &s.spec.Steps[c.step]
	c.last = *h
	if step.Times > 1 {
		c.times = append(c.times, h.time)
		if c.step == 0 {
			c.times = slices.DeleteFunc(c.times, func(t int64) bool { return t < h.time-int64(step.Within) })
		}
		if int64(len(c.times)) < step.Times {
			if c.step == 0 {
				c.wait(h.time, step.Within, now)
			}
			return out
		}
	}
	c.times, c.stamps = nil, append(c.stamps, h.time)
	if c.step++; c.step == len(s.spec.Steps) {
		return append(out, s.fire(k, c, now))
	}
	next := &s.spec.Steps[c.step]
	c.wait(h.time, next.Within, now)
	if next.Not && h.bits&(1<<bitAlready) != 0 {
		s.end(k, c)
	}
	return out
}

// pastLimit notes that the window of the step waited for is over.
func (s *sequence) pastLimit(out []Verdict, k key, c *chain, now time.Time) []Verdict {
	if s.spec.Steps[c.step].Not {
		return append(out, s.fire(k, c, now))
	}
	s.end(k, c)
	return out
}

func (s *sequence) fire(k key, c *chain, now time.Time) Verdict {
	c.fired, c.count, c.limit, c.giveUp = now.UnixNano(), 1, 0, 0
	s.expire(c, now)
	return s.firing(k, c, now)
}

func (s *sequence) expire(c *chain, now time.Time) {
	if s.rule.Expires > 0 {
		c.expires = now.Add(s.rule.Expires).UnixNano()
	}
}

func (s *sequence) firing(k key, c *chain, now time.Time) Verdict {
	c.told = now.UnixNano()
	v := s.verdict(Firing, k, c, now)
	v.RecordID, v.After, v.Fields = c.last.record, c.last.value, c.last.fields
	if c.first.record != c.last.record {
		v.Before = c.first.value
	}
	if v.Device != "" && c.last.device != v.Device {
		v.After, v.Fields = c.first.value, c.first.fields
	}
	steps := s.spec.Steps
	last := &steps[len(steps)-1]
	v.Reason = s.name(c, &c.first)
	if n := len(c.stamps); n > 1 {
		v.Reason += fmt.Sprintf("; %s later: %s", span(time.Duration(c.stamps[n-1]-c.first.time)), s.name(c, &c.last))
	}
	switch {
	case last.Not:
		v.Reason += fmt.Sprintf("; then for %s not: %s", span(last.Within), keep(last.String()))
	case len(steps) == 1:
		v.Reason = fmt.Sprintf("%s within %s, the last: %s", times(last.Times), span(last.Within), s.name(c, &c.last))
	}
	if c.count > 1 {
		v.Reason = fmt.Sprintf("%s; %s since it fired", s.name(c, &c.last), times(c.count-1))
	}
	return v
}

// name says what happened, and to which device unless that is clear.
func (s *sequence) name(c *chain, h *hit) string {
	if h.device == "" || s.spec.Per != rule.PerServer && h.device == c.first.device {
		return h.text
	}
	return h.device + ": " + h.text
}

// whileFired takes a hit after the sequence has fired.
func (s *sequence) whileFired(out []Verdict, k key, c *chain, h *hit, late bool, now time.Time) []Verdict {
	last := len(s.spec.Steps) - 1
	if s.spec.Steps[last].Not {
		last--
	}
	switch {
	case h.bits&(1<<bitGone) != 0:
		if h.device == c.first.device {
			return append(out, s.over(k, c, h, now))
		}
	case late && h.time < c.since():
	case h.bits&(1<<(bitResolve+c.solved)) != 0 && c.solved < len(s.spec.Resolve):
		if c.solved++; c.solved == len(s.spec.Resolve) {
			return append(out, s.over(k, c, h, now))
		}
	case h.bits&(1<<last) != 0 && !late:
		// It goes on: what was restored in part is not.
		c.solved, c.last = 0, *h
		s.expire(c, now)
		if c.count++; last == len(s.spec.Steps)-1 && now.UnixNano()-c.told >= int64(repeatAfter) {
			out = append(out, s.firing(k, c, now))
		}
	}
	return out
}

func (s *sequence) over(k key, c *chain, h *hit, now time.Time) Verdict {
	v := s.verdict(Resolved, k, c, now)
	v.Reason, v.RecordID = s.name(c, h), h.record
	if h.value != "" && h.device == c.first.device {
		v.Before, v.After = c.last.value, h.value
	}
	s.end(k, c)
	return v
}
