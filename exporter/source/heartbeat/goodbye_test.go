package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source/sourcetest"
	"nocturne/internal/record"
)

var when = time.Unix(1_700_000_000, 0)

// event1074 is in the shape of Windows' own, with data of our making.
func event1074(computer string, at time.Time, params ...string) record.Record {
	r := record.Record{Time: at, Name: record.NameWindowsEvent, Attrs: []record.Attr{
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String("USER32")},
		{Key: record.AttrEventID, Value: record.Int(1074)}, {Key: record.AttrComputer, Value: record.String(computer)},
	}}
	for i, p := range params {
		r.Attrs = append(r.Attrs, record.Attr{Key: fmt.Sprintf("%sparam%d", record.AttrData, i+1), Value: record.String(p)})
	}
	return r
}

var planned = []string{`C:\Windows\system32\winlogon.exe (DB7)`, "DB7", "Operating System: Upgrade (Planned)", "0x80020003", "restart", "", `NT AUTHORITY\SYSTEM`}

func TestGoodbye(t *testing.T) {
	f := func(c Cause, body, want string) {
		t.Helper()
		r := Goodbye(c, when)
		if got := attrs(r); got != want || r.Body != body || r.Name != record.NameGoodbye {
			t.Errorf("%q %s\nwant %q %s", r.Body, got, body, want)
		}
	}
	f(Cause{Reason: ReasonStop}, "exporter stops: stop", "goodbye.reason=stop")
	var s Shutdowns
	s.Observe([]record.Record{event1074("DB7", when, planned...)})
	f(Cause{Reason: ReasonShutdown, Shutdown: s.Last(when)}, `exporter stops: shutdown, restart, by C:\Windows\system32\winlogon.exe for NT AUTHORITY\SYSTEM: Operating System: Upgrade (Planned)`,
		`goodbye.reason=shutdown|shutdown.action=restart|shutdown.process=C:\Windows\system32\winlogon.exe|shutdown.user=NT AUTHORITY\SYSTEM|shutdown.reason=Operating System: Upgrade (Planned)|shutdown.planned=true`)
	s.Observe([]record.Record{event1074("DB7", when, "msiexec.exe", "DB7", "No title", "0x0", "power off", "because\r\nof x")})
	f(Cause{Reason: ReasonShutdown, Shutdown: s.Last(when)}, "exporter stops: shutdown, power off, by msiexec.exe: No title; because of x",
		"goodbye.reason=shutdown|shutdown.action=power off|shutdown.process=msiexec.exe|shutdown.reason=No title; because of x|shutdown.planned=false")
	long := Goodbye(Cause{Reason: ReasonShutdown, Shutdown: &Shutdown{Why: strings.Repeat("é", 600)}}, when)
	if n := len(long.Attr(record.AttrShutdownReason).Str()); n > 520 {
		t.Errorf("%d bytes of a reason", n)
	}
}

func TestShutdowns(t *testing.T) {
	f := func(why, host string, now time.Time, want bool, recs ...record.Record) {
		t.Helper()
		s := Shutdowns{Host: host}
		s.Observe(recs)
		if got := s.Last(now); (got != nil) != want {
			t.Errorf("%s: %+v", why, got)
		}
	}
	event := event1074("DB7.example.org", when, planned...)
	f("of this machine", "db7", when.Add(time.Minute), true, event)
	f("forwarded from another", "db8", when, false, event)
	f("long ago", "db7", when.Add(time.Hour), false, event)
	off := event1074("DB7", when)
	off.Attrs[2].Value = record.Int(1075)
	f("called off", "db7", when, false, event, off)
	f("another event", "db7", when, true, event, record.Record{Name: record.NameWindowsEvent})
	other := event1074("DB7", when, planned...)
	other.Attrs[1].Value = record.String("disk")
	f("the number of another provider", "db7", when, false, other)
	logind := record.Record{Time: when, Name: record.NameJournal, Body: "System is rebooting.", Attrs: []record.Attr{
		{Key: record.AttrProvider, Value: record.String("systemd-logind")}, {Key: record.AttrData + "message_id", Value: record.String(messageShutdown)},
	}}
	f("logind", "db7", when, true, logind)
}

// The outputs of systemctl are constructed from its manual page.
func TestAskSystem(t *testing.T) {
	if osType != "linux" {
		t.Skip("systemd is Linux'")
	}
	root := sourcetest.Tree(t, map[string]string{"run/systemd/system/x": "", "usr/bin/systemctl": "", "run/systemd/shutdown/scheduled": "USEC=1\nWARN_WALL=1\nMODE=reboot\nWALL_MESSAGE=new\\x20kernel\n"})
	f := func(why, root, out string, fail error, want string) {
		t.Helper()
		got := AskSystem(t.Context(), root, func(_ context.Context, name string, args ...string) ([]byte, error) {
			if name != "/usr/bin/systemctl" || args[0] != "list-jobs" {
				t.Errorf("%s %v", name, args)
			}
			return []byte(out), fail
		})
		said := "nothing"
		if got != nil {
			said = got.Action + ", " + got.Why
		}
		if said != want {
			t.Errorf("%s: %s, want %s", why, said, want)
		}
	}
	const end = "215 reboot.target start waiting\n216 nocturne-exporter.service stop running\n217 shutdown.target start waiting\n"
	f("goes down", root, end, nil, "reboot, new kernel")
	f("only this service", root, "216 nocturne-exporter.service stop running\n", nil, "nothing")
	f("no jobs", root, "", nil, "nothing")
	f("a target that stops", root, "1 reboot.target stop waiting\n", nil, "nothing")
	f("systemctl fails", root, end, errors.New("no bus"), "nothing")
	f("no systemd", sourcetest.Tree(t, map[string]string{"usr/bin/systemctl": ""}), end, nil, "nothing")
	f("not scheduled", sourcetest.Tree(t, map[string]string{"run/systemd/system/x": "", "usr/bin/systemctl": ""}), "1 poweroff.target start running", nil, "poweroff, ")
}

func FuzzGoodbyeTexts(f *testing.F) {
	f.Add("1 reboot.target start waiting", "MODE=reboot\nWALL_MESSAGE=x\\x20y", "0x80020003")
	f.Fuzz(func(t *testing.T, list, file, param string) {
		s := jobs(list)
		if s == nil {
			s = &Shutdown{}
		}
		scheduled(s, file)
		for _, c := range []*Shutdown{s, user32(when, func(int) string { return param })} {
			r := Goodbye(Cause{Reason: ReasonShutdown, Shutdown: c}, when)
			if n := record.RecordSize(&r); n > 16<<10 {
				t.Fatalf("a goodbye of %d bytes", n)
			}
		}
	})
}
