package evtx

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/source/winlog"
	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// A file that ends early gives what is before its end, says that it ends early
// and how many chunks are missing, and nothing that the whole file has not.
func TestTruncated(t *testing.T) {
	whole, err := os.ReadFile(corpus.File(t, "evtx", "Velocidex.evtx", "Security.evtx"))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := decoded(t, corpus.File(t, "evtx", "Velocidex.evtx", "Security.evtx"))
	known := map[winlog.Key]bool{}
	for i := range all {
		known[winlog.KeyOf(&all[i])] = true
	}
	path := filepath.Join(t.TempDir(), "cut.evtx")
	last := 0
	for _, size := range []int{4096, 4096 + 100, 4096 + chunkSize/2, 4096 + chunkSize, 4096 + 2*chunkSize + 5000, 4096 + 9*chunkSize + 9000} {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s := &sink{}
		rep, err := Import(t.Context(), path, s.emit, Options{Command: reader()})
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
			continue
		}
		for i := range s.recs {
			if !known[winlog.KeyOf(&s.recs[i])] {
				t.Errorf("%d bytes: record %s is not in the whole file", size, s.recs[i].Attr(record.AttrRecordID).Text())
			}
		}
		// Its head counts 5 chunks of the 10 that are there.
		chunks := (size - 4096 + chunkSize - 1) / chunkSize
		early := strings.Contains(strings.Join(rep.Problems, "\n"), "the file ends early: its head counts 5 chunks")
		if early != (chunks < 5) || chunks < 5 && rep.Unreadable < 5-chunks || size%chunkSize != 4096 && rep.Unreadable == 0 {
			t.Errorf("%d bytes: %d chunks, %d unreadable, %v", size, chunks, rep.Unreadable, rep.Problems)
		}
		if len(s.recs) < last || len(s.recs) >= len(all) {
			t.Errorf("%d bytes: %d records, %d in a shorter file", size, len(s.recs), last)
		}
		last = len(s.recs)
	}
	if last < 600 {
		t.Errorf("%d of %d records in all but the last chunk", last, len(all))
	}
}

// The machine was renamed while the log was written; all of it is one machine's
// log, and not this machine's.
func TestComputersAreNamed(t *testing.T) {
	s := &sink{}
	rep, err := Import(t.Context(), corpus.File(t, "evtx", "omerbenamram.evtx", "system.evtx"), s.emit, Options{Command: reader()})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range rep.Computers {
		total += n
	}
	if len(rep.Computers) < 2 || total != rep.Records {
		t.Errorf("%v of %d records", rep.Computers, rep.Records)
	}
	im := &importer{}
	for i := range 3 * maxNames {
		im.computers([]record.Record{{Attrs: []record.Attr{{Key: record.AttrComputer, Value: record.String(strings.Repeat("x", i+1))}}}})
	}
	if len(im.report.Computers) != maxNames+1 || im.report.Computers[""] != 2*maxNames {
		t.Errorf("%d computers, %d others", len(im.report.Computers), im.report.Computers[""])
	}
}

// The child has read a hostile file: whatever it sends, the parent counts or
// refuses it.
func FuzzMessages(f *testing.F) {
	var b bytes.Buffer
	w := &messages{w: bufio.NewWriter(&b)}
	r := record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrChannel, Value: record.String("c")}, {Key: record.AttrRecordID, Value: record.Int(1)}}}
	w.number(msgChunks, 2, "")
	w.number(msgBegin, 0, "")
	w.send(msgRecords, record.AppendRecords(nil, []record.Record{r, r}))
	w.number(msgProblem, 3, "torn")
	w.send(msgEnd, nil)
	if err := w.w.Flush(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &sink{}
		im := &importer{o: Options{ChunkTime: time.Hour}, emit: s.emit, seen: map[winlog.Key]struct{}{}}
		watch := time.AfterFunc(time.Hour, func() {})
		defer watch.Stop()
		_ = im.messages(context.Background(), bytes.NewReader(b), watch)
		if im.report.Records != len(s.recs) || len(im.report.Problems) > maxProblems {
			t.Fatalf("%+v, %d records", im.report, len(s.recs))
		}
	})
}
