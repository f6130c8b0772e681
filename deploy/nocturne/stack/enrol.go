package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/exporter/enrol"
)

const enrolTimeout = 30 * time.Second

// enrolExporter makes this machine a server of its own fleet, once: with a join token of its own, as any server. When
// the bridge's register was lost, it enrols again.
func (s *stack) enrolExporter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	bridge := admin.Client{URL: URL(s.Ports.Admin), TokenFile: s.AdminToken()}
	known, err := s.enrolled(ctx, bridge)
	if err != nil || known {
		return err
	}
	token, err := bridge.CreateToken(ctx, admin.TokenRequest{Uses: 1, TTLS: int(enrolTimeout.Seconds()) * 2})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.program("exporter"), "enrol", "--force", "--config", s.Config("exporter"),
		"--server", URL(s.Ports.Ingest), "--token", "-")
	cmd.Stdin = strings.NewReader(token.Token)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("enrol this machine: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// enrolled says whether this machine has an enrolment that the bridge knows. A revoked one counts: that was a decision.
func (s *stack) enrolled(ctx context.Context, bridge admin.Client) (bool, error) {
	state, err := enrol.Load(s.Part("exporter"))
	if errors.Is(err, enrol.ErrNotEnrolled) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	servers, err := bridge.Servers(ctx)
	if err != nil {
		return false, err
	}
	for _, server := range servers {
		if server.ID == state.ServerID.String() {
			return true, nil
		}
	}
	s.Logger.Warn("this machine's enrolment is not known to the eventbridge, enrolling again", "server_id", state.ServerID)
	return false, nil
}
