package rule_test

import (
	"fmt"
	"os"
	"testing"

	"nocturne/ruler/rule"
)

// A rule that is not edited keeps its shape whatever this program learns: with
// another one all that is open would be closed, and all that is counted lost.
func TestShapesAreKept(t *testing.T) {
	data, err := os.ReadFile("testdata/shapes.yml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := rule.Parse("shapes.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, r := range rules {
		got += fmt.Sprintf("%s %s\n", r.ID, r.Shape)
	}
	want, err := os.ReadFile("testdata/shapes.want") // written by hand, never by -update
	if err != nil || got != string(want) {
		t.Errorf("%v\ngot:\n%swant:\n%s", err, got, want)
	}
}
