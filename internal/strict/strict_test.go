package strict

import (
	"testing"
	"time"
)

type file struct {
	Name string            `yaml:"name"`
	Keep time.Duration     `yaml:"keep"`
	Tags map[string]string `yaml:"tags"`
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"# a comment\n":          "",
		"name: b\nkeep: 90m\n":   "",
		"nam: b\n":               "line 1: unknown key nam: did you mean name?",
		"keep: 3w\n":             "line 1: write a duration such as 90s instead of `3w`: in hours, 504h",
		"keep: 99999d\n":         "line 1: write a duration such as 90s instead of `99999d`",
		"name: 7d\nkeep: [1]\n":  "line 2: write a duration such as 90s instead of a list",
		"name: a\nname: b\n":     "line 2: name is written a second time, first in line 1: keep one",
		"name: a\n---\nname: b":  "more than one YAML document: keep one",
		"tags: {a: 1}\n\tname: ": "line 2: found character that cannot start any token: indent with spaces, not with tabs, and quote a value that begins with @ or a backquote",
	} {
		f := file{Name: "before"}
		err := Decode([]byte(text), &f)
		if got := errText(err); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if err != nil && (f.Name != "before" || f.Keep != 0) {
			t.Errorf("%q changed %+v", text, f)
		}
	}
	f := file{Name: "before"}
	if err := Decode([]byte("keep: 90m"), &f); err != nil || f.Name != "before" || f.Keep != 90*time.Minute {
		t.Errorf("%+v, %v", f, err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
