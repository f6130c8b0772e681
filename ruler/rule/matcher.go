package rule

import (
	"encoding/json"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/record"
	"nocturne/ruler/expr"
)

// Matcher says which texts are meant: all that is set must hold. What is not
// there is the empty text, as in Prometheus: "not" holds for it.
type Matcher struct {
	In      []string `json:",omitempty"`
	Not     []string `json:",omitempty"`
	Like    *Pattern `json:",omitempty"`
	NotLike *Pattern `json:",omitempty"`
	// Numbers: a text that is none fits neither.
	AtLeast *float64 `json:",omitempty"`
	AtMost  *float64 `json:",omitempty"`
}

// AttrMatcher is a Matcher of an attribute.
type AttrMatcher struct {
	Key string
	Matcher
}

// MarshalJSON writes a list alone where there is nothing else: so it was before
// there was more, and so rules keep their shape.
func (m Matcher) MarshalJSON() ([]byte, error) {
	type plain Matcher
	if m.Not == nil && m.Like == nil && m.NotLike == nil && m.AtLeast == nil && m.AtMost == nil {
		return json.Marshal(m.In)
	}
	return json.Marshal(plain(m))
}

// MarshalJSON is Matcher's with a key.
func (m AttrMatcher) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Key     string
		Matcher Matcher
	}{m.Key, m.Matcher})
}

