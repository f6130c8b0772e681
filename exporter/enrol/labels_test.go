package enrol

import (
	"strings"
	"testing"

	"nocturne/internal/record"
)

func TestLabelsOfThreeOrigins(t *testing.T) {
	dir := t.TempDir()
	if l, err := LoadLabels(dir); err != nil || l != (Labels{}) {
		t.Fatal(l, err)
	}
	if err := SaveLabels(dir, Labels{Site: "installed", Rack: "r1", Owner: "ops"}); err != nil {
		t.Fatal(err)
	}
	stored, err := LoadLabels(dir)
	if err != nil {
		t.Fatal(err)
	}
	env := EnvLabels(func(key string) string { return map[string]string{"NOCTURNE_SITE": "environment"}[key] })
	got := env.Over(Labels{Site: "file", Rack: "r2"}.Over(stored))
	if want := (Labels{Site: "environment", Rack: "r2", Owner: "ops"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if stored.Site != "installed" {
		t.Error("Over changed what is below")
	}
	attrs := got.Attrs()
	if len(attrs) != 3 || attrs[0].Key != record.AttrReportedSite || attrs[0].Value.Str() != "environment" {
		t.Errorf("%v", attrs)
	}
}

func TestLabelsThatCannotBe(t *testing.T) {
	for _, bad := range []string{strings.Repeat("x", 129), "two\nlines", " around "} {
		if err := SaveLabels(t.TempDir(), Labels{Role: bad}); err == nil || !strings.Contains(err.Error(), "labels role") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
