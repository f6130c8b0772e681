// Package register reads and writes the register of servers as a table: what
// people say that there is, whose it is, and until when somebody mends it. It
// also carries the register's labels to the servers that have enrolled (Sync).
//
// Reading is pure and strict: a table is taken as a whole or not at all, and
// every mistake names its line and column. To test: go test ./ruler/register.
package register

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nocturne/ruler/store"
)

// Limits of a table.
const (
	MaxBytes  = 4 << 20
	MaxLines  = 20_000
	MaxErrors = 100 // that are told
	maxCell   = 128
	maxNote   = 1024
)

// Columns are those of a table, in the order in which Write writes them. Only
// name must be there.
var Columns = []string{"name", "serial", "site", "rack", "role", "owner", "warranty_until", "contract", "note"}

// Problem is a mistake in a table.
type Problem struct {
	Line   int // 0 = of the whole table
	Column string
	Error  string
	Hint   string
}

// Table is what a table says.
type Table struct {
	Entries []store.RegisterEntry
	Lines   []int    // where each entry begins; the headings are line 1
	Told    []string // the columns that it has
}

// Read reads a table with a line of headings, separated by commas,
// semicolons or tabs, in UTF-8. Columns that are not in it are left as they are. With
// problems there are no entries.
func Read(text string) (Table, []Problem) {
	fail := func(hint, format string, args ...any) (Table, []Problem) {
		return Table{}, []Problem{{Error: fmt.Sprintf(format, args...), Hint: hint}}
	}
	if len(text) > MaxBytes {
		return fail("send it in parts", "the table is larger than %d bytes", MaxBytes)
	}
	if !utf8.ValidString(text) {
		return fail("save it as CSV UTF-8", "the table is not UTF-8")
	}
	text = strings.TrimPrefix(text, "\uFEFF")
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	first, _, _ := strings.Cut(text, "\n")
	for _, sep := range ";\t" { // what spreadsheets write where the comma is in numbers, and what is copied out of them
		if strings.Count(first, string(sep)) > strings.Count(first, string(r.Comma)) {
			r.Comma = sep
		}
	}
	heads, err := r.Read()
	if err != nil {
		return fail("the first line holds the headings: "+strings.Join(Columns, ","), "the table has no headings")
	}
	for i, h := range heads {
		heads[i] = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains(Columns, heads[i]) {
			return fail("known are "+strings.Join(Columns, ", "), "column %.60q is not known", h)
		}
		if slices.Contains(heads[:i], heads[i]) {
			return fail("keep one of them", "column %s is there twice", heads[i])
		}
	}
	if !slices.Contains(heads, "name") {
		return fail("add the column name", "the table has no names")
	}
	p := parser{table: Table{Told: heads}, seen: map[string]int{}}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			p.problem(bad.Line, "", "put text with quotes into quotes, and write each quote in it twice", "%v", bad.Err)
			break // what follows cannot be told apart
		}
		line, _ := r.FieldPos(0)
		if len(p.table.Entries)+1 > MaxLines {
			return fail("send it in parts", "the table has more than %d lines", MaxLines)
		}
		p.row(line, cells)
	}
	if len(p.problems) > 0 {
		return Table{Told: heads}, p.problems
	}
	return p.table, nil
}

type parser struct {
	table    Table
	seen     map[string]int
	problems []Problem
}

func (p *parser) problem(line int, column, hint, format string, args ...any) {
	if len(p.problems) < MaxErrors {
		p.problems = append(p.problems, Problem{Line: line, Column: column, Error: fmt.Sprintf(format, args...), Hint: hint})
	}
}

