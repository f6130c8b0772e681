// Package runbook finds what to do about a problem: sections of the Markdown
// files that the program brings (alerts/runbooks), and before those of a folder
// of the administrator's own.
//
// A section is named like raid#drive-failed: the file, and its heading of the
// second level in lower case, with hyphens for spaces. Everything is safe for
// concurrent use. To test: go test ./ruler/runbook.
package runbook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// maxFile bounds what is read of one file.
const maxFile = 1 << 20

// Section is what to do about one kind of problem.
type Section struct {
	Title string
	Text  string // Markdown
	Own   bool   // from the administrator's folder
}

// ErrUnknown says that no file has such a section.
var ErrUnknown = errors.New("no such section")

// form is that of a rule's runbook.
var form = regexp.MustCompile(`^([a-z0-9-]+)#([a-z0-9-]+)$`)

// Find returns the section that name means, from the folder own where it has
// one, else from shipped (files *.md at its root). An empty own is no folder. The
// error is ErrUnknown, or says which file cannot be read or is too large; where
// that is one's own, the section is that of shipped, if there is one.
func Find(name, own string, shipped fs.FS) (Section, error) {
	m := form.FindStringSubmatch(name)
	if m == nil {
		return Section{}, ErrUnknown
	}
	var problem error
	if own != "" {
		sections, err := read(os.DirFS(own), m[1]+".md")
		if s, ok := sections[m[2]]; ok {
			s.Own = true
			return s, nil
		}
		problem = err
	}
	sections, err := read(shipped, m[1]+".md")
	problem = errors.Join(problem, err)
	s, ok := sections[m[2]]
	if !ok && problem == nil {
		problem = ErrUnknown
	}
	return s, problem
}

var (
	emphasis  = regexp.MustCompile(`(?:^|[^*\\])\*([^*\s][^*]*)\*`)
	otherFile = regexp.MustCompile(`\b([a-z0-9-]+)\.md\b`)
)

// maxNamed bounds the sections that one leads to.
const maxNamed = 8

// Named returns the sections that the one called name points to, as in "see
// *Drive failed*", and those to which they point: of its file, or of a file that
// the text names. What cannot be found is no reference. Order is that of the text.
func Named(name string, of Section, own string, shipped fs.FS) []Section {
	var out []Section
	type place struct {
		file string
		text string
	}
	file, key, _ := strings.Cut(name, "#")
	seen := map[string]bool{file + "#" + key: true}
	for next := []place{{file, of.Text}}; len(next) > 0; next = next[1:] {
		files := []string{next[0].file}
		for _, m := range otherFile.FindAllStringSubmatch(next[0].text, -1) {
			files = append(files, m[1])
		}
		for _, m := range emphasis.FindAllStringSubmatch(next[0].text, -1) {
			key := keyOf(strings.Join(strings.Fields(m[1]), " "))
			for _, file := range files {
				if seen[file+"#"+key] {
					break
				}
				s, err := Find(file+"#"+key, own, shipped)
				if err != nil || len(out) == maxNamed {
					continue
				}
				seen[file+"#"+key] = true
				out = append(out, s)
				next = append(next, place{file, s.Text})
				break
			}
		}
	}
	return out
}

// keyOf is what follows the # in the name of a section with a title.
func keyOf(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") }

// read returns the sections of a file; a file that is not there has none.
func read(files fs.FS, name string) (map[string]Section, error) {
	f, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("runbook: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("runbook %s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("runbook %s is larger than %d bytes: split it", name, maxFile)
	}
	return Sections(strings.ToValidUTF8(string(text), "\uFFFD")), nil
}

var heading = regexp.MustCompile(`(?m)^## +(\S.*?)[ \t\r]*$`)

// Sections splits a file by its headings of the second level. The keys are what
// follows the # in a section's name; of two with the same one the first counts.
func Sections(text string) map[string]Section {
	out := map[string]Section{}
	heads := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		title := text[m[2]:m[3]]
		key := keyOf(title)
		if _, ok := out[key]; !ok {
			out[key] = Section{Title: title, Text: strings.TrimSpace(text[m[1]:end])}
		}
	}
	return out
}

var (
	raidPlace  = regexp.MustCompile(`^(c\d+)(/e\d+)?(/s\d+|/v\d+)?$`)
	controller = regexp.MustCompile(`/c0\b`)
)

// exampleDrive and exampleArray stand in the program's files where a real place
// has to.
const exampleDrive, exampleArray = "c0/e252/s4", "/c0/v0"

// At returns text with the place of a RAID part, such as c1/e8/s3, c1/v2 or c1,
// where the program's files have that of their example: whoever types a command
// at night types it as it stands. Where the place says no drive or no array,
// none is named.
func At(text, place string) string {
	m := raidPlace.FindStringSubmatch(place)
	if m == nil {
		return text
	}
	drive, array := m[1]+"/eX/sX", m[1]+"/vX"
	switch {
	case strings.HasPrefix(m[3], "/s"):
		drive = place
	case strings.HasPrefix(m[3], "/v"):
		array = place
	}
	text = strings.ReplaceAll(text, exampleArray, "/"+array)
	// In one pass: what was put in is not looked at again.
	var b strings.Builder
	for i, part := range strings.Split(text, exampleDrive) {
		if i > 0 {
			b.WriteString(drive)
		}
		b.WriteString(controller.ReplaceAllString(part, "/"+m[1]))
	}
	return b.String()
}
