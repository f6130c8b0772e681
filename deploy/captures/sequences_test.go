package captures

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"nocturne/alerts"
	"nocturne/exporter/source/raid"
	"nocturne/internal/corpus"
	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

func pack(t *testing.T) []*rule.Rule {
	t.Helper()
	rules, err := rule.ParseFS(alerts.Files(), "records")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(corpus.File(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replies reads what storcli answered, as the exporter does.
func replies(t *testing.T, names ...string) *record.Snapshot {
	t.Helper()
	var docs [][]byte
	for _, n := range names {
		docs = append(docs, read(t, n))
	}
	s, problems, err := raid.Parse(docs...)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v: %v %v", names, problems, err)
	}
	return s
}

var (
	volumeRow = regexp.MustCompile(`^(\d+)/(\d+) +RAID\d+ +(\S+) `)
	driveRow  = regexp.MustCompile(`^(\d+):(\d+) +\d+ +(\S+) +(\d+|-) `)
)

// tables reads the tables of storcli's text for people, which the exporter never
// does: real arrays that are degraded exist as text alone.
func tables(t *testing.T, name string) *record.Snapshot {
	t.Helper()
	s := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}, {Type: record.DeviceVirtualDrive}}}
	add := func(typ, place, state, group string) {
		s.Devices = append(s.Devices, record.Device{Type: typ, Place: place, Fields: []record.Attr{
			{Key: record.FieldState, Value: record.String(state)}, {Key: operator.FieldGroup, Value: record.String(group)}}})
	}
	lines := bufio.NewScanner(bytes.NewReader(read(t, name)))
	for lines.Scan() {
		if m := volumeRow.FindStringSubmatch(lines.Text() + " "); m != nil {
			add(record.DeviceVirtualDrive, "c0/v"+m[2], m[3], m[1])
		} else if m := driveRow.FindStringSubmatch(lines.Text() + " "); m != nil {
			add(record.DevicePhysicalDrive, "c0/e"+m[1]+"/s"+m[2], m[3], m[4])
		}
	}
	if len(s.Devices) < 3 {
		t.Fatalf("%s: %d devices", name, len(s.Devices))
	}
	return s
}

// desk plays snapshots and events of one server against the default rules.
type desk struct {
	t     *testing.T
	set   *operator.Set
	table *notify.Table
	known *record.Snapshot
	now   time.Time
	n     uint64
	told  []string
}

var facts = operator.ServerFacts{ID: record.ID{1}, Name: "db7", OS: "windows"}

func newDesk(t *testing.T) *desk {
	t.Helper()
	rules := pack(t)
	set, err := operator.NewSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, set: set, table: notify.NewTable(rules), now: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
}

func (d *desk) step(c record.Category, r *record.Record) []diff.Change {
	d.n++
	in := operator.Input{Record: r, Header: &record.Header{Category: c, Subject: facts.ID}, Seq: d.n, RecordID: fmt.Sprint(d.n)}
	ctx := operator.Context{Now: d.now, Server: facts}
	if r.Snapshot != nil {
		ctx.Previous = d.known
		in.Changes, in.Current = diff.Compare(d.known, r.Snapshot)
		d.known = diff.Stable(in.Current)
	}
	for _, v := range append(d.set.Tick(d.now), d.set.Step(ctx, in)...) {
		operator.Relate(&v, func(c record.Category) *record.Snapshot {
			if c == record.RAID {
				return d.known
			}
			return nil
		})
		tr := d.table.Apply(v, facts, notify.At{Time: d.now, Entry: d.n})
		if tr.Effect != notify.Ignored && tr.Effect != notify.Repeated {
			d.told = append(d.told, strings.TrimSpace(fmt.Sprintf("%s %s %s", tr.Effect, v.RuleID, v.Device)))
		}
	}
	return diff.Significant(in.Changes)
}