func (p *parser) row(line int, cells []string) {
	if len(cells) == 1 && strings.TrimSpace(cells[0]) == "" {
		return
	}
	if len(cells) != len(p.table.Told) {
		p.problem(line, "", "as many as there are headings; text with the separator in it goes into quotes", "%d cells, want %d", len(cells), len(p.table.Told))
		return
	}
	e := store.RegisterEntry{Version: store.AnyVersion}
	for i, cell := range cells {
		cell = strings.TrimSpace(cell)
		if len(cell) > 1 && cell[0] == '\'' && strings.IndexByte(formula+"'", cell[1]) >= 0 {
			cell = cell[1:] // Write put it there
		}
		if err := Set(&e, p.table.Told[i], cell); err != nil {
			var h *hinted
			errors.As(err, &h)
			p.problem(line, p.table.Told[i], h.hint, "%s", h.msg)
		}
	}
	key := strings.ToLower(e.Name)
	if other, twice := p.seen[key]; twice && key != "" {
		p.problem(line, "name", "keep one of them; names are compared without regard to case", "%.60q is already in line %d", e.Name, other)
	}
	p.seen[key] = line
	p.table.Entries, p.table.Lines = append(p.table.Entries, e), append(p.table.Lines, line)
}

// hinted is a mistake and what would be right.
type hinted struct{ msg, hint string }

func (h *hinted) Error() string { return h.msg }

// Hint is what would be right, of an error of Set.
func Hint(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// Set puts a cell into an entry.
func Set(e *store.RegisterEntry, column, value string) error {
	limit := maxCell
	if column == "note" {
		limit = maxNote
	}
	if len(value) > limit {
		return &hinted{fmt.Sprintf("longer than %d bytes", limit), "make it shorter"}
	}
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
		return &hinted{"holds a control character", "write it in one line of plain text"}
	}
	switch column {
	case "name":
		if value == "" || strings.ContainsAny(value, "/ ") {
			return &hinted{fmt.Sprintf("%.60q is no name of a server", value), "write the name that it enrols with, such as db7 or db7.example.org"}
		}
		e.Name = value
	case "serial":
		e.Serial = value
	case "site":
		e.Site = value
	case "rack":
		e.Rack = value
	case "role":
		e.Role = value
	case "owner":
		e.Owner = value
	case "contract":
		e.Contract = value
	case "note":
		e.Note = value
	case "warranty_until":
		e.Warranty = time.Time{}
		if value == "" {
			return nil
		}
		t, err := time.Parse(time.DateOnly, value)
		if err != nil || t.Year() < 1990 || t.Year() > 2100 {
			return &hinted{fmt.Sprintf("%.40q is no date", value), "write the last day like 2028-03-31"}
		}
		e.Warranty = t
	}
	return nil
}

// Get is a cell of an entry.
func Get(e *store.RegisterEntry, column string) string {
	switch column {
	case "name":
		return e.Name
	case "serial":
		return e.Serial
	case "site":
		return e.Site
	case "rack":
		return e.Rack
	case "role":
		return e.Role
	case "owner":
		return e.Owner
	case "contract":
		return e.Contract
	case "note":
		return e.Note
	case "warranty_until":
		if !e.Warranty.IsZero() {
			return e.Warranty.UTC().Format(time.DateOnly)
		}
	}
	return ""
}

// formula begins what a spreadsheet would compute.
const formula = "=+-@\t\r"

// quoted puts a quote in front of what begins a formula, and of what Read would
// take for such a quote.
func quoted(cell string) string {
	switch {
	case cell == "":
	case strings.IndexByte(formula, cell[0]) >= 0, len(cell) > 1 && cell[0] == '\'' && strings.IndexByte(formula+"'", cell[1]) >= 0:
		return "'" + cell
	}
	return cell
}

// Write writes a table that Read takes. What a spreadsheet would take for a
// formula gets a quote in front.
func Write(entries []store.RegisterEntry) ([]byte, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write(Columns); err != nil {
		return nil, fmt.Errorf("write table: %w", err)
	}
	for i := range entries {
		row := make([]string, len(Columns))
		for j, c := range Columns {
			row[j] = Get(&entries[i], c)
			row[j] = quoted(row[j])
		}
		if err := w.Write(row); err != nil {
			return nil, fmt.Errorf("write table: %w", err)
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return nil, fmt.Errorf("write table: %w", err)
	}
	return []byte(b.String()), nil
}

// Merge lays what a table tells over what is known: columns that it does not
// have stay.
func Merge(known, now store.RegisterEntry, told []string) store.RegisterEntry {
	out := known
	out.Name, out.Version = now.Name, now.Version
	for _, c := range told {
		// What Get says, Set takes: both are of Read.
		_ = Set(&out, c, Get(&now, c))
	}
	return out
}
