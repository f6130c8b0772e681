package raid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "raid".
type Config struct {
	// Enabled turns the source on; where no tool is found it says so once.
	Enabled bool `yaml:"enabled"`
	// Command is the tool: its absolute path, and what comes before storcli's
	// own arguments. Empty = the first of the usual places that exists.
	Command []string `yaml:"command"`
	// Args are storcli's arguments; {path} stands for what is asked, such as
	// /call/vall.
	Args []string `yaml:"args"`
	// Schedule is when it is asked. A deadline covers all questions of a round.
	source.Schedule `yaml:",inline"`
}

// DefaultConfig asks the usual tools once a minute.
func DefaultConfig() Config {
	return Config{
		Enabled: true, Args: []string{"{path}", "show", "all", "J"},
		Schedule: source.Schedule{Period: time.Minute, Deadline: 45 * time.Second, Jitter: 5 * time.Second},
	}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	if len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]) {
		return fmt.Errorf("raid command %q: write the absolute path of storcli64 or perccli64", c.Command[0])
	}
	if !strings.Contains(strings.Join(c.Args, " "), "{path}") {
		return fmt.Errorf("raid args %q: one of them must hold {path}, such as [\"{path}\", show, all, J]", c.Args)
	}
	if err := c.Schedule.Validate(); err != nil {
		return fmt.Errorf("raid: %w", err)
	}
	return nil
}

// Options are what New needs besides its configuration.
type Options struct {
	Config
	// Run runs the tool; nil = source.Command in Dir.
	Run source.Runner
	// Dir is a private directory for the log files that storcli leaves where it
	// runs; "" = where this program runs.
	Dir string
}

// AttrProblems lists what the tool says went wrong, one text each.
const AttrProblems = "raid.problems"

// MaxRaw is the most that is kept of the tool's own words.
const MaxRaw = 128 << 10

// New returns the RAID source.
func New(o Options) source.Source { return source.Scheduled(NewReader(o), o.Schedule) }

// Reader asks the tool once for each Collect. It belongs to one goroutine.
type Reader struct {
	o    Options
	seed maphash.Seed
	last uint64 // hash of the last snapshot, without what always moves
	sent bool
	// places are where tools are looked for; found is the one of each generation
	// that knew a controller the last time; alone says that the second generation
	// has the plain places.
	places []string
	found  [2][]string
	alone  bool
}

// question is what is asked of the tool: "PATH show WHAT J".
type question struct{ path, what string }

// NewReader returns the collector behind New.
func NewReader(o Options) *Reader {
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: MaxDocument, Dir: o.Dir}.Run
	}
	if len(o.Args) == 0 {
		o.Args = DefaultConfig().Args
	}
	return &Reader{o: o, seed: maphash.MakeSeed(), places: usualPaths()}
}

// Name implements source.Collector.
func (r *Reader) Name() string { return "raid" }

// Category implements source.Collector.
func (r *Reader) Category() record.Category { return record.RAID }

// Wakes implements source.Waker: drivers and Windows speak of a drive before the
// next round would see it.
func (r *Reader) Wakes(rec *record.Record) bool { return source.StorageEvent(rec) }

// Collect asks the tools. It returns a snapshot of what could be read beside an
// error about the rest.
func (r *Reader) Collect(ctx context.Context) ([]record.Record, error) {
	tools, all, failed := r.answering(ctx)
	snap, problems, docs := &record.Snapshot{}, []Problem(nil), [][]byte(nil)
	for _, t := range tools {
		l, err := r.look(ctx, t)
		if failed = append(failed, l.failed...); err != nil {
			failed, all = append(failed, err), false
			continue
		}
		all = all && slices.Contains(l.snap.Sections, record.Section{Type: record.DeviceController})
		if notAll(l.snap); t.beside {
			putBeside(l.snap, l.problems)
		}
		snap.Devices = append(snap.Devices, l.snap.Devices...)
		snap.Sections = append(snap.Sections, l.snap.Sections...)
		problems, docs = append(problems, l.problems...), append(docs, l.docs...)
	}
	if len(docs) == 0 {
		return nil, errors.Join(failed...)
	}
	if all {
		snap.Sections = slices.DeleteFunc(snap.Sections, func(s record.Section) bool { return s.Type == record.DeviceController })
		snap.Sections = append(snap.Sections, record.Section{Type: record.DeviceController})
	}
	sorted(snap)
	return []record.Record{r.record(snap, problems, docs, time.Now())}, errors.Join(failed...)
}