// Holds tells whether a text is meant. fold compares without regard to case.
func (m *Matcher) Holds(s string, fold bool) bool {
	switch {
	case m.In != nil && !listed(m.In, s, fold), listed(m.Not, s, fold):
		return false
	case m.Like != nil && !m.Like.re.MatchString(s), m.NotLike != nil && m.NotLike.re.MatchString(s):
		return false
	case m.AtLeast == nil && m.AtMost == nil:
		return true
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil && (m.AtLeast == nil || n >= *m.AtLeast) && (m.AtMost == nil || n <= *m.AtMost)
}

func listed(list []string, s string, fold bool) bool {
	if fold {
		return oneOf(list, s)
	}
	return slices.Contains(list, s)
}

func (m *Matcher) explain() string {
	var parts []string
	if m.In != nil {
		parts = append(parts, "is "+orList(m.In))
	}
	if m.Not != nil {
		parts = append(parts, "is not "+orList(m.Not))
	}
	if m.Like != nil {
		parts = append(parts, "fits "+m.Like.text)
	}
	if m.NotLike != nil {
		parts = append(parts, "does not fit "+m.NotLike.text)
	}
	if m.AtLeast != nil {
		parts = append(parts, "is at least "+formatFloat(*m.AtLeast))
	}
	if m.AtMost != nil {
		parts = append(parts, "is at most "+formatFloat(*m.AtMost))
	}
	return strings.Join(parts, " and ")
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Pattern is a regular expression (RE2) that must fit the whole text.
type Pattern struct {
	text   string
	fold   bool
	re     *regexp.Regexp
	prefix string
}

// ParsePattern reads a pattern. fold makes it disregard case.
func ParsePattern(text string, fold bool) (*Pattern, error) {
	re, err := expr.Pattern(text, fold)
	if err != nil {
		return nil, err
	}
	p := &Pattern{text: text, fold: fold, re: re, prefix: literalPrefix(text)}
	if fold {
		p.prefix = strings.ToLower(p.prefix)
	}
	return p, nil
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// MarshalJSON writes the pattern as it was written.
func (p *Pattern) MarshalJSON() ([]byte, error) { return json.Marshal(p.text) }

// Prefix returns what every text begins with that fits, in lower case where
// case does not count; "" where that is not simple to tell.
func (p *Pattern) Prefix() string { return p.prefix }

func literalPrefix(text string) string {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return ""
	}
	re = re.Simplify()
	if re.Op == syntax.OpConcat && len(re.Sub) > 0 {
		re = re.Sub[0]
	}
	if re.Op != syntax.OpLiteral || re.Flags&syntax.FoldCase != 0 {
		return ""
	}
	for _, r := range re.Rune {
		if r >= 0x80 {
			return "" // lower case has other lengths there
		}
	}
	return string(re.Rune)
}

// matcher reads a mapping of operators.
func (d *decoder) matcher(n *yaml.Node, what string, fold, numbers bool) *Matcher {
	m := &Matcher{}
	fields := []field{
		{"not", func(n *yaml.Node) { m.Not = d.texts(n, what+" not") }},
		{"matches", func(n *yaml.Node) { m.Like = d.pattern(n, what+" matches", fold) }},
		{"not_matches", func(n *yaml.Node) { m.NotLike = d.pattern(n, what+" not_matches", fold) }},
	}
	if numbers {
		fields = append(fields,
			field{"at_least", func(n *yaml.Node) { m.AtLeast = d.number(n, what+" at_least") }},
			field{"at_most", func(n *yaml.Node) { m.AtMost = d.number(n, what+" at_most") }})
	}
	d.mapping(n, what, fields...)
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		d.fail(n.Line, what+" is an empty mapping", "write a value, a list of values, or for example {not: …}")
	}
	if m.AtLeast != nil && m.AtMost != nil && *m.AtLeast > *m.AtMost {
		d.fail(n.Line, what+" is at least more than at most", "no value would do; exchange them")
	}
	return m
}

func (d *decoder) pattern(n *yaml.Node, what string, fold bool) *Pattern {
	s := d.text(n, what)
	if s == "" {
		return nil
	}
	p, err := ParsePattern(s, fold)
	if err != nil {
		d.fail(n.Line, fmt.Sprintf("%s %.60q: %v", what, s, err), "patterns are RE2 and must fit the whole text: \"hp.*\"")
		return nil
	}
	return p
}

// MaxEventID is the highest event id there is.
const MaxEventID = 1<<32 - 1

var rangeForm = regexp.MustCompile(`^\s*(\d{1,10})\s*-\s*(\d{1,10})\s*$`)

// eventIDs reads ids and ranges of ids: 7, [7, 11, 7000-7034], {at_least: 7000, at_most: 7034}, {not: 7036}.
func (d *decoder) eventIDs(n *yaml.Node, c *Conditions) {
	if n.Kind == yaml.MappingNode {
		d.eventIDMatcher(n, c)
		return
	}
	for _, s := range d.texts(n, "event_id") {
		if m := rangeForm.FindStringSubmatch(s); m != nil {
			low, _ := strconv.ParseInt(m[1], 10, 64)
			high, _ := strconv.ParseInt(m[2], 10, 64)
			if low > high || high > MaxEventID {
				d.fail(n.Line, fmt.Sprintf("event_id %.40q", s), fmt.Sprintf("write the lower id first, at most %d", MaxEventID))
				continue
			}
			c.EventIDs = append(c.EventIDs, expr.Range{Low: low, High: high})
			continue
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < 0 || v > MaxEventID {
			d.fail(n.Line, fmt.Sprintf("event_id %.40q", s), fmt.Sprintf("write a whole number from 0 to %d, or a range such as 7000-7034", MaxEventID))
			continue
		}
		c.EventID = append(c.EventID, v)
	}
}

func (d *decoder) eventIDMatcher(n *yaml.Node, c *Conditions) {
	r := expr.Range{Low: 0, High: MaxEventID}
	var not []string
	bound := func(key string, to *int64) field {
		return field{key, func(n *yaml.Node) {
			if v := d.ints(n, "event_id "+key, 0, MaxEventID); len(v) == 1 {
				*to = v[0]
			}
		}}
	}
	d.mapping(n, "event_id", bound("at_least", &r.Low), bound("at_most", &r.High), field{"not", func(n *yaml.Node) {
		for _, v := range d.ints(n, "event_id not", 0, MaxEventID) {
			not = append(not, strconv.FormatInt(v, 10))
		}
	}})
	if len(n.Content) == 0 {
		d.fail(n.Line, "event_id is an empty mapping", "write an id, a list of ids, or for example {at_least: 7000, at_most: 7034}")
	}
	if r.Low > r.High {
		d.fail(n.Line, "event_id is at least more than at most", "no id would do; exchange them")
	}
	if r.Low > 0 || r.High < MaxEventID {
		c.EventIDs = append(c.EventIDs, r)
	}
	if not != nil {
		c.More = append(c.More, AttrMatcher{Key: record.AttrEventID, Matcher: Matcher{Not: not}})
	}
}

// eventLevels reads levels: error, [error, critical], {at_least: warning}, {not: info}.
func (d *decoder) eventLevels(n *yaml.Node, c *Conditions) {
	if n.Kind != yaml.MappingNode {
		c.Level = d.words(n, "level", Levels())
		return
	}
	order := Levels()[:orderedLevels]
	worst, least := 0, len(order)-1
	var not []string
	d.mapping(n, "level",
		field{"at_least", func(n *yaml.Node) {
			if w := d.word(n, "level at_least", order); w != "" {
				least = slices.Index(order, w)
			}
		}},
		field{"at_most", func(n *yaml.Node) {
			if w := d.word(n, "level at_most", order); w != "" {
				worst = slices.Index(order, w)
			}
		}},
		field{"not", func(n *yaml.Node) { not = d.words(n, "level not", Levels()) }})
	switch {
	case len(n.Content) == 0:
		d.fail(n.Line, "level is an empty mapping", "write a level, a list of levels, or for example {at_least: warning}")
	case worst > least:
		d.fail(n.Line, "level is at least more than at most", "no level would do; exchange them")
	case hasKey(n, "at_least") || hasKey(n, "at_most"):
		c.Level = slices.Clone(order[worst : least+1])
	}
	if not != nil {
		c.More = append(c.More, AttrMatcher{Key: record.AttrLevel, Matcher: Matcher{Not: not}})
	}
}

// free reads a free condition.
func (d *decoder) free(n *yaml.Node) *expr.Condition {
	src := d.text(n, "if")
	if src == "" {
		return nil
	}
	c, m := expr.Compile(src)
	if m == nil {
		return c
	}
	line := n.Line
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle:
		line += m.Line // the text begins on the line after the bar
	case yaml.FoldedStyle:
		line++
	}
	d.fail(line, fmt.Sprintf("if: character %d: %s", m.Column, m.Text), m.Hint)
	return nil
}
