package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"nocturne/internal/record"
)

// maxShown is how much of one value is shown.
const maxShown = 200

// Readable writes a record for a person at a terminal.
func Readable(w io.Writer, c record.Category, r *record.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s", c, r.Name, r.Severity)
	if !r.Time.IsZero() {
		fmt.Fprintf(&b, "  %s", r.Time.Local().Format(time.DateTime))
	}
	b.WriteByte('\n')
	if r.Body != "" {
		fmt.Fprintf(&b, "  %s\n", shown(r.Body))
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, a := range r.Attrs {
		fmt.Fprintf(t, "    %s\t%s\n", clean(a.Key), shown(a.Value.Text()))
	}
	_ = t.Flush() // into memory
	if r.Snapshot != nil {
		snapshot(&b, r.Snapshot)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func snapshot(b *strings.Builder, s *record.Snapshot) {
	var sections []string
	for _, sec := range s.Sections {
		text := sec.Type
		if sec.Scope != "" {
			text += " of " + sec.Scope
		}
		sections = append(sections, clean(text))
	}
	if len(sections) == 0 {
		sections = []string{"nothing"}
	}
	fmt.Fprintf(b, "  looked at %s: %d devices\n", strings.Join(sections, ", "), len(s.Devices))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	if len(s.Devices) > 0 {
		fmt.Fprintln(t, "    TYPE\tPLACE\tSERIAL\tFIELDS")
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		var fields []string
		for _, f := range d.Fields {
			fields = append(fields, clean(f.Key)+"="+shown(f.Value.Text()))
		}
		slices.Sort(fields)
		fmt.Fprintf(t, "    %s\t%s\t%s\t%s\n", clean(d.Type), shown(d.Place), shown(d.Occupant), strings.Join(fields, " "))
	}
	_ = t.Flush() // into memory
}

// shown is a value on one line, cut when it is long.
func shown(s string) string {
	s = clean(s)
	if len(s) > maxShown {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:maxShown], ""), len(s))
	}
	return s
}

// clean keeps what a machine says from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '?'
		}
		return r
	}, s)
}
