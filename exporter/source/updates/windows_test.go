package updates

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"nocturne/internal/corpus"
)

func TestParseKB(t *testing.T) {
	for title, want := range map[string]string{
		"2026-11 Cumulative Update for Microsoft server operating system version 21H2 for x64-based Systems (KB5031364)": "KB5031364",
		"Security Update for X (kb 4100347)":              "KB4100347",
		"Replaces KB1111111, Servicing Stack (KB2222222)": "KB2222222", // its own is the last
		"9PLL735RFDSM-Microsoft.Something":                "",
		"Intel - net - 12.19.1.37":                        "",
		"SKB12345678":                                     "", // a part of a word
		"KB123":                                           "", // too short
	} {
		if got := ParseKB(title); got != want {
			t.Errorf("%q: %q, want %q", title, got, want)
		}
	}
}

// Titles of the corpus: one of each kind is in it, and all have a number.
func TestTitlesOfTheCorpus(t *testing.T) {
	files, _ := filepath.Glob(corpus.File(t, "windows-updates", "bitsadmin.wesng", "*.txt"))
	titles, definitions, without := 0, 0, 0
	perKB := map[string]int{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text(b)) {
			number, title, ok := strings.Cut(strings.TrimSpace(line), ": ")
			if !ok {
				continue
			}
			titles++
			kb := ParseKB(title)
			switch {
			case kb == "":
				without++
			case kb != number:
				t.Errorf("%q: %s, the list says %s", title, kb, number)
			}
			perKB[kb]++
			if isDefinition(nil, kb, title) {
				definitions++
			}
		}
	}
	if len(files) != 3 || titles != 73 || definitions != 2 || without != 0 || perKB["KB2483139"] != 34 {
		t.Errorf("%d files, %d titles, %d definitions, %d without a number, %d language packs under one", len(files), titles, definitions, without, perKB["KB2483139"])
	}
}

// text decodes UTF-16 with a mark, or takes the bytes as they are.
func text(b []byte) string {
	if len(b) < 2 || b[0] != 0xff || b[1] != 0xfe {
		return string(b)
	}
	var u []uint16
	for i := 2; i+1 < len(b); i += 2 {
		u = append(u, uint16(b[i])|uint16(b[i+1])<<8)
	}
	return string(utf16.Decode(u))
}

func TestDefinitions(t *testing.T) {
	for _, title := range []string{
		"Security Intelligence Update for Microsoft Defender Antivirus - KB2267602 (Version 1.403.1.0)",
		"Definitionsupdate für Windows Defender (Definition 1.2.3.0)",
		"Mise à jour de la veille de sécurité pour Microsoft Defender Antivirus",
		"Microsoft Defender Antivirus のセキュリティ インテリジェンスの更新",
	} {
		if !isDefinition(nil, ParseKB(title), title) {
			t.Errorf("%q is not taken for a definition update", title)
		}
	}
	if !isDefinition([]string{"E0789628-CE08-4437-BE74-2495B842F43B"}, "", "a language nobody foresaw") {
		t.Error("the category is not known")
	}
	if isDefinition([]string{securityUpdates}, "KB5031364", "Cumulative Update") {
		t.Error("a cumulative update is taken for a definition update")
	}
}

func TestWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:secret@wsus.example:8531/x@y":              "https://wsus.example:8531/x@y",
		"apt -o Acquire::http::Proxy=http://a:b@proxy install x": "apt -o Acquire::http::Proxy=http://proxy install x",
		"http://wsus": "http://wsus",
	} {
		if got := withoutSecrets(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOLEDate(t *testing.T) {
	// 45000.5 is 2023-03-15 12:00 (Excel says so too).
	if got := oleDate(45000.5); !got.Equal(time.Date(2023, 3, 15, 12, 0, 0, 0, time.UTC)) {
		t.Error(got)
	}
	if !oleDate(0).IsZero() || !oleDate(1e9).IsZero() {
		t.Error("never is a date")
	}
}

// The answer is constructed from documentation (wuapi.h): nobody's capture.
const answerText = `{"entries":[
 {"title":"Cumulative Update (KB5031364)","id":"AA","when":"2026-11-10T03:00:00Z","operation":1,"result":4,"code":-2145124318},
 {"title":"Cumulative Update (KB5031364)","id":"AA","when":"2026-11-11T03:00:00Z","operation":1,"result":2},
 {"title":"Security Intelligence Update - KB2267602 (Version 1.1)","id":"BB","when":"2026-11-28T03:00:00Z","operation":1,"result":2},
 {"title":"Latvian Language Pack (KB2483139)","id":"C1","when":"2026-10-01T03:00:00Z","operation":1,"result":2},
 {"title":"Czech Language Pack (KB2483139)","id":"C2","when":"2026-10-01T03:00:00Z","operation":1,"result":2},
 {"title":"Old (KB1000001)","id":"D","when":"2020-10-01T03:00:00Z","operation":2,"result":2}],
 "waiting":[
 {"title":"Security Update (KB5040000)","id":"E","kbs":["5040000"],"severity":"Critical","published":"2026-11-12T00:00:00Z","categories":["0FA1201D-4330-4FA8-8AE9-B877473B6441"],"names":["Sicherheitsupdates"],"mandatory":true,"downloaded":true,"reboot":2},
 {"title":"Definition (KB2267602)","id":"F"},
 {"title":"Intel - net - 12.19","id":"G","names":["Treiber"]}],
 "search_result":2,"last_search":"2026-11-28T01:00:00Z","notification":4,"reboot":false}`

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func TestWindowsReport(t *testing.T) {
	a, err := parseAnswer([]byte(answerText))
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{Status: facts{server: "https://user:secret@wsus.example:8531/x", useServer: true, start: 3, requiredWU: true, renames: true}.status()}
	if err := r.fill(a); err != nil {
		t.Fatal(err)
	}
	expect(t, r, 200, noon,
		"sections update_status update_pending update_installed:2026-12 update_installed:2026-11 update_installed:2026-10 update_installed:2026-09",
		"update_installed|2020-10/KB1000001|state=succeeded|title=Old (KB1000001)|kb=KB1000001|operation=uninstall|date=2020-10-01T03:00:00Z|attempt_count=1",
		"update_installed|2026-10/KB2483139/c1|state=succeeded|title=Latvian Language Pack (KB2483139)|kb=KB2483139|operation=install|date=2026-10-01T03:00:00Z|attempt_count=1",
		"update_installed|2026-10/KB2483139/c2|state=succeeded|title=Czech Language Pack (KB2483139)|kb=KB2483139|operation=install|date=2026-10-01T03:00:00Z|attempt_count=1",
		"update_installed|2026-11/KB5031364|state=succeeded|title=Cumulative Update (KB5031364)|kb=KB5031364|operation=install|date=2026-11-11T03:00:00Z|attempt_count=2",
		"update_pending|KB5040000|title=Security Update (KB5040000)|kb=KB5040000|category=security|severity=Critical|published=2026-11-12|security=true|mandatory=true|downloaded=true|reboot=true",
		"update_pending|g|title=Intel - net - 12.19|category=Treiber|security=false|mandatory=false|downloaded=false|reboot=false",
		"update_status||state=reboot_required|source=WSUS|update_server=https://wsus.example:8531/x|service=manual|automatic=install|reboot_required=true|reboot_reasons=windows update, pending file renames|"+
			"last_search=2026-11-28T01:00:00Z|last_search_seconds=1795827600|last_success=2026-11-11T03:00:00Z|last_success_seconds=1794366000|last_definitions=2026-11-28T03:00:00Z|"+
			"last_error=0x80240022 Cumulative Update (KB5031364)|last_error_at=2026-11-10T03:00:00Z|pending_count=2|pending_security_count=1|pending_definitions_count=1",
	)
}

// An empty answer is an answer; one that failed is not.
func TestEmptyAndFailed(t *testing.T) {
	a, err := parseAnswer([]byte(`{"entries":[],"waiting":[],"search_result":2}`))
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{Status: facts{start: 2}.status()}
	if err := r.fill(a); err != nil {
		t.Fatal(err)
	}
	expect(t, r, 200, noon, "sections update_status update_pending update_installed:2026-12 update_installed:2026-11",
		"update_status||state=up_to_date|source=Windows Update|service=automatic|reboot_required=false|reboot_reasons=none|pending_count=0|pending_security_count=0|pending_definitions_count=0")

	const wine = `{"entries":null,"entries_error":"CreateUpdateSearcher: 0x80004001: Not implemented","waiting":null,"waiting_error":"CreateUpdateSearcher: 0x80004001: Not implemented"}`
	if a, err = parseAnswer([]byte(wine)); err != nil {
		t.Fatal(err)
	}
	r = &Report{Status: facts{start: 4}.status()}
	err = r.fill(a)
	if err == nil || !strings.Contains(err.Error(), "search for updates: CreateUpdateSearcher: 0x80004001: Not implemented") {
		t.Errorf("%v", err)
	}
	expect(t, r, 200, noon, "sections update_status", "update_status||state=service_disabled|source=Windows Update|service=disabled|reboot_required=false|reboot_reasons=none")

	a.WaitingError, a.SearchResult = "", 5
	if err = (&Report{}).fill(a); err == nil || !strings.Contains(err.Error(), "ended as 5") {
		t.Errorf("an aborted search: %v", err)
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"entries":[],"surprise":1}`: "unknown field",
		`{} {}`:                       "more than one document",
		``:                            "EOF",
		`[]`:                          "cannot unmarshal",
	} {
		if _, err := parseAnswer([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := parseAnswer(make([]byte, maxAnswer+1)); err == nil {
		t.Error("too long an answer was read")
	}
}

func TestChildElsewhere(t *testing.T) {
	var out, complaints strings.Builder
	if code := Child([]string{"maybe"}, &out, &complaints); code != 1 || out.Len() > 0 || complaints.Len() == 0 {
		t.Error(code, out.String(), complaints.String())
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(answerText))
	f.Add([]byte(`{"waiting":[{"title":"x","kbs":[""]}],"search_result":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		r := &Report{Status: facts{}.status()}
		_ = r.fill(a) // whatever it says, the record below must be sound
		checkRecord(t, r)
	})
}

// A child that hangs is ended at the deadline: nothing of it is kept.
func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := NewReader(Options{Config: DefaultConfig(), Root: t.TempDir()})
	if recs, err := r.Collect(ctx); err == nil || recs != nil {
		t.Error(recs, err)
	}
}
