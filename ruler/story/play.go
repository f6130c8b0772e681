package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// restart says when a run is saved and loaded.
type restart int

const (
	restartNever  restart = iota
	restartFull           // after every line, from everything
	restartDeltas         // after every line, from all deltas so far
)

func (r restart) String() string {
	return [...]string{"straight", "restart from a base after every line", "restart from deltas after every line"}[r]
}

// played is what a run told.
type played struct {
	want, told string
	fired      []string
}

// begin is the stream time at which stories begin.
var begin = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// player is the engine in small: it keeps what an engine keeps.
type player struct {
	rules   []*rule.Rule
	set     *operator.Set
	table   *notify.Table
	servers map[string]*server
	entry   uint64
	now     time.Time
	deltas  []operator.KeyedState
	travels travels
	out     played
}

type server struct {
	facts  operator.ServerFacts
	known  map[record.Category]*record.Snapshot // merged
	sent   map[record.Category]*record.Snapshot // as the exporter saw it last
	types  map[record.Category][]string         // that the story named
	epoch  record.Epoch
	named  map[string]record.Epoch
	seq    uint64
	starts int64
}

// play runs a story once. An error is a mistake of the story, or of the rules.
func (s *Story) play(rules []*rule.Rule, how restart) (played, error) {
	p := &player{rules: rules, servers: map[string]*server{}, now: begin, travels: newTravels()}
	if err := p.fresh(); err != nil {
		return played{}, err
	}
	for i := range s.lines {
		l := &s.lines[i]
		p.pass(begin.Add(l.at))
		if l.verb != "end" {
			if err := p.line(l); err != nil {
				return played{}, fmt.Errorf("%s: line %d of in: %w", s.File, l.number, err)
			}
		}
		if err := p.restart(how); err != nil {
			return played{}, fmt.Errorf("%s: line %d of in: %w", s.File, l.number, err)
		}
	}
	slices.Sort(p.out.fired)
	p.out.fired = slices.Compact(p.out.fired)
	return p.out, nil
}

func (p *player) fresh() error {
	set, err := operator.NewSet(p.rules)
	if err != nil {
		return err
	}
	p.set, p.table = set, notify.NewTable(p.rules)
	p.travels.fresh(p.rules)
	return nil
}

// restart saves, throws everything away, and loads.
func (p *player) restart(how restart) error {
	if how == restartNever {
		return nil
	}
	states := p.set.Save(how == restartDeltas)
	if how == restartDeltas {
		p.deltas = append(p.deltas, states...)
		states = p.deltas
	}
	var rows []notify.Notification
	for _, s := range p.servers {
		rows = append(rows, p.table.Open(s.facts.ID)...)
	}
	if err := p.fresh(); err != nil {
		return err
	}
	left, err := p.set.Load(states)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if left > 0 {
		return fmt.Errorf("load: %d states left out", left)
	}
	p.table.Load(rows)
	return nil
}

// pass lets time pass in ticks of a second; over days, of a minute.
func (p *player) pass(to time.Time) {
	tick := time.Second
	if to.Sub(p.now) > 30*time.Hour {
		tick = time.Minute
	}
	for p.now.Before(to) {
		p.now = p.now.Add(min(tick, to.Sub(p.now)))
		p.entry++
		p.apply(p.set.Tick(p.now))
		p.said(p.travels.moves.Tick(p.at()))
	}
}

func (p *player) apply(verdicts []operator.Verdict) {
	for _, v := range verdicts {
		if v.Kind == operator.Firing {
			p.out.fired = append(p.out.fired, v.RuleID)
		}
		facts := p.facts(v.Server)
		operator.Relate(&v, p.knows(v.Server))
		tr := p.table.Apply(v, facts, p.at())
		p.write(&v, facts.Name, &tr)
	}
}

func (p *player) at() notify.At { return notify.At{Time: p.now, Incarnation: "story", Entry: p.entry} }

// write notes a verdict, and what people are told of it.
func (p *player) write(v *operator.Verdict, server string, tr *notify.Transition) {
	since := formatTime(p.now.Sub(begin))
	p.out.want += join(since, v.Kind.String(), server, v.RuleID, v.Severity, v.Device) + ": " + v.Reason + "\n"
	if !tr.Deliver {
		return
	}
	n := &tr.Notification
	p.out.told += join(since, string(tr.Effect), n.Name, n.Severity, n.Device) + ": " + cmp.Or(n.Title, "-") + " | " + n.Reason + "\n"
}

func join(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " ")
}

func (p *player) facts(id record.ID) operator.ServerFacts {
	for _, s := range p.servers {
		if s.facts.ID == id {
			return s.facts
		}
	}
	return operator.ServerFacts{ID: id}
}

// knows tells what is known of a server's parts.
func (p *player) knows(id record.ID) operator.Known {
	return func(c record.Category) *record.Snapshot {
		for _, s := range p.servers {
			if s.facts.ID == id {
				return s.known[c]
			}
		}
		return nil
	}
}

