package updates

import (
	"slices"
	"strconv"
	"time"

	"nocturne/internal/record"
)

// month is how places of installations begin, and the scope of their sections.
const month = "2006-01"

// maxMonths is how far back months are claimed: what is new comes at the end.
const maxMonths = 4

// window returns the installations to state, and the months of which they are
// all there is. An installation that is stated later in such a month was added;
// one that is stated no more was removed, as when a person wipes the history.
//
// What the machine remembers is a window itself: logs are rotated away, and of
// long histories only the newest are read. So the month of the oldest
// installation is claimed only when it is the present one: the others lose
// installations bit by bit. The next month is claimed before it begins, so
// that its first installation is an addition.
func window(all []Installed, limit int, now time.Time) (kept []Installed, months []record.Section) {
	present := now.Format(month)
	n := min(len(all), limit)
	for n < len(all) && n < MaxHistory && all[n].When.Format(month) == present {
		n++
	}
	kept = all[:n]
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, now.Location())
	oldest := first
	if n > 0 {
		at := kept[n-1].When
		if oldest = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, now.Location()); oldest.Before(first) || n < len(all) {
			oldest = oldest.AddDate(0, 1, 0)
		}
	}
	for m := first.AddDate(0, 1, 0); !m.Before(oldest) && len(months) < maxMonths; m = m.AddDate(0, -1, 0) {
		months = append(months, record.Section{Type: record.DeviceUpdateInstalled, Scope: m.Format(month)})
	}
	return kept, months
}

// attempt is an installation and how often it was tried in its month.
type attempt struct {
	Installed
	place string
	tries int
}

// attempts makes one of the installations of one update in one month: the
// newest, with their number. Language packs share a KB; those get their own
// number behind it.
func attempts(kept []Installed) []attempt {
	type key struct{ month, kb, id string }
	at := map[key]int{}
	ids := map[[2]string]map[string]bool{} // of a KB in a month
	var out []attempt
	for i := range kept {
		e := &kept[i]
		k := key{e.When.Format(month), e.KB, e.identity()}
		if j, ok := at[k]; ok {
			out[j].tries++
			continue
		}
		at[k] = len(out)
		out = append(out, attempt{Installed: *e, tries: 1})
		kb := [2]string{k.month, k.kb}
		if ids[kb] == nil {
			ids[kb] = map[string]bool{}
		}
		ids[kb][k.id] = true
	}
	for i := range out {
		e := &out[i]
		m := e.When.Format(month)
		e.place = m + "/" + name(e.KB, e.identity(), len(ids[[2]string{m, e.KB}]) > 1)
	}
	return out
}

func (e *Installed) identity() string {
	if e.ID != "" {
		return e.ID
	}
	return e.Title
}

// name is what an update is called in a place.
func name(kb, id string, shared bool) string {
	switch {
	case kb == "":
		return clip(id, maxName)
	case shared:
		return kb + "/" + clip(id, maxName)
	}
	return kb
}

const maxName = 100

// numbered gives places that are taken a number.
func numbered(place string, taken map[string]bool) string {
	at := place
	for n := 2; taken[at]; n++ {
		at = place + "#" + strconv.Itoa(n)
	}
	taken[at] = true
	return at
}

// newestFirst sorts installations.
func newestFirst(all []Installed) {
	slices.SortStableFunc(all, func(a, b Installed) int { return b.When.Compare(a.When) })
}
