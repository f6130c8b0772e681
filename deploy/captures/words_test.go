package captures

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nocturne/exporter/source/raid"
	"nocturne/internal/corpus"
	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// words are all states in the captured answers of storcli, perccli and storcli2,
// and the rules that call them bad. What is not here, and in no list of the
// rules, is told by raid-drive-odd and raid-virtual-drive-odd.
var words = map[string][]string{
	"battery Optimal":            nil,
	"controller OK":              nil,
	"controller Optimal":         nil,
	"enclosure OK":               nil,
	"physical_drive Conf/Online": nil,
	"physical_drive JBOD":        nil,
	"physical_drive Offln":       {"raid-drive-failed"},
	"physical_drive Onln":        nil,
	"physical_drive UConf/Good":  nil,
	"physical_drive UGood":       nil,
	"virtual_drive Optl":         nil,
}

func TestWordsOfRAID(t *testing.T) {
	rules := pack(t)
	got := map[string][]string{}
	err := filepath.WalkDir(filepath.Join(corpus.Dir(t), "raid"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		doc, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, _, err := raid.Parse(doc)
		if err != nil {
			return nil // text, or another tool's answer
		}
		for i := range s.Devices {
			if d := &s.Devices[i]; !d.Field(record.FieldState).IsNull() {
				got[d.Type+" "+d.Field(record.FieldState).Str()] = bad(rules, d)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range slices.Sorted(maps.Keys(got)) {
		want, known := words[w]
		if !known || !slices.Equal(got[w], want) {
			t.Errorf("%s: told by %v, want %v", w, got[w], want)
		}
	}
	for w := range words {
		if _, ok := got[w]; !ok {
			t.Errorf("%s: in no capture", w)
		}
	}
}

// bad returns the rules of kind state that a device breaks.
func bad(rules []*rule.Rule, d *record.Device) []string {
	var out []string
	for _, r := range rules {
		s, ok := r.Spec.(*rule.State)
		if !ok || s.Device != d.Type {
			continue
		}
		v := d.Field(s.Field)
		number, isNumber := v.Float()
		if !v.IsNull() && s.IsBad(v.Text(), number, isNumber) {
			out = append(out, r.ID)
		}
	}
	return out
}