// look is what one tool told in a round.
type look struct {
	snap     *record.Snapshot
	problems []Problem
	docs     [][]byte
	failed   []error // of single questions
}

// look asks one tool the rest of a round's questions.
func (r *Reader) look(ctx context.Context, t answer) (l look, err error) {
	l.docs = [][]byte{t.first}
	if l.snap, _, err = Parse(l.docs...); err != nil {
		return l, err
	}
	ask := func(questions []question) error {
		for _, q := range questions {
			doc, err := r.ask(ctx, t.command, q)
			if err != nil {
				l.failed = append(l.failed, err)
				continue
			}
			l.docs = append(l.docs, doc)
		}
		l.snap, l.problems, err = Parse(l.docs...)
		return err
	}
	if err := ask(further(l.snap)); err != nil {
		return l, err
	}
	if questions := underWay(l.snap); len(questions) > 0 {
		if err := ask(questions); err != nil {
			return l, err
		}
	}
	allControllers(l.snap, t.first)
	return l, nil
}

// ask runs one question. A code other than 0 beside a reply is the reply's
// business: storcli ends with 1 when one of several controllers failed.
func (r *Reader) ask(ctx context.Context, command []string, q question) ([]byte, error) {
	args := make([]string, 0, len(command)+len(r.o.Args))
	args = append(args, command[1:]...)
	for i, a := range r.o.Args {
		if a == "all" && i > 0 && r.o.Args[i-1] == "show" {
			a = q.what
		}
		args = append(args, strings.ReplaceAll(a, "{path}", q.path))
	}
	out, err := r.o.Run(ctx, command[0], args...)
	var code interface{ ExitCode() int }
	if err != nil && ctx.Err() == nil && errors.As(err, &code) && len(bytes.TrimSpace(out)) > 0 {
		err = nil
	}
	return out, err
}

// further says what else must be asked, from the reply to the first question.
func further(s *record.Snapshot) []question {
	var inside, outside, cv, bbu bool
	vds := true
	for _, d := range s.Devices {
		switch d.Type {
		case record.DevicePhysicalDrive:
			if strings.Contains(d.Place, "/e") {
				inside = true
			} else {
				outside = true
			}
		case record.DeviceBattery:
			cv = cv || strings.Contains(d.Place, "/cv")
			bbu = bbu || strings.Contains(d.Place, "/bbu")
		case record.DeviceController:
			// Nothing to ask where each controller said that it has none.
			vds = vds && covered(s, record.DeviceVirtualDrive, d.Place) && !hasBelow(s, record.DeviceVirtualDrive, d.Place)
		}
	}
	var out []question
	add := func(yes bool, path string) {
		if yes {
			out = append(out, question{path, "all"})
		}
	}
	add(inside, "/call/eall/sall")
	add(outside, "/call/sall")
	add(!vds, "/call/vall")
	add(cv, "/call/cv")
	add(bbu, "/call/bbu")
	return out
}

// underWay says whose progress must be asked: nothing, on nearly every day.
func underWay(s *record.Snapshot) []question {
	var out []question
	add := func(path, what string) {
		if q := (question{path, what}); what != "" && !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		switch d.Type {
		case record.DevicePhysicalDrive:
			path := "/call/sall"
			if strings.Contains(d.Place, "/e") {
				path = "/call/eall/sall"
			}
			add(path, driveOperation(d.Field(record.FieldState).Str()))
		case record.DeviceVirtualDrive:
			add("/call/vall", virtualOperation(d.Field("operation").Str()))
		}
	}
	return out
}

// driveOperation names what storcli shows the progress of, for a drive's state.
func driveOperation(state string) string {
	switch s := strings.ToLower(state); {
	case strings.Contains(s, "rbld"), strings.Contains(s, "rebuild"):
		return "rebuild"
	case strings.Contains(s, "cpybck"), strings.Contains(s, "copyback"):
		return "copyback"
	}
	return ""
}

// virtualOperation does the same for the operation of a virtual drive, which
// the tool writes out ("Background Initialization") or not ("BGI").
func virtualOperation(name string) string {
	switch s := strings.ToLower(name); {
	case s == "", s == "none":
		return ""
	case strings.Contains(s, "background init"), strings.Contains(s, "bgi"):
		return "bgi"
	case strings.Contains(s, "consistency"), s == "cc":
		return "cc"
	case strings.Contains(s, "init"):
		return "init"
	case strings.Contains(s, "migrat"), strings.Contains(s, "reconstruct"), strings.Contains(s, "expan"):
		return "migrate"
	}
	return ""
}

