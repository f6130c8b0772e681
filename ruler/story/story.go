// Package story plays stories: text files that say what servers send over
// virtual hours, which verdicts the rules give, and what people are told.
//
// A story is a txtar archive:
//
//	What the story is about, in free text.
//	-- rule.yml --
//	(rules; without it the rules given to Play hold)
//	-- in --
//	00:00 db7 heartbeat
//	00:00 db7 raid physical_drive c0/e252/s4 Z1 state=Onln
//	00:04 db7 raid physical_drive c0/e252/s4 - state=Failed
//	00:06 db7 event provider=disk id=7 level=error text="bad block"
//	-- want --
//	00:04:00 firing db7 raid-drive-failed critical physical_drive c0/e252/s4: state is Failed
//	-- told --
//	00:04:00 opened db7 critical physical_drive c0/e252/s4: …
//	-- quiet --
//	ids of rules that this story shows not to fire
//
// Times are hours and minutes since the story began, with seconds if need be;
// hours may exceed 24. Between the lines time passes in ticks of a second, or of
// a minute where they are more than 30 hours apart.
//
// Verbs: heartbeat [epoch=NAME] [observed=TIME] [key=value …]; goodbye REASON [key=value …];
// boot (a new epoch); event key=value … (provider, id, channel, level, text,
// at=TIME when it happened, data.*, any other attribute); journal key=value … (the same, an entry of
// a Linux journal); raid, hardware or another category of snapshots
// with devices separated by ";",
// each "TYPE PLACE SERIAL key=value …", which change the snapshot sent before
// ("-TYPE PLACE" takes a device out, observed=TYPE,TYPE restricts this one
// snapshot to these types); labels key=value …; registered [key=value …]
// (a bridge's register states the server); forget; end.
//
// Every story is run three times: straight through, with a save and load of
// everything after each line, and with loads from the deltas alone. All three
// must tell the same.
package story

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// MaxFile is the largest story, in bytes.
const MaxFile = 1 << 20

// maxSpan is how long a story may last: it is played in ticks.
const maxSpan = 1000 * 24 * time.Hour

// Story is a parsed archive.
type Story struct {
	File  string
	Rules []*rule.Rule // of the story itself; nil = those given to Play

	comment string
	names   []string // sections in order
	files   map[string]string
	lines   []line
}

// line is one line of "in".
type line struct {
	number int
	at     time.Duration
	server string
	verb   string
	args   []string
}

// Result is what a story showed.
type Result struct {
	File  string
	Want  string   // verdicts
	Told  string   // messages
	Fired []string // ids of rules with a firing verdict
	Quiet []string // ids of rules that were to stay quiet, and did
	// Failures say what is not as the story wants it; empty = all is.
	Failures []string
}

// Play runs a story three times, with the rules given unless it has its own.
// An error is a mistake of the story or of the rules.
func (s *Story) Play(rules []*rule.Rule) (Result, error) {
	if s.Rules != nil {
		rules = s.Rules
	}
	straight, err := s.play(rules, restartNever)
	if err != nil {
		return Result{}, err
	}
	r := Result{File: s.File, Want: straight.want, Told: straight.told, Fired: straight.fired}
	for _, how := range []restart{restartFull, restartDeltas} {
		got, err := s.play(rules, how)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", how, err)
		}
		if got.want != straight.want || got.told != straight.told {
			r.fail("%s: not the same as without a restart:\n%s\nwithout:\n%s", how, got.want+got.told, straight.want+straight.told)
		}
	}
	r.compare("want", s.section("want"), straight.want)
	if _, ok := s.files["told"]; ok {
		r.compare("told", s.section("told"), straight.told)
	}
	for _, id := range strings.Fields(s.section("quiet")) {
		switch {
		case slices.Contains(straight.fired, id):
			r.fail("rule %s was to stay quiet", id)
		case !slices.ContainsFunc(rules, func(r *rule.Rule) bool { return r.ID == id }):
			r.fail("quiet names the rule %s, which does not exist", id)
		default:
			r.Quiet = append(r.Quiet, id)
		}
	}
	return r, nil
}

func (r *Result) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

func (r *Result) compare(what, want, got string) {
	if strings.TrimSpace(want) != strings.TrimSpace(got) {
		r.fail("%s differs\ngot:\n%s\nwant:\n%s", what, got, want)
	}
}

func (s *Story) section(name string) string { return s.files[name] }

