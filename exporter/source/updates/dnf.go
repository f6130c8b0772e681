package updates

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const dnf = "/usr/bin/dnf"

func (r *Reader) readDNF(ctx context.Context) (*Report, error) {
	report := &Report{Status: Status{Source: "dnf", Automatic: "off"}}
	s := &report.Status
	var errs []error
	ask := func(args ...string) ([]byte, error) {
		if !r.o.Online {
			args = append([]string{"-C"}, args...) // what the machine has learnt already
		}
		return r.tool(ctx, dnf, append([]string{"-q"}, args...)...)
	}
	out, err := ask("check-update")
	if c := code(err); c == 0 || c == 100 { // 100 = there are updates
		report.Pending, report.PendingKnown = parseDNF(out), true
		if out, err = ask("updateinfo", "list", "--updates"); err == nil {
			addAdvisories(report.Pending, parseAdvisories(out))
		} else {
			errs = append(errs, fmt.Errorf("ask dnf what is for security: %w", err))
		}
	} else {
		errs = append(errs, fmt.Errorf("ask dnf what waits: %w", err))
	}
	if out, err = r.tool(ctx, dnf, "-q", "history", "list"); err != nil {
		errs = append(errs, fmt.Errorf("ask dnf for its history: %w", err))
	} else {
		report.Installed, report.InstalledKnown = parseDNFHistory(out, time.Local), true
	}
	successes(report)
	out, err = r.tool(ctx, dnf, "-q", "-C", "needs-restarting", "-r")
	s.Reboot = parseRestarting(out)
	if err != nil && s.Reboot == nil && code(err) < 0 {
		errs = append(errs, fmt.Errorf("ask dnf for a restart: %w", err))
	}
	for _, name := range []string{"dnf-automatic-install.timer", "dnf-automatic.timer"} {
		if r.has("etc/systemd/system/timers.target.wants/" + name) {
			s.Automatic = "install"
		}
	}
	solvs, _ := filepath.Glob(r.path("var/cache/dnf/*.solv")) // the pattern is good
	for _, path := range solvs {
		rel, err := filepath.Rel(r.o.Root, path)
		if err != nil {
			continue
		}
		if t := r.changed(rel); t.After(s.LastSearch) {
			s.LastSearch = t
		}
	}
	return report, errors.Join(errs...)
}

var packageArch = regexp.MustCompile(`^\S+\.(noarch|x86_64|i[3-6]86|aarch64|ppc64le|s390x|armv7hl|riscv64|src)$`)

// parseDNF reads `dnf check-update`: name.arch, version, repository. Where the
// columns are too narrow a line is broken behind a word. What follows
// "Obsoleting Packages" stands above already.
func parseDNF(out []byte) []Pending {
	list := []Pending{}
	var words []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Obsoleting") {
			break
		}
		f := strings.Fields(line)
		if len(f) > 0 && packageArch.MatchString(f[0]) {
			words = nil
		}
		words = append(words, f...)
		if len(words) != 3 || !packageArch.MatchString(words[0]) {
			continue
		}
		list = append(list, Pending{ID: words[0], Title: words[0] + " " + words[1], Version: words[1], Category: "update"})
		words = nil
	}
	return list
}

// advisory is a line of `dnf updateinfo list`.
type advisory struct {
	id, kind, severity string
	pkg                string // name-version-release.arch
}

// parseAdvisories reads both dnf's "RHSA-2024:1 Important/Sec. bash-5.1-9.x86_64"
// and dnf5's columns id, type, severity, package, date.
func parseAdvisories(out []byte) []advisory {
	var all []advisory
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		a := advisory{id: f[0], kind: strings.ToLower(f[1])}
		if severity, ok := strings.CutSuffix(f[1], "/Sec."); ok {
			a.kind, a.severity = "security", severity
		} else if a.kind == "security" && len(f) > 3 {
			a.severity = f[2]
		}
		for _, w := range f[2:] {
			if packageArch.MatchString(w) && strings.Contains(w, "-") {
				a.pkg = w
				all = append(all, a)
				break
			}
		}
	}
	return all
}

var severities = map[string]int{"critical": 4, "important": 3, "moderate": 2, "low": 1}

// addAdvisories says of each package what its worst advisory says. An advisory
// names the package with an epoch at most in the version.
func addAdvisories(list []Pending, all []advisory) {
	worst := map[string]advisory{}
	for _, a := range all {
		old, known := worst[a.pkg]
		if !known || a.kind == "security" && (old.kind != "security" || severities[strings.ToLower(a.severity)] > severities[strings.ToLower(old.severity)]) {
			worst[a.pkg] = a
		}
	}
	for i := range list {
		p := &list[i]
		dot := strings.LastIndexByte(p.ID, '.')
		base, arch := p.ID[:dot], p.ID[dot:]
		_, plain, hasEpoch := strings.Cut(p.Version, ":")
		if !hasEpoch {
			plain = p.Version
		}
		a, ok := worst[base+"-"+plain+arch]
		if !ok {
			a, ok = worst[base+"-"+p.Version+arch]
		}
		if !ok {
			continue
		}
		p.KB, p.Severity = "", a.severity
		if p.Category = a.kind; a.kind == "security" {
			p.Security = true
		}
		p.Title += " (" + a.id + ")"
	}
}

// historyLine is a line of `dnf history list`, of dnf with bars between the
// columns and of dnf5 without.
var historyLine = regexp.MustCompile(`^\s*(\d+)\s*\|?\s+(.*?)\s*\|?\s+(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?)\s*\|?\s+(.*?)\s*\|?\s+(\d+)\s*([*<>#EPs]*)\s*$`)

// parseDNFHistory reads the transactions, in the machine's own time.
func parseDNFHistory(out []byte, zone *time.Location) []Installed {
	all := []Installed{}
	for line := range strings.Lines(string(out)) {
		m := historyLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		layout := "2006-01-02 15:04"
		if len(m[3]) > len(layout) {
			layout += ":05"
		}
		at, err := time.ParseInLocation(layout, m[3], zone)
		if err != nil {
			continue
		}
		e := Installed{ID: "dnf " + m[1], Title: withoutSecrets(m[2]), When: at, State: StateSucceeded, Packages: m[5] + " packages"}
		switch action := strings.ToLower(m[4]); {
		case strings.Contains(action, "upgrade"), strings.Contains(action, "update"), regexpUpgrade.MatchString(m[4]):
			e.Operation = "upgrade"
		default:
			e.Operation = action
		}
		if strings.Contains(m[6], "*") {
			e.State = StateAborted
		} else if strings.ContainsAny(m[6], "E") {
			e.State = StatePartly // dnf's mark for output on the error stream
		}
		if len(all) < MaxHistory {
			all = append(all, e)
		}
	}
	newestFirst(all)
	return all
}

// regexpUpgrade is how dnf shortens several actions: "I, U".
var regexpUpgrade = regexp.MustCompile(`\bU\b`)

// parseRestarting reads `dnf needs-restarting -r`; nil when it says neither, as
// where the plugin is not installed.
func parseRestarting(out []byte) *bool {
	text := string(out)
	yes := strings.Contains(text, "Reboot is required")
	if !yes && !strings.Contains(text, "Reboot should not be necessary") {
		return nil
	}
	return &yes
}