func covered(s *record.Snapshot, typ, place string) bool {
	for _, sec := range s.Sections {
		if sec.Covers(typ, place) {
			return true
		}
	}
	return false
}

func hasBelow(s *record.Snapshot, typ, place string) bool {
	for _, d := range s.Devices {
		if d.Type == typ && strings.HasPrefix(d.Place, place+"/") {
			return true
		}
	}
	return false
}

// allControllers marks the controllers as stated completely when the reply to
// /call gave a device for each entry: a controller that is gone is then seen to
// be gone, and one that failed to answer is not taken for gone.
func allControllers(s *record.Snapshot, doc []byte) {
	var reply struct{ Controllers []json.RawMessage }
	if json.Unmarshal(doc, &reply) != nil || len(reply.Controllers) == 0 {
		return
	}
	n := 0
	rest := s.Sections[:0:0]
	for _, sec := range s.Sections {
		if sec.Type != record.DeviceController {
			rest = append(rest, sec)
			continue
		}
		if sec.Scope == "" {
			return
		}
		n++
	}
	if n == len(reply.Controllers) {
		s.Sections = append(rest, record.Section{Type: record.DeviceController})
	}
}

func (r *Reader) record(s *record.Snapshot, problems []Problem, docs [][]byte, now time.Time) record.Record {
	rec := record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Body: summary(s, problems), Snapshot: s}
	if len(problems) > 0 {
		list := make([]record.Value, len(problems))
		for i, p := range problems {
			list[i] = record.String(p.String())
		}
		rec.Attrs = append(rec.Attrs, record.Attr{Key: AttrProblems, Value: record.List(list)})
	}
	// The tool's own words are evidence for a change; where nothing changed
	// they would be the same again, once a minute for years.
	if h := r.hash(s, problems); !r.sent || h != r.last {
		r.last, r.sent = h, true
		rec.Attrs = append(rec.Attrs, record.Attr{Key: record.AttrRaw, Value: record.String(Raw(docs...))})
	}
	return rec
}

// hash covers everything but what moves without anybody changing anything.
func (r *Reader) hash(s *record.Snapshot, problems []Problem) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	word := func(parts ...string) {
		for _, p := range parts {
			_, _ = h.WriteString(p) // never fails
			_ = h.WriteByte(0)
		}
	}
	for _, sec := range s.Sections {
		word(sec.Type, sec.Scope)
	}
	for _, d := range s.Devices {
		word(d.Type, d.Place, d.Occupant)
		for _, f := range d.Fields {
			if f.Key != "temperature_celsius" && f.Key != "progress_percent" && f.Key != "time_left_seconds" && !strings.HasPrefix(f.Key, "next_") {
				word(f.Key, f.Value.Text())
			}
		}
	}
	for _, p := range problems {
		word(p.String())
	}
	return h.Sum64()
}

// Raw joins the documents as the tool printed them, without the spaces that
// mean nothing, cut at MaxRaw with a mark.
func Raw(docs ...[]byte) string {
	var b bytes.Buffer
	for _, d := range docs {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		at := b.Len()
		if json.Compact(&b, d) != nil {
			b.Truncate(at)
			b.Write(bytes.TrimSpace(d))
		}
	}
	if b.Len() <= MaxRaw {
		return strings.ToValidUTF8(b.String(), "\ufffd")
	}
	mark := fmt.Sprintf("… cut here: %d of %d bytes", MaxRaw, b.Len())
	return strings.ToValidUTF8(string(b.Bytes()[:MaxRaw-len(mark)]), "") + mark
}

func summary(s *record.Snapshot, problems []Problem) string {
	n := map[string]int{}
	for _, d := range s.Devices {
		n[d.Type]++
	}
	text := fmt.Sprintf("RAID: %d controllers, %d virtual drives, %d physical drives", n[record.DeviceController], n[record.DeviceVirtualDrive], n[record.DevicePhysicalDrive])
	if len(problems) > 0 {
		text += fmt.Sprintf("; %d problems, the first: %s", len(problems), problems[0])
	}
	return text
}
