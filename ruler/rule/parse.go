package rule

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest rule file, in bytes.
const MaxFile = 1 << 20

var (
	idForm   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	nameForm = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	bookForm = regexp.MustCompile(`^[a-z0-9-]+#[a-z0-9-]+$`)
	yamlLine = regexp.MustCompile(`line (\d+): (.*)`)
)

const maxIDLen = 64

// Pack is what files say: rules, and when changes are planned.
type Pack struct {
	Rules   []*Rule
	Windows []*Window
}

// Planned returns the rules, with the windows given to those of kind change.
func (p *Pack) Planned() []*Rule { return Plan(p.Rules, p.Windows) }

// Parse reads a rule file: a mapping with "rules:" and a list of rules, or one
// rule alone. Windows of the file hold for its rules. The error is an Errors.
func Parse(file string, data []byte) ([]*Rule, error) {
	p, err := ParsePack(file, data)
	if err != nil {
		return nil, err
	}
	return p.Planned(), nil
}

// ParsePack reads a rule file, with "rules:" and "windows:" or one of them.
func ParsePack(file string, data []byte) (*Pack, error) {
	d := &decoder{file: file}
	p := &Pack{}
	if doc := d.document(data); doc != nil {
		d.pack(doc, p)
	}
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
		return nil, d.errs
	}
	return p, nil
}

// ParseFS reads all *.yml files of a directory, in order of their names, and
// refuses an id that occurs twice. Windows hold for the rules of all files.
func ParseFS(fsys fs.FS, dir string) ([]*Rule, error) {
	p, err := ParsePackFS(fsys, dir)
	if err != nil {
		return nil, err
	}
	return p.Planned(), nil
}

// ParsePackFS is ParseFS, with the windows apart from the rules.
func ParsePackFS(fsys fs.FS, dir string) (*Pack, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	out := &Pack{}
	var errs Errors
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".yml") {
			continue
		}
		file := path.Join(dir, e.Name())
		data, err := readBounded(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("read rules %s: %w", file, err)
		}
		got, err := ParsePack(file, data)
		var bad Errors
		if errors.As(err, &bad) {
			errs = append(errs, bad...)
			continue
		}
		out.Rules, out.Windows = append(out.Rules, got.Rules...), append(out.Windows, got.Windows...)
	}
	errs = append(errs, Unique(out.Rules)...)
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// Unique returns an error for every id that occurs again.
func Unique(rules []*Rule) Errors {
	var errs Errors
	first := map[string]*Rule{}
	for _, r := range rules {
		if f := first[r.ID]; f != nil {
			errs = append(errs, &Error{File: r.File, Line: r.Line, Text: fmt.Sprintf("id %q is taken", r.ID),
				Hint: fmt.Sprintf("%s:%d has it; ids never change and are never used again", f.File, f.Line)})
			continue
		}
		first[r.ID] = r
	}
	return errs
}

func readBounded(fsys fs.FS, file string) ([]byte, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

func (d *decoder) document(data []byte) *yaml.Node {
	if len(data) > MaxFile {
		d.fail(1, "the file is too large", fmt.Sprintf("at most %d bytes; split it", MaxFile))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			d.fail(1, "the file is empty", `write "rules:" and a list of rules`)
			return nil
		}
		line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1])
			text = m[2]
		}
		d.fail(line, "not YAML: "+text, "")
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.fail(max(more.Line, 1), "a second document", "put all rules below one \"rules:\"")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.fail(1, "the file is empty", `write "rules:" and a list of rules`)
		return nil
	}
	return doc.Content[0]
}

func (d *decoder) pack(n *yaml.Node, p *Pack) {
	if !d.plain(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, "the file is "+nodeKind(n), `write "rules:" and a list of rules`)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "groups" {
			d.fail(n.Content[i].Line, "these are metric rules, in the format of Prometheus", `name the file in "rules: {metrics: […]}" of the ruler's file, and let "ruler -check" judge it; nocturne run takes what lies in rules/metrics`)
			return
		}
		if key := n.Content[i].Value; key == "id" || key == "name" {
			if r := d.rule(n); r != nil {
				p.Rules = []*Rule{r}
			}
			return
		}
	}
	if len(n.Content) == 0 {
		d.fail(n.Line, "the file has no rules", `write "rules:" and a list of rules`)
	}
	d.mapping(n, "the file",
		field{"rules", func(n *yaml.Node) {
			if n.Kind != yaml.SequenceNode {
				d.fail(n.Line, "rules is "+nodeKind(n), `write a list: "- id: …"`)
				return
			}
			for _, c := range n.Content {
				if r := d.rule(c); r != nil {
					p.Rules = append(p.Rules, r)
				}
			}
		}},
		field{"windows", func(n *yaml.Node) { p.Windows = d.windows(n) }})
	for _, e := range Unique(p.Rules) {
		d.fail(e.Line, e.Text, e.Hint)
	}
}

