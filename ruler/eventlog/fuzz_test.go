package eventlog

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// skeleton is a query with every quoted token taken out.
func skeleton(t *testing.T, q string) (string, []string) {
	t.Helper()
	var b strings.Builder
	var tokens []string
	for q != "" {
		if q[0] != '"' {
			b.WriteByte(q[0])
			q = q[1:]
			continue
		}
		token, err := strconv.QuotedPrefix(q)
		if err != nil {
			t.Fatalf("a quote that does not end: %s", q)
		}
		text, err := strconv.Unquote(token)
		if err != nil {
			t.Fatalf("%s: %v", token, err)
		}
		tokens = append(tokens, text)
		b.WriteByte('Q')
		q = q[len(token):]
	}
	return b.String(), tokens
}

// No text changes what a query is: only its quoted tokens differ from those of a
// query with harmless texts.
func FuzzFilter(f *testing.F) {
	f.Add(`disk" or *`, "a | delete", `") | stats count()`, "`x`")
	f.Add("\\", "\x00\xff", "_time:5m", "{server_id=\"a\"}")
	f.Add("(?i).*|", "$", "in(*)", "a\u2028b 'c'")
	f.Fuzz(func(t *testing.T, provider, channel, site, search string) {
		hostile := Filter{Providers: []string{provider, "disk"}, Channels: []string{channel}, Site: site, Search: search, Names: []string{provider},
			Levels: []string{channel}, EventIDs: []IDRange{{7, 7}, {9, 11}}, Servers: []record.ID{{1}}, Any: []Filter{{Providers: []string{site}}, {}}}
		harmless := hostile
		harmless.Providers, harmless.Channels, harmless.Names, harmless.Levels = []string{"a", "b"}, []string{"c"}, []string{"a"}, []string{"c"}
		harmless.Any = []Filter{{Providers: []string{"s"}}, {}}
		if site != "" {
			harmless.Site = "s"
		}
		harmless.Search = strings.Repeat("w ", len(strings.Fields(search)))
		got, tokens := skeleton(t, hostile.query())
		want, _ := skeleton(t, harmless.query())
		if got != want {
			t.Fatalf("%q\nis not %q", got, want)
		}
		for _, word := range strings.Fields(search) {
			if !strings.Contains(strings.Join(tokens, "\n"), word) {
				t.Errorf("%q is not asked for: %q", word, tokens)
			}
		}
	})
}

// Whatever a line holds, a row or an error comes out, and a row is whole.
func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte(`{"_time":"2026-11-21T03:00:00.5Z","_msg":"m","server_id":"0102030405060708090a0b0c0d0e0f10","category":"eventlog","record_id":"0102030405060708090a0b0c0d0e0f10-1-2-3","entry":"5","partition":"3","event.data.param1":"x"}`))
	f.Add([]byte(`{"_time":"2026-11-21T03:00:00Z","server_id":"x"}`))
	f.Add([]byte(`{"n":5}`))
	f.Add([]byte(`remoteAddr: cannot flush`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRow(line)
		switch {
		case errors.Is(err, errLine):
			return
		case r.At.IsZero() && !strings.Contains(string(line), "0001"):
			t.Errorf("a row without time: %q", line)
		case err != nil:
			return
		case !strings.HasPrefix(r.RecordID, r.Server.String()) || !r.Category.Valid():
			t.Errorf("%+v", r)
		}
	})
}
