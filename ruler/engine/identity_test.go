package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
)

// TestIdentityStories runs testdata/identity: minutes:seconds, an epoch's name,
// what its heartbeat says. Printed is what the first heartbeat of an epoch
// does, and every finding.
func TestIdentityStories(t *testing.T) {
	files, err := filepath.Glob("testdata/identity/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d stories: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, ok := strings.Cut(string(text), "-- in --\n")
			in, want, ok2 := strings.Cut(rest, "-- want --\n")
			if !ok || !ok2 {
				t.Fatal("story has no -- in -- or no -- want --")
			}
			if got := identityStory(t, in); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func identityStory(t *testing.T, in string) string {
	var out strings.Builder
	t0 := time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC).UnixNano()
	root := record.ID{1}
	ls := &lines{root: root, all: []*line{{key: root}}}
	epochs := map[string]record.EpochRef{}
	seen := map[string]bool{}
	numbers := map[*line]int{ls.all[0]: 1}
	for row := range strings.Lines(in) {
		f := strings.Fields(row)
		at := offset(t, f[0])
		b := beat{observed: t0 + at, sent: t0 + at, interval: 2 * time.Minute}
		start := at
		for _, w := range f[2:] {
			k, v, _ := strings.Cut(w, "=")
			switch k {
			case "bye":
				b.goodbye = true
			case "prev":
				b.epoch.Prev = epochs[v]
			case "machine":
				b.machine = evidence(v)
			case "board":
				b.board = evidence(v)
			case "start":
				start = offset(t, v)
			case "observed":
				b.observed = t0 + offset(t, v)
			case "sent":
				b.sent = t0 + offset(t, v)
			default:
				t.Fatalf("unknown word %q", w)
			}
		}
		if _, ok := epochs[f[1]]; !ok {
			epochs[f[1]] = record.EpochRef{Start: t0 + start, Random: uint64(len(epochs) + 1)}
		}
		b.epoch.EpochRef = epochs[f[1]]
		d := ls.observe(b, t0+at)
		if numbers[d.line] == 0 {
			numbers[d.line] = len(numbers) + 1
		}
		if d.finding != findNothing || !seen[f[1]] {
			seen[f[1]] = true
			fmt.Fprintf(&out, "%s %s line %d", f[0], f[1], numbers[d.line])
			if d.finding != findNothing {
				fmt.Fprintf(&out, " %s: %s", d.finding, d.reason)
			}
			if d.dropped != nil {
				fmt.Fprintf(&out, " (%d dropped)", numbers[d.dropped])
			}
			out.WriteByte('\n')
		}
		if q := ls.quiet(t0 + at); q != nil {
			ls.remove(q)
			fmt.Fprintf(&out, "%s line %d quiet\n", f[0], numbers[q])
			if ls.clones {
				t.Error("still clones though one line is left")
			}
		}
	}
	return out.String()
}

func offset(t *testing.T, s string) int64 {
	m, sec, _ := strings.Cut(s, ":")
	a, err1 := strconv.Atoi(m)
	b, err2 := strconv.Atoi(sec)
	if err1 != nil || err2 != nil {
		t.Fatalf("time %q: want minutes:seconds", s)
	}
	return int64(time.Duration(a)*time.Minute + time.Duration(b)*time.Second)
}
