package series

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nocturne/internal/record"
)

// State is what must be remembered between records: per server, what the
// registry and the heartbeats said of it, and the info and state series that
// are open. It is deterministic: the same records give the same state.
type State struct {
	servers map[record.ID]*server
	dirty   map[record.ID]bool
}

type server struct {
	facts Server
	open  map[openKey]open
}

// openKey names one thing that has exactly one open series.
type openKey struct{ family, typ, place string }

// open is a series that is open. Its strings are copies: a record's own share
// the memory of the whole frame they came in.
type open struct {
	server string // label "server"
	packed string // the labels that neither the key nor the server tells
	since  int64  // Unix ms of the first sample with these labels
}

// told are the labels that packed leaves out.
func told(name string) bool {
	return name == "server" || name == "server_id" || name == "place" || name == "type"
}

// pack puts names and values end to end, each with its length.
func pack(ls []Label) string {
	var b []byte
	for _, l := range ls {
		if !told(l.Name) {
			b = binary.AppendUvarint(b, uint64(len(l.Name)))
			b = append(b, l.Name...)
			b = binary.AppendUvarint(b, uint64(len(l.Value)))
			b = append(b, l.Value...)
		}
	}
	return string(b)
}

// labels puts the series' labels together again.
func (o open) labels(key openKey, id string) []Label {
	ls := insert(make([]Label, 0, 8), "server", o.server)
	ls = insert(ls, "server_id", id)
	ls = insert(ls, "place", key.place)
	if d := single[key.family]; d != nil && d.generic {
		ls = insert(ls, "type", key.typ)
	}
	b := []byte(o.packed)
	next := func() string {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) { // only pack writes it
			b = nil
			return ""
		}
		v := string(b[w : w+int(n)])
		b = b[w+int(n):]
		return v
	}
	for len(b) > 0 {
		name := next()
		ls = insert(ls, name, next())
	}
	return ls
}

// MaxOpen bounds what is remembered of one server; further series end by
// themselves, when nothing is written to them any more.
const MaxOpen = 4096

// NewState returns an empty state.
func NewState() *State {
	return &State{servers: map[record.ID]*server{}, dirty: map[record.ID]bool{}}
}

func (s *State) of(id record.ID) *server {
	v := s.servers[id]
	if v == nil {
		v = &server{open: map[openKey]open{}}
		s.servers[id] = v
	}
	return v
}

// Server returns what is known of a server.
func (s *State) Server(id record.ID) (Server, bool) {
	v := s.servers[id]
	if v == nil {
		return Server{}, false
	}
	return v.facts, true
}

// Learn takes in what a record says of its server and returns what is known
// now. Names and places come from the registry's records, which only the
// bridge writes; of a heartbeat only the operating system is believed.
func (s *State) Learn(h *record.Header, r *record.Record) Server {
	v := s.of(h.Subject)
	next := v.facts
	switch {
	case fromRegistry(h) && registryName(r.Name):
		next.Name = r.Attr(record.AttrServer).Text()
		next.Site = r.Attr(record.AttrSite).Text()
		next.Rack = r.Attr(record.AttrRack).Text()
		next.Role = r.Attr(record.AttrRole).Text()
		next.Simulated = r.Attr(record.AttrSimulated).Bool()
	case h.Category == record.Heartbeat && r.Name == record.NameHeartbeat:
		if os := clamp(r.Attr(record.AttrOSName).Text()); os != "" {
			next.OS = os
		}
	}
	if next != v.facts {
		for _, p := range []*string{&next.Name, &next.Site, &next.Rack, &next.Role, &next.OS} {
			*p = strings.Clone(*p)
		}
		v.facts = next
		s.dirty[h.Subject] = true
	}
	return v.facts
}

// Gone tells whether a record says that its server was decommissioned: once its
// samples are made, Forget it.
func Gone(h *record.Header, r *record.Record) bool {
	return fromRegistry(h) && r.Name == record.NameDecommissioned
}

// Forget drops what is known of a server.
func (s *State) Forget(id record.ID) {
	delete(s.servers, id)
	s.dirty[id] = true
}

// Ends appends staleness markers for the series that end with this record,
// given the samples that Append made of it.
func (s *State) Ends(dst []Sample, h *record.Header, r *record.Record, samples []Sample) []Sample {
	if Gone(h, r) {
		return s.last(dst, h.Subject, r)
	}
	if len(samples) == 0 {
		return dst
	}
	v := s.of(h.Subject)
	seen, id := map[openKey]bool{}, h.Subject.String()
	for i := range samples {
		key, ok := keyOf(&samples[i])
		if !ok {
			continue
		}
		seen[key] = true
		was, isOpen := v.open[key]
		now := open{label(samples[i].Labels, "server"), pack(samples[i].Labels), samples[i].Millis}
		switch {
		case isOpen && was.server == now.server && was.packed == now.packed:
		case isOpen && now.since < was.since:
			// Arrived late: what is open is newer, so this one ends at once.
			dst = append(dst, ended(key, samples[i].Labels, now.since+1))
		case !isOpen && len(v.open) >= MaxOpen:
		default:
			if isOpen {
				dst = append(dst, ended(key, was.labels(key, id), now.since))
			} else {
				key.place = strings.Clone(key.place)
			}
			if now.server == v.facts.Name {
				now.server = v.facts.Name // one copy for all
			} else {
				now.server = strings.Clone(now.server)
			}
			v.open[key] = now
			s.dirty[h.Subject] = true
		}
	}
	if r.Snapshot != nil {
		dst = s.gone(dst, h.Subject, r.Snapshot, seen, samples[0].Millis)
	}
	return dst
}

