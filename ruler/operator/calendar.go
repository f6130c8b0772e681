package operator

import (
	"math"
	"slices"
	"time"
)

// calendar holds deadlines by the second. It is lazy: putting a deadline off
// costs nothing, since whoever is due says whether it really is. Deadlines are
// rounded up, so nothing is due early.
type calendar[K comparable] struct {
	slots map[int64][]K
	done  int64 // seconds up to this one are worked off
	next  int64 // no slot in use is before it
	order func(a, b K) int
}

func newCalendar[K comparable](order func(a, b K) int) calendar[K] {
	return calendar[K]{slots: map[int64][]K{}, order: order}
}

// file puts a key where it is looked at once the time (Unix nanoseconds) has
// come, and returns the slot, which the key's owner keeps: a later slot than
// the deadline needs no other filing, an earlier one does.
func (c *calendar[K]) file(k K, at int64) int64 {
	slot := max(ceilSecond(at), c.done+1)
	if len(c.slots) == 0 || slot < c.next {
		c.next = slot
	}
	c.slots[slot] = append(c.slots[slot], k)
	return slot
}

func ceilSecond(at int64) int64 {
	s := at / int64(time.Second)
	if at%int64(time.Second) > 0 {
		s++
	}
	return s
}

// due calls fn for every key filed up to now, by slot and then by order. fn may
// file keys. It gets the slot, to tell a filing that was replaced from the
// valid one.
func (c *calendar[K]) due(now time.Time, fn func(k K, slot int64)) {
	to := now.Unix()
	if to <= c.done {
		return
	}
	if len(c.slots) == 0 || to < c.next { // by far the most frequent
		c.done = to
		return
	}
	for _, slot := range c.slotsUpTo(to) {
		keys := c.slots[slot]
		delete(c.slots, slot)
		slices.SortFunc(keys, c.order)
		for _, k := range slices.Compact(keys) {
			fn(k, slot)
		}
	}
	c.done = to
	c.next = c.earliest()
}

// earliest returns the first slot in use; where finding it would take long, one
// that is not after it.
func (c *calendar[K]) earliest() int64 {
	if len(c.slots) > 16 {
		return c.done + 1
	}
	first := int64(math.MaxInt64)
	for s := range c.slots {
		first = min(first, s)
	}
	return first
}

// slotsUpTo lists the slots in use, oldest first, by whichever way is shorter.
func (c *calendar[K]) slotsUpTo(to int64) []int64 {
	var out []int64
	if to-c.done <= int64(len(c.slots)) {
		for s := c.done + 1; s <= to; s++ {
			if len(c.slots[s]) > 0 {
				out = append(out, s)
			}
		}
		return out
	}
	for s := range c.slots {
		if s <= to {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}