// Each sequence of captures gives the changes that a person would name, and the
// default rules say what they should.
func TestSequences(t *testing.T) {
	const scality, naudit, check = "raid/scality.raidmgmt/", "raid/Naudit.pystorcli2/namedSet__set_state_offline_00____c0_e35_", "raid-text/mtik00.storcli-check/"
	for _, c := range []struct {
		name          string
		states        []*record.Snapshot
		changes, told string
	}{
		{"a volume is deleted, its drive becomes unconfigured: nothing is broken",
			[]*record.Snapshot{
				replies(t, scality+"controllers__c0.json", scality+"logicalvolumes__show__all.json", scality+"physicaldrives__show__e251s12.json"),
				replies(t, scality+"controllers__c0_s12_UGood.json", scality+"logicalvolumes__show__all_NOv228.json", scality+"physicaldrives__show__e251s12_UGood.json")},
			`field physical_drive c0/e251/s12: state Onln to UGood
			removed virtual_drive c0/v228`,
			`opened raid-virtual-drive-changed virtual_drive c0/v228`},
		{"the same in the words of storcli2",
			[]*record.Snapshot{
				replies(t, scality+"controllergetter__testdata__storcli2__c0.json", scality+"physicaldrivegetter__testdata__storcli2__show__e320s11.json"),
				replies(t, scality+"controllergetter__testdata__storcli2__c0_UGood.json", scality+"physicaldrivegetter__testdata__storcli2__show__e320s11_UGood.json")},
			`field physical_drive c0/e320/s11: drive_group 23 to none
			field physical_drive c0/e320/s11: state Conf/Online to UConf/Good
			removed virtual_drive c0/v24`,
			`opened raid-virtual-drive-changed virtual_drive c0/v24`},
		{"somebody sets a drive offline: the controller does not use it",
			[]*record.Snapshot{replies(t, naudit+"sall_show_J.json"), replies(t, naudit+"s12_show_J.json")},
			`field physical_drive c0/e35/s12: drive_group none to 2
			field physical_drive c0/e35/s12: state UGood to Offln`,
			`opened raid-drive-failed physical_drive c0/e35/s12`},
		{"a drive goes offline and degrades its array; then its mirror, and the array: two drives are two problems, the array is told with the first, its end with the second",
			[]*record.Snapshot{tables(t, check+"single-controller-ok__00-show-all.txt"), tables(t, check+"single-controller-degraded.txt"), tables(t, check+"single-controller-offline.txt")},
			`field physical_drive c0/e24/s10: state Onln to Offln
			field virtual_drive c0/v1: state Optl to Dgrd
			field physical_drive c0/e24/s11: state Onln to Offln
			field virtual_drive c0/v1: state Dgrd to OfLn`,
			`opened raid-drive-failed physical_drive c0/e24/s10
			joined raid-virtual-drive-degraded virtual_drive c0/v1
			opened raid-drive-failed physical_drive c0/e24/s11
			joined raid-virtual-drive-offline virtual_drive c0/v1
			eased raid-virtual-drive-degraded virtual_drive c0/v1`},
		{"the controller's own events: degraded, offline, degraded again within two minutes: one problem, told when it gets worse",
			eventStates(t, check+"multi-controller-fail-events__02-events.txt"),
			`field virtual_drive c0/v0: state Optl to DEGRADED
			field virtual_drive c0/v0: state DEGRADED to OFFLINE
			field virtual_drive c0/v0: state OFFLINE to DEGRADED`,
			`opened raid-virtual-drive-degraded virtual_drive c0/v0
			escalated raid-virtual-drive-offline virtual_drive c0/v0
			eased raid-virtual-drive-degraded virtual_drive c0/v0
			joined raid-virtual-drive-degraded virtual_drive c0/v0
			eased raid-virtual-drive-offline virtual_drive c0/v0`},
	} {
		d := newDesk(t)
		compare(t, c.name+": changes", c.changes, d.play(record.RAID, c.states...))
		compare(t, c.name+": told", c.told, d.told)
	}
}

// play shows snapshots a minute apart, and returns the changes in words.
func (d *desk) play(c record.Category, states ...*record.Snapshot) (changes []string) {
	for _, s := range states {
		d.now = d.now.Add(time.Minute)
		for _, ch := range d.step(c, &record.Record{Name: record.NameSnapshot, Time: d.now, Observed: d.now, Snapshot: s}) {
			line := ch.Kind.String() + " " + ch.Device()
			if ch.Kind == diff.Field {
				line += ": " + ch.Field + " " + ch.Before.Text() + " to " + ch.After.Text()
			}
			changes = append(changes, line)
		}
	}
	return changes
}

func compare(t *testing.T, what, want string, got []string) {
	t.Helper()
	want = strings.TrimSpace(strings.ReplaceAll(want, "\t", ""))
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, s, want)
	}
}

var volumeEvent = regexp.MustCompile(`Event Description: VD 00/0 is now (\w+)`)

// eventStates makes states of what the controller's event log says of a volume,
// behind one in which it is well.
func eventStates(t *testing.T, name string) []*record.Snapshot {
	t.Helper()
	states := []string{"Optl"}
	for _, m := range volumeEvent.FindAllStringSubmatch(string(read(t, name)), -1) {
		states = append(states, m[1])
	}
	var out []*record.Snapshot
	for _, s := range states {
		out = append(out, &record.Snapshot{Sections: []record.Section{{Type: record.DeviceVirtualDrive}}, Devices: []record.Device{{Type: record.DeviceVirtualDrive, Place: "c0/v0",
			Fields: []record.Attr{{Key: record.FieldState, Value: record.String(s)}, {Key: operator.FieldGroup, Value: record.Int(0)}}}}})
	}
	return out
}

// Somebody stops the Network List Service and restarts the machine. Two services
// that need it end with an error and say so (7023, 7001); nothing else is
// anybody's problem, the Security log and the restart least of all.
func TestRestartOfAService(t *testing.T) {
	d := newDesk(t)
	n := 0
	for _, name := range []string{"before", "after"} {
		lines := bufio.NewScanner(bytes.NewReader(read(t, "events-rendered/OTRF.Security-Datasets/cmd_psh_stop_netprofm_eventlog_"+name+"_reboot.json")))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e struct {
				SourceName, Channel, Message, Param1 string
				EventID                              int64
			}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			n++
			d.now = d.now.Add(time.Second)
			d.step(record.EventLog, &record.Record{Name: record.NameWindowsEvent, Time: d.now, Observed: d.now, Body: e.Message, Attrs: []record.Attr{
				{Key: record.AttrChannel, Value: record.String(e.Channel)}, {Key: record.AttrProvider, Value: record.String(e.SourceName)}, {Key: record.AttrEventID, Value: record.Int(e.EventID)},
				{Key: record.AttrLevel, Value: record.String("info")}, {Key: record.AttrData + "param1", Value: record.String(e.Param1)}}})
		}
	}
	if n < 100 {
		t.Fatalf("%d events", n)
	}
	compare(t, "told", `opened service-failed service Network Connection Broker
		opened service-failed service Connected Devices Platform Service`, d.told)
}