func (p *player) server(name string) *server {
	s := p.servers[name]
	if s == nil {
		s = &server{facts: operator.ServerFacts{ID: serverID(name), Name: name, OS: "windows"}, known: map[record.Category]*record.Snapshot{},
			sent: map[record.Category]*record.Snapshot{}, types: map[record.Category][]string{}, named: map[string]record.Epoch{}}
		p.servers[name] = s
		p.boot(s)
	}
	return s
}

// boot starts the exporter anew.
func (p *player) boot(s *server) {
	s.starts++
	s.epoch = record.Epoch{EpochRef: record.EpochRef{Start: p.now.UnixNano(), Random: uint64(s.starts)}, Prev: s.epoch.EpochRef}
	s.seq = 0
}

func (p *player) line(l *line) error {
	s := p.server(l.server)
	switch l.verb {
	case "boot":
		p.boot(s)
	case "forget":
		p.set.Forget(s.facts.ID)
	case "decommissioned":
		p.retired(s)
	case "labels":
		return s.label(l.args)
	case "registered":
		return p.registered(s, l)
	case "heartbeat", "goodbye":
		return p.beat(s, l)
	case "event", "journal":
		return p.event(s, l)
	default:
		category, err := record.ParseCategory(l.verb)
		if err != nil || category == record.EventLog || category == record.Agent {
			return fmt.Errorf("verb %q", l.verb)
		}
		return p.snapshot(s, category, l)
	}
	return nil
}

// registered states a server as a bridge's register does.
func (p *player) registered(s *server, l *line) error {
	if err := s.label(l.args); err != nil {
		return err
	}
	p.entry++
	h := &record.Header{Kind: record.FrameData, Producer: "bridge/b1/registry", Subject: s.facts.ID, Category: record.Agent, First: p.entry, Last: p.entry, Count: 1, Sent: p.now.UnixNano()}
	r := &record.Record{Name: record.NameLabels, Time: p.now, Observed: p.now}
	p.apply(p.set.Step(operator.Context{Now: p.now, Server: s.facts}, operator.Input{Record: r, Header: h, Seq: p.entry, RecordID: fmt.Sprintf("%s-%d", s.facts.Name, p.entry)}))
	return nil
}

func (s *server) label(args []string) error {
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		to := map[string]*string{"name": &s.facts.Name, "site": &s.facts.Site, "rack": &s.facts.Rack, "role": &s.facts.Role, "owner": &s.facts.Owner, "os": &s.facts.OS}[k]
		switch {
		case to != nil:
			*to = v
		case k == "simulated":
			s.facts.Simulated = v == "true"
		default:
			return fmt.Errorf("label %q", k)
		}
	}
	return nil
}

func (p *player) beat(s *server, l *line) error {
	r := &record.Record{Name: record.NameHeartbeat, Time: p.now, Observed: p.now}
	epoch := s.epoch
	if l.verb == "goodbye" {
		r.Name = record.NameGoodbye
		for i, a := range l.args {
			k, v, ok := strings.Cut(a, "=")
			if i == 0 {
				k, v = record.AttrReason, a
			} else if !ok {
				return fmt.Errorf("goodbye %q", a)
			}
			r.Attrs = set(r.Attrs, k, value(v))
		}
		p.step(s, record.Heartbeat, epoch, r)
		return nil
	}
	for _, a := range l.args {
		k, v, ok := strings.Cut(a, "=")
		switch {
		case !ok:
			return fmt.Errorf("heartbeat %q", a)
		case k == "epoch":
			e, known := s.named[v]
			if !known {
				p.boot(s)
				e = s.epoch
				s.named[v] = e
			}
			epoch = e
		case k == "observed":
			at, err := parseTime(v)
			if err != nil {
				return err
			}
			r.Observed = begin.Add(at)
		default:
			r.Attrs = set(r.Attrs, k, value(v))
		}
	}
	p.step(s, record.Heartbeat, epoch, r)
	return nil
}

func (p *player) event(s *server, l *line) error {
	r := &record.Record{Name: record.NameWindowsEvent, Time: p.now, Observed: p.now}
	channel := "System"
	if l.verb == "journal" {
		r.Name, channel = record.NameJournal, "journal"
	}
	r.Attrs = set(r.Attrs, record.AttrChannel, record.String(channel))
	for _, a := range l.args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("event %q", a)
		}
		switch k {
		case "text":
			r.Body = v
		case "at":
			at, err := parseTime(v)
			if err != nil {
				return err
			}
			r.Time = begin.Add(at)
		case "record":
			r.Name = v
		case "provider":
			r.Attrs = set(r.Attrs, record.AttrProvider, record.String(v))
		case "id":
			r.Attrs = set(r.Attrs, record.AttrEventID, value(v))
		case "channel":
			r.Attrs = set(r.Attrs, record.AttrChannel, record.String(v))
		case "level":
			r.Attrs = set(r.Attrs, record.AttrLevel, record.String(v))
		default:
			if rest, ok := strings.CutPrefix(k, "data."); ok {
				k = record.AttrData + rest
			}
			r.Attrs = set(r.Attrs, k, record.String(v))
		}
	}
	p.step(s, record.EventLog, s.epoch, r)
	return nil
}

