// Package lifecycle knows until when operating systems get security updates:
// from the table that the program carries (lifecycle.yml, with the publishers'
// pages as sources) and from a file of the administrator's, which is asked
// first and read again when it changes.
//
// A Table never changes and may be used concurrently, and so may a Source. To
// test: go test ./ruler/lifecycle.
package lifecycle

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed lifecycle.yml
var builtin []byte

// Release is one release of an operating system.
type Release struct {
	Family string
	Name   string
	Source string // the publisher's page
	// ActiveEnd, End and PaidEnd are last days, at midnight UTC; zero = not said.
	ActiveEnd, End, PaidEnd time.Time
}

// Table finds releases. The zero Table knows none.
type Table struct {
	Updated  time.Time
	families []family
}

type family struct {
	name, source, osType string
	match                *regexp.Regexp
	releases             []release
}

type release struct {
	Release
	version string
	name    *regexp.Regexp
}

// Limits of a file.
const (
	maxFile     = 1 << 20
	maxReleases = 2000
	maxText     = 256
)

// document is the file's form, version 1.
type document struct {
	Version  int `yaml:"version"`
	Updated  day `yaml:"updated"`
	Families []struct {
		Family string `yaml:"family"`
		Source string `yaml:"source"`
		Match  struct {
			OSType string `yaml:"os_type"`
			Name   string `yaml:"name"`
		} `yaml:"match"`
		Releases []struct {
			Release   string `yaml:"release"`
			Version   string `yaml:"version"`
			Name      string `yaml:"name"`
			ActiveEnd day    `yaml:"active_end"`
			End       day    `yaml:"end"`
			PaidEnd   day    `yaml:"paid_end"`
		} `yaml:"releases"`
	} `yaml:"families"`
}

// day is a date without a time.
type day struct{ time.Time }

// UnmarshalYAML reads 2029-01-09.
func (d *day) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil || t.Year() < 1990 || t.Year() > 2100 {
		return fmt.Errorf("line %d: %.40q is no date, write one like 2029-01-09", n.Line, n.Value)
	}
	d.Time = t
	return nil
}

// Parse reads a file strictly.
func Parse(b []byte) (*Table, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	var doc document
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if doc.Version != 1 {
		return nil, fmt.Errorf("version: %d, this program reads version 1: write version: 1 at the top", doc.Version)
	}
	t := &Table{Updated: doc.Updated.Time}
	n := 0
	for i, f := range doc.Families {
		at := fmt.Sprintf("families[%d] (%.40s)", i, f.Family)
		if f.Family == "" || f.Source == "" || f.Match.OSType == "" {
			return nil, fmt.Errorf("%s: say family, source (where the dates are published) and match.os_type", at)
		}
		match, err := pattern(f.Match.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: match.name: %w", at, err)
		}
		out := family{name: f.Family, source: f.Source, osType: f.Match.OSType, match: match}
		for j, r := range f.Releases {
			at := fmt.Sprintf("%s: releases[%d] (%.60s)", at, j, r.Release)
			if r.Release == "" || r.Version == "" || r.End.IsZero() || len(r.Release) > maxText || len(r.Version) > maxText {
				return nil, fmt.Errorf("%s: say release, version and end", at)
			}
			if !r.ActiveEnd.IsZero() && r.ActiveEnd.After(r.End.Time) || !r.PaidEnd.IsZero() && r.PaidEnd.Before(r.End.Time) {
				return nil, fmt.Errorf("%s: active_end is not after end, and paid_end not before it", at)
			}
			name, err := pattern(r.Name)
			if err != nil {
				return nil, fmt.Errorf("%s: name: %w", at, err)
			}
			if n++; n > maxReleases {
				return nil, fmt.Errorf("more than %d releases", maxReleases)
			}
			out.releases = append(out.releases, release{version: r.Version, name: name,
				Release: Release{Family: f.Family, Name: r.Release, Source: f.Source, ActiveEnd: r.ActiveEnd.Time, End: r.End.Time, PaidEnd: r.PaidEnd.Time}})
		}
		t.families = append(t.families, out)
	}
	return t, nil
}

// pattern compiles a regular expression without regard to case; "" = nil = fits.
func pattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("longer than %d bytes", maxText)
	}
	return regexp.Compile("(?i)" + text)
}

// Find returns the release of a server's operating system.
func (t *Table) Find(osType, name, version string) (Release, bool) {
	for i := range t.families {
		f := &t.families[i]
		if f.osType != osType || f.match != nil && !f.match.MatchString(name) {
			continue
		}
		for j := range f.releases {
			r := &f.releases[j]
			if begins(version, r.version) && (r.name == nil || r.name.MatchString(name)) {
				return r.Release, true
			}
		}
	}
	return Release{}, false
}

// begins tells whether a version begins with another one's parts: 15.5 with
// 15, but not with 1.
func begins(version, with string) bool {
	rest, ok := strings.CutPrefix(version, with)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '-' || rest[0] == ' ')
}

// over returns a table that asks t first, then the other one.
func (t *Table) over(o *Table) *Table {
	out := &Table{Updated: t.Updated, families: append(append([]family(nil), t.families...), o.families...)}
	if o.Updated.After(out.Updated) {
		out.Updated = o.Updated
	}
	return out
}

// Builtin is the table that the program carries.
func Builtin() *Table {
	t, err := Parse(builtin)
	if err != nil {
		panic("lifecycle.yml: " + err.Error()) // under test
	}
	return t
}

// Source is the built-in table below a file that may change at any time.
type Source struct {
	path    string
	builtin *Table

	mu      sync.Mutex
	asked   time.Time
	size    int64
	changed time.Time
	table   *Table
	err     error
}

// lookEvery is how often the file is looked at, when asked.
const lookEvery = 10 * time.Second

// NewSource reads the file for the first time; "" = none. An error is the
// file's; later ones leave the table as it was.
func NewSource(path string) (*Source, error) {
	s := &Source{path: path, builtin: Builtin()}
	s.table = s.builtin
	if path != "" {
		s.look()
	}
	return s, s.err
}

// Table returns the present table, and why the file was not taken, if so.
func (s *Source) Table(now time.Time) (*Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" && (now.Sub(s.asked) >= lookEvery || now.Before(s.asked)) {
		s.asked = now
		s.look()
	}
	return s.table, s.err
}

func (s *Source) look() {
	fi, err := os.Stat(s.path)
	if err == nil && s.err == nil && fi.Size() == s.size && fi.ModTime().Equal(s.changed) {
		return
	}
	var b []byte
	if err == nil && fi.Size() > maxFile {
		err = fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	if err == nil {
		b, err = os.ReadFile(s.path)
	}
	var t *Table
	if err == nil {
		t, err = Parse(b)
	}
	if err != nil {
		s.err = fmt.Errorf("lifecycle file %s: %w", s.path, err)
		return
	}
	s.err, s.size, s.changed, s.table = nil, fi.Size(), fi.ModTime(), t.over(s.builtin)
}
