package apitest

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/eventlog"
)

// Log is an event log in memory, which answers as eventlog.Client does.
type Log struct {
	mu   sync.Mutex
	rows []*eventlog.Row // newest first
	err  error
}

// NewLog returns a log with these rows.
func NewLog(rows []*eventlog.Row) *Log {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b *eventlog.Row) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.RecordID, a.RecordID))
	})
	return &Log{rows: rows}
}

// Fail makes every answer this error; nil = no longer.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *Log) all() ([]*eventlog.Row, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	return l.rows, nil
}

// Since says since when there are rows; zero = there are none.
func (l *Log) Since(context.Context) (time.Time, error) {
	rows, err := l.all()
	if err != nil || len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[len(rows)-1].At, nil
}

// List returns the newest rows before a place.
func (l *Log) List(_ context.Context, f eventlog.Filter, before *eventlog.Cursor, limit int) (eventlog.Page, error) {
	rows, err := l.all()
	var page eventlog.Page
	for _, r := range rows {
		if before != nil && !(r.At.Before(before.At) || before.ID != "" && r.At.Equal(before.At) && r.RecordID < before.ID) || !meets(r, &f) {
			continue
		}
		if len(page.Rows) == limit {
			last := page.Rows[limit-1]
			page.Next = &eventlog.Cursor{At: last.At, ID: last.RecordID}
			break
		}
		page.Rows = append(page.Rows, r)
	}
	return page, err
}

// Get finds one record.
func (l *Log) Get(_ context.Context, id string) (*eventlog.Row, error) {
	rows, err := l.all()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(r *eventlog.Row) bool { return r.RecordID == id })
	if i < 0 {
		return nil, eventlog.ErrNotFound
	}
	return rows[i], nil
}

// Count counts rows by time and group.
func (l *Log) Count(_ context.Context, q eventlog.CountQuery) (eventlog.Counts, error) {
	var out eventlog.Counts
	for t := q.Filter.From.UTC().Truncate(q.Step); t.Before(q.Filter.To); t = t.Add(q.Step) {
		out.Times = append(out.Times, t)
	}
	n := len(out.Times)
	out.Total, out.Others = make([]int64, n), make([]int64, n)
	rows, err := l.all()
	groups := map[string]*eventlog.Series{}
	at := func(r *eventlog.Row) int { return int(r.At.Sub(out.Times[0]) / q.Step) }
	rows = slices.DeleteFunc(slices.Clone(rows), func(r *eventlog.Row) bool { return !meets(r, &q.Filter) })
	for _, r := range rows {
		out.Total[at(r)]++
		for _, key := range groupsOf(r, &q) {
			name := strings.Join(key, "\x00")
			if groups[name] == nil {
				groups[name] = &eventlog.Series{Key: key, Counts: make([]int64, n)}
			}
			groups[name].Sum++
			groups[name].Counts[at(r)]++
		}
	}
	for _, g := range groups {
		out.Series = append(out.Series, *g)
	}
	slices.SortFunc(out.Series, func(a, b eventlog.Series) int {
		return cmp.Or(cmp.Compare(b.Sum, a.Sum), slices.Compare(a.Key, b.Key))
	})
	if q.Group != eventlog.ByDevice {
		out.Series = out.Series[:min(len(out.Series), q.Top)]
	}
	for _, r := range rows {
		if !slices.ContainsFunc(groupsOf(r, &q), func(key []string) bool {
			return slices.ContainsFunc(out.Series, func(s eventlog.Series) bool { return slices.Equal(s.Key, key) })
		}) {
			out.Others[at(r)]++
		}
	}
	return out, err
}

// groupsOf are the groups that a row counts for.
func groupsOf(r *eventlog.Row, q *eventlog.CountQuery) [][]string {
	switch q.Group {
	case eventlog.ByServer:
		return [][]string{{r.Server.String()}}
	case eventlog.ByProvider:
		return [][]string{{r.Provider}}
	case eventlog.ByEventID:
		return [][]string{{r.Provider, r.EventID}}
	case eventlog.ByLevel:
		return [][]string{{r.Level}}
	case eventlog.ByCategory:
		return [][]string{{r.Category.String()}}
	case eventlog.BySite:
		return [][]string{{r.Site}}
	case eventlog.ByDevice:
		var out [][]string
		for typ, filters := range q.Devices {
			if meets(r, &eventlog.Filter{Any: filters}) {
				out = append(out, []string{typ})
			}
		}
		return out
	}
	return nil
}

