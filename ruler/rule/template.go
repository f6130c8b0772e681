package rule

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// Bounds of rendered texts, in bytes.
const (
	MaxSummary     = 300
	MaxDescription = 4 << 10
	maxValue       = 512
)

// Fields are what templates may show. Their values come from servers and are
// hostile: Render bounds them and takes control characters out.
type Fields struct {
	Server, ServerID, Site, Rack, Role, Owner, OS string // from the registry
	Device, Place, Serial, Model                  string // Device is "physical_drive c0/e252/s4", Place "c0/e252/s4"
	Before, After, Reason                         string
	Rule, Class, Severity                         string
	Message, Channel, Provider, EventID           string // of the event
}

// TemplateFields returns the names of all fields, in the order of Fields.
func TemplateFields() []string {
	return []string{"Server", "ServerID", "Site", "Rack", "Role", "Owner", "OS", "Device", "Place", "Serial", "Model", "Before", "After", "Reason",
		"Rule", "Class", "Severity", "Message", "Channel", "Provider", "EventID"}
}

// Template is a text with fields. Its language is the part of text/template
// that always ends: fields and if/else on a field; no functions, no loops.
type Template struct {
	source string
	limit  int
	tmpl   *template.Template
}

// ParseTemplate reads a template whose output has at most limit bytes.
func ParseTemplate(source string, limit int) (*Template, error) {
	t, err := template.New("").Parse(source)
	if err != nil {
		return nil, errors.New(strings.TrimLeft(strings.TrimPrefix(err.Error(), "template: "), ":0123456789 "))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("{{ define }} is not supported")
	}
	if t.Tree == nil {
		return nil, errors.New("the text is empty")
	}
	if err := checkList(t.Root); err != nil {
		return nil, err
	}
	return &Template{source: source, limit: limit, tmpl: t}, nil
}

func checkList(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		if err := checkNode(n); err != nil {
			return err
		}
	}
	return nil
}

func checkNode(n parse.Node) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		return checkPipe(n.Pipe)
	case *parse.IfNode:
		return errors.Join(checkPipe(n.Pipe), checkList(n.List), checkList(n.ElseList))
	default:
		return fmt.Errorf("%.60q is not supported", n.String())
	}
}

func checkPipe(p *parse.PipeNode) error {
	if len(p.Decl) == 0 && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 {
		if f, ok := p.Cmds[0].Args[0].(*parse.FieldNode); ok && len(f.Ident) == 1 {
			if slices.Contains(TemplateFields(), f.Ident[0]) {
				return nil
			}
			return fmt.Errorf("there is no field .%.40s", f.Ident[0])
		}
	}
	return fmt.Errorf("{{ %.60s }} is not supported", p.String())
}

// String returns the source; "" for nil.
func (t *Template) String() string {
	if t == nil {
		return ""
	}
	return t.source
}

// Render fills in the fields; "" for nil. Output past the limit is cut.
func (t *Template) Render(f Fields) string {
	if t == nil {
		return ""
	}
	for _, s := range []*string{&f.Server, &f.ServerID, &f.Site, &f.Rack, &f.Role, &f.Owner, &f.OS, &f.Device, &f.Place, &f.Serial, &f.Model,
		&f.Before, &f.After, &f.Reason, &f.Rule, &f.Class, &f.Severity, &f.Message, &f.Channel, &f.Provider, &f.EventID} {
		*s = Clean(*s, maxValue)
	}
	var b bytes.Buffer
	if err := t.tmpl.Execute(&b, f); err != nil {
		// Cannot happen: every field exists and a buffer takes all. The source
		// still says more than nothing.
		return Cut(t.source, t.limit)
	}
	return Cut(strings.TrimSpace(b.String()), t.limit)
}

// Clean makes hostile text fit for a line: valid UTF-8, no control or format
// characters (such as the ones that turn the writing direction), one space
// where there were several, at most limit bytes.
func Clean(s string, limit int) string {
	clean := len(s) <= limit
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] > ' ' && s[i] < 0x7f || s[i] == ' ' && i > 0 && s[i-1] != ' '
	}
	if clean && !strings.HasSuffix(s, " ") {
		return s
	}
	var b strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = b.Len() > 0
			continue
		}
		if unicode.Is(unicode.Cf, r) {
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r) // a wrong byte arrives here as U+FFFD
		if b.Len() > limit {
			break
		}
	}
	return Cut(b.String(), limit)
}

// Cut shortens s to at most limit bytes, at a rune's border, and marks it.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const mark = "…"
	n := limit - len(mark)
	if n < 0 {
		return ""
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
