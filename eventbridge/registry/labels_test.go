package registry

import (
	"errors"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// The register holds over the join token, and that over the pattern of a name.
func TestWhereLabelsComeFrom(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Patterns = []Pattern{{Name: `^(?P<site>[a-z]{3})-(?P<rack>r\d+)-`, Owner: "ops"}, {Name: "^fra", Site: "never", Role: "db"}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r, a, _, _ := start(t, cfg)
	got := enrol(t, r, token(t, r, TokenRequest{Labels: Labels{Rack: "r9"}}), "FRA-r12-db7", machine)
	check := func(want Labels, from string) {
		t.Helper()
		s, err := r.Server(got.ServerID)
		if err != nil || s.Labels != want || s.From.String() != from {
			t.Errorf("%+v from %s, want %+v from %s; %v", s.Labels, s.From, want, from, err)
		}
		if _, rec := a.about(got.ServerID); rec.Attr(record.AttrLabelsFrom).Text() != from || rec.Attr(record.AttrSite).Text() != want.Site {
			t.Errorf("the stream says %s", rec.Attr(record.AttrLabelsFrom).Text())
		}
	}
	first := Labels{Site: "fra", Rack: "r9", Role: "db", Owner: "ops"}
	check(first, "site=pattern rack=enrolment role=pattern owner=pattern")
	second := Labels{Site: "muc", Rack: "r9", Role: "db", Owner: "ops"}
	if _, err := r.SetLabels(t.Context(), got.ServerID, second, &first, "kim"); err != nil {
		t.Fatal(err)
	}
	check(second, "site=register rack=enrolment role=pattern owner=pattern")
	if _, err := r.SetLabels(t.Context(), got.ServerID, Labels{Site: "ber"}, &first, "lee"); !errors.Is(err, ErrConflict) {
		t.Errorf("over what another one set: %v", err)
	}
	// Taking labels away leaves what the name says.
	if _, err := r.SetLabels(t.Context(), got.ServerID, Labels{}, nil, "kim"); err != nil {
		t.Fatal(err)
	}
	check(Labels{Site: "fra", Rack: "r12", Role: "db", Owner: "ops"}, "site=pattern rack=pattern role=pattern owner=pattern")
}

func TestPatternsThatCannotBe(t *testing.T) {
	for text, p := range map[string]Pattern{"want a regular expression": {Name: "("}, "no label": {Name: "(?P<colour>x)"}, "gives no label": {Name: "x"}, "registry.patterns[0]: site": {Name: "x", Site: " a"}} {
		cfg := DefaultConfig()
		cfg.Patterns = []Pattern{p}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q", p, err, text)
		}
	}
}