// last ends every open series of a server.
func (s *State) last(dst []Sample, id record.ID, r *record.Record) []Sample {
	at, _ := SampleTime(r, 0)
	n := len(dst)
	for key, was := range s.of(id).open {
		dst = append(dst, ended(key, was.labels(key, id.String()), max(at.UnixMilli(), was.since+1)))
	}
	slices.SortFunc(dst[n:], compareSamples)
	return dst
}

// gone ends the series of devices that a snapshot looked for and did not find.
func (s *State) gone(dst []Sample, id record.ID, snap *record.Snapshot, seen map[openKey]bool, millis int64) []Sample {
	if len(snap.Sections) == 0 {
		return dst
	}
	v := s.of(id)
	n := len(dst)
	for key, was := range v.open {
		if seen[key] || key.typ == "" || was.since > millis {
			continue
		}
		for _, sec := range snap.Sections {
			if sec.Covers(key.typ, key.place) {
				dst = append(dst, ended(key, was.labels(key, id.String()), millis))
				delete(v.open, key)
				s.dirty[id] = true
				break
			}
		}
	}
	// A map has no order, the output has one.
	slices.SortFunc(dst[n:], compareSamples)
	return dst
}

func compareSamples(a, b Sample) int {
	if a.Name != b.Name {
		return compare(a.Name, b.Name)
	}
	return slices.CompareFunc(a.Labels, b.Labels, func(x, y Label) int {
		if x.Name != y.Name {
			return compare(x.Name, y.Name)
		}
		return compare(x.Value, y.Value)
	})
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func ended(key openKey, labels []Label, millis int64) Sample {
	return Sample{Name: key.family, Labels: labels, Value: StaleNaN, Millis: millis}
}

// keyOf tells what a sample's series is about, for the families of which one
// thing has exactly one series: info and state.
func keyOf(s *Sample) (openKey, bool) {
	switch s.Name {
	case ServerInfo:
		return openKey{family: ServerInfo}, true
	case ExporterInfo:
		return openKey{family: ExporterInfo}, true
	}
	d := single[s.Name]
	if d == nil {
		return openKey{}, false
	}
	key := openKey{family: d.infoName, typ: d.typ, place: label(s.Labels, "place")}
	if s.Name != d.infoName {
		key.family = d.stateName
	}
	if d.generic { // several types share the family
		key.typ = deviceOf(label(s.Labels, "type")).typ
	}
	return key, true
}

// single are the families of which one device has one series at a time.
var single = func() map[string]*device {
	m := map[string]*device{}
	for i := range devices {
		d := &devices[i]
		if !d.bare {
			m[d.infoName] = d
		}
		if d.state {
			m[d.stateName] = d
		}
	}
	return m
}()

func label(ls []Label, name string) string {
	for _, l := range ls {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// Saved is one server's state as it is stored; Data is empty for a server
// that was forgotten.
type Saved struct {
	Server record.ID       `json:"server"`
	Data   json.RawMessage `json:"data,omitempty"`
}

type savedServer struct {
	Facts Server      `json:"facts"`
	Open  []savedOpen `json:"open,omitempty"`
}

type savedOpen struct {
	Family string `json:"family"`
	Type   string `json:"type,omitempty"`
	Place  string `json:"place,omitempty"`
	Server string `json:"server"`
	Labels []byte `json:"labels,omitempty"` // packed
	Since  int64  `json:"since"`
}

// Save returns every server, or those changed since the last Save.
func (s *State) Save(changedOnly bool) ([]Saved, error) {
	ids := make([]record.ID, 0, len(s.dirty))
	if changedOnly {
		for id := range s.dirty {
			ids = append(ids, id)
		}
	} else {
		for id := range s.servers {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b record.ID) int { return compare(string(a[:]), string(b[:])) })
	out := make([]Saved, 0, len(ids))
	for _, id := range ids {
		saved, err := s.save(id)
		if err != nil {
			return nil, err
		}
		out = append(out, saved)
	}
	clear(s.dirty)
	return out, nil
}

func (s *State) save(id record.ID) (Saved, error) {
	v := s.servers[id]
	if v == nil {
		return Saved{Server: id}, nil
	}
	w := savedServer{Facts: v.facts}
	for k, o := range v.open {
		w.Open = append(w.Open, savedOpen{k.family, k.typ, k.place, o.server, []byte(o.packed), o.since})
	}
	slices.SortFunc(w.Open, func(a, b savedOpen) int {
		return compare(a.Family+"\x00"+a.Type+"\x00"+a.Place, b.Family+"\x00"+b.Type+"\x00"+b.Place)
	})
	data, err := json.Marshal(w)
	if err != nil {
		return Saved{}, fmt.Errorf("save series state of %s: %w", id, err)
	}
	return Saved{Server: id, Data: data}, nil
}

// Load takes in what Save returned.
func (s *State) Load(v Saved) error {
	if len(v.Data) == 0 {
		delete(s.servers, v.Server)
		return nil
	}
	var w savedServer
	if err := json.Unmarshal(v.Data, &w); err != nil {
		return fmt.Errorf("load series state of %s: %w", v.Server, err)
	}
	sv := &server{facts: w.Facts, open: make(map[openKey]open, len(w.Open))}
	for _, o := range w.Open {
		sv.open[openKey{o.Family, o.Type, o.Place}] = open{o.Server, string(o.Labels), o.Since}
	}
	s.servers[v.Server] = sv
	return nil
}
