package rule_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"nocturne/ruler/rule"
)

func TestTemplate(t *testing.T) {
	tmpl, err := rule.ParseTemplate("{{ .Server }}: {{ if .Device }}{{ .Device }}{{ else }}a disk{{ end }}{{/* why */}} has\n{{- .Message }}", 60)
	if err != nil {
		t.Fatal(err)
	}
	f := func(in rule.Fields, want string) {
		t.Helper()
		if got := tmpl.Render(in); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(rule.Fields{Server: "db7", Device: "disk 1", Message: " bad"}, "db7: disk 1 hasbad")
	f(rule.Fields{Server: "db7"}, "db7: a disk has")
	f(rule.Fields{Server: "db\r\n7\x00", Message: "\u202ea\u200bb\xff"}, "db 7: a disk hasab\ufffd")
	f(rule.Fields{Server: "{{ .Message }}"}, "{{ .Message }}: a disk has") // data is no template
	if got := tmpl.Render(rule.Fields{Message: strings.Repeat("ü", 9999)}); len(got) > 60 || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	var none *rule.Template
	if none.Render(rule.Fields{}) != "" || none.String() != "" {
		t.Error("no template renders something")
	}
}

// Every field that a template may name can be rendered.
func TestTemplateFields(t *testing.T) {
	for _, f := range rule.TemplateFields() {
		tmpl, err := rule.ParseTemplate("a {{ ."+f+" }} b", 100)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if got := tmpl.Render(rule.Fields{}); got != "a  b" {
			t.Errorf("%s: %q", f, got)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"": "", "a b": "a b", " a  b ": "a b", "a\tb\r\nc": "a b c", "\x1b[31mred": "[31mred", "a\u0000b": "a b", "ä ö": "ä ö", "a\u202eb": "ab"} {
		if got := rule.Clean(in, 100); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	if rule.Cut("abc", 1) != "" || rule.Cut("abcd", 3) != "…" || rule.Cut("abc", 3) != "abc" {
		t.Error("Cut")
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{{ .Server }} {{ if .Device }}x{{ else }}y{{ end }}", "db7")
	f.Add("{{ printf \"%99999999d\" 1 }}", "")
	f.Add("{{ range .Server }}{{ end }}", "x")
	f.Add("{{ with $x := .Server }}{{ end }}", "x")
	f.Fuzz(func(t *testing.T, source, value string) {
		tmpl, err := rule.ParseTemplate(source, 200)
		if err != nil {
			return
		}
		got := tmpl.Render(rule.Fields{Server: value, Device: value, Message: value})
		if len(got) > 200 {
			t.Fatalf("%d bytes", len(got))
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b\u202e \xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := rule.Clean(s, 50)
		if len(got) > 50 || !utf8.ValidString(got) {
			t.Fatalf("%q", got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("%q holds %U", got, r)
			}
		}
		if rule.Clean(got, 50) != got {
			t.Fatalf("%q becomes %q when it is cleaned again", got, rule.Clean(got, 50))
		}
	})
}
