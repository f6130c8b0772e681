// Package receiver is the last station of the local stack: it takes Alertmanager's webhook messages as a chat or a
// paging service would, keeps them on disk and shows them. What it holds was really delivered, one entry per message,
// so "sent once" can be counted here.
//
// A message is answered only after it is on disk (JSON lines, one file, turned over at a size). The newest are kept in
// memory for GET /messages. Safe for concurrent use.
package receiver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"nocturne/deploy/nocturne/loopback"
)

const (
	maxBody     = 4 << 20
	fileCap     = 16 << 20
	inMemory    = 2000
	defaultShow = 500
	fileName    = "messages.jsonl"
)

// Message is one delivery, with the field names of Alertmanager's webhook body.
type Message struct {
	Number      uint64            `json:"number"`
	Received    time.Time         `json:"received_at"`
	Status      string            `json:"status"` // firing or resolved
	Receiver    string            `json:"receiver"`
	GroupKey    string            `json:"groupKey"`
	GroupLabels map[string]string `json:"groupLabels,omitempty"`
	Reason      string            `json:"notification_reason,omitempty"` // why Alertmanager sent it
	Alerts      []Alert           `json:"alerts"`
}

// Alert is one alert of a message.
type Alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// webhook is Alertmanager's body, version 4.
type webhook struct {
	Version            string            `json:"version"`
	GroupKey           string            `json:"groupKey"`
	Status             string            `json:"status"`
	Receiver           string            `json:"receiver"`
	NotificationReason string            `json:"notification_reason"`
	GroupLabels        map[string]string `json:"groupLabels"`
	Alerts             []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

// Receiver keeps messages.
type Receiver struct {
	path   string
	now    func() time.Time
	logger *slog.Logger

	mu       sync.Mutex
	file     *os.File
	size     int64
	last     uint64
	messages []Message // oldest first
}

// Open reads what earlier runs left in dir. A torn last line, from a crash before its answer, is cut off.
func Open(dir string, logger *slog.Logger) (*Receiver, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create receiver folder: %w", err)
	}
	r := &Receiver{path: filepath.Join(dir, fileName), now: time.Now, logger: logger}
	if _, err := r.load(r.path + ".1"); err != nil {
		return nil, err
	}
	whole, err := r.load(r.path)
	if err != nil {
		return nil, err
	}
	return r, r.openFile(whole)
}

// load adds the messages of a file and returns the length of its whole lines.
func (r *Receiver) load(path string) (whole int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open messages: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read messages: %w", err)
		}
		whole += int64(len(line))
		var m Message
		if err := json.Unmarshal(line, &m); err != nil {
			r.logger.Warn("unreadable message skipped", "file", path, "err", err)
			continue
		}
		r.remember(m)
	}
}

func (r *Receiver) openFile(size int64) error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open messages: %w", err)
	}
	if err = f.Truncate(size); err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open messages: %w", err), f.Close())
	}
	r.file, r.size = f, size
	return nil
}

func (r *Receiver) remember(m Message) {
	r.last = max(r.last, m.Number)
	r.messages = append(r.messages, m)
	if len(r.messages) > inMemory {
		r.messages = slices.Delete(r.messages, 0, len(r.messages)-inMemory)
	}
}

// Close closes the file.
func (r *Receiver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
}

// Add stores one message and returns when it is on disk.
func (r *Receiver) Add(m Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Number, m.Received = r.last+1, r.now().UTC()
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if r.size > fileCap {
		if err := r.turnOver(); err != nil {
			return err
		}
	}
	n, err := r.file.Write(append(line, '\n'))
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		// A part of a line must not run into the next one.
		_ = r.file.Truncate(r.size)
		_, _ = r.file.Seek(r.size, io.SeekStart)
		return fmt.Errorf("store message: %w", err)
	}
	r.size += int64(n)
	r.remember(m)
	return nil
}

func (r *Receiver) turnOver() error {
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("turn over messages: %w", err)
	}
	if err := os.Rename(r.path, r.path+".1"); err != nil {
		return fmt.Errorf("turn over messages: %w", err)
	}
	return r.openFile(0)
}

// Newest returns at most limit messages, newest first, whose number is above after.
func (r *Receiver) Newest(limit int, after uint64) []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []Message{}
	for i := len(r.messages) - 1; i >= 0 && len(found) < limit && r.messages[i].Number > after; i-- {
		found = append(found, r.messages[i])
	}
	return found
}

// Handler answers POST /webhook, GET /messages?limit=&after= and GET /healthz, to this machine only.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("POST /webhook", r.postWebhook)
	mux.HandleFunc("GET /messages", r.getMessages)
	return loopback.Only(mux)
}

func (r *Receiver) postWebhook(w http.ResponseWriter, req *http.Request) {
	// A page of another origin can post a form or text without asking, but not this.
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "content type is not application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "read message: "+err.Error(), http.StatusBadRequest)
		return
	}
	m, err := parse(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := r.Add(m); err != nil {
		r.logger.Error("message not stored", "err", err)
		http.Error(w, "message not stored, send it again", http.StatusInternalServerError)
	}
}

func parse(body []byte) (Message, error) {
	var in webhook
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&in); err != nil {
		return Message{}, fmt.Errorf("not an Alertmanager webhook message: %w", err)
	}
	if in.Status == "" || len(in.Alerts) == 0 {
		return Message{}, errors.New("not an Alertmanager webhook message: no status or no alerts")
	}
	m := Message{
		Status: in.Status, Receiver: in.Receiver, GroupKey: in.GroupKey, GroupLabels: in.GroupLabels,
		Reason: in.NotificationReason,
	}
	for _, a := range in.Alerts {
		out := Alert{Status: a.Status, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt}
		if a.Status == "resolved" { // otherwise it only says when the alert would end by itself
			out.EndsAt = a.EndsAt
		}
		m.Alerts = append(m.Alerts, out)
	}
	return m, nil
}

func (r *Receiver) getMessages(w http.ResponseWriter, req *http.Request) {
	limit, after := defaultShow, uint64(0)
	var err error
	if s := req.FormValue("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > inMemory {
			http.Error(w, fmt.Sprintf("limit: want 1 to %d", inMemory), http.StatusBadRequest)
			return
		}
	}
	if s := req.FormValue("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 64); err != nil {
			http.Error(w, "after: want the number of a message", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"messages": r.Newest(limit, after)})
}
