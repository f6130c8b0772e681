package winlog

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ledger knows from Windows' own record numbers what was lost before the
// exporter. A local channel that is read whole has ascending numbers without
// holes: what is missing between two was lost. A filtered one says nothing by
// its holes; there only the oldest number in the log counts when reading begins
// again. Forwarded events carry the numbers of other machines, which say
// nothing at all.
type ledger struct {
	exact     bool // read whole, and local
	forwarded bool
	mark      mark
	// resumed: reading began again at the oldest event left, so that some may
	// come that were read before.
	resumed, again bool
	near           bool // reading began again near a record, not exactly behind it
	// unreadable events came since the last one, and said no number.
	unreadable uint64
}

// mark is the last event that was read. It is kept with the bookmark.
type mark struct {
	ID uint64 `json:"id,omitempty"`
	// At is the event's own time, Unix nanoseconds: a cleared log may begin its
	// numbers again, and an old event with the same number is told by its time.
	At int64 `json:"at,omitempty"`
}

// What an event's number shows.
type verdict int

const (
	verdictNext   verdict = iota // the next one, or the first
	verdictHole                  // events before it were never seen
	verdictReset                 // the log was cleared: its numbers begin again
	verdictRepeat                // it was read before
)

// step takes the next event and returns what it shows; missing is how many were
// lost before it.
func (l *ledger) step(id uint64, at time.Time) (v verdict, missing uint64) {
	if l.forwarded || id == 0 {
		return verdictNext, 0
	}
	nano := int64(0)
	if !at.IsZero() {
		nano = at.UnixNano()
	}
	last := l.mark
	resumed, unreadable := l.resumed, l.unreadable
	l.resumed, l.unreadable = false, 0
	switch {
	case last.ID == 0:
	case id == last.ID && nano == last.At && !resumed && !l.again:
		return verdictRepeat, 0
	case id <= last.ID && (resumed || l.again) && nano <= last.At:
		// The log still holds what was read before, and its bookmark was bad.
		l.again = true
		return verdictRepeat, 0
	case id <= last.ID:
		l.again = false
		l.mark = mark{ID: id, At: nano}
		if l.exact && !l.near {
			return verdictReset, id - 1 // of the new numbers
		}
		return verdictReset, 0
	case l.exact && id-last.ID-1 > unreadable:
		v, missing = verdictHole, id-last.ID-1-unreadable
	}
	l.again, l.near = false, false
	l.mark = mark{ID: id, At: nano}
	return v, missing
}

// resume takes the log's oldest number, 0 = not known, when reading begins
// again behind the mark or, atOldest, at the oldest event left. It returns how
// many events were removed before they were read; of a filtered channel at most
// so many, as nobody knows which of them were wanted.
func (l *ledger) resume(oldest uint64, atOldest, near bool) uint64 {
	l.resumed, l.near = (atOldest || near) && l.mark.ID > 0, near
	if l.forwarded || l.mark.ID == 0 || oldest <= l.mark.ID+1 {
		return 0
	}
	missing := oldest - l.mark.ID - 1
	l.mark.ID = oldest - 1 // said now, not again at the next event
	return missing
}

// skip notes that a record will not be read.
func (l *ledger) skip(id uint64) {
	if !l.forwarded && id > l.mark.ID {
		l.mark.ID = id
	}
}

// A bookmark names its record: <Bookmark Channel='System' RecordId='90211' …>.
var bookmarkRecord = regexp.MustCompile(`(RecordId\s*=\s*['"])([0-9]{1,20})(['"])`)

// maxBookmark bounds what is kept of a bookmark: those of all channels have to
// fit one position of the spool, of 64 KiB. Windows writes about 150 bytes.
const maxBookmark = 1 << 10

// bookmarkAt makes a bookmark of a record, as Windows writes it.
func bookmarkAt(channel string, id uint64) string {
	var b strings.Builder
	b.WriteString("<BookmarkList><Bookmark Channel='")
	_ = xml.EscapeText(&b, []byte(channel)) // a strings.Builder takes everything
	fmt.Fprintf(&b, "' RecordId='%d' IsCurrent='true'/></BookmarkList>", id)
	return b.String()
}

// nextBookmark moves a bookmark of one channel on by one record and returns
// that record's number; it is not ok for a bookmark that names none or several.
func nextBookmark(bookmark string) (next string, id uint64, ok bool) {
	found := bookmarkRecord.FindAllStringSubmatchIndex(bookmark, -1)
	if len(found) != 1 {
		return "", 0, false
	}
	at := found[0]
	n, err := strconv.ParseUint(bookmark[at[4]:at[5]], 10, 64)
	if err != nil || n+1 == 0 {
		return "", 0, false
	}
	return bookmark[:at[4]] + strconv.FormatUint(n+1, 10) + bookmark[at[5]:], n + 1, true
}
