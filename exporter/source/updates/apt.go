package updates

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// aptLogs are the histories that are read: logrotate keeps twelve months.
const aptLogs = 12

func (r *Reader) readAPT(ctx context.Context) (*Report, error) {
	report := &Report{Status: Status{Source: "apt"}}
	s := &report.Status
	var errs []error
	// No lock, and nothing is changed: -s only tells what would be done.
	out, err := r.tool(ctx, "/usr/bin/apt-get", "-s", "-q", "-o", "Debug::NoLocking=1", "-o", "Dir::Log::Planner=/dev/null", "dist-upgrade")
	if err != nil {
		errs = append(errs, fmt.Errorf("ask apt what waits: %w", err))
	} else {
		report.Pending, report.PendingKnown = parseAPT(out), true
	}
	if report.Installed, err = r.aptHistory(time.Local); err != nil {
		errs = append(errs, err)
	} else {
		report.InstalledKnown = true
	}
	successes(report)
	if out, err := r.tool(ctx, "/usr/bin/apt-config", "dump", "APT::Periodic"); err == nil {
		s.Automatic = parseAPTConfig(out)
	}
	for _, name := range []string{"var/lib/apt/periodic/update-success-stamp", "var/lib/apt/lists"} {
		if t := r.changed(name); t.After(s.LastSearch) {
			s.LastSearch = t
		}
	}
	r.rebootFile(s)
	return report, errors.Join(errs...)
}

// rebootFile reads the sign that Debian's packages leave for a restart.
func (r *Reader) rebootFile(s *Status) {
	required := r.has("run/reboot-required") || r.has("var/run/reboot-required")
	s.Reboot = &required
	if !required {
		return
	}
	seen := map[string]bool{}
	b, err := r.readLog("run/reboot-required.pkgs")
	if err != nil {
		return // the sign without the names
	}
	for _, name := range strings.Fields(string(b)) {
		if !seen[name] && len(seen) < 20 {
			seen[name] = true
			s.RebootReasons = append(s.RebootReasons, name)
		}
	}
}

// successes dates the last success and the last error of a history of
// transactions: one that upgraded something.
func successes(r *Report) {
	for i := range r.Installed {
		e := &r.Installed[i]
		ok := e.State == StateSucceeded || e.State == StatePartly
		if ok && e.Operation == "upgrade" && e.When.After(r.Status.LastSuccess) {
			r.Status.LastSuccess = e.When
		}
		if !ok && e.When.After(r.Status.LastErrorTime) {
			r.Status.LastErrorTime, r.Status.LastError = e.When, strings.TrimSpace(e.Code+" "+e.Title)
		}
	}
}

// parseAPT reads what `apt-get -s dist-upgrade` would install:
//
//	Inst bash [5.2.15-2+b8] (5.2.15-2+b13 Debian:12.15/oldstable [amd64]) []
//
// A package that is new, and comes because another needs it, has no version in
// square brackets.
func parseAPT(out []byte) []Pending {
	list := []Pending{}
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, maxAnswer)
	for sc.Scan() {
		rest, ok := strings.CutPrefix(sc.Text(), "Inst ")
		if !ok {
			continue
		}
		p := Pending{Category: "update"}
		p.ID, rest, _ = strings.Cut(rest, " ")
		if old, ok := strings.CutPrefix(rest, "["); ok {
			p.Installed, rest, _ = strings.Cut(old, "]")
			rest = strings.TrimPrefix(rest, " ")
		}
		inner, ok := strings.CutPrefix(rest, "(")
		if !ok || p.ID == "" {
			continue
		}
		inner, _, _ = strings.Cut(inner, ")")
		inner, _, _ = strings.Cut(inner, " [")
		var from string
		p.Version, from, _ = strings.Cut(inner, " ")
		p.Title = p.ID + " " + p.Version
		// Debian-Security:12/oldstable-security, Ubuntu:22.04/jammy-security
		if p.Security = strings.Contains(strings.ToLower(from), "security"); p.Security {
			p.Category = "security"
		}
		if p.Installed == "" {
			p.Category = "new"
		}
		list = append(list, p)
	}
	return list
}

// parseAPTConfig reads `apt-config dump`: what unattended-upgrades does.
func parseAPTConfig(out []byte) string {
	set := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ";"), " ")
		if ok {
			set[strings.ToLower(key)] = strings.Trim(value, `"`)
		}
	}
	on := func(key string) bool { v := set["apt::periodic::"+key]; return v != "" && v != "0" }
	switch {
	case set["apt::periodic::enable"] == "0":
		return "off"
	case on("unattended-upgrade"):
		return "install"
	case on("download-upgradeable-packages"):
		return "download"
	case on("update-package-lists"):
		return "notify"
	}
	return "off"
}

func (r *Reader) aptHistory(zone *time.Location) ([]Installed, error) {
	var all []Installed
	for i := range aptLogs + 1 {
		name := "var/log/apt/history.log"
		if i > 0 {
			name = fmt.Sprintf("%s.%d.gz", name, i)
		}
		b, err := r.readLog(name)
		switch {
		case i > 0 && missing(err):
			continue // never rotated so far
		case missing(err) && r.has("var/log/apt"):
			continue // nothing happened since it was rotated
		case err != nil:
			return nil, fmt.Errorf("history of apt: %w", err)
		}
		all = append(all, parseAPTHistory(b, zone)...)
		if len(all) >= MaxHistory {
			break
		}
	}
	newestFirst(all)
	return all, nil
}

// parseAPTHistory reads /var/log/apt/history.log: a block of lines for each
// transaction, in the machine's own time.
func parseAPTHistory(b []byte, zone *time.Location) []Installed {
	var all []Installed
	for block := range strings.SplitSeq(strings.ReplaceAll(string(b), "\r", ""), "\n\n") {
		f := map[string]string{}
		for line := range strings.Lines(block) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
				f[key] = strings.TrimSpace(value)
			}
		}
		began, err := time.ParseInLocation("2006-01-02  15:04:05", f["Start-Date"], zone)
		if err != nil {
			continue
		}
		e := Installed{ID: "apt " + began.Format(time.DateTime), Title: withoutSecrets(f["Commandline"]), When: began, State: StateSucceeded}
		if e.Title == "" {
			e.Title = "packagekit or another program"
		}
		for _, what := range []string{"Upgrade", "Install", "Reinstall", "Downgrade", "Remove", "Purge"} {
			if f[what] == "" {
				continue
			}
			if e.Operation == "" {
				e.Operation = strings.ToLower(what)
			}
			e.Packages = strings.TrimPrefix(e.Packages+"; "+strings.ToLower(what)+": "+f[what], "; ")
		}
		switch {
		case f["Error"] != "":
			e.State, e.Code = StateFailed, f["Error"]
		case f["End-Date"] == "":
			e.State = StateAborted // the newest one may be at work still: the next look knows
		}
		all = append(all, e)
	}
	return all
}