// Kinds lists what kinds of events there are.
func (l *Log) Kinds(_ context.Context, f eventlog.Filter) ([]eventlog.Kind, error) {
	rows, err := l.all()
	kinds := map[[3]string]*eventlog.Kind{}
	servers := map[string]bool{}
	for _, r := range rows {
		if !meets(r, &f) {
			continue
		}
		key := [3]string{r.Record, r.Provider, r.EventID}
		k := kinds[key]
		if k == nil {
			k = &eventlog.Kind{Record: r.Record, Provider: r.Provider, EventID: r.EventID, Last: r.At}
			kinds[key] = k
		}
		k.Count++
		k.First = r.At // newest first
		if s := fmt.Sprint(key, r.Server); !servers[s] {
			servers[s] = true
			k.Servers++
		}
	}
	var out []eventlog.Kind
	for _, k := range kinds {
		out = append(out, *k)
	}
	return out, err
}

// meets tells whether a row is what a filter means.
func meets(r *eventlog.Row, f *eventlog.Filter) bool {
	fold := func(list []string, s string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(v, s) })
	}
	id, err := strconv.ParseInt(r.EventID, 10, 64)
	return (f.From.IsZero() || !r.At.Before(f.From)) && (f.To.IsZero() || r.At.Before(f.To)) && (len(f.Servers) == 0 || slices.Contains(f.Servers, r.Server)) &&
		(len(f.Categories) == 0 || slices.Contains(f.Categories, r.Category)) && fold(f.Providers, r.Provider) && fold(f.Channels, r.Channel) &&
		(len(f.EventIDs) == 0 || err == nil && slices.ContainsFunc(f.EventIDs, func(v eventlog.IDRange) bool { return v.Low <= id && id <= v.High })) &&
		(len(f.Levels) == 0 || slices.Contains(f.Levels, r.Level)) && (len(f.Names) == 0 || slices.Contains(f.Names, r.Record)) && (f.Site == "" || f.Site == r.Site) &&
		says(r.Message, f.Search) && (len(f.Any) == 0 || slices.ContainsFunc(f.Any, func(v eventlog.Filter) bool { return meets(r, &v) }))
}

var wordRE = regexp.MustCompile(`[\p{L}\p{N}_]+`)

// says tells whether each word of a search begins a word of the message.
func says(message, search string) bool {
	words := wordRE.FindAllString(strings.ToLower(message), -1)
	for want := range strings.FieldsSeq(strings.ToLower(search)) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, want) }) {
			return false
		}
	}
	return true
}

// kind is a sort of event that the fixed fleet's servers write.
type kind struct {
	provider string
	id       int // 0 = none
	channel  string
	level    string
	message  string
	attrs    []eventlog.Attr
	every    int                 // on the average one in so many hours, on each server
	on       func(n, h int) bool // on the n-th server h hours ago; nil = on all, always
}

