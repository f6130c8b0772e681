package eventlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Group is what counts are grouped by.
type Group string

// The closed set of groups.
const (
	ByNothing  Group = "none"
	ByServer   Group = "server"
	ByProvider Group = "provider"
	ByEventID  Group = "event_id" // provider and id: an id means nothing alone
	ByLevel    Group = "level"
	ByCategory Group = "category"
	BySite     Group = "site"
	ByDevice   Group = "device_type" // that a rule says an event is about
)

// Groups returns the closed set.
func Groups() []Group {
	return []Group{ByNothing, ByServer, ByProvider, ByEventID, ByLevel, ByCategory, BySite, ByDevice}
}

// fields are the columns that make a group.
func (g Group) fields() []string {
	switch g {
	case ByServer:
		return []string{"server_id"}
	case ByEventID:
		return []string{"provider", "event_id"}
	case ByProvider, ByLevel, ByCategory, BySite:
		return []string{string(g)}
	}
	return nil
}

// CountQuery says what is counted.
type CountQuery struct {
	Filter  Filter // From and To are set
	Step    time.Duration
	Group   Group
	Top     int                 // the largest groups; the rest are others
	Devices map[string][]Filter // of ByDevice: ConcernDevices
}

// Counts are numbers of records by time and group.
type Counts struct {
	Times  []time.Time // where the steps begin, in UTC
	Total  []int64
	Others []int64
	Series []Series // the largest first
}

// Series is one group; Key has a value for each of its columns.
type Series struct {
	Key    []string
	Sum    int64
	Counts []int64
}

// MaxSteps bounds an answer.
const MaxSteps = 5000

// unique counts record ids. By hashes of 64 bits it costs a third of what the ids
// themselves cost.
const unique = "count_uniq_hash(record_id)"

// Count counts records, each once. It ranks the groups by their rows, which is
// cheap, and then counts the largest ones.
func (c *Client) Count(ctx context.Context, q CountQuery) (Counts, error) {
	var out Counts
	for t := q.Filter.From.UTC().Truncate(q.Step); t.Before(q.Filter.To); t = t.Add(q.Step) {
		if len(out.Times) == MaxSteps {
			return out, fmt.Errorf("%w: more than %d steps of %s", ErrTooMuch, MaxSteps, q.Step)
		}
		out.Times = append(out.Times, t)
	}
	groups, err := c.groups(ctx, &q)
	if err != nil {
		return out, err
	}
	n := len(out.Times)
	out.Total, out.Others = make([]int64, n), make([]int64, n)
	ask, others := unique+" as n", []string{}
	overlap := q.Group == ByDevice // one event may be of several
	for i, g := range groups {
		out.Series = append(out.Series, Series{Key: g.key, Counts: make([]int64, n)})
		ask += fmt.Sprintf(", %s if (%s) as g%d", unique, g.where, i)
		others = append(others, "!("+g.where+")")
	}
	if overlap && len(groups) > 0 {
		ask += ", " + unique + " if (" + strings.Join(others, " ") + ") as o"
	}
	err = c.query(ctx, q.Filter.query()+fmt.Sprintf(" | stats by (_time:%dms) ", q.Step.Milliseconds())+ask, func(line []byte) error {
		f, err := decodeFields(line)
		if err != nil {
			return err
		}
		t, err := parseTime(f["_time"])
		if err != nil {
			return fmt.Errorf("%w: %w", errLine, err)
		}
		at, ok := slices.BinarySearchFunc(out.Times, t, time.Time.Compare)
		if !ok {
			return fmt.Errorf("%w: a step at %s was not asked for", ErrAnswer, t)
		}
		take := func(name string, to []int64) {
			if err == nil {
				to[at], err = number(f[name])
			}
		}
		take("n", out.Total)
		for i := range out.Series {
			take("g"+strconv.Itoa(i), out.Series[i].Counts)
		}
		if overlap && len(groups) > 0 {
			take("o", out.Others)
			return err
		}
		out.Others[at] = out.Total[at]
		for i := range out.Series {
			out.Others[at] -= out.Series[i].Counts[at]
		}
		return err
	})
	for i := range out.Series {
		for _, n := range out.Series[i].Counts {
			out.Series[i].Sum += n
		}
	}
	out.Series = slices.DeleteFunc(out.Series, func(s Series) bool { return s.Sum == 0 })
	slices.SortStableFunc(out.Series, func(a, b Series) int { return cmp.Compare(b.Sum, a.Sum) })
	return out, err
}

func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %.40q is no count", ErrAnswer, s)
	}
	return n, nil
}

// maxWhere bounds what stands for one group in a query; one whose name is longer
// counts among the others.
const maxWhere = 400

// group is one value that is counted, and what its rows have.
type group struct {
	key   []string
	where string
}

// groups finds the largest.
func (c *Client) groups(ctx context.Context, q *CountQuery) ([]group, error) {
	var out []group
	if q.Group == ByDevice {
		for typ, any := range q.Devices {
			var b strings.Builder
			f := Filter{Any: any}
			f.conditions(&b)
			out = append(out, group{[]string{typ}, b.String()[1:]})
		}
		slices.SortFunc(out, func(a, b group) int { return strings.Compare(a.key[0], b.key[0]) })
		return out, nil
	}
	fields := q.Group.fields()
	if fields == nil {
		return nil, nil
	}
	rank := fmt.Sprintf(" | stats by (%s) count() as n | sort by (n desc) limit %d", strings.Join(fields, ","), q.Top)
	err := c.query(ctx, q.Filter.query()+rank, func(line []byte) error {
		f, err := decodeFields(line)
		if err != nil {
			return err
		}
		g := group{}
		for i, name := range fields {
			g.key = append(g.key, f[name])
			if i > 0 {
				g.where += " "
			}
			g.where += name + ":=" + quote(f[name])
		}
		if len(g.where) <= maxWhere {
			out = append(out, g)
		}
		return nil
	})
	return out, err
}

// Kind is a provider's event id, or a record's name where it has none.
type Kind struct {
	Provider, EventID, Record string
	Count, Servers            int64
	First, Last               time.Time
}

// MaxKinds bounds an answer.
const MaxKinds = 20_000

// Kinds lists what kinds of events there are, with when they came first and
// last. It reads all that is kept of the rows that the filter names.
func (c *Client) Kinds(ctx context.Context, f Filter) ([]Kind, error) {
	var out []Kind
	pipe := fmt.Sprintf(" | stats by (name, provider, event_id) %s as n, min(_time) as first, max(_time) as last, count_uniq(server_id) as servers | limit %d", unique, MaxKinds+1)
	err := c.query(ctx, f.query()+pipe, func(line []byte) error {
		v, err := decodeFields(line)
		if err != nil {
			return err
		}
		k := Kind{Provider: v["provider"], EventID: v["event_id"], Record: v["name"]}
		if k.Count, err = number(v["n"]); err != nil {
			return err
		}
		if k.Servers, err = number(v["servers"]); err != nil {
			return err
		}
		if k.First, err = parseTime(v["first"]); err != nil {
			return err
		}
		if k.Last, err = parseTime(v["last"]); err != nil {
			return err
		}
		if out = append(out, k); len(out) > MaxKinds {
			return fmt.Errorf("%w: more than %d kinds of events", ErrTooMuch, MaxKinds)
		}
		return nil
	})
	return out, err
}
