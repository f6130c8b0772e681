package operator

import "time"

// window counts what happened in a sliding window, in at most windowParts+1
// buckets: seconds for short windows, a 64th of long ones. Its state is small
// whatever happens, and forgets no event early; an event may count for up to
// one bucket longer than the window.
type window []mark

// mark is a bucket: n things happened in the bucket-th span of time.
type mark struct{ bucket, n int64 }

const windowParts = 64

// resolution is the length of a bucket in seconds.
func resolution(within time.Duration) int64 {
	return max(1, int64(within/time.Second)/windowParts)
}

// add counts n things at now, which never goes back.
func (w *window) add(now time.Time, within time.Duration, n int64) {
	b := now.Unix() / resolution(within)
	if last := len(*w) - 1; last >= 0 && (*w)[last].bucket >= b {
		(*w)[last].n += n
		return
	}
	*w = append(*w, mark{b, n})
}

// count drops what is too old and returns how many things are left.
func (w *window) count(now time.Time, within time.Duration) int64 {
	old := 0
	for old < len(*w) && !now.Before((*w).ends(old, within)) {
		old++
	}
	*w = (*w)[old:]
	var n int64
	for _, m := range *w {
		n += m.n
	}
	return n
}

// ends is when a bucket no longer counts.
func (w window) ends(i int, within time.Duration) time.Time {
	return time.Unix((w[i].bucket+1)*resolution(within), 0).Add(within)
}

// falls returns when the count is at most n, if nothing happens until then.
func (w window) falls(n int64, within time.Duration) time.Time {
	left := int64(0)
	for i := len(w) - 1; i >= 0; i-- {
		if left += w[i].n; left > n {
			return w.ends(i, within)
		}
	}
	return time.Time{}
}

func (w window) encode(to *writer) {
	to.int(int64(len(w)))
	last := int64(0)
	for _, m := range w {
		to.int(m.bucket - last)
		to.int(m.n)
		last = m.bucket
	}
}

func decodeWindow(r *reader) window {
	n := r.int()
	if n < 0 || n > 4*windowParts { // a shape with other buckets is another shape
		r.bad = true
		return nil
	}
	var w window
	last := int64(0)
	for range n {
		m := mark{last + r.int(), r.int()}
		if r.bad || len(w) > 0 && m.bucket <= last {
			r.bad = true
			return nil
		}
		w, last = append(w, m), m.bucket
	}
	return w
}
