package winlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// told runs a ledger over a script: "7" is an event, "7@3" one at second 3,
// "oldest:7" reading that begins again where 7 is the oldest, "behind:7" the
// same behind the bookmark, "skip:7".
func told(l *ledger, script string) string {
	var out []string
	for word := range strings.FieldsSeq(script) {
		var id uint64
		second := int64(0)
		verb, rest, ok := strings.Cut(word, ":")
		if !ok {
			verb, rest = "", word
		}
		_, _ = fmt.Sscanf(rest, "%d@%d", &id, &second) // the second may be missing
		switch verb {
		case "oldest", "behind":
			out = append(out, fmt.Sprint(l.resume(id, verb == "oldest", false)))
		case "skip":
			l.skip(id)
		default:
			v, n := l.step(id, time.Unix(second, 0))
			out = append(out, fmt.Sprintf("%s%d", map[verdict]string{verdictNext: "ok", verdictHole: "hole", verdictReset: "reset", verdictRepeat: "repeat"}[v], n))
		}
	}
	return strings.Join(out, " ")
}

func TestLedger(t *testing.T) {
	f := func(why string, l ledger, script, want string) {
		t.Helper()
		if got := told(&l, script); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	exact := ledger{exact: true}
	f("the first says nothing", exact, "90 91 92", "ok0 ok0 ok0")
	f("a hole", exact, "1 2 5 6", "ok0 ok0 hole2 ok0")
	f("the same again", exact, "1@1 2@2 2@2 3@3", "ok0 ok0 repeat0 ok0")
	f("cleared while it is followed", exact, "98@1 99@2 1@3 2@4", "ok0 ok0 reset0 ok0")
	f("cleared, and the first ones missed", exact, "98@1 3@3", "ok0 reset2")
	f("wrapped", exact, "5@1 oldest:9 9@2", "ok0 3 ok0")
	f("wrapped, the oldest not known", exact, "5@1 oldest:0 9@2", "ok0 0 hole3")
	f("cleared while nobody looked", exact, "50@9 oldest:1 1@10 2@11", "ok0 0 reset0 ok0")
	f("cleared, and grown past the mark", exact, "2@9 oldest:1 1@10 2@11 3@12", "ok0 0 reset0 ok0 ok0")
	f("the bookmark alone is bad", exact, "3@3 oldest:1 1@1 2@2 3@3 4@4 5@5", "ok0 0 repeat0 repeat0 repeat0 ok0 ok0")
	f("the bookmark is bad, and events were removed", exact, "3@3 oldest:3 3@3 6@6", "ok0 0 repeat0 hole2")
	f("behind the bookmark", exact, "3@3 behind:2 4@4", "ok0 0 ok0")
	f("one skipped", exact, "3@3 skip:4 5@5", "ok0 ok0")
	f("no number", exact, "3 0 4", "ok0 ok0 ok0")
	f("filtered: holes are none", ledger{}, "3@3 9@9 behind:5 20@20", "ok0 ok0 0 ok0")
	f("filtered: the log has wrapped", ledger{}, "3@3 behind:9 9@9", "ok0 5 ok0")
	f("filtered: cleared", ledger{}, "30@3 oldest:1 2@9", "ok0 0 reset0")
	f("forwarded: numbers of many machines", ledger{forwarded: true}, "3 9 1 1 oldest:50 2", "ok0 ok0 ok0 ok0 0 ok0")
}

func TestNextBookmark(t *testing.T) {
	f := func(in, want string, id uint64, ok bool) {
		t.Helper()
		got, n, fine := nextBookmark(in)
		if got != want || n != id || fine != ok {
			t.Errorf("%s: %s %d %v", in, got, n, fine)
		}
	}
	f("<BookmarkList>\r\n  <Bookmark Channel='System' RecordId='90211' IsCurrent='true'/>\r\n</BookmarkList>", "<BookmarkList>\r\n  <Bookmark Channel='System' RecordId='90212' IsCurrent='true'/>\r\n</BookmarkList>", 90212, true)
	f(`<Bookmark RecordId="9"/>`, `<Bookmark RecordId="10"/>`, 10, true)
	f(`<Bookmark RecordId='9'/><Bookmark RecordId='10'/>`, "", 0, false)
	f(`<Bookmark RecordId='18446744073709551615'/>`, "", 0, false)
	f(`<Bookmark RecordId='99999999999999999999'/>`, "", 0, false)
	f("", "", 0, false)
	if got, _, ok := nextBookmark(bookmarkAt(`a<'b`, 6)); !ok || got != bookmarkAt(`a<'b`, 7) {
		t.Errorf("%s %v", got, ok)
	}
}

// Whatever numbers come, what is missing is never more than lies between them,
// and an exact ledger accounts for every number of one run of a log.
func FuzzLedger(f *testing.F) {
	f.Add([]byte{1, 2, 5, 5, 3}, true, false)
	f.Add([]byte{200, 0, 1, 255}, false, true)
	f.Fuzz(func(t *testing.T, steps []byte, exact, forwarded bool) {
		l := ledger{exact: exact && !forwarded, forwarded: forwarded}
		id, seen, missing, at := uint64(1), uint64(0), uint64(0), int64(0)
		for _, b := range steps {
			at++
			switch {
			case b < 128: // forward by b%8+1: holes
				id += uint64(b%8) + 1
			case b < 192 && id > 10: // the log was cleared
				id, seen, missing = 1, 0, 0
				l = ledger{exact: l.exact, forwarded: forwarded, mark: l.mark}
			case b < 224: // reading begins again where it was
				missing += l.resume(min(id, uint64(b)), false, false)
				continue
			default:
				id++
			}
			before := l.mark.ID
			v, n := l.step(id, time.Unix(at, 0))
			if v == verdictReset {
				seen, missing = 0, 0
			}
			seen, missing = seen+1, missing+n
			if n > 0 && (!l.exact || n >= id) {
				t.Fatalf("%d missing before %d, the last was %d", n, id, before)
			}
			if v == verdictRepeat || !forwarded && l.mark.ID != id {
				t.Fatalf("%v at %d: mark %+v", v, id, l.mark)
			}
		}
	})
}

func FuzzNextBookmark(f *testing.F) {
	f.Add(bookmarkAt("System", 7))
	f.Fuzz(func(t *testing.T, s string) {
		next, id, ok := nextBookmark(s)
		if !ok {
			return
		}
		if _, again, ok := nextBookmark(next); !ok || again != id+1 && id+1 != 0 {
			t.Fatalf("%q → %q", s, next)
		}
	})
}

// handles counts what a cache of publishers opens and closes.
type handles struct {
	opened, closed int
	open           map[int]bool
	fail           bool
}

func (h *handles) cache(t *testing.T) *publishers[int] {
	h.open = map[int]bool{}
	return newPublishers(func(string) (int, error) {
		if h.fail {
			return 0, errors.New("there is none")
		}
		h.opened++
		h.open[h.opened] = true
		return h.opened, nil
	}, func(n int) {
		if !h.open[n] {
			t.Errorf("%d was closed twice or never opened", n)
		}
		delete(h.open, n)
		h.closed++
	})
}

func TestPublishers(t *testing.T) {
	now := time.Unix(1e9, 0)
	h := &handles{}
	c := h.cache(t)
	nothing := func(int) {}
	if !c.use("Disk", now, nothing) || !c.use("disk", now.Add(59*time.Minute), nothing) || h.opened != 1 {
		t.Errorf("opened %d times: names have no case", h.opened)
	}
	if !c.use("disk", now.Add(publisherTTL), nothing) || h.opened != 2 || h.closed != 1 {
		t.Errorf("opened %d, closed %d: an old one is opened anew", h.opened, h.closed)
	}
	h.fail = true
	if c.use("gone", now, nothing) {
		t.Error("there is no such provider")
	}
	h.fail = false
	if c.use("gone", now.Add(missingTTL-1), nothing) || !c.use("gone", now.Add(missingTTL), nothing) {
		t.Error("a failure counts for five minutes, and no longer")
	}
	for i := range 3 * maxPublishers {
		c.use(fmt.Sprint("p", i), now, nothing)
	}
	if len(h.open) != maxPublishers || len(c.known) != maxPublishers || c.recent.Len() != maxPublishers {
		t.Errorf("%d are open, %d known", len(h.open), len(c.known))
	}
	c.clear()
	if len(h.open) != 0 || h.opened != h.closed {
		t.Errorf("%d opened, %d closed", h.opened, h.closed)
	}
}

// What is in use stays open when it is evicted, and is closed afterwards.
func TestPublisherInUseStaysOpen(t *testing.T) {
	now := time.Unix(1e9, 0)
	h := &handles{}
	c := h.cache(t)
	c.use("disk", now, func(n int) {
		c.clear()
		if !h.open[n] {
			t.Error("closed while in use")
		}
		c.use("disk", now, func(m int) {
			if m == n {
				t.Error("what was thrown out came back")
			}
		})
	})
	if h.closed != 1 || len(h.open) != 1 {
		t.Errorf("%d closed, open %v", h.closed, h.open)
	}
}

// A provider that hangs costs its events their text, and the others nothing.
func TestPublisherThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		release := make(chan struct{})
		c := newPublishers(func(name string) (int, error) {
			if name != "disk" {
				<-release
			}
			return 1, nil
		}, func(int) { closed.Add(1) })
		nothing := func(int) {}
		for i := range maxHanging {
			if c.use(fmt.Sprint("share", i), time.Now(), nothing) {
				t.Error("what hangs was opened")
			}
			if !c.use("disk", time.Now(), nothing) {
				t.Error("another provider waits for it")
			}
		}
		began := time.Now()
		if c.use("share0", time.Now(), nothing) || c.use("one more", time.Now(), nothing) || time.Since(began) != 0 {
			t.Error("it is waited for again")
		}
		close(release)
		synctest.Wait()
		if closed.Load() != maxHanging || !c.use("share0", time.Now().Add(missingTTL), nothing) {
			t.Errorf("%d of what came too late were closed", closed.Load())
		}
	})
}

