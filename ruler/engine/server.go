package engine

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/operator"
	"nocturne/ruler/store"
)

// server is what a partition keeps in memory of one line of one server. With
// identity and line it is about 300 bytes, beside ledger and operators, so that
// 100,000 idle servers fit.
type server struct {
	id    record.ID // the line's key
	root  *identity
	line  *line
	name  string
	about *about
	facts uint64 // hash of what the heartbeats say
	boot  int64  // boot time, Unix seconds, as in the store
	saved int64  // last_seen as in the store, Unix nanoseconds
	told  int64  // skew as in the store
	// address is that of its last connection, as a bridge saw it; zero = not known.
	address [16]byte

	current []current
	// used are the bridges it used in the last half day, usedBefore those of the
	// half day before that.
	used, usedBefore uint16
	state            stateCode
	overdue          bool // a heartbeat is missing and the fleet operator knows
	silent           bool // an absence rule fires
}

// about is what servers have in common: registered labels, and the kind of
// operating system. Servers with the same share one.
type about struct {
	site, rack, role, owner string
	os                      string // os.type
	from                    string // where the labels come from, as the register says
	simulated               bool
}

// stateCode is a store.ServerState in one byte.
type stateCode uint8

const (
	stWaiting stateCode = iota
	stUp
	stSilent
	stStopped
	stRevoked
	stDecommissioned
)

func (c stateCode) word() store.ServerState { return store.ServerStates()[c] }

func codeOf(word store.ServerState) stateCode {
	return stateCode(max(slices.Index(store.ServerStates(), word), 0))
}

// first is an issued id with its first line, in one piece of memory.
type first struct {
	identity
	line   line
	server server
	lines  [1]*line
}

func newIdentity(root record.ID) (*identity, *server) {
	f := &first{}
	f.line.key = root
	f.lines[0] = &f.line
	f.identity.lines = lines{root: root, all: f.lines[:1:1]}
	f.server = server{id: root, root: &f.identity, line: &f.line}
	return &f.identity, &f.server
}

// place is the address of the server's last connection, "" when not known.
func (s *server) place() string {
	if s.address == ([16]byte{}) {
		return ""
	}
	return netip.AddrFrom16(s.address).Unmap().String()
}

// placeOf reads an address for server.address.
func placeOf(text string) (out [16]byte) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		out = a.As16()
	}
	return out
}

type current struct {
	category record.Category
	hash     store.Hash
	seen     uint32 // stream time of its last snapshot, Unix seconds; 0 = not known
}

// identity is an issued id and its lines.
type identity struct {
	lines
	registered bool
	retired    bool // decommissioned: its records are not judged
}

const (
	seenEvery = time.Minute     // last_seen is a fact only so often
	skewStep  = 5 * time.Second // a change of skew that is worth a write
	skewTrust = 2 * time.Second // below it, skew is the way of the frame
)

func (s *server) serverFacts() operator.ServerFacts {
	return operator.ServerFacts{ID: s.id, Name: s.name, Site: s.about.site, Rack: s.about.rack, Role: s.about.role, Owner: s.about.owner, OS: s.about.os, Simulated: s.about.simulated, Heard: s.saved != 0}
}

func (s *server) currentHash(c record.Category) store.Hash {
	for i := range s.current {
		if s.current[i].category == c {
			return s.current[i].hash
		}
	}
	return store.Hash{}
}

func (s *server) setCurrent(c record.Category, h store.Hash) {
	for i := range s.current {
		if s.current[i].category == c {
			s.current[i].hash = h
			return
		}
	}
	s.current = append(s.current, current{category: c, hash: h})
}

// late tells whether a heartbeat is missing.
func (s *server) late(now int64) bool {
	return s.line.lastBeat != 0 && !s.line.goodbye && !s.root.retired && s.line.gone(now)
}

// heartbeatFacts takes the facts from a heartbeat.
func heartbeatFacts(r *record.Record) store.ServerFacts {
	f := store.ServerFacts{
		OSName: text(r, record.AttrOSName), OSType: text(r, record.AttrOSType), OSVersion: text(r, record.AttrOSVersion), OSBuild: text(r, record.AttrOSBuild),
		ExporterVersion: text(r, record.AttrExporterVersion), ReportedName: text(r, record.AttrName),
		MachineID: text(r, record.AttrMachineID), SMBIOSUUID: text(r, record.AttrSMBIOSUUID), Interval: interval(r),
	}
	if ns, ok := r.Attr(record.AttrBootTime).Int(); ok && ns > 0 {
		// To the second: some systems compute it anew each time.
		f.BootTime = time.Unix(0, ns).UTC().Round(time.Second)
	}
	return f
}

const maxFact = 256

// text returns a string attribute, bounded.
func text(r *record.Record, key string) string { return cut(r.Attr(key).Str(), maxFact) }

// cut shortens s to n bytes without leaving half a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// interval is the announced heartbeat interval, within reason; 0 = none.
func interval(r *record.Record) time.Duration {
	ms, ok := r.Attr(record.AttrInterval).Int()
	if !ok || ms <= 0 {
		return 0
	}
	return min(max(time.Duration(ms)*time.Millisecond, time.Second), time.Hour)
}

// factsHash changes when a fact does. A boot time that only jitters by a second
// is the same.
func factsHash(f *store.ServerFacts, boot time.Time) uint64 {
	h := fnv.New64a()
	for _, s := range []string{f.OSName, f.OSType, f.OSVersion, f.OSBuild, f.ExporterVersion, f.ReportedName, f.MachineID, f.SMBIOSUUID} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(f.Interval))
	binary.LittleEndian.PutUint64(b[8:], uint64(boot.Unix()))
	h.Write(b[:])
	return h.Sum64()
}

// eventTime corrects a producer's time by its skew and never lets an event
// happen after it was stored.
func eventTime(r *record.Record, skew, appended int64) time.Time {
	t := r.Time
	if t.IsZero() {
		t = r.Observed
	}
	if t.IsZero() {
		return time.Unix(0, appended).UTC()
	}
	ns := t.UnixNano()
	if skew > int64(skewTrust) || skew < -int64(skewTrust) {
		ns += skew
	}
	return time.Unix(0, min(ns, appended)).UTC()
}
