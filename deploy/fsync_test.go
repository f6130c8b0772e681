//go:build linux

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/stack"
	"nocturne/internal/record"
)

// tracer is a strace that watches a process's writes, syncs and what it sends.
type tracer struct {
	cmd *exec.Cmd
	out string
}

// trace attaches strace to a process; the test is skipped where that cannot be.
func trace(t *testing.T, pid int) *tracer {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		need(t, "strace is not installed")
	}
	tr := &tracer{out: filepath.Join(t.TempDir(), "trace")}
	tr.cmd = exec.Command(path, "-f", "-y", "-s", "8192", "-e", "trace=write,pwrite64,fsync,fdatasync,sendto,sendmsg", "-o", tr.out, "-p", fmt.Sprint(pid))
	stderr, err := tr.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.stop() })
	line := make([]byte, 200)
	n, _ := stderr.Read(line) // "strace: Process 123 attached with 14 threads"
	if !bytes.Contains(line[:n], []byte("attached")) {
		need(t, fmt.Sprintf("strace cannot attach here: %s", line[:n]))
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return tr
}

// need skips a test for something the machine lacks; in CI nothing may lack.
func need(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func (tr *tracer) stop() []string {
	if tr.cmd.ProcessState == nil {
		_ = tr.cmd.Process.Signal(syscall.SIGINT)
		_ = tr.cmd.Wait()
	}
	text, err := os.ReadFile(tr.out)
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

var (
	writeCall = regexp.MustCompile(`(?:^|\s)p?write(?:64)?\((\d+)<([^>]*)>`)
	syncCall  = regexp.MustCompile(`(?:^|\s)f(?:data)?sync\((\d+)<([^>]*)>`)
	thread    = regexp.MustCompile(`^(\d+)\s`)
)

// syncedBefore tells whether the trace shows, in this order: a write to a
// matching file that contains the marker, a sync of that file begun after it
// and completed, and the answer.
func syncedBefore(lines []string, files, marker, answer *regexp.Regexp) error {
	file, synced := "", false
	begun := map[string]bool{} // threads whose sync of the file began after the write
	for _, line := range lines {
		tid := thread.FindString(line)
		if m := writeCall.FindStringSubmatch(line); m != nil && file == "" && files.MatchString(m[2]) && marker.MatchString(line) {
			file = m[2]
			continue
		}
		if m := syncCall.FindStringSubmatch(line); m != nil && m[2] == file {
			if strings.Contains(line, "<unfinished") {
				begun[tid] = true
			} else {
				synced = true
			}
			continue
		}
		if begun[tid] && strings.Contains(line, "sync resumed") {
			synced = true
		}
		if answer.MatchString(line) {
			switch {
			case file == "":
				return fmt.Errorf("answered before %s was written", marker)
			case !synced:
				return fmt.Errorf("answered before %s was synced", file)
			}
			return nil
		}
	}
	return fmt.Errorf("no answer in %d lines (file %q, synced %v)", len(lines), file, synced)
}

// TestSyncedBefore holds the reading of traces to what it must and must not accept.
func TestSyncedBefore(t *testing.T) {
	files, marker, answer := regexp.MustCompile(`\.blk$`), regexp.MustCompile(`mark`), regexp.MustCompile(`"HTTP/1.1 200`)
	f := func(why string, want bool, lines ...string) {
		t.Helper()
		err := syncedBefore(append(lines, `7 write(9<TCP:[1]>, "HTTP/1.1 200 OK"`), files, marker, answer)
		if (err == nil) != want {
			t.Errorf("%s: %v", why, err)
		}
	}
	w, s := `5 write(3</d/1.blk>, "mark", 4) = 4`, `5 fsync(3</d/1.blk>) = 0`
	f("write, sync, answer", true, w, s)
	f("write, answer", false, w)
	f("nothing written", false, s)
	f("sync before the write", false, s, w)
	f("another file synced", false, w, `5 fsync(4</d/2.blk>) = 0`)
	f("something else written", false, `5 write(3</d/1.blk>, "else", 4) = 4`, s)
	f("sync had begun before the write", false, `5 fsync(3</d/1.blk> <unfinished ...>`, `6 write(3</d/1.blk>, "mark", 4) = 4`, `5 <... fsync resumed>) = 0`)
	f("sync in two lines", true, w, `5 fsync(3</d/1.blk> <unfinished ...>`, `6 write(1</x>, "", 0) = 0`, `5 <... fsync resumed>) = 0`)
	f("sync begun, not ended", false, w, `5 fsync(3</d/1.blk> <unfinished ...>`)
}

// TestSyncBeforeAnswer shows by system calls that the bridge answers "stored"
// only after the stream's file was synced, and that the ruler shows a server
// only after its store was.
func TestSyncBeforeAnswer(t *testing.T) {
	const marker = "written-before-answered" // short: a payload of this size is not packed
	n := newNocturne(t, "run")
	n.start()
	pids := map[string]int{}
	for _, p := range n.state.Parts {
		pids[p.Name] = p.PID
	}
	bridge, ruler := trace(t, pids["eventbridge"]), trace(t, pids["ruler"])

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	token, err := n.bridge().CreateToken(ctx, admin.TokenRequest{Uses: 1, Site: "fsync-site"})
	if err != nil {
		t.Fatal(err)
	}
	var joined struct {
		ServerID   record.ID `json:"server_id"`
		Credential string    `json:"credential"`
	}
	post(t, stack.URL(n.ports.Ingest)+"/nocturne/v1/enrol", "application/json", "", fmt.Appendf(nil,
		`{"token":%q,"name":"fsync-test","os":"linux","exporter_version":"test","evidence":{}}`, token.Token), &joined)

	now := time.Now()
	frame, err := record.EncodeData(record.Header{
		Producer: record.ExporterProducer(joined.ServerID), Subject: joined.ServerID, Category: record.EventLog, First: 1,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: now.UnixNano(), Random: 7}}, Sent: now.UnixNano(),
	}, []record.Record{{Time: now, Observed: now, Name: record.NameJournal, Body: marker}})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Results []struct {
			Status      string
			Incarnation string
			Entry       uint64
		}
	}
	post(t, stack.URL(n.ports.Ingest)+"/nocturne/v1/frames", "application/x-nocturne-frames", joined.Credential, frame, &answer)
	if len(answer.Results) != 1 || answer.Results[0].Status != "stored" {
		t.Fatalf("answer %+v, want stored", answer)
	}
	wait(t, seeLimit, "the server in the API", func() error {
		var server json.RawMessage
		return n.api("servers/"+joined.ServerID.String(), &server)
	})

	// The bridge answers others too meanwhile; an incarnation belongs to one partition, so this answer is about this entry.
	stored := regexp.MustCompile(fmt.Sprintf(`"HTTP/1\.1 200.*\\"stored\\",\\"incarnation\\":\\"%s\\",\\"partition\\":\d+,\\"entry\\":%d\D`,
		answer.Results[0].Incarnation, answer.Results[0].Entry))
	err = syncedBefore(bridge.stop(), regexp.MustCompile(`/EV-\d\d/msgs/[^/]*\.blk$`), regexp.MustCompile(marker), stored)
	if err != nil {
		t.Errorf("bridge: %v", err)
	}
	err = syncedBefore(ruler.stop(), regexp.MustCompile(`-wal$`), regexp.MustCompile(`fsync-test`), regexp.MustCompile(`"HTTP/1\.1 200.*fsync-test`))
	if err != nil {
		t.Errorf("ruler: %v", err)
	}
}

// post sends a body and decodes the answer, which must be 200.
func post(t *testing.T, target, contentType, credential string, body []byte, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s %s, %v", target, res.Status, text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("POST %s: %v: %s", target, err, text)
	}
}
