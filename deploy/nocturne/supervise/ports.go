package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// TakenPorts tries to bind every port of the services and returns an error that says for each one that cannot be bound
// what it is for and who holds it. It waits a little for processes of an earlier run that are just ending.
func TakenPorts(ctx context.Context, stages [][]Service, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := checkPorts(stages)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func checkPorts(stages [][]Service) error {
	var taken []string
	for _, stage := range stages {
		for _, s := range stage {
			for _, p := range s.Ports {
				if err := bindable(p.Addr); err != nil {
					taken = append(taken, fmt.Sprintf("  %s, needed for %s (%s): %s", p.Addr, p.Purpose, s.Name, whoHolds(p.Addr, err)))
				}
			}
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return fmt.Errorf("these addresses cannot be used, stop what holds them and start again:\n%s", strings.Join(taken, "\n"))
}

func bindable(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

func whoHolds(addr string, bindErr error) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return bindErr.Error()
	}
	if who := portHolder(port); who != "" {
		return "taken by " + who
	}
	var op *net.OpError
	if errors.As(bindErr, &op) {
		return op.Err.Error()
	}
	return bindErr.Error()
}
