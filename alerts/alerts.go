// Package alerts holds the default rules, what to do about each, and the
// configuration of Alertmanager that goes with them. The files are meant to be
// read and copied; the package only makes them part of the programs.
//
// To test: go test ./alerts. Every rule fires, ends and stays quiet in stories in
// the *.txtar beside its file, and has a section in runbooks.
package alerts

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed records/*.yml optional/*/*.yml metrics/*.yml runbooks/*.md alertmanager.yml nocturne.tmpl
var files embed.FS

// Files returns the default files: records/*.yml, metrics/*.yml, the packs that
// are off by default in optional/NAME/*.yml, runbooks/*.md and
// alertmanager.yml with its templates, nocturne.tmpl.
func Files() embed.FS { return files }

// Packs returns the names of the packs that are off by default, sorted; each is
// a folder optional/NAME.
func Packs() []string {
	names, err := fs.Glob(files, "optional/*")
	if err != nil {
		return nil // the pattern is a constant
	}
	for i, n := range names {
		names[i] = strings.TrimPrefix(n, "optional/")
	}
	return names
}
