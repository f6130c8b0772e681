package dashboards

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the JSON anew")

// The files are what the tables say.
func TestFiles(t *testing.T) {
	want := map[string]bool{}
	for _, d := range All() {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		want[d.File()] = true
		if *update {
			if err := os.WriteFile(d.File(), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(d.File())
		if err != nil || string(have) != string(text) {
			t.Errorf("%s is not what the tables say (%v): go test ./dashboards -update", d.File(), err)
		}
		if !json.Valid(text) {
			t.Errorf("%s is no JSON", d.File())
		}
	}
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[f] {
			t.Errorf("%s belongs to no dashboard", f)
		}
	}
}

// Every panel says what it shows, in which unit, and asks something.
func TestPanels(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range All() {
		if !strings.HasPrefix(d.UID, "nocturne-") || uids[d.UID] || len(d.UID) > 40 || d.About == "" || d.Page == "" {
			t.Errorf("%+v: a uid of its own, an About and a page of the app are wanted", d.UID)
		}
		uids[d.UID] = true
		var titles []string
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				name := d.UID + " " + p.Title
				if slices.Contains(titles, p.Title) {
					t.Errorf("%s: twice", name)
				}
				titles = append(titles, p.Title)
				if p.Title == "" || !strings.HasSuffix(p.About, ".") || p.Width < 4 || p.Width > 24 || len(p.Queries) == 0 {
					t.Errorf("%s: title, a sentence, width and queries are wanted", name)
				}
				if p.Unit == "" && p.Kind != Logs {
					t.Errorf("%s: no unit", name)
				}
				if p.Logs && !d.Logs {
					t.Errorf("%s: the dashboard has no data source for logs", name)
				}
				for _, q := range p.Queries {
					if (q.Kind != "") != p.Logs {
						t.Errorf("%s: kind %q", name, q.Kind)
					}
				}
			}
		}
	}
}
