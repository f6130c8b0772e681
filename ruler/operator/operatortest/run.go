// Package operatortest runs stories as tests; package story says what a story
// is.
package operatortest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nocturne/ruler/rule"
	"nocturne/ruler/story"
)

// Options say how stories are run.
type Options struct {
	// Rules hold for stories without rules of their own.
	Rules []*rule.Rule
	// Update rewrites want and told.
	Update bool
}

// Result is what a story showed.
type Result = story.Result

// Run runs every *.txtar of a directory as a test and returns what they showed.
func Run(t *testing.T, dir string, o Options) []Result {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in %s (%v)", dir, err)
	}
	var out []Result
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			out = append(out, runFile(t, file, o))
		})
	}
	return out
}

func runFile(t *testing.T, file string, o Options) Result {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := story.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Play(o.Rules)
	if err != nil {
		t.Fatal(err)
	}
	if o.Update {
		if err := os.WriteFile(file, s.Rewritten(r), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err = story.Parse(file, s.Rewritten(r)); err != nil {
			t.Fatal(err)
		}
		if r, err = s.Play(o.Rules); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range r.Failures {
		t.Error(f)
	}
	if t.Failed() {
		t.Log("run with -update to take what is")
	}
	return r
}
