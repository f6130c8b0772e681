package register

import (
	"fmt"
	"strings"
	"testing"

	"nocturne/ruler/store"
)

// What Write writes, Read reads as it was, and a spreadsheet computes none of it.
func TestTablesComeBack(t *testing.T) {
	var all []store.RegisterEntry
	for i, text := range []string{"=1+1", "'=1+1", "''=x", "'quoted'", "'", "''", "@a", "-5", "+49 31", `say "yes"`, "a,b;c", "ü €", "'-", "' =x", "#x", "\"'=x"} {
		all = append(all, store.RegisterEntry{Name: fmt.Sprintf("db%d", i), Note: text, Owner: text, Version: store.AnyVersion})
	}
	b, err := Write(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{string(b), "\uFEFF" + strings.ReplaceAll(string(b), "\n", "\r\n")} {
		read, problems := Read(table)
		got := read.Entries
		if len(problems) > 0 || len(got) != len(all) {
			t.Fatalf("%d entries, %v", len(got), problems)
		}
		for i := range all {
			if got[i] != all[i] {
				t.Errorf("%q came back as %q", all[i].Note, got[i].Note)
			}
		}
	}
	rows := strings.Split(string(b), "\n")
	for _, row := range rows[1 : len(rows)-1] {
		for _, cell := range strings.Split(row, ",") {
			if strings.HasPrefix(strings.Trim(cell, `"`), "=") {
				t.Errorf("a formula: %s", row)
			}
		}
	}
}

// A register of 10,000 servers comes back too.
func TestLargeTable(t *testing.T) {
	var all []store.RegisterEntry
	for i := range 10_000 {
		all = append(all, store.RegisterEntry{Name: fmt.Sprintf("db%d.example.org", i), Serial: fmt.Sprint(i), Note: "a, b", Version: store.AnyVersion})
	}
	b, err := Write(all)
	if err != nil {
		t.Fatal(err)
	}
	if got, problems := Read(string(b)); len(got.Entries) != len(all) || len(problems) > 0 {
		t.Errorf("%d entries, %v", len(got.Entries), problems)
	}
	if _, problems := Read(string(b) + "DB7.example.org,,,,,,,,\n"); len(problems) != 1 || problems[0].Line != 10_002 || !strings.Contains(problems[0].Error, "line 9") {
		t.Errorf("a name twice: %v", problems)
	}
}
