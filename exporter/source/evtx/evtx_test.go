package evtx

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/limit"
	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// TestMain makes the test binary its own child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Subcommand {
		os.Exit(Child(os.Args[2:], os.Stdout))
	}
	if len(os.Args) > 1 && os.Args[1] == "bad-child" {
		os.Exit(badChild(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// indexed is a line of the corpus' evtx_index.json: what two other readers
// found.
type indexed struct {
	File      string         `json:"file"`
	Walk      int            `json:"records_raw_walk"` // whole records, by their heads
	Chunks    int            `json:"chunks"`
	Channels  map[string]int `json:"channels"`  // as decoded; "" = not decoded
	Histogram map[string]int `json:"hist"`      // provider/event id
	Computers map[string]int `json:"computers"` // as decoded
	Decoded   int            `json:"velocidex_records"`
}

func index(t *testing.T) map[string]indexed {
	t.Helper()
	b, err := os.ReadFile(corpus.File(t, "evtx_index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []indexed
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]indexed{}
	for _, e := range list {
		out[e.File] = e
	}
	return out
}

type sink struct{ recs []record.Record }

func (s *sink) emit(_ context.Context, recs []record.Record, _ []byte) error {
	s.recs = append(s.recs, recs...)
	return nil
}

// decoded imports a file and returns its records and how many were lost.
func decoded(t *testing.T, path string) (recs []record.Record, lost int) {
	t.Helper()
	s := &sink{}
	rep, err := Import(t.Context(), path, s.emit, Options{Command: reader(), Memory: 256 << 20, ChunkTime: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Duplicates > 0 || rep.Records != len(s.recs) {
		t.Errorf("%s: %+v, %d records", filepath.Base(path), rep, len(s.recs))
	}
	for _, p := range rep.Problems {
		t.Logf("%s: %s", filepath.Base(path), p)
	}
	return s.recs, rep.Unreadable
}

// behind says for the damaged files what this reader finds beside the others,
// behind a torn record where they end, and what it counts as lost. The ids of
// what is found are those that the chunk's head announces.
var behind = map[string]struct{ found, lost int }{
	"2-vss_0-Microsoft-Windows-RemoteDesktopServices-RdpCoreTS%4Operational.evtx": {0, 68},
	"Microsoft-Windows-HelloForBusiness%4Operational.evtx":                        {0, 15},
	"Microsoft-Windows-LanguagePackSetup%4Operational.evtx":                       {0, 4},
	"sample-with-zero-data-size-event.evtx":                                       {114, 1},
	"sample_with_a_bad_chunk_magic.evtx":                                          {29, 171},
}

// Every file of the corpus, against the counts that two other readers made.
func TestCorpusCounts(t *testing.T) {
	files, _ := filepath.Glob(corpus.File(t, "evtx", "*", "*.evtx"))
	if len(files) != 64 {
		t.Fatalf("%d files, want 64", len(files))
	}
	idx := index(t)
	total, totalLost, compared := 0, 0, 0
	for _, path := range files {
		if raced && behind[filepath.Base(path)].lost == 0 {
			compared++ // only the damaged ones: the others take the same ways
			continue
		}
		name := "evtx/" + filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		recs, lost := decoded(t, path)
		total, totalLost = total+len(recs), totalLost+lost
		want, ok := idx[name]
		if !ok {
			t.Errorf("not in the index: %s, %d records", name, len(recs))
			continue
		}
		compared++
		undecoded := want.Channels[""]
		if more := behind[filepath.Base(path)]; len(recs) != want.Walk-undecoded+more.found || lost != more.lost {
			t.Errorf("%s: %d records, %d unreadable; the index has %d whole ones, %d of them not decoded; want %+v beside", name, len(recs), lost, want.Walk, undecoded, more)
		}
		got, computers := map[string]int{}, map[string]int{}
		for i := range recs {
			id, _ := recs[i].Attr(record.AttrEventID).Int()
			got[fmt.Sprintf("%s/%d", recs[i].Attr(record.AttrProvider).Str(), id)]++
			computers[recs[i].Attr(record.AttrComputer).Str()]++
			if recs[i].Time.IsZero() || recs[i].Time.Year() < 2000 || recs[i].Time.Year() > 2030 {
				t.Errorf("%s: record %s at %s", name, recs[i].Attr(record.AttrRecordID).Text(), recs[i].Time)
			}
		}
		if want.Walk != want.Decoded || undecoded > 0 {
			continue // the index' histogram has phantoms or what was not decoded
		}
		for k, n := range want.Histogram {
			if got[k] != n && !strings.HasSuffix(k, "/0") { // ids that are text: the index' reader did not read them
				t.Errorf("%s: %d of %s, the index has %d", name, got[k], k, n)
			}
		}
		for k, n := range want.Computers {
			if computers[k] != n {
				t.Errorf("%s: %d of computer %s, the index has %d", name, computers[k], k, n)
			}
		}
	}
	if compared != len(idx) {
		t.Errorf("%d files compared, the index has %d", compared, len(idx))
	}
	t.Logf("%d files, %d records, %d unreadable", len(files), total, totalLost)
}

func reader() []string { return []string{os.Args[0], Subcommand} }

// The whole way, with a child: a dirty file whose head counts 3 of 15 chunks,
// and one that holds a record of size 0.
func TestImport(t *testing.T) {
	for _, want := range []struct {
		file    string
		records int
		lost    int
	}{
		{"system.evtx", 1881, 0},
		{"sample-with-zero-data-size-event.evtx", 449, 1},
		{"sample_with_a_bad_chunk_magic.evtx", 298, 171},
	} {
		s := &sink{}
		rep, err := Import(t.Context(), corpus.File(t, "evtx", "omerbenamram.evtx", want.file), s.emit, Options{Command: reader()})
		if err != nil {
			t.Errorf("%s: %v", want.file, err)
			continue
		}
		if rep.Records != want.records || len(s.recs) != want.records || rep.Unreadable != want.lost || rep.Duplicates != 0 {
			t.Errorf("%s: %+v, %d records; want %d and %d unreadable", want.file, rep, len(s.recs), want.records, want.lost)
		}
	}
}

func TestRecord(t *testing.T) {
	recs, _ := decoded(t, corpus.File(t, "evtx", "Velocidex.evtx", "Security.evtx"))
	r := recs[1]
	for k, want := range map[string]string{
		record.AttrChannel: "Security", record.AttrProvider: "Microsoft-Windows-Security-Auditing", record.AttrEventID: "4648", record.AttrRecordID: "31879",
		record.AttrLevel: "audit_success", record.AttrComputer: "TestComputer", record.AttrData + "TargetUserName": "user", record.AttrData + "ProcessId": "4764",
	} {
		if got := r.Attr(k).Text(); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if r.Name != record.NameWindowsEvent || r.Severity != record.Info || !strings.HasPrefix(r.Body, "Microsoft-Windows-Security-Auditing event 4648, SubjectUserSid: S-1-5-21-") {
		t.Errorf("%+v", r)
	}
	if r.Time.Format(time.RFC3339Nano) != "2019-02-06T14:18:35.946088Z" {
		t.Errorf("time %s", r.Time.Format(time.RFC3339Nano))
	}
	// UserData, unnamed data, binary, text where numbers are usual.
	recs, _ = decoded(t, corpus.File(t, "evtx", "mdecrevoisier.EVTX-to-MITRE-Attack", "TA0003-Persistence__T1505.001-SQL_Stored_Procedures__ID15457-SQL_Server_CMDshell_enabled.evtx"))
	if r := recs[0]; r.Attr(record.AttrData+"param1").Str() != "xp_cmdshell" || r.Attr(record.AttrData+"param3").Str() != "1" || len(r.Attr(record.AttrData+"binary").Bytes()) == 0 {
		t.Errorf("%+v", r.Attrs)
	}
	recs, _ = decoded(t, corpus.File(t, "evtx", "mdecrevoisier.EVTX-to-MITRE-Attack", "Antivirus__ID1116-1117-Defender_threat_detected.evtx"))
	if r := recs[0]; r.Attr(record.AttrEventID).Text() != "1116" || r.Attr(record.AttrLevel).Str() != "warning" || r.Attr(record.AttrData+"Threat Name").Str() != "HackTool:Win64/Mikatz!dha" || r.Time.Format(time.RFC3339Nano) != "2020-12-11T12:28:01.2990045Z" {
		t.Errorf("%+v", r)
	}
}

// badChild plays a child that a file has got the better of.
func badChild(args []string) int {
	if len(args) != 3 {
		return 3
	}
	w := &messages{w: newWriter(os.Stdout)}
	w.number(msgChunks, 4, "")
	flush := func() { _ = w.w.Flush() }
	first, err := strconv.Atoi(args[0])
	if err != nil {
		return 3
	}
	for i := first; i < 4; i++ {
		w.number(msgBegin, i, "")
		flush()
		switch filepath.Base(args[2]) {
		case "crash": // in chunk 1
			if i == 1 {
				return 2
			}
		case "hang": // in chunk 2
			if i == 2 {
				select {}
			}
		case "glutton":
			if limit.Memory(64<<20) != nil {
				return 3
			}
			for i := range eaten {
				eaten[i] = bytes.Repeat([]byte{1}, 64<<20)
			}
		case "lie":
			_, _ = os.Stdout.Write([]byte{byte(msgRecords), 0xff, 0xff, 0xff, 0xff})
			return 0
		case "noise":
			w.send(msgRecords, []byte("these are no records"))
			flush()
			return 0
		}
		r := record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrRecordID, Value: record.Int(int64(i))}, {Key: record.AttrChannel, Value: record.String("c")}}}
		w.send(msgRecords, record.AppendRecords(nil, []record.Record{r, r}))
		flush()
	}
	w.send(msgEnd, nil)
	flush()
	return 0
}

var eaten [16][]byte

func TestChildFails(t *testing.T) {
	f := func(play string, records, unreadable, duplicates int, wantErr string) {
		t.Helper()
		s := &sink{}
		rep, err := Import(t.Context(), filepath.Join("/x", play), s.emit, Options{Command: []string{os.Args[0], "bad-child"}, ChunkTime: 2 * time.Second})
		if rep.Records != records || rep.Unreadable != unreadable || rep.Duplicates != duplicates {
			t.Errorf("%s: %+v, want %d records, %d unreadable, %d duplicates", play, rep, records, unreadable, duplicates)
		}
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: error %v, want %q", play, err, wantErr)
		}
	}
	f("well", 4, 0, 4, "")
	f("crash", 3, 1, 3, "")
	f("hang", 3, 1, 3, "")
	f("noise", 0, 4, 0, "")
	f("glutton", 0, 4, 0, "") // 1 GiB where 64 MiB are allowed
	f("lie", 0, 0, 0, "message of 4294967295 bytes")
}

func TestImportErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("no event log ", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		if _, err := Import(t.Context(), path, (&sink{}).emit, Options{Command: reader()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
		if err := Check(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check %s: error %v, want %q", path, err, want)
		}
	}
	f(text, errNotEvtx.Error())
	f(filepath.Join(dir, "absent.evtx"), "no such file")
	f(dir, "not a regular file")
	full := errors.New("disk full")
	_, err := Import(t.Context(), corpus.File(t, "evtx", "Velocidex.evtx", "Security_1_record.evtx"), func(context.Context, []record.Record, []byte) error { return full }, Options{Command: reader()})
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the spool's", err)
	}
}

// chunkOf builds a chunk of empty records with the given ids and sizes.
func chunkOf(records ...[2]int) []byte {
	buf := make([]byte, chunkSize)
	copy(buf, chunkMagic)
	off := chunkHeader
	for _, r := range records {
		put(buf, off, r[0], r[1])
		off += r[1]
		head(buf, r[0], off)
	}
	return buf
}

// head writes the last id and the end of the records into the chunk's head.
func head(buf []byte, last, end int) {
	binary.LittleEndian.PutUint64(buf[32:], uint64(last))
	binary.LittleEndian.PutUint32(buf[48:], uint32(end))
}

func put(buf []byte, off, id, size int) {
	copy(buf[off:], recordMagic)
	binary.LittleEndian.PutUint32(buf[off+4:], uint32(size))
	binary.LittleEndian.PutUint64(buf[off+8:], uint64(id))
	binary.LittleEndian.PutUint32(buf[off+size-4:], uint32(size))
}

func TestWalk(t *testing.T) {
	f := func(why string, buf []byte, want string, skipped int) {
		t.Helper()
		spans, n := walk(buf)
		var ids []string
		for _, s := range spans {
			ids = append(ids, fmt.Sprint(s.id))
		}
		if got := strings.Join(ids, " "); got != want || n != skipped {
			t.Errorf("%s: records %q, %d skipped; want %q, %d", why, got, n, want, skipped)
		}
		if _, bad := decodeChunk(buf, spans); bad != len(spans) {
			t.Errorf("%s: %d of %d empty records were taken for events", why, len(spans)-bad, len(spans))
		}
	}
	f("empty", chunkOf(), "", 0)
	f("three", chunkOf([2]int{5, 64}, [2]int{6, 72}, [2]int{7, 64}), "5 6 7", 0)
	old := chunkOf([2]int{5, 64}, [2]int{6, 64}, [2]int{2, 64}, [2]int{3, 64})
	head(old, 6, chunkHeader+128)
	f("old records behind the last", old, "5 6", 0)
	dirty := chunkOf([2]int{5, 64}, [2]int{6, 64}, [2]int{7, 64})
	head(dirty, 5, chunkHeader+64)
	f("more than the head says", dirty, "5 6 7", 0)
	torn := chunkOf([2]int{5, 64}, [2]int{6, 64}, [2]int{7, 64})
	torn[chunkHeader+64+4] = 0 // size 0 in the second
	f("a record of size 0", torn, "5 7", 1)
	left := bytes.Clone(torn)
	head(left, 5, chunkHeader+64)
	f("records that a filter left behind, torn", left, "5", 0)
	first := chunkOf([2]int{5, 64}, [2]int{6, 64})
	first[chunkHeader+60] = 1 // the size at its end is another
	f("the first is torn", first, "6", 1)
	near := chunkOf([2]int{5, 32}, [2]int{6, 64})
	near[chunkHeader+4] = 0
	f("the first is torn and short", near, "6", 1)
	last := make([]byte, chunkSize)
	copy(last, chunkMagic)
	copy(last[chunkHeader:], recordMagic)
	binary.LittleEndian.PutUint32(last[chunkHeader+4:], chunkSize)
	head(last, 5, chunkSize)
	f("a record longer than the chunk", last, "", 1)
}

// Damage anywhere in a real chunk loses records, not the reader: decoding in
// this process, with its own guards only where it cannot hang.
func FuzzWalk(f *testing.F) {
	f.Add(chunkOf([2]int{5, 64}, [2]int{6, 72})[:2048])
	f.Fuzz(func(t *testing.T, b []byte) {
		buf := make([]byte, chunkSize)
		copy(buf, b)
		spans, _ := walk(buf)
		end := chunkHeader
		for _, s := range spans {
			if s.off < end || s.off+s.size > len(buf) {
				t.Fatalf("record %+v begins before %d or ends behind the chunk", s, end)
			}
			end = s.off + s.size
		}
		joined(buf, spans)
		if l, err := newFile(bytes.NewReader(b), int64(len(b))); err == nil {
			_, _, _, _ = l.chunk(0)
		}
	})
}

// A damaged copy of a real file goes through the whole import: every byte that
// is flipped costs at most what it stood in.
func TestDamage(t *testing.T) {
	whole, err := os.ReadFile(corpus.File(t, "evtx", "omerbenamram.evtx", "new-user-security.evtx"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged.evtx")
	worst := 4
	for i := range 12 {
		b := bytes.Clone(whole)
		for j := range 3 {
			b[4096+(i*7919+j*104729)%8192] ^= 0xff
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := &sink{}
		rep, err := Import(t.Context(), path, s.emit, Options{Command: reader(), ChunkTime: 3 * time.Second})
		if err != nil {
			t.Errorf("damage %d: %v", i, err)
		}
		worst = min(worst, rep.Records)
		if rep.Records < 4 && rep.Unreadable == 0 {
			t.Errorf("damage %d: %+v: records are missing and nothing says so", i, rep)
		}
	}
	t.Logf("at the worst %d of 4 records were left", worst)
}
