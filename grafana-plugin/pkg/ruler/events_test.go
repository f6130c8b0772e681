package ruler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", MaxEvent)
	for _, tt := range []struct {
		why, in, want string
		skipped       int
	}{
		{"as the ruler writes", "id: 1\nevent: hello\ndata: {}\n\n: alive\n\nid: 2\nevent: server\ndata: {\"a\":1}\n\n", `[{hello 1 {}} {server 2 {"a":1}}]`, 0},
		{"other ends of lines, no space", "id:1\r\nevent:a\r\ndata:[1,\r\ndata:2]\r\n\r\n", "[{a 1 [1,\n2]}]", 0},
		{"half an event", "id: 1\nevent: hello\ndata: {}\n", "[]", 0},
		{"what is not known", "retry: 1\nfoo\nid: 1\nevent: a\ndata: {}\nbar: 1\n\n", "[{a 1 {}}]", 0},
		{"no JSON", "id: 1\nevent: a\ndata: {\n\nid: 2\nevent: a\ndata: {}\n\n", "[{reset 1 {}} {a 2 {}}]", 1},
		{"no kind", "id: 1\ndata: {}\n\n", "[{reset 1 {}}]", 1},
		{"too long", "id: 1\nevent: a\ndata: \"" + long + long + "\"\n\nid: 2\nevent: a\ndata: {}\n\n", "[{reset 1 {}} {a 2 {}}]", 1},
		{"too many lines", "id: 1\nevent: a\ndata: [\ndata:" + long + "\n\n", "[{reset 1 {}}]", 1},
		{"an id that is too long, or has a NUL", "id: " + strings.Repeat("1", 65) + "\nevent: a\ndata: {}\n\nid: 1\x00\nevent: a\ndata: {}\n\n", "[{a  {}} {a  {}}]", 0},
		{"a kind that is too long", "event: " + strings.Repeat("a", 65) + "\ndata: {}\n\n", "[{reset  {}}]", 1},
		{"no UTF-8", "event: a\ndata: \"\xff\"\n\n", "[{reset  {}}]", 1},
	} {
		skipped := 0
		s := NewEvents(strings.NewReader(tt.in), func() { skipped++ })
		got := []string{}
		for {
			e, err := s.Next(func() {})
			if err != nil {
				break
			}
			got = append(got, fmt.Sprintf("{%s %s %s}", e.Kind, e.ID, e.Data))
		}
		if fmt.Sprint(got) != tt.want || skipped != tt.skipped {
			t.Errorf("%s: %.200s (%d skipped), want %s", tt.why, fmt.Sprint(got), skipped, tt.want)
		}
	}
}

// Every line is a sign of life, comments too.
func TestCommentsAreAlive(t *testing.T) {
	alive := 0
	s := NewEvents(strings.NewReader(": alive\n\n: alive\n\nevent: a\ndata: {}\n\n"), func() {})
	if e, err := s.Next(func() { alive++ }); err != nil || e.Kind != "a" || alive != 7 {
		t.Errorf("%+v, %v, %d signs of life", e, err, alive)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("id: 1\nevent: hello\ndata: {}\n\n: alive\n\n")
	f.Add("data: [\r\ndata: 1]\r\nevent: x\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		s := NewEvents(strings.NewReader(in), func() {})
		for {
			e, err := s.Next(func() {})
			if err != nil {
				return
			}
			if e.Kind == "" || !json.Valid([]byte(e.Data)) || len(e.Data) > MaxEvent || len(e.ID) > MaxID {
				t.Errorf("%+v", e)
			}
		}
	})
}
