package winlog

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// How filters are kept. Windows gets a query that may let through too much, but
// never too little: levels and event ids, which are numbers. Names of providers
// are compared here, because they have to be compared without case. What comes
// through is judged by filter, whole, and what it leaves out is counted.

// levelWords are those of Level.
var levelWords = []string{"critical", "error", "warning", "info", "verbose", "audit_success", "audit_failure"}

// levelTests select at least the events that Level gives the word for.
var levelTests = map[string]string{
	"critical": "Level=1", "error": "Level=2", "warning": "Level=3", "verbose": "Level=5", "info": "Level=0 or Level=4 or Level>5",
	"audit_failure": "band(Keywords,4503599627370496)", "audit_success": "band(Keywords,9007199254740992)",
}

// ids are event ids from one to another, of one provider or of all ("").
type ids struct {
	provider string // in lower case
	from, to int64
}

const maxEventID = 65535

// parseIDs reads "7", "129-131" and "disk/7".
func parseIDs(s string) (ids, error) {
	bad := fmt.Errorf("event id %.60q: write 7, 129-131 or disk/7", s)
	provider, numbers := "", s
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		if provider, numbers = strings.ToLower(strings.TrimSpace(s[:i])), s[i+1:]; provider == "" {
			return ids{}, bad
		}
	}
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(strings.TrimSpace(first), 10, 32)
	if err != nil {
		return ids{}, bad
	}
	to, err := strconv.ParseUint(strings.TrimSpace(last), 10, 32)
	if err != nil || to < from || to > maxEventID {
		return ids{}, bad
	}
	return ids{provider: provider, from: int64(from), to: int64(to)}, nil
}

func (i ids) has(provider string, id int64) bool {
	return id >= i.from && id <= i.to && (i.provider == "" || i.provider == provider)
}

// Reasons why an event that was read is not handed on.
const (
	reasonLevel    = "level"
	reasonProvider = "provider"
	reasonEventID  = "event_id"
	reasonRepeat   = "repeat" // read before
)

// filter judges an event; it keeps a channel's filters ready.
type filter struct {
	levels                 map[string]bool
	include, exclude       map[string]bool // providers, in lower case
	wantedIDs, unwantedIDs []ids
}

// newFilter trusts that the channel is valid.
func newFilter(c *Channel) filter {
	f := filter{levels: lower(c.Levels), include: lower(c.Providers.Include), exclude: lower(c.Providers.Exclude)}
	f.wantedIDs, f.unwantedIDs = manyIDs(c.EventIDs.Include), manyIDs(c.EventIDs.Exclude)
	return f
}

func lower(words []string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[strings.ToLower(w)] = true
	}
	return m
}

func manyIDs(words []string) []ids {
	var out []ids
	for _, w := range words {
		if i, err := parseIDs(w); err == nil {
			out = append(out, i)
		}
	}
	return out
}

// leavesOut returns why an event is not wanted, or "".
func (f *filter) leavesOut(provider, level string, id int64) string {
	provider = strings.ToLower(provider)
	switch {
	case !f.provider(provider):
		return reasonProvider
	case len(f.levels) > 0 && !f.levels[level]:
		return reasonLevel
	case len(f.wantedIDs) > 0 && !anyHas(f.wantedIDs, provider, id), anyHas(f.unwantedIDs, provider, id):
		return reasonEventID
	}
	return ""
}

// provider tells whether events of a provider, in lower case, may be wanted.
func (f *filter) provider(name string) bool {
	return (len(f.include) == 0 || f.include[name]) && !f.exclude[name]
}

func anyHas(list []ids, provider string, id int64) bool {
	for _, i := range list {
		if i.has(provider, id) {
			return true
		}
	}
	return false
}

// maxTests is how many comparisons go into one XPath expression. Windows takes
// 20-odd; how many exactly is not documented.
const maxTests = 20

// everything is the query that leaves nothing out.
const everything = "*"

// query returns what Windows is asked for: everything, the channel's own query,
// or a QueryList.
func (c *Channel) query() string {
	if c.Query != "" {
		return c.Query
	}
	levels := c.levelTest()
	room := maxTests - strings.Count(levels, " or ") - 1
	selects := tests(manyIDs(c.EventIDs.Include), room, false)
	suppress := tests(manyIDs(c.EventIDs.Exclude), maxTests, true)
	if levels == "" && selects == nil && suppress == nil {
		return everything
	}
	if selects == nil {
		selects = []string{""}
	}
	var b strings.Builder
	b.WriteString(`<QueryList><Query Id="0">`)
	for _, s := range selects {
		writeTest(&b, "Select", c.Name, join(levels, s))
	}
	for _, s := range suppress {
		writeTest(&b, "Suppress", c.Name, s)
	}
	b.WriteString(`</Query></QueryList>`)
	return b.String()
}

// levelTest returns the test of the levels, "" = none is needed.
func (c *Channel) levelTest() string {
	wanted, all := lower(c.Levels), true
	var parts []string
	for _, word := range levelWords {
		if wanted[word] {
			parts = append(parts, levelTests[word])
		} else {
			all = false
		}
	}
	if all {
		return ""
	}
	return strings.Join(parts, " or ")
}

// tests returns tests of at most room comparisons each. Of the ids to suppress
// those of one provider are left out: filter sees to them.
func tests(list []ids, room int, suppress bool) []string {
	var out []string
	n := 0
	for _, i := range list {
		if suppress && i.provider != "" {
			continue
		}
		test, cost := fmt.Sprintf("EventID=%d", i.from), 1
		if i.to > i.from {
			test, cost = fmt.Sprintf("(EventID>=%d and EventID<=%d)", i.from, i.to), 2
		}
		if len(out) == 0 || n+cost > room {
			out, n = append(out, test), cost
			continue
		}
		out[len(out)-1] += " or " + test
		n += cost
	}
	return out
}

func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return "(" + a + ") and (" + b + ")"
}

func writeTest(b *strings.Builder, element, channel, test string) {
	b.WriteString("<" + element + ` Path="`)
	_ = xml.EscapeText(b, []byte(channel)) // a strings.Builder takes everything
	b.WriteString(`">`)
	if test == "" {
		b.WriteString(everything)
	} else {
		b.WriteString("*[System[")
		_ = xml.EscapeText(b, []byte(test)) // as above
		b.WriteString("]]")
	}
	b.WriteString("</" + element + ">")
}

// filtered tells whether Windows leaves events of the channel out.
func (c *Channel) filtered() bool { return strings.TrimSpace(c.query()) != everything }