var kinds = []kind{
	{provider: "Service Control Manager", id: 7036, channel: "System", level: "info", message: "The Windows Update service entered the running state.", every: 19},
	{provider: "Microsoft-Windows-WindowsUpdateClient", id: 19, channel: "System", level: "info", message: "Installation Successful: Windows successfully installed the following update: KB5070001", every: 160},
	{provider: "Microsoft-Windows-Security-Auditing", id: 4625, channel: "Security", level: "audit_failure", message: "An account failed to log on.", every: 47,
		attrs: []eventlog.Attr{{Key: "event.data.IpAddress", Value: "198.51.100.23"}, {Key: "event.data.TargetUserName", Value: "administrator"}}},
	{provider: "Service Control Manager", id: 7031, channel: "System", level: "error", message: "The Print Spooler service terminated unexpectedly. It has done this 1 time(s).", every: 130},
	{provider: "Schannel", id: 36887, channel: "System", level: "warning", message: "A fatal alert was received from the remote endpoint. The TLS protocol defined fatal alert code is 46.", every: 90, on: func(n, _ int) bool { return n%3 == 1 }},
	{provider: "MSSQLSERVER", id: 18456, channel: "Application", level: "error", message: "Login failed for user 'sa'. Reason: Password did not match that for the login provided.", every: 60, on: func(n, _ int) bool { return n%3 == 1 }},
	{provider: "disk", id: 153, channel: "System", level: "warning", message: "The IO operation at logical block address 0x12a05f20 for Disk 1 (PDO name: \\Device\\00000033) was retried.", every: 5, on: func(n, h int) bool { return n == 5 && h < 70 },
		attrs: []eventlog.Attr{{Key: "event.data.param1", Value: `\Device\Harddisk1\DR1`}, {Key: "windows.event.record_id", Value: "118203"}}},
	{provider: "disk", id: 7, channel: "System", level: "error", message: "The device, \\Device\\Harddisk1\\DR1, has a bad block.", every: 3, on: func(n, h int) bool { return n == 5 && h < 20 },
		attrs: []eventlog.Attr{{Key: "event.data.param1", Value: `\Device\Harddisk1\DR1`}, {Key: "windows.event.record_id", Value: "118317"}}},
	{provider: "Ntfs", id: 55, channel: "System", level: "critical", message: "A corruption was discovered in the file system structure on volume D:.", every: 1, on: func(n, h int) bool { return n == 5 && h == 2 }},
	{provider: "Microsoft-Windows-Kernel-Power", id: 41, channel: "System", level: "critical", message: "The system has rebooted without cleanly shutting down first.", every: 1, on: func(n, h int) bool { return n == 7 && h == 55 }},
}

var journal = []kind{
	{provider: "sshd", level: "info", message: "Accepted publickey for backup from 192.0.2.10 port 51022 ssh2", every: 4},
	{provider: "kernel", level: "error", message: "ata3.00: failed command: READ FPDMA QUEUED", every: 200},
}

// EventHours is how far back Events go.
const EventHours = 40 * 24

// Events returns what the servers of Demo wrote in the last 40 days; which is
// fixed, and how long ago.
func Events(f *Fleet, now time.Time) []*eventlog.Row {
	var out []*eventlog.Row
	for i := range f.List {
		s := &f.List[i]
		n := int(s.ID[15])
		list, name := kinds, record.NameWindowsEvent
		if s.OSType == "linux" {
			list, name = journal, record.NameJournal
		}
		if n > 17 || s.ID[14] != 0 { // of a large fleet the first ones
			continue
		}
		for h := range EventHours {
			for k, v := range list {
				// The same each time, and like chance.
				if dice := (uint32(n*7919+h*104729+k*1299709) * 2654435761) >> 8; int(dice)%v.every != 0 || v.on != nil && !v.on(n, h) {
					continue
				}
				r := &eventlog.Row{
					At: now.Add(-time.Duration(h)*time.Hour - time.Duration((n*37+k*11)%59)*time.Minute).Truncate(time.Second).UTC(), Server: s.ID, Name: s.Name, Site: s.Site, Simulated: s.Simulated, Category: record.EventLog,
					Record: name, Severity: v.level, Provider: v.provider, Channel: v.channel, Level: v.level, Message: v.message, RecordID: fmt.Sprintf("%s-1z-2-%d", s.ID, h*len(list)+k), Attrs: v.attrs,
				}
				if v.id != 0 {
					r.EventID = strconv.Itoa(v.id)
				}
				out = append(out, r)
			}
		}
	}
	if bad := ID(40); len(out) > 0 { // its every text means harm
		out = append(out, &eventlog.Row{At: now.Add(-time.Hour).UTC(), EventTime: now.Add(90 * 24 * time.Hour).UTC(), Server: bad, Name: Hostile[0], Site: Hostile[1], Category: record.EventLog, Record: record.NameWindowsEvent,
			Severity: Hostile[0], Provider: Hostile[0], EventID: "1", Channel: Hostile[1], Level: Hostile[0], Message: strings.Join(Hostile, "\n"), Truncated: true, RecordID: bad.String() + "-1z-2-9",
			Attrs: []eventlog.Attr{{Key: "<b>k</b>", Value: "<svg onload=window.pwned=1>"}, {Key: "event.data.x", Value: Hostile[1]}}})
	}
	return out
}
