package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"

	"nocturne/ruler/expr"
)

// TextPattern finds a device's name in the text of an event: what its first
// group that takes part holds. It may fit anywhere in the text.
type TextPattern struct {
	text string
	re   *regexp.Regexp
}

// maxSearched is how much of a text is searched.
const maxSearched = 4 << 10

// ParseTextPattern reads a pattern, which must have a group.
func ParseTextPattern(text string) (*TextPattern, error) {
	if err := expr.CheckPattern(text); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	if re.NumSubexp() == 0 {
		return nil, errors.New("no part of it stands in ( )")
	}
	return &TextPattern{text: text, re: re}, nil
}

// Find returns the name, "" where there is none.
func (p *TextPattern) Find(body string) string {
	m := p.re.FindStringSubmatch(Cut(body, maxSearched))
	for _, group := range m[min(1, len(m)):] {
		if group != "" {
			return group
		}
	}
	return ""
}

// String returns the pattern as it was written.
func (p *TextPattern) String() string { return p.text }

// MarshalJSON writes the pattern as it was written.
func (p *TextPattern) MarshalJSON() ([]byte, error) { return json.Marshal(p.text) }

func (d *decoder) textPattern(n *yaml.Node) *TextPattern {
	s := d.text(n, "text")
	if s == "" {
		return nil
	}
	p, err := ParseTextPattern(s)
	if err != nil {
		d.fail(n.Line, fmt.Sprintf("text %.60q: %v", s, err), `write a pattern (RE2) whose first ( ) holds the name: 'dev (\S+),'`)
		return nil
	}
	return p
}
