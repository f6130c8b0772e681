package diff

import (
	"cmp"
	_ "embed" // the table
	"fmt"
	"slices"
	"strings"
	"sync"
)

// classesText is the table of what fields mean: data, so that it can be read
// and extended by whoever knows a device and no Go.
//
//go:embed classes.txt
var classesText string

// classTable is the table, made for looking up.
type classTable struct {
	exact    map[[2]string]Class // by device type ("*" = any) and field
	patterns []classPattern      // those of one device type first, then as written
}

type classPattern struct {
	device       string // "*" = any
	text         string
	begins, ends bool // whether the text must stand at the beginning, at the end
	class        Class
}

func (p *classPattern) fits(device, field string) bool {
	if p.device != "*" && p.device != device {
		return false
	}
	switch {
	case p.begins:
		return strings.HasPrefix(field, p.text)
	case p.ends:
		return strings.HasSuffix(field, p.text)
	default:
		return strings.Contains(field, p.text)
	}
}

var classes = sync.OnceValue(func() *classTable {
	t, err := parseClasses(classesText)
	if err != nil {
		panic(err) // part of the program; a test reads it
	}
	return t
})

// parseClasses reads lines "device field class", with * for any device, and at
// one or both ends of a field for anything.
func parseClasses(text string) (*classTable, error) {
	t := &classTable{exact: map[[2]string]Class{}}
	line := 0
	for l := range strings.Lines(text) {
		line++
		l, _, _ = strings.Cut(l, "#")
		words := strings.Fields(l)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("classes: line %d: want: DEVICE FIELD CLASS", line)
		}
		device, field := words[0], words[1]
		class := Class(slices.Index(classNames[:], words[2]))
		if int(class) >= len(classNames) {
			return nil, fmt.Errorf("classes: line %d: class %q", line, words[2])
		}
		text := strings.Trim(field, "*")
		if text == "" || strings.Contains(text, "*") {
			return nil, fmt.Errorf("classes: line %d: field %q", line, field)
		}
		if text == field {
			t.exact[[2]string{device, field}] = class
			continue
		}
		p := classPattern{device: device, text: text, begins: field[0] != '*', ends: field[len(field)-1] != '*', class: class}
		t.patterns = append(t.patterns, p)
	}
	slices.SortStableFunc(t.patterns, func(a, b classPattern) int {
		return cmp.Compare(boolInt(a.device == "*"), boolInt(b.device == "*"))
	})
	return t, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ClassOf says what a change of a field of a device of this type means. What is
// listed nowhere is configuration: a rule about a field that nobody foresaw
// rather speaks once too often.
func ClassOf(device, field string) Class {
	t := classes()
	for _, key := range [2][2]string{{device, field}, {"*", field}} {
		if c, ok := t.exact[key]; ok {
			return c
		}
	}
	for i := range t.patterns {
		if p := &t.patterns[i]; p.fits(device, field) {
			return p.class
		}
	}
	return Config
}
