package ownlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/exporter/service"
	"nocturne/internal/record"
)

func TestJournalLinesHavePriorities(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(Text(&b, slog.LevelDebug, true)).With("component", "source")
	log.Debug("a")
	log.Info("b", "n", 1)
	log.WithGroup("g").Warn("c", "k", "v w")
	log.Error("d")
	want := "<7>msg=a component=source\n<6>msg=b component=source n=1\n<4>msg=c component=source g.k=\"v w\"\n<3>msg=d component=source\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	slog.New(Text(&b, slog.LevelWarn, false)).Info("left out")
	slog.New(Text(&b, slog.LevelWarn, false)).Warn("text")
	if s := b.String(); !strings.HasPrefix(s, "time=") || !strings.Contains(s, "level=WARN msg=text") || strings.Contains(s, "left out") {
		t.Error(s)
	}
}

// eventLog stands in for Windows' event log.
type eventLog []string

func (e *eventLog) add(kind string, id uint32, text string) error {
	*e = append(*e, fmt.Sprintf("%s %d %s", kind, id, strings.ReplaceAll(text, "\r\n", "|")))
	return nil
}
func (e *eventLog) Info(id uint32, text string) error    { return e.add("info", id, text) }
func (e *eventLog) Warning(id uint32, text string) error { return e.add("warning", id, text) }
func (e *eventLog) Error(id uint32, text string) error   { return e.add("error", id, text) }

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &eventLog{}
		log := slog.New(Events(e))
		log.Debug("never")
		log.Info("not in the table")
		log.Info("exporter runs", "epoch", "1-2")
		raid := log.With("component", "source", "source", "raid")
		for range 5 {
			raid.Warn("source fails", "err", "100% gone\x00 %5 %%12")
			time.Sleep(10 * time.Minute)
		}
		log.With("source", "smart").Warn("source fails", "err", "x")
		time.Sleep(20 * time.Minute)
		raid.Warn("source fails", "err", "again")
		log.Error("something new")
		log.Warn("something odd")
		want := []string{
			"info 100 exporter runs|epoch: 1-2",
			"warning 204 source fails|source: raid|err: 100% gone? % 5 % % 12",
			"warning 204 source fails|source: smart|err: x",
			"warning 204 source fails|source: raid|err: again|the same 4 more times since it was last written here",
			"error 300 something new",
			"warning 200 something odd",
		}
		if got := strings.Join(*e, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}

// Every message of the table is logged somewhere, with the level of its id, and
// the user page has the same table.
func TestKindsAreTrue(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "ownlog") {
			return err
		}
		b, err := os.ReadFile(path)
		code.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/exporter.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{}
	for _, k := range Kinds {
		if seen[k.ID] || k.ID < 1 || k.ID > 1000 {
			t.Errorf("id %d is there twice, or has no text in EventCreate.exe", k.ID)
		}
		seen[k.ID] = true
		level := map[uint32]string{1: "Info", 2: "Warn", 3: "Error"}[k.ID/100]
		if k.Message != "" && !strings.Contains(code.String(), level+"("+fmt.Sprintf("%q", k.Message)) {
			t.Errorf("%d: nobody logs %s(%q)", k.ID, level, k.Message)
		}
		if row := fmt.Sprintf("| %d | %s |", k.ID, k.Meaning); !strings.Contains(string(page), row) {
			t.Errorf("docs/exporter.md lacks %s", row)
		}
	}
}

func TestOwnRecordsAreRecognised(t *testing.T) {
	f := func(name, provider string, want bool) {
		t.Helper()
		r := record.Record{Name: name, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(provider)}}}
		if Is(&r) != want {
			t.Errorf("%s from %q: %v", name, provider, !want)
		}
	}
	f(record.NameWindowsEvent, "NOCTURNE exporter", true)
	f(record.NameWindowsEvent, "Service Control Manager", false)
	f(record.NameJournal, service.Identifier, true)
	f(record.NameJournal, "systemd", false)
	f(record.NameHeartbeat, service.Identifier, false)
}
