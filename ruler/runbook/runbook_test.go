package runbook

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFind(t *testing.T) {
	shipped := fstest.MapFS{
		"raid.md": {Data: []byte("# RAID\n\nHead.\n\n## Drive failed\n\nPull it.\n\n1. Look.\n\n## Media errors\r\n\nWait.\n")},
		"big.md":  {Data: []byte("## A\n\n" + strings.Repeat("x", maxFile))},
	}
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "raid.md"), []byte("## Media errors\n\nCall Eva.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(name, own string, want Section) {
		t.Helper()
		got, err := Find(name, own, shipped)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	f("raid#drive-failed", "", Section{Title: "Drive failed", Text: "Pull it.\n\n1. Look."})
	f("raid#media-errors", "", Section{Title: "Media errors", Text: "Wait."})
	f("raid#media-errors", own, Section{Title: "Media errors", Text: "Call Eva.", Own: true})
	f("raid#drive-failed", own, Section{Title: "Drive failed", Text: "Pull it.\n\n1. Look."}) // not in the own file
	for _, name := range []string{"raid#none", "none#drive-failed", "raid", "", "../raid#drive-failed", "https://example.org/raid#drive-failed"} {
		if _, err := Find(name, own, shipped); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v, want ErrUnknown", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(own, "raid.md"), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Find("raid#media-errors", own, shipped); err == nil || !strings.Contains(err.Error(), "split it") || s.Text != "Wait." || s.Own {
		t.Errorf("an own file that is too large: %+v, %v", s, err)
	}
	if _, err := Find("big#a", "", shipped); err == nil || !strings.Contains(err.Error(), "split it") {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestAt(t *testing.T) {
	const text = "`storcli /c0/e252/s4 start locate`, c0/e252/s4, `storcli /c0/v0 show`, `/c0/fall`, /c0."
	f := func(place, want string) {
		t.Helper()
		if got := At(text, place); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", place, got, want)
		}
	}
	f("c1/e8/s30", "`storcli /c1/e8/s30 start locate`, c1/e8/s30, `storcli /c1/vX show`, `/c1/fall`, /c1.")
	f("c1/s3", "`storcli /c1/s3 start locate`, c1/s3, `storcli /c1/vX show`, `/c1/fall`, /c1.")
	f("c10/v2", "`storcli /c10/eX/sX start locate`, c10/eX/sX, `storcli /c10/v2 show`, `/c10/fall`, /c10.")
	f("c0/v2", "`storcli /c0/eX/sX start locate`, c0/eX/sX, `storcli /c0/v2 show`, `/c0/fall`, /c0.")
	f("c2", "`storcli /c2/eX/sX start locate`, c2/eX/sX, `storcli /c2/vX show`, `/c2/fall`, /c2.")
	f("sda", text)
	f("", text)
}

func FuzzSections(f *testing.F) {
	f.Add("## A\n\ntext\n## a\n")
	f.Add("##  \n## \r\n### x")
	f.Fuzz(func(t *testing.T, text string) {
		for key, s := range Sections(text) {
			if s.Title == "" || strings.Contains(key, " ") || !strings.Contains(text, s.Text) {
				t.Errorf("%q: %+v", key, s)
			}
		}
	})
}

func TestNamed(t *testing.T) {
	f := func(name, own string, want ...string) {
		t.Helper()
		files := fstest.MapFS{
			"raid.md":    {Data: []byte("## Drive failed\nPull it, **not** the other.\n## Errors\nReplace it as under *Drive failed*, not as *another*.\n## Battery\nSee *Errors*, *errors* and *Update\nfailed* in [windows.md](windows.md).\n")},
			"windows.md": {Data: []byte("## Update failed\nSee *Drive failed* and *Update failed*.\n## Drive failed\nOf Windows.\n")},
		}
		s, err := Find(name, own, files)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range Named(name, s, own, files) {
			got = append(got, n.Title+": "+n.Text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s names %q, want %q", name, got, want)
		}
	}
	pull := "Drive failed: Pull it, **not** the other."
	f("raid#drive-failed", "")
	f("raid#errors", "", pull)
	f("raid#battery", "", "Errors: Replace it as under *Drive failed*, not as *another*.", "Update failed: See *Drive failed* and *Update failed*.", pull, "Drive failed: Of Windows.")
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "raid.md"), []byte("## Drive failed\nCall Anna."), 0o600); err != nil {
		t.Fatal(err)
	}
	f("raid#errors", own, "Drive failed: Call Anna.")
}
