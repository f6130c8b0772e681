package enrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"nocturne/internal/record"
)

// Labels are where a machine says that it belongs. They are a claim: what a
// server is called on pages and in rules comes from its join token, the
// register and name patterns, and nothing here folds or mutes anything.
type Labels struct {
	Site  string `yaml:"site" json:"site,omitempty"`
	Rack  string `yaml:"rack" json:"rack,omitempty"`
	Role  string `yaml:"role" json:"role,omitempty"`
	Owner string `yaml:"owner" json:"owner,omitempty"`
}

// maxLabel is the longest label that an eventbridge takes, in bytes.
const maxLabel = 128

// each returns the labels with their names.
func (l *Labels) each() [4]struct {
	name, attr string
	value      *string
} {
	return [...]struct {
		name, attr string
		value      *string
	}{
		{"site", record.AttrReportedSite, &l.Site}, {"rack", record.AttrReportedRack, &l.Rack},
		{"role", record.AttrReportedRole, &l.Role}, {"owner", record.AttrReportedOwner, &l.Owner},
	}
}

// Validate says what to write instead.
func (l Labels) Validate() error {
	for _, e := range l.each() {
		if len(*e.value) > maxLabel || strings.ContainsFunc(*e.value, unicode.IsControl) || strings.TrimSpace(*e.value) != *e.value {
			return fmt.Errorf("labels %s %.40q: write at most %d bytes, on one line, without spaces around", e.name, *e.value, maxLabel)
		}
	}
	return nil
}

// Over returns l with what it does not say taken from below.
func (l Labels) Over(below Labels) Labels {
	b := below.each()
	for i, e := range l.each() {
		if *e.value == "" {
			*b[i].value, *e.value = *e.value, *b[i].value
		}
	}
	return l
}

// Attrs returns what is said, as attributes of a heartbeat.
func (l Labels) Attrs() []record.Attr {
	var out []record.Attr
	for _, e := range l.each() {
		if *e.value != "" {
			out = append(out, record.Attr{Key: e.attr, Value: record.String(*e.value)})
		}
	}
	return out
}

// EnvLabels reads NOCTURNE_SITE, NOCTURNE_RACK, NOCTURNE_ROLE and NOCTURNE_OWNER.
func EnvLabels(getenv func(string) string) Labels {
	var l Labels
	for _, e := range l.each() {
		*e.value = getenv("NOCTURNE_" + strings.ToUpper(e.name))
	}
	return l
}

// labelsName is the file that holds the labels of an installation.
const labelsName = "labels.json"

// SaveLabels keeps the labels that an installer or a person gave, beneath those
// of the configuration and the environment.
func SaveLabels(dir string, l Labels) error {
	if err := l.Validate(); err != nil {
		return err
	}
	if err := Protect(dir); err != nil {
		return fmt.Errorf("save labels: %w", err)
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, labelsName), append(b, '\n'))
}

// LoadLabels reads what SaveLabels kept; nothing when there is none.
func LoadLabels(dir string) (Labels, error) {
	var l Labels
	b, err := os.ReadFile(filepath.Join(dir, labelsName))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		if err = json.Unmarshal(b, &l); err == nil {
			err = l.Validate()
		}
	}
	if err != nil {
		return Labels{}, fmt.Errorf("read labels: %w", err)
	}
	return l, nil
}
