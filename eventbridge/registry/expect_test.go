package registry

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// A server that people expect is stated to the stream, without a credential, until
// one of that name enrols.
func TestExpectedServer(t *testing.T) {
	r, tape, _, _ := start(t, DefaultConfig())
	x := Expectation{Name: "DB7.example.org", Labels: Labels{Site: "fra"}, Since: 77, By: "register"}
	s, err := r.Expect(t.Context(), x)
	if err != nil || s.Name != x.Name || s.Labels.Site != "fra" || len(s.Credentials) != 0 {
		t.Fatalf("%+v %v", s, err)
	}
	names, last := tape.about(s.ID)
	if !slices.Equal(names, []string{record.NameEnrolled}) || last.Attr(record.AttrIdentifiedBy).Str() != record.IdentifiedByRegister || last.Attr(record.AttrSite).Str() != "fra" {
		t.Errorf("stated %v %+v", names, last)
	}
	if again, err := r.Expect(t.Context(), x); err != nil || again.ID != s.ID || len(r.Expected()) != 1 {
		t.Errorf("said again: %+v %v", again, err)
	}
	// What an administrator took out stays out; a new entry of the register is another.
	if _, err := r.Decommission(t.Context(), s.ID, "ada"); err != nil {
		t.Fatal(err)
	}
	if again, err := r.Expect(t.Context(), x); err != nil || again.State != Decommissioned || len(r.Expected()) != 0 {
		t.Errorf("decommissioned and said again: %+v %v", again, err)
	}
	x.Since = 99
	second, err := r.Expect(t.Context(), x)
	if err != nil || second.ID == s.ID || second.State != Active {
		t.Fatalf("a later entry: %+v %v", second, err)
	}
	joined := enrol(t, r, token(t, r, TokenRequest{}), "db7", Evidence{})
	if len(r.Expected()) != 0 {
		t.Errorf("it enrolled and is expected: %+v", r.Expected())
	}
	if names, _ := tape.about(second.ID); !slices.Equal(names, []string{record.NameEnrolled, record.NameDecommissioned}) {
		t.Errorf("stated %v", names)
	}
	if got, err := r.Expect(t.Context(), x); err != nil || got.ID != joined.ServerID {
		t.Errorf("expected though it is there: %+v %v", got, err)
	}
	for body, want := range map[string]int{`{"name":"db8","site":"fra","since":1}`: 200, `{"name":""}`: 400, `{"name":"a\u0000b"}`: 400, `{"nam":"x"}`: 400, `{"name":"x","site":" y"}`: 400} {
		w := httptest.NewRecorder()
		r.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/admin/v1/expected", strings.NewReader(body)))
		if w.Code != want {
			t.Errorf("%s answered %d: %s", body, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	r.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/admin/v1/expected", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"server":"db8"`) || strings.Contains(w.Body.String(), `"server":"DB7`) {
		t.Errorf("list: %d %s", w.Code, w.Body)
	}
}