// sections are what a full snapshot of a category observes, besides the types
// that the story named so far.
var sections = map[record.Category][]string{
	record.RAID:     {record.DeviceController, record.DeviceEnclosure, record.DevicePhysicalDrive, record.DeviceVirtualDrive, record.DeviceBattery},
	record.Hardware: {record.DeviceSystem, record.DeviceBIOS, record.DeviceBoard, record.DeviceCPU, record.DeviceMemory, record.DeviceDisk, record.DeviceNIC},
}

func (p *player) snapshot(s *server, category record.Category, l *line) error {
	full := s.sent[category]
	if full == nil {
		full = &record.Snapshot{}
		s.sent[category] = full
	}
	var observed []string
	for _, words := range devices(l.args) {
		if types, ok := strings.CutPrefix(words[0], "observed="); ok {
			observed = strings.Split(types, ",")
			if words = words[1:]; len(words) == 0 {
				continue
			}
		}
		if typ := strings.TrimPrefix(words[0], "-"); !slices.Contains(s.types[category], typ) {
			s.types[category] = append(s.types[category], typ)
		}
		if err := change(full, words); err != nil {
			return err
		}
	}
	if observed == nil {
		observed = union(sections[category], s.types[category])
	}
	snap := &record.Snapshot{}
	for _, typ := range observed {
		snap.Sections = append(snap.Sections, record.Section{Type: typ})
	}
	for _, d := range full.Devices {
		if slices.Contains(observed, d.Type) {
			d.Fields = slices.Clone(d.Fields)
			snap.Devices = append(snap.Devices, d)
		}
	}
	sortDevices(snap.Devices)
	p.step(s, category, s.epoch, &record.Record{Name: record.NameSnapshot, Time: p.now, Observed: p.now, Snapshot: snap})
	return nil
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// devices cuts words at ";".
func devices(args []string) [][]string {
	var out [][]string
	var one []string
	for _, a := range args {
		if a == ";" {
			if len(one) > 0 {
				out = append(out, one)
			}
			one = nil
			continue
		}
		one = append(one, a)
	}
	if len(one) > 0 {
		out = append(out, one)
	}
	return out
}

// step shows a record to the rules, as an engine does.
func (p *player) step(s *server, c record.Category, epoch record.Epoch, r *record.Record) {
	p.entry++
	s.seq++
	s.facts.Heard = true
	h := &record.Header{Kind: record.FrameData, Producer: "exporter/" + s.facts.ID.String(), Subject: s.facts.ID, Category: c, Epoch: epoch,
		First: s.seq, Last: s.seq, Count: 1, Sent: p.now.UnixNano()}
	ctx := operator.Context{Now: p.now, Server: s.facts, Previous: s.known[c]}
	in := operator.Input{Record: r, Header: h, Seq: s.seq, RecordID: fmt.Sprintf("%s-%d", s.facts.Name, p.entry), Event: r.Time}
	if r.Snapshot != nil {
		in.Changes = diff.Diff(s.known[c], r.Snapshot)
		in.Current = diff.Merge(s.known[c], r.Snapshot)
		s.known[c] = diff.Stable(in.Current) // as the engine does
	}
	p.apply(p.set.Step(ctx, in))
	if r.Snapshot != nil {
		p.travelled(s, c, ctx.Previous, s.known[c], in.RecordID)
	}
}

// change carries out "TYPE PLACE SERIAL key=value …" or "-TYPE PLACE".
func change(s *record.Snapshot, words []string) error {
	typ, gone := strings.CutPrefix(words[0], "-")
	if len(words) < 2 || !gone && len(words) < 3 {
		return fmt.Errorf("device %q: want TYPE PLACE SERIAL key=value …", words)
	}
	i := slices.IndexFunc(s.Devices, func(d record.Device) bool { return d.Type == typ && d.Place == words[1] })
	if gone {
		if i < 0 {
			return fmt.Errorf("device %q is not there", words)
		}
		s.Devices = slices.Delete(s.Devices, i, i+1)
		return nil
	}
	if i < 0 {
		s.Devices = append(s.Devices, record.Device{Type: typ, Place: words[1]})
		i = len(s.Devices) - 1
	}
	d := &s.Devices[i]
	if d.Occupant = words[2]; words[2] == "-" {
		d.Occupant = ""
	}
	for _, a := range words[3:] {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("field %q", a)
		}
		d.Fields = set(slices.Clone(d.Fields), k, value(v))
	}
	return nil
}
