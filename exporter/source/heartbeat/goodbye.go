package heartbeat

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Goodbye reasons, the closed set of record.AttrReason.
const (
	ReasonStop     = "stop"
	ReasonShutdown = "shutdown"
	ReasonUpdate   = "update"
)

// Cause is why an exporter stops.
type Cause struct {
	Reason string
	// Shutdown is what the system says of its own end; nil = not known.
	Shutdown *Shutdown
}

// Shutdown is what a system says of its own end; empty fields are not known.
type Shutdown struct {
	At      time.Time // when it was said
	Action  string    // restart, power off …, in the system's words
	Process string    // which asked for it
	User    string    // for whom
	Why     string    // reason and comment
	Planned *bool
}

// Goodbye returns the record that says this exporter stops on purpose. It has
// the heartbeat's category, so that it stays in order with the beats.
func Goodbye(c Cause, now time.Time) record.Record {
	r := record.Record{
		Time: now, Observed: now, Severity: record.Info, Name: record.NameGoodbye, Body: "exporter stops: " + c.Reason,
		Attrs: []record.Attr{{Key: record.AttrReason, Value: record.String(c.Reason)}},
	}
	s := c.Shutdown
	if s == nil {
		return r
	}
	add := func(key, before, v string) {
		if v = short(v); v != "" {
			r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: record.String(v)})
			r.Body += before + v
		}
	}
	add(record.AttrShutdownAction, ", ", s.Action)
	add(record.AttrShutdownProcess, ", by ", s.Process)
	add(record.AttrShutdownUser, " for ", s.User)
	add(record.AttrShutdownReason, ": ", s.Why)
	if s.Planned != nil {
		r.Attrs = append(r.Attrs, record.Attr{Key: record.AttrShutdownPlanned, Value: record.Bool(*s.Planned)})
	}
	return r
}

// short bounds what others say, and keeps it on one line.
func short(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) > 512 {
		s = strings.ToValidUTF8(s[:512], "") + "…"
	}
	return s
}

// shutdownAge is how long what a system said of its end explains a goodbye.
const shutdownAge = 10 * time.Minute

// Shutdowns keeps what events that were handed on said last of this machine's
// end: Windows' User32/1074, and what systemd-logind writes. It may be used
// concurrently.
type Shutdowns struct {
	// Host is this machine's name: forwarded events tell of others.
	Host string

	mu   sync.Mutex
	last *Shutdown
}

// Observe looks at records that were handed on.
func (s *Shutdowns) Observe(recs []record.Record) {
	for i := range recs {
		r := &recs[i]
		said, ok := told(r)
		if !ok || !sameHost(r.Attr(record.AttrComputer).Str(), s.Host) {
			continue
		}
		s.mu.Lock()
		s.last = said
		s.mu.Unlock()
	}
}

// Last returns what was said within the last minutes, or nil.
func (s *Shutdowns) Last(now time.Time) *Shutdown {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || now.Sub(s.last.At) > shutdownAge || s.last.At.Sub(now) > shutdownAge {
		return nil
	}
	return s.last
}

// sameHost compares the first labels of two names; one that is not known is
// this machine's.
func sameHost(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return a == "" || b == "" || strings.EqualFold(a, b)
}

// messageShutdown is the id of what logind writes when the system goes down
// (sd-messages.h, SD_MESSAGE_SHUTDOWN).
const messageShutdown = "98268866d1d54a499c4e98921d93bc40"

// told reads an event that tells of the machine's end; nil with ok is a
// shutdown that was called off.
func told(r *record.Record) (s *Shutdown, ok bool) {
	at := r.Time
	if at.IsZero() {
		at = r.Observed
	}
	switch r.Name {
	case record.NameWindowsEvent:
		id, _ := r.Attr(record.AttrEventID).Int()
		if (id != 1074 && id != 1075) || !strings.EqualFold(r.Attr(record.AttrProvider).Str(), "User32") {
			return nil, false
		}
		if id == 1075 { // called off
			return nil, true
		}
		return user32(at, func(i int) string { return r.Attr(record.AttrData + "param" + strconv.Itoa(i)).Str() }), true
	case record.NameJournal:
		if r.Attr(record.AttrData+"message_id").Str() != messageShutdown || r.Attr(record.AttrProvider).Str() != "systemd-logind" {
			return nil, false
		}
		return &Shutdown{At: at, Why: r.Body}, true
	}
	return nil, false
}

// reasonPlanned is SHTDN_REASON_FLAG_PLANNED of a reason code.
const reasonPlanned = 0x80000000

// user32 reads the data of event 1074: process, computer, reason, reason code,
// action, comment, user.
func user32(at time.Time, param func(i int) string) *Shutdown {
	s := &Shutdown{At: at, Process: param(1), Action: param(5), User: param(7), Why: strings.TrimSpace(param(3))}
	if c := strings.TrimSpace(param(6)); c != "" {
		s.Why = strings.TrimPrefix(s.Why+"; "+c, "; ")
	}
	// "C:\Windows\system32\winlogon.exe (DB7)": the machine is known.
	if i := strings.LastIndex(s.Process, " ("); i > 0 && strings.HasSuffix(s.Process, ")") {
		s.Process = s.Process[:i]
	}
	if code, err := strconv.ParseUint(strings.TrimSpace(param(4)), 0, 32); err == nil {
		planned := code&reasonPlanned != 0
		s.Planned = &planned
	}
	return s
}

// AskSystem asks systemd whether the machine goes down now; nil = it does not,
// or nobody knows. root is put before the paths, "" = "/". Only on Linux is
// there anybody to ask.
func AskSystem(ctx context.Context, root string, run source.Runner) *Shutdown {
	if root == "" {
		root = "/"
	}
	if osType != "linux" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(root, "run/systemd/system")); err != nil {
		return nil // another init
	}
	for _, path := range []string{"/usr/bin/systemctl", "/bin/systemctl"} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			continue
		}
		out, err := run(ctx, path, "list-jobs", "--no-legend", "--no-pager", "--plain")
		if err != nil {
			return nil
		}
		s := jobs(string(out))
		if s != nil {
			b, _ := os.ReadFile(filepath.Join(root, "run/systemd/shutdown/scheduled")) // absent unless it was scheduled
			s.At = time.Now()
			scheduled(s, string(b[:min(len(b), 4<<10)]))
		}
		return s
	}
	return nil
}

// ends are the targets that a machine's end starts, in systemd's words.
var ends = map[string]string{"reboot.target": "reboot", "poweroff.target": "poweroff", "halt.target": "halt", "kexec.target": "kexec", "soft-reboot.target": "soft-reboot", "shutdown.target": ""}

// jobs reads `systemctl list-jobs`: number, unit, job, state.
func jobs(text string) *Shutdown {
	var s *Shutdown
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "start" {
			continue
		}
		action, ok := ends[f[1]]
		if !ok {
			continue
		}
		if s == nil {
			s = &Shutdown{}
		}
		if action != "" {
			s.Action = action
		}
	}
	return s
}

// scheduled reads /run/systemd/shutdown/scheduled, which `shutdown +5 "why"`
// leaves: MODE, WALL_MESSAGE.
func scheduled(s *Shutdown, text string) {
	planned := true
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case !ok:
		case k == "WALL_MESSAGE":
			s.Why, s.Planned = unescape(v), &planned
		case k == "MODE" && v != "":
			s.Planned = &planned
		}
	}
}

// unescape takes the backslashes out of a value that systemd has escaped.
func unescape(s string) string {
	if t, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`); err == nil {
		return t
	}
	return s
}
