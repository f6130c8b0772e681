package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// TakenPorts tries to bind every port of the services and returns an error that says for each one that cannot be bound
// what it is for and who holds it; all that another Nocturne holds is one sentence. It waits a little for processes of an earlier run that are just ending.
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
	var taken, running []string
	for _, stage := range stages {
		for _, s := range stage {
			for _, p := range s.Ports {
				err := bindable(p.Addr)
				if err == nil {
					continue
				}
				if other := whoSupervises(p.Addr); other == "" {
					taken = append(taken, fmt.Sprintf("  %s, needed for %s (%s): %s", p.Addr, p.Purpose, s.Name, whoHolds(p.Addr, err)))
				} else if !slices.Contains(running, other) {
					running = append(running, other)
				}
			}
		}
	}
	var errs []error
	for _, other := range running {
		errs = append(errs, fmt.Errorf("nocturne runs already (%s): end that one first, or start this one on other ports with --ports free", other))
	}
	if len(taken) > 0 {
		errs = append(errs, fmt.Errorf("these addresses cannot be used; stop what holds them, choose others (--ports alertmanager=9094,…) or, where your own VictoriaMetrics, VictoriaLogs or Alertmanager holds one, use that (--use alertmanager=http://127.0.0.1:9093):\n%s", strings.Join(taken, "\n")))
	}
	return errors.Join(errs...)
}

func bindable(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// whoSupervises describes the other Nocturne whose service listens on addr: "process 312, its data in /var/lib/nocturne".
// It returns "" when that cannot be told, or somebody else listens.
func whoSupervises(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	pid, _ := portHolder(port)
	if pid == "" {
		return ""
	}
	parent := parentOf(pid)
	dir := lockedBy(parent)
	if dir == "" {
		return ""
	}
	return "process " + parent + ", its data in " + dir
}

func whoHolds(addr string, bindErr error) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return bindErr.Error()
	}
	if _, who := portHolder(port); who != "" {
		return "taken by " + who
	}
	var op *net.OpError
	if errors.As(bindErr, &op) {
		return op.Err.Error()
	}
	return bindErr.Error()
}
