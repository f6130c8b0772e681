package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"nocturne/eventbridge/sink/remotewrite"
	"nocturne/internal/record"
)

// bridge speaks the eventbridge's HTTP API as an exporter does.
type bridge struct {
	url    string
	client *http.Client
}

// place is a position in the stream, as the bridge answers it.
type place struct {
	Incarnation string `json:"incarnation"`
	Partition   int    `json:"partition"`
	Entry       uint64 `json:"entry"`
}

// result is the answer about one frame.
type result struct {
	Status string `json:"status"`
	place
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

const (
	statusStored  = "stored"
	statusRefused = "refused"
)

var (
	// errRefused says that the bridge will not have this server any more.
	errRefused = errors.New("the bridge refuses this server")
	// errStranger says that the bridge does not know the credential: its data
	// folder is another one than before.
	errStranger = errors.New("the bridge does not know this server")
)

func (b *bridge) post(ctx context.Context, path, credential string, header http.Header, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(b.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the bridge: %w", err)
	}
	req.Header = header.Clone()
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the bridge: %w", err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("ask the bridge: %w", err)
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s answers %d %s: %w", path, resp.StatusCode, bytes.TrimSpace(got), errStranger)
	case resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s answers %d %s: %w", path, resp.StatusCode, bytes.TrimSpace(got), errRefused)
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("%s answers %d %s", path, resp.StatusCode, bytes.TrimSpace(got))
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(got, answer); err != nil {
		return fmt.Errorf("answer to %s: %w", path, err)
	}
	return nil
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// enrolled is what a server gets when it joins.
type enrolled struct {
	ServerID   record.ID `json:"server_id"`
	Credential string    `json:"credential"`
	Server     string    `json:"server"`
}

func (b *bridge) enrol(ctx context.Context, token string, s *Spec) (enrolled, error) {
	body, err := json.Marshal(map[string]any{
		"token": token, "name": s.Name, "os": s.OSName, "exporter_version": Version,
		"evidence": map[string]string{"machine_id": s.MachineID, "smbios_uuid": s.UUID, "serial": s.Serial},
	})
	if err != nil {
		return enrolled{}, fmt.Errorf("encode enrolment: %w", err)
	}
	var e enrolled
	err = b.post(ctx, "/nocturne/v1/enrol", "", jsonHeader, body, &e)
	if err == nil && (e.ServerID.IsZero() || e.Credential == "") {
		err = errors.New("enrolment answered without an id or a credential")
	}
	return e, err
}

// hello asks whether what was acknowledged is still there.
func (b *bridge) hello(ctx context.Context, credential string, producer string, epoch record.EpochRef, last place) (rewind bool, err error) {
	q := map[string]any{"producer": producer, "epoch": map[string]any{"start": epoch.Start, "random": epoch.Random}, "last": []place{}}
	if last.Entry > 0 {
		q["last"] = []place{last}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return false, fmt.Errorf("encode hello: %w", err)
	}
	var a struct {
		Rewind bool `json:"rewind"`
	}
	err = b.post(ctx, "/nocturne/v1/hello", credential, jsonHeader, body, &a)
	return a.Rewind, err
}

func (b *bridge) frames(ctx context.Context, credential string, body []byte) ([]result, error) {
	var a struct {
		Results []result `json:"results"`
	}
	err := b.post(ctx, "/nocturne/v1/frames", credential, http.Header{"Content-Type": {"application/x-nocturne-frames"}}, body, &a)
	return a.Results, err
}

func (b *bridge) metrics(ctx context.Context, credential string, body []byte) error {
	return b.post(ctx, "/nocturne/v1/metrics", credential, remotewrite.Header(), body, nil)
}