func TestEventCounterIsBounded(t *testing.T) {
	c := newEventCounter()
	for i := range 3 * maxEventSeries {
		c.add("System", "Disk", "error", int64(i))
		c.add("System", "disk", "error", 0)
	}
	if n := len(c.counts); n != maxEventSeries+1 {
		t.Errorf("%d series", n)
	}
	if c.counts[eventKey{"System", other, "error", other}] != 2*maxEventSeries || c.counts[eventKey{"System", "disk", "error", "0"}] != 3*maxEventSeries+1 {
		t.Errorf("%v of others", c.counts[eventKey{"System", other, "error", other}])
	}
}

func TestQueueBoundsWhatIsAhead(t *testing.T) {
	q := newQueue(100)
	put := func(n int) chan bool {
		done := make(chan bool, 1)
		go func() { done <- q.put(t.Context(), found{bytes: n}) }()
		return done
	}
	if !<-put(500) {
		t.Error("what is larger than the bound goes alone")
	}
	waiting := put(60)
	if n := len(q.take()); n != 1 || !<-waiting || !<-put(40) {
		t.Errorf("%d parts", n)
	}
	if n := len(q.take()); n != 2 || q.bytes != 0 {
		t.Errorf("%d parts, %d bytes left", n, q.bytes)
	}
}

// The places of as many channels as there may be fit one position of the spool.
func TestPositionFits(t *testing.T) {
	places := map[string]place{}
	for i := range maxChannels {
		places[fmt.Sprint(strings.Repeat("c", 250), i)] = place{Bookmark: strings.Repeat("<BookmarkList>'", maxBookmark/15), mark: mark{ID: 1 << 62, At: 1 << 62}}
	}
	if b, err := json.Marshal(places); err != nil || len(b) > 64<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
