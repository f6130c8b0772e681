package register

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Labels say where a server belongs.
type Labels struct {
	Site  string `json:"site"`
	Rack  string `json:"rack"`
	Role  string `json:"role"`
	Owner string `json:"owner"`
}

// Bridge is the eventbridge's admin API, which keeps the labels of servers that
// have enrolled: from there they reach everybody who reads the stream.
type Bridge struct {
	URL       string // http://127.0.0.1:9472
	TokenFile string
	Client    *http.Client
}

// ErrChanged: the labels were not those that were expected. Nothing was changed.
var ErrChanged = errors.New("the labels are others by now")

// Refused is an answer of the bridge that is no success.
type Refused struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
	Hint   string `json:"hint"`
}

func (e *Refused) Error() string {
	return fmt.Sprintf("the eventbridge answered %d: %s", e.Status, e.Text)
}

const maxAnswer = 32 << 20 // of 20,000 expected servers

// SetLabels changes a server's labels when they are what is expected.
func (b Bridge) SetLabels(ctx context.Context, id record.ID, to, expect Labels, by string) error {
	err := b.call(ctx, http.MethodPost, "/admin/v1/servers/"+id.String()+"/labels", struct {
		Labels
		Expect Labels `json:"expect"`
		By     string `json:"by"`
	}{to, expect, by}, nil)
	if err != nil {
		return fmt.Errorf("set labels: %w", err)
	}
	return nil
}

// Expected is a server that is expected and has not enrolled.
type Expected struct {
	ID   record.ID `json:"server_id"`
	Name string    `json:"server"`
}

// Expect says that a server is expected since a time.
func (b Bridge) Expect(ctx context.Context, name string, l Labels, since time.Time, by string) error {
	err := b.call(ctx, http.MethodPost, "/admin/v1/expected", struct {
		Labels
		Name  string `json:"name"`
		Since int64  `json:"since"`
		By    string `json:"by"`
	}{l, name, since.Unix(), by}, nil)
	if err != nil {
		return fmt.Errorf("expect server %s: %w", name, err)
	}
	return nil
}

// Expected lists the servers that are expected.
func (b Bridge) Expected(ctx context.Context) ([]Expected, error) {
	var answer struct {
		Servers []Expected `json:"servers"`
	}
	if err := b.call(ctx, http.MethodGet, "/admin/v1/expected", nil, &answer); err != nil {
		return nil, fmt.Errorf("list expected servers: %w", err)
	}
	return answer.Servers, nil
}

// Decommission takes a server out of service.
func (b Bridge) Decommission(ctx context.Context, id record.ID, by string) error {
	if err := b.call(ctx, http.MethodPost, "/admin/v1/servers/"+id.String()+"/decommission", map[string]string{"by": by}, nil); err != nil {
		return fmt.Errorf("decommission server %s: %w", id, err)
	}
	return nil
}

// call asks the bridge; answer may be nil.
func (b Bridge) call(ctx context.Context, method, path string, body, answer any) error {
	token, err := os.ReadFile(b.TokenFile)
	if err != nil {
		return fmt.Errorf("read the eventbridge's token: %w", err)
	}
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.URL+path, in)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := b.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case res.StatusCode/100 == 2 && answer == nil:
		return nil
	case res.StatusCode/100 == 2:
		return json.Unmarshal(data, answer)
	}
	e := &Refused{}
	if json.Unmarshal(data, e) != nil || e.Text == "" {
		e.Text = http.StatusText(res.StatusCode)
	}
	e.Status = res.StatusCode
	if e.Status == http.StatusConflict {
		return fmt.Errorf("%w: %w", ErrChanged, e)
	}
	return e
}
