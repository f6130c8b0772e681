package receiver

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const firing = `{"version":"4","status":"firing","receiver":"demo","groupKey":"{}:{alertname=\"A\"}","groupLabels":{"alertname":"A"},
"alerts":[{"status":"firing","labels":{"alertname":"A","server":"db7"},"annotations":{"summary":"s"},"startsAt":"2026-01-02T03:04:05Z","endsAt":"2026-01-03T03:04:05Z"}]}`

func open(t *testing.T, dir string) *Receiver {
	t.Helper()
	r, err := Open(dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func send(t *testing.T, r *Receiver, method, target, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Host = "127.0.0.1:9481"
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Handler().ServeHTTP(w, req)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

func messages(t *testing.T, r *Receiver, query string) []Message {
	t.Helper()
	code, text := send(t, r, http.MethodGet, "/messages"+query, "")
	var got struct{ Messages []Message }
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, text, err)
	}
	return got.Messages
}

func TestKeepsMessagesAcrossAStart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	resolved := strings.ReplaceAll(firing, `"firing"`, `"resolved"`)
	for _, body := range []string{firing, resolved} {
		if code, text := send(t, r, http.MethodPost, "/webhook", body); code != http.StatusOK {
			t.Fatalf("%d %s", code, text)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash in the middle of a line.
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"number":3,"sta`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	r = open(t, dir)
	if code, text := send(t, r, http.MethodPost, "/webhook", firing); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	r = open(t, dir)
	got := messages(t, r, "")
	if len(got) != 3 || got[0].Number != 3 || got[2].Number != 1 {
		t.Fatalf("messages %+v, want 3, 2, 1", got)
	}
	if m := got[1]; m.Status != "resolved" || m.Alerts[0].EndsAt.IsZero() || m.Alerts[0].Labels["server"] != "db7" {
		t.Errorf("resolved message %+v", m)
	}
	if m := got[2]; m.Status != "firing" || !m.Alerts[0].EndsAt.IsZero() || m.Alerts[0].Annotations["summary"] != "s" {
		t.Errorf("firing message %+v: the end of a firing alert is not known", m)
	}
	if got := messages(t, r, "?limit=1&after=2"); len(got) != 1 || got[0].Number != 3 {
		t.Errorf("after 2: %+v, want only 3", got)
	}
	if got := messages(t, r, "?after=3"); got == nil || len(got) != 0 {
		t.Errorf("after 3: %+v, want an empty list", got)
	}
}

func TestRefusesWhatIsNoMessage(t *testing.T) {
	r := open(t, t.TempDir())
	for name, body := range map[string]string{
		"no json":   "hello",
		"no alerts": `{"status":"firing","alerts":[]}`,
		"too large": `{"status":"firing","alerts":[{"labels":{"x":"` + strings.Repeat("x", maxBody) + `"}}]}`,
	} {
		if code, text := send(t, r, http.MethodPost, "/webhook", body); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?after=-1"} {
		if code, _ := send(t, r, http.MethodGet, "/messages"+query, ""); code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, code)
		}
	}
	if got := messages(t, r, ""); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestRefusesPagesOfOtherOrigins(t *testing.T) {
	r := open(t, t.TempDir())
	for _, tt := range []struct {
		why, host, kind string
		code            int
	}{
		{"a form", "127.0.0.1:9481", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType},
		{"text", "127.0.0.1:9481", "text/plain; x=application/json", http.StatusUnsupportedMediaType},
		{"nothing said", "127.0.0.1:9481", "", http.StatusUnsupportedMediaType},
		{"a name of its own", "evil.example:9481", "application/json", http.StatusMisdirectedRequest},
	} {
		req := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(firing))
		req.Host = tt.host
		req.Header.Set("Content-Type", tt.kind)
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, req)
		if w.Code != tt.code {
			t.Errorf("%s: %d, want %d", tt.why, w.Code, tt.code)
		}
	}
	if got := messages(t, r, ""); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestTurnsOver(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.now = func() time.Time { return time.Unix(1e9, 0) }
	add := func() {
		t.Helper()
		if err := r.Add(Message{Status: "firing", Alerts: []Alert{{}}}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	r.size = fileCap + 1
	add()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir).Newest(10, 0); len(got) != 2 || got[0].Number != 2 {
		t.Errorf("after turning over: %+v", got)
	}
}
