package winlog

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if err := c.Validate(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	one := func(ch Channel) Config { ch.Name = "System"; return Config{Channels: []Channel{ch}} }
	f(DefaultConfig(), "")
	f(Config{Channels: []Channel{{Name: "System"}, {Name: "system"}}}, "winlog channel system is there twice: write it once, with one query")
	f(Config{Channels: []Channel{{}}}, "winlog channel 1 has no name: write one, such as System")
	f(Config{Enabled: true}, "winlog is enabled without channels: write at least one, such as System")
	f(one(Channel{Levels: []string{"fatal"}}), `winlog channel System: level "fatal": write some of critical, error, warning, info, verbose, audit_success, audit_failure`)
	f(one(Channel{Query: "*", Levels: []string{"error"}}), "winlog channel System: query stands beside levels, providers or event_ids: write either")
	f(one(Channel{Providers: Choice{Include: []string{""}}}), `winlog channel System: provider "": write a name, such as disk`)
	f(one(Channel{EventIDs: Choice{Exclude: []string{"7-"}}}), `winlog channel System: event id "7-": write 7, 129-131 or disk/7`)
	f(one(Channel{EventIDs: Choice{Include: slices.Repeat([]string{"7"}, maxWords+1)}}), "winlog channel System: a filter of 201 words: write at most 200")
	many := Config{}
	for i := range maxChannels + 1 {
		many.Channels = append(many.Channels, Channel{Name: fmt.Sprint("c", i)})
	}
	f(many, "winlog has 33 channels: write at most 32")
}

func TestQuery(t *testing.T) {
	f := func(why string, ch Channel, want string) {
		t.Helper()
		ch.Name = "System"
		got := ch.query()
		if got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
		if strings.HasPrefix(got, "<") {
			if err := xml.Unmarshal([]byte(got), new(struct{ XMLName xml.Name })); err != nil {
				t.Errorf("%s: %v", why, err)
			}
		}
	}
	list := func(s string) string { return `<QueryList><Query Id="0">` + s + `</Query></QueryList>` }
	f("everything", Channel{}, "*")
	f("every level", Channel{Levels: levelWords}, "*")
	f("the user's own", Channel{Query: "*[System[EventID=7]]"}, "*[System[EventID=7]]")
	f("providers are compared here", Channel{Providers: Choice{Include: []string{"disk"}}}, "*")
	f("levels", Channel{Levels: []string{"warning", "error"}}, list(`<Select Path="System">*[System[Level=2 or Level=3]]</Select>`))
	f("audits", Channel{Levels: []string{"audit_failure"}}, list(`<Select Path="System">*[System[band(Keywords,4503599627370496)]]</Select>`))
	f("both, a range", Channel{Levels: []string{"error"}, EventIDs: Choice{Include: []string{"7", "129-131", "disk/153"}}},
		list(`<Select Path="System">*[System[(Level=2) and (EventID=7 or (EventID&gt;=129 and EventID&lt;=131) or EventID=153)]]</Select>`))
	f("without some", Channel{EventIDs: Choice{Exclude: []string{"7036", "Kernel-General/16"}}}, list(`<Select Path="System">*</Select><Suppress Path="System">*[System[EventID=7036]]</Suppress>`))
	f("only what is judged here", Channel{EventIDs: Choice{Exclude: []string{"Kernel-General/16"}}}, "*")
	odd := Channel{Name: `A<"&B`, Levels: []string{"error"}}
	if got := odd.query(); !strings.Contains(got, `Path="A&lt;&#34;&amp;B"`) {
		t.Errorf("odd name: %s", got)
	}
	var ids []string
	for i := range 45 {
		ids = append(ids, fmt.Sprint(i))
	}
	many := Channel{Name: "System", Levels: []string{"critical", "error", "info"}, EventIDs: Choice{Include: ids, Exclude: ids}}
	q := many.query()
	for part := range strings.SplitSeq(q, "</") {
		if n := strings.Count(part, "EventID") + strings.Count(part, "Level"); n > maxTests {
			t.Errorf("%d tests in %s", n, part)
		}
	}
	if strings.Count(q, "<Select") != 3 || strings.Count(q, "<Suppress") != 3 || strings.Count(q, "EventID=44") != 2 {
		t.Errorf("%s", q)
	}
}

func TestFilter(t *testing.T) {
	f := func(ch Channel, provider, level string, id int64, want string) {
		t.Helper()
		filter := newFilter(&ch)
		if got := filter.leavesOut(provider, level, id); got != want {
			t.Errorf("%+v: %s %s %d is left out because of %q, want %q", ch, provider, level, id, got, want)
		}
	}
	f(Channel{}, "disk", "info", 7, "")
	f(Channel{Providers: Choice{Include: []string{"Disk"}}}, "disk", "info", 7, "")
	f(Channel{Providers: Choice{Include: []string{"Disk"}}}, "Ntfs", "info", 7, reasonProvider)
	f(Channel{Providers: Choice{Exclude: []string{"USER32"}}}, "User32", "info", 1074, reasonProvider)
	f(Channel{Levels: []string{"info"}}, "x", "audit_success", 1, reasonLevel)
	f(Channel{EventIDs: Choice{Include: []string{"disk/7", "10-12"}}}, "DISK", "error", 7, "")
	f(Channel{EventIDs: Choice{Include: []string{"disk/7", "10-12"}}}, "cdrom", "error", 7, reasonEventID)
	f(Channel{EventIDs: Choice{Include: []string{"disk/7", "10-12"}}}, "cdrom", "error", 12, "")
	f(Channel{EventIDs: Choice{Include: []string{"10-12"}, Exclude: []string{"a/b/11"}}}, "A/B", "error", 11, reasonEventID)
}

func TestParseIDs(t *testing.T) {
	for _, bad := range []string{"", "x", "-7", "7-", "9-7", "/7", "disk/", "65536", "1-2-3", "7,8"} {
		if i, err := parseIDs(bad); err == nil {
			t.Errorf("%q is %+v", bad, i)
		}
	}
}
