package simulate

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// line is one line of the accounting log: what was sent and acknowledged, and
// what incidents did. A test holds the rest of the chain against it.
type line struct {
	At        time.Time `json:"at"`
	What      string    `json:"what"` // enrolled sent acked refused incident step
	Server    string    `json:"server,omitempty"`
	ServerID  string    `json:"server_id,omitempty"`
	Category  string    `json:"category,omitempty"`
	Epoch     string    `json:"epoch,omitempty"`
	First     uint64    `json:"first,omitempty"`
	Last      uint64    `json:"last,omitempty"`
	Partition int       `json:"partition,omitempty"`
	Entry     uint64    `json:"entry,omitempty"`
	Incident  string    `json:"incident,omitempty"`
	Kind      string    `json:"kind,omitempty"`
	Step      string    `json:"step,omitempty"`
	Over      bool      `json:"over,omitempty"`
	Expect    []Expect  `json:"expect,omitempty"`
}

// account writes the accounting log; a nil one writes nothing.
type account struct {
	mu sync.Mutex
	f  *os.File
	w  *bufio.Writer
	e  *json.Encoder
}

// openAccount appends to a log.
func openAccount(path string) (*account, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open accounting log: %w", err)
	}
	w := bufio.NewWriter(f)
	return &account{f: f, w: w, e: json.NewEncoder(w)}, nil
}

func (a *account) add(l line) {
	if a == nil {
		return
	}
	if l.At.IsZero() {
		l.At = time.Now().UTC()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Flushed at once: a killed simulator must not forget what it sent. A full
	// disk shows in the test that reads the log.
	_ = a.e.Encode(l)
	_ = a.w.Flush()
}

func (a *account) close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.f.Close()
}

func appendUvarint(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
