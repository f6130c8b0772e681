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

const maxAnswer = 1 << 20

// SetLabels changes a server's labels when they are what is expected.
func (b Bridge) SetLabels(ctx context.Context, id record.ID, to, expect Labels, by string) error {
	token, err := os.ReadFile(b.TokenFile)
	if err != nil {
		return fmt.Errorf("read the eventbridge's token: %w", err)
	}
	body, err := json.Marshal(struct {
		Labels
		Expect Labels `json:"expect"`
		By     string `json:"by"`
	}{to, expect, by})
	if err != nil {
		return fmt.Errorf("set labels: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/admin/v1/servers/"+id.String()+"/labels", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("set labels: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := b.Client.Do(req)
	if err != nil {
		return fmt.Errorf("set labels: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("set labels: %w", err)
	}
	if res.StatusCode/100 == 2 {
		return nil
	}
	e := &Refused{}
	if json.Unmarshal(answer, e) != nil || e.Text == "" {
		e.Text = http.StatusText(res.StatusCode)
	}
	e.Status = res.StatusCode
	if e.Status == http.StatusConflict {
		return fmt.Errorf("%w: %w", ErrChanged, e)
	}
	return e
}