// rule reads one rule; nil after a mistake.
func (d *decoder) rule(n *yaml.Node) *Rule {
	before := len(d.errs)
	outer := d.path
	d.path = nil
	defer func() { d.path = outer }()
	r := &Rule{File: d.file, Line: n.Line}
	var condition *yaml.Node
	var lineFor, lineExpires int
	fields := []field{
		{"id", func(n *yaml.Node) {
			r.ID = d.form(n, "id", idForm, "lower-case words joined by \"-\", such as raid-drive-failed")
		}},
		{"name", func(n *yaml.Node) {
			r.Name = d.form(n, "name", nameForm, "capitalised words run together, such as RaidDriveFailed")
		}},
		{"class", func(n *yaml.Node) {
			r.Class = d.form(n, "class", idForm, "lower-case words joined by \"-\", such as drive")
		}},
		{"severity", func(n *yaml.Node) { r.Severity = d.word(n, "severity", Severities()) }},
		{"for", func(n *yaml.Node) { r.For, lineFor = d.duration(n, "for"), n.Line }},
		{"expires", func(n *yaml.Node) { r.Expires, lineExpires = d.duration(n, "expires"), n.Line }},
		{"summary", func(n *yaml.Node) { r.Summary = d.template(n, "summary", MaxSummary) }},
		{"description", func(n *yaml.Node) { r.Description = d.template(n, "description", MaxDescription) }},
		{"runbook", func(n *yaml.Node) {
			r.Runbook = d.form(n, "runbook", bookForm, "file and anchor below alerts/runbooks, such as raid#drive-failed")
		}},
		{"retell", func(n *yaml.Node) { r.Retell = d.word(n, "retell", []string{"true", "false"}) == "true" }},
		{"servers", func(n *yaml.Node) { r.Servers = d.selector(n) }},
		{"when", func(n *yaml.Node) {
			d.fail(n.Line, "a rule has no \"when\"", "a free condition is part of the kind: match: {if: 'event_id == 7 && …'}")
		}},
	}
	for _, k := range kinds() {
		fields = append(fields, field{k.name, func(n *yaml.Node) {
			if r.Kind != "" {
				d.fail(n.Line, fmt.Sprintf("a rule is of one kind, this one says %q and %q", r.Kind, k.name), "make two rules")
				return
			}
			r.Kind, condition = k.name, n
		}})
	}
	d.mapping(n, "the rule", fields...)
	if n.Kind == yaml.MappingNode {
		d.complete(n, r, condition, lineFor, lineExpires)
	}
	if len(d.errs) > before {
		return nil
	}
	r.seal()
	return r
}

// complete checks what the fields of a rule must be together.
func (d *decoder) complete(n *yaml.Node, r *Rule, condition *yaml.Node, lineFor, lineExpires int) {
	for _, must := range []struct{ key, hint string }{
		{"id", "it names the rule for ever: \"id: raid-drive-failed\""},
		{"name", "it becomes the alert's name: \"name: RaidDriveFailed\""},
		{"class", "rules of one class about one device share a notification: \"class: drive\""},
		{"severity", "one of critical, warning, info"},
		{"summary", "one line for the person on call"},
		{"runbook", "where the person on call reads what to do: \"runbook: raid#drive-failed\""},
	} {
		if !hasKey(n, must.key) {
			d.fail(n.Line, "the rule has no "+must.key, must.hint, must.key)
		}
	}
	k, ok := kindOf(r.Kind)
	if !ok {
		d.fail(n.Line, "the rule has no condition", "add one of "+strings.Join(Kinds(), ", "))
		return
	}
	before := len(d.errs)
	d.below(k.name, func() { r.Spec = k.decode(d, condition, r) })
	if len(d.errs) > before || r.Spec == nil {
		return
	}
	if lineFor > 0 && !k.mayFor {
		d.fail(lineFor, fmt.Sprintf("a rule of kind %s has no \"for\"", r.Kind), "only a state can last; leave it out", "for")
	}
	if lineExpires > 0 && !k.mayExpire {
		d.fail(lineExpires, fmt.Sprintf("a rule of kind %s does not expire", r.Kind), "it clears by itself; leave it out", "expires")
	}
	if lineExpires == 0 && k.mustExpire != nil && k.mustExpire(r.Spec) {
		d.fail(condition.Line, "the rule never ends", k.expiresHint, "expires")
	}
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (d *decoder) form(n *yaml.Node, what string, form *regexp.Regexp, hint string) string {
	s := d.text(n, what)
	if s != "" && (len(s) > maxIDLen || !form.MatchString(s)) {
		d.fail(n.Line, fmt.Sprintf("%s %.80q", what, s), fmt.Sprintf("write %s, at most %d characters", hint, maxIDLen))
		return ""
	}
	return s
}

func (d *decoder) template(n *yaml.Node, what string, limit int) *Template {
	s := d.text(n, what)
	if s == "" {
		return nil
	}
	t, err := ParseTemplate(s, limit)
	if err != nil {
		d.fail(n.Line, what+": "+err.Error(), "fields are {{ ."+strings.Join(TemplateFields(), " }}, {{ .")+" }}, and {{ if .Field }} … {{ end }}")
	}
	return t
}

func (d *decoder) selector(n *yaml.Node) Selector {
	s := Selector{}
	var fields []field
	for _, key := range selectorKeys {
		fields = append(fields, field{key, func(n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				s[key] = *d.matcher(n, key, true, false)
			} else if v := d.texts(n, key); len(v) > 0 {
				s[key] = Matcher{In: v}
			}
		}})
	}
	d.mapping(n, "servers", fields...)
	if len(s) == 0 {
		return nil
	}
	return s
}
