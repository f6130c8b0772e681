package rulebook

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"nocturne/ruler/rule"
)

// Mistake is one error in a rule's text.
type Mistake struct {
	File   string
	Line   int
	Column int
	Path   string // as in rule.Error
	Text   string
	Hint   string
}

// Report says what a text means, while it is being written.
type Report struct {
	Mistakes []Mistake
	Rule     *rule.Rule // nil after a mistake
	Explain  string
	// Effect says what saving it would do to what the ruler knows.
	Effect string
	// Warnings are no mistakes: rules that it names and that are not carried out.
	Warnings []string
}

// dangling refuses a rule that names others which are not there. Those of files
// and of the store can be named, carried out or not.
func (b *Book) dangling(r *rule.Rule) error {
	all := []*rule.Rule{r}
	for _, e := range b.List() {
		if e.Rule != nil && e.ID != r.ID {
			all = append(all, e.Rule)
		}
	}
	if errs := rule.Dangling(all[:1], all); len(errs) > 0 {
		return errs
	}
	return nil
}

// One reads the text of one rule as Create and Update do: what it says, and that
// the rules which it names are there. The error is ErrInvalid.
func (b *Book) One(text string) (*rule.Rule, error) {
	r, err := one(text)
	if err == nil {
		err = b.dangling(r)
	}
	if err != nil {
		return nil, invalid(err)
	}
	return r, nil
}

// Validate reads the text of one rule. id is the rule that it is to replace; ""
// = a new one.
func (b *Book) Validate(id, text string) Report {
	r, err := b.One(text)
	if err == nil && id == "" {
		err = newly(r)
	}
	if err != nil {
		return Report{Mistakes: Mistakes(err, text)}
	}
	b.mu.Lock()
	out := Report{Rule: r, Explain: rule.Explain(r), Warnings: b.set.without(r)}
	b.mu.Unlock()
	fail := func(what, hint string) Report {
		return Report{Mistakes: []Mistake{locate(Mistake{File: StoreFile, Line: r.Line, Path: "id", Text: what, Hint: hint}, lines(text))}}
	}
	was, err := b.Get(r.ID)
	switch {
	case id != "" && r.ID != id:
		return fail(fmt.Sprintf("id %q is not %q", r.ID, id), "an id never changes: make a new rule instead")
	case id == "" && err == nil:
		return fail(fmt.Sprintf("id %q is taken", r.ID), "take another id, or change that rule")
	case err != nil || was.Rule == nil:
		out.Effect = "A new rule: it judges what is known at once, and what happens from now on."
	case was.Rule.Version == r.Version:
		out.Effect = "Nothing changes."
	case was.Rule.Shape == r.Shape:
		out.Effect = "Text and severity change. What the rule knows and has open stays."
	default:
		out.Effect = "The condition changes: the rule forgets half-done windows and judges what is known anew. What is open and does not hold any more is resolved."
	}
	return out
}

// Mistakes lists what is wrong, with columns.
func Mistakes(err error, text string) []Mistake {
	var all rule.Errors
	if !errors.As(err, &all) {
		return []Mistake{{Line: 1, Column: 1, Text: err.Error()}}
	}
	var out []Mistake
	for _, e := range all {
		out = append(out, locate(Mistake{File: e.File, Line: e.Line, Path: e.Path, Text: e.Text, Hint: e.Hint}, lines(text)))
	}
	return out
}

var quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)+)"`)

// locate finds the column: of the word that the mistake quotes or begins with,
// else of the line's first character.
func locate(m Mistake, text []string) Mistake {
	m.Column = 1
	if m.Line < 1 || m.Line > len(text) {
		return m
	}
	line := text[m.Line-1]
	m.Column = len(line) - len(strings.TrimLeft(line, " -")) + 1
	var words []string
	if q := quoted.FindStringSubmatch(m.Text); q != nil {
		words = append(words, q[1])
	}
	first, _, _ := strings.Cut(m.Text, " ")
	for _, w := range append(words, strings.TrimSuffix(first, ":")+":") {
		if i := strings.Index(line, w); i >= 0 {
			m.Column = i + 1
			break
		}
	}
	return m
}