// Parse reads an archive.
func Parse(file string, data []byte) (*Story, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s: %d bytes: a story has at most %d", file, len(data), MaxFile)
	}
	s := &Story{File: file, files: map[string]string{}}
	name := ""
	for raw := range bytes.Lines(data) {
		text := string(raw)
		if h, ok := strings.CutPrefix(strings.TrimRight(text, "\r\n"), "-- "); ok && strings.HasSuffix(h, " --") {
			name = strings.TrimSuffix(h, " --")
			s.names = append(s.names, name)
			s.files[name] = ""
			continue
		}
		if name == "" {
			s.comment += text
			continue
		}
		s.files[name] += text
	}
	if _, ok := s.files["in"]; !ok {
		return nil, fmt.Errorf("%s: no section \"in\"", file)
	}
	if src, ok := s.files["rule.yml"]; ok {
		rules, err := rule.Parse(filepath.Base(file)+"/rule.yml", []byte(src))
		if err != nil {
			return nil, err
		}
		s.Rules = rules
	}
	for i, text := range strings.Split(s.files["in"], "\n") {
		text = uncommented(text)
		if text = strings.TrimSpace(text); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d of in: %w", file, i+1, err)
		}
		l.number = i + 1
		if n := len(s.lines); n > 0 && l.at < s.lines[n-1].at {
			return nil, fmt.Errorf("%s: line %d of in: time runs backwards", file, i+1)
		}
		s.lines = append(s.lines, l)
	}
	return s, nil
}

// uncommented takes a comment away: what follows " #" outside of quotes.
func uncommented(text string) string {
	for at := 0; ; at += len(" #") {
		i := strings.Index(text[at:], " #")
		if i < 0 {
			return text
		}
		if at += i; strings.Count(text[:at], `"`)%2 == 0 {
			return text[:at]
		}
	}
}

func parseLine(text string) (line, error) {
	words, err := split(text)
	if err != nil {
		return line{}, err
	}
	if len(words) == 2 && words[1] == "end" {
		words = []string{words[0], "", "end"}
	}
	if len(words) < 3 {
		return line{}, errors.New("want: TIME SERVER VERB …")
	}
	at, err := parseTime(words[0])
	return line{at: at, server: words[1], verb: words[2], args: words[3:]}, err
}

// split cuts at spaces outside of double quotes, and takes the quotes away.
func split(text string) ([]string, error) {
	var out []string
	var b strings.Builder
	quoted, open := false, false
	for _, r := range text {
		switch {
		case r == '"':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			if b.Len() > 0 || open {
				out = append(out, b.String())
			}
			b.Reset()
			open = false
		default:
			b.WriteRune(r)
		}
	}
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	if b.Len() > 0 || open {
		out = append(out, b.String())
	}
	return out, nil
}

func parseTime(s string) (time.Duration, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, fmt.Errorf("time %q: want HH:MM or HH:MM:SS", s)
	}
	var d time.Duration
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second}[:len(parts)] {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return 0, fmt.Errorf("time %q: want HH:MM or HH:MM:SS", s)
		}
		if n > int(maxSpan/unit) {
			return 0, fmt.Errorf("time %q: a story is at most %d days long", s, maxSpan/(24*time.Hour))
		}
		d += time.Duration(n) * unit
	}
	return d, nil
}

func formatTime(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// Rewritten returns the archive with what the result shows instead of what it
// wanted.
func (s *Story) Rewritten(r Result) []byte {
	files := maps.Clone(s.files)
	files["want"] = r.Want
	names := s.names
	if !slices.Contains(names, "want") {
		names = append(slices.Clone(names), "want")
	}
	if _, ok := files["told"]; ok {
		files["told"] = r.Told
	}
	var b strings.Builder
	b.WriteString(s.comment)
	for _, name := range names {
		b.WriteString("-- " + name + " --\n" + files[name])
	}
	return []byte(b.String())
}

// serverID makes an id of a server's name in a story.
func serverID(name string) record.ID {
	sum := sha256.Sum256([]byte("story " + name))
	return record.ID(sum[:16])
}

// value reads a field: number, true, false, or text.
func value(s string) record.Value {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return record.Int(n)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return record.Double(f)
	}
	switch s {
	case "true", "false":
		return record.Bool(s == "true")
	}
	return record.String(s)
}

func set(attrs []record.Attr, key string, v record.Value) []record.Attr {
	if i := slices.IndexFunc(attrs, func(a record.Attr) bool { return a.Key == key }); i >= 0 {
		attrs[i].Value = v
		return attrs
	}
	return append(attrs, record.Attr{Key: key, Value: v})
}

func sortDevices(d []record.Device) {
	slices.SortFunc(d, func(a, b record.Device) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Place, b.Place))
	})
}
