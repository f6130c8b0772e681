// Package strict says in words, with its line, what of a YAML document does not fit the Go type that it is decoded into.
package strict

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// strict checks a YAML node against the Go type that it is decoded into and
// names the line of everything that does not fit: unknown keys, keys written
// twice, values of the wrong kind. The YAML package can do some of it, but not
// inside types that decode themselves, and not in words.
type strict struct {
	errs  []error
	nodes int  // seen; aliases can make few bytes many nodes
	full  bool // too many or too deep: no more is looked at
}

const (
	maxNodes = 100_000
	maxDepth = 32
)

var unmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

// Mistakes returns what of a node does not fit a type, each with its line; nil = it can be decoded.
func Mistakes(n *yaml.Node, t reflect.Type) error {
	s := &strict{}
	s.node(n, t, 0)
	return errors.Join(s.errs...)
}

func (s *strict) say(n *yaml.Node, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("line %d: "+format, append([]any{n.Line}, args...)...))
}

func (s *strict) node(n *yaml.Node, t reflect.Type, depth int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s.nodes++; s.full {
		return
	}
	if s.full = depth > maxDepth || s.nodes > maxNodes; s.full {
		s.say(n, "nested too deep")
		return
	}
	own := reflect.PointerTo(t).Implements(unmarshaler)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		s.mapping(n, t, depth)
	case own:
		s.leaf(n, t)
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		s.keys(n)
		for i := 1; i < len(n.Content); i += 2 {
			s.node(n.Content[i], t.Elem(), depth+1)
		}
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			s.node(item, t.Elem(), depth+1)
		}
	default:
		s.leaf(n, t)
	}
}

// keys reports keys that are written twice.
func (s *strict) keys(n *yaml.Node) {
	first := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		if line, ok := first[k.Value]; ok {
			s.say(k, "%s is written a second time, first in line %d: keep one", k.Value, line)
			continue
		}
		first[k.Value] = k.Line
	}
}

func (s *strict) mapping(n *yaml.Node, t reflect.Type, depth int) {
	s.keys(n)
	known := fields(t)
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Value == "<<" { // a merge: keys of the same kind
			s.node(v, t, depth+1)
			continue
		}
		ft, ok := known[k.Value]
		if !ok {
			s.say(k, "unknown key %s%s", k.Value, hint(k.Value, known))
			continue
		}
		s.node(v, ft, depth+1)
	}
}

// leaf lets the YAML package judge a value.
func (s *strict) leaf(n *yaml.Node, t reflect.Type) {
	err := n.Decode(reflect.New(t).Interface())
	if err == nil {
		return
	}
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		s.say(n, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	for _, text := range te.Errors {
		line, rest, ok := strings.Cut(text, ": ")
		if m := wrongKind.FindStringSubmatch(text); m != nil {
			s.say(n, "%s instead of %s%s", kind(t), wrong(n, m[1]), inHours(n, t))
		} else if ok && strings.HasPrefix(line, "line ") {
			s.errs = append(s.errs, fmt.Errorf("%s: %s", line, rest))
		} else {
			s.say(n, "%s", text)
		}
	}
}

var wrongKind = regexp.MustCompile("^line \\d+: cannot unmarshal !!\\w+ (`.*?`)? ?into .*$")

func wrong(n *yaml.Node, quoted string) string {
	switch {
	case quoted != "":
		return quoted
	case n.Kind == yaml.MappingNode:
		return "keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("`%s`", n.Value)
}

// kind says what to write.
func kind(t reflect.Type) string {
	switch {
	case t.String() == "time.Duration":
		return "write a duration such as 90s"
	case t.Kind() == reflect.Bool:
		return "write true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64:
		return "write a number"
	case t.Kind() == reflect.String:
		return "write a text"
	case t.Kind() == reflect.Slice:
		return "write a list"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return "write keys and values"
	}
	return "write a " + t.String()
}

// inHours helps whoever writes days, weeks or years where Go's durations end at hours.
func inHours(n *yaml.Node, t reflect.Type) string {
	m := days.FindStringSubmatch(n.Value)
	if m == nil || t.String() != "time.Duration" {
		return ""
	}
	count, _ := strconv.Atoi(m[1]) // of four digits at most
	return fmt.Sprintf(": in hours, %dh", count*map[string]int{"d": 24, "w": 7 * 24, "y": 365 * 24}[m[2]])
}

var days = regexp.MustCompile(`^([0-9]{1,4})([dwy])$`)

// fields are the keys of a struct, those of inlined ones included.
func fields(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case strings.Contains(options, "inline"):
			for k, v := range fields(f.Type) {
				out[k] = v
			}
		case name == "":
			out[strings.ToLower(f.Name)] = f.Type
		default:
			out[name] = f.Type
		}
	}
	return out
}

// hint names the known key that was probably meant.
func hint(key string, known map[string]reflect.Type) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	best, least := "", 1+len(key)/3
	for _, name := range names {
		if d := Distance(strings.ToLower(key), name); d <= least && (best == "" || d < least) {
			best, least = name, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	return ": known here: " + strings.Join(names, ", ")
}

// Distance counts the edits that make a of b (Levenshtein's), byte by byte.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
