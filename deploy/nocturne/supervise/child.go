package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// child runs one service again and again until it is stopped. All decisions are made on the goroutine of run.
type child struct {
	group *Group
	svc   Service
	out   *output

	ctx      context.Context // ends when the service is to stop
	cancel   context.CancelFunc
	launched bool          // whether run was started; set before any stop
	ready    chan struct{} // closed the first time the service is ready
	failed   chan string   // gets the reason when it never will be
	done     chan struct{} // closed when run has returned and no process is left
	status   Status
}

func newChild(g *Group, s Service, out *output) *child {
	if s.ReadyWait == 0 {
		s.ReadyWait = defaultReady
	}
	if s.StopWait == 0 {
		s.StopWait = defaultStop
	}
	c := &child{
		group: g, svc: s, out: out,
		ready: make(chan struct{}), failed: make(chan string, 1), done: make(chan struct{}),
		status: Status{Name: s.Name, Purpose: s.Purpose, Log: out.path},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// waitReady returns nil when the service is ready for the first time.
func (c *child) waitReady(ctx context.Context) error {
	timer := time.NewTimer(c.svc.ReadyWait)
	defer timer.Stop()
	select {
	case <-c.ready:
		return nil
	case why := <-c.failed:
		return errNotReady(c, why)
	case <-timer.C:
		return errNotReady(c, fmt.Sprintf("was not ready after %s", c.svc.ReadyWait))
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *child) stop() error {
	if !c.launched {
		return nil
	}
	c.cancel()
	timer := time.NewTimer(c.svc.StopWait + killWait)
	defer timer.Stop()
	select {
	case <-c.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s did not end, not even by force", c.svc.Name)
	}
}

func (c *child) run() {
	defer close(c.done)
	logger := c.group.cfg.Logger.With("service", c.svc.Name)
	delay, everReady := firstDelay, false
	for attempt := 1; c.ctx.Err() == nil; attempt++ {
		began := time.Now()
		wasReady, err := c.once(!everReady)
		if c.ctx.Err() != nil {
			return
		}
		everReady = everReady || wasReady
		reason := "ended"
		if err != nil {
			reason = err.Error()
		}
		c.group.update(c, func(s *Status) { s.PID, s.Ready, s.LastEnd, s.Since = 0, false, reason, time.Now() })
		if !everReady && attempt >= startAttempts {
			c.failed <- fmt.Sprintf("ended %d times before it was ready (%s)", attempt, reason)
			return
		}
		if time.Since(began) > steadyAfter {
			delay = firstDelay
		}
		logger.Warn("service ended, starting it again", "reason", reason, "delay", delay)
		select {
		case <-time.After(delay):
		case <-c.ctx.Done():
			return
		}
		delay = min(2*delay, longestDelay)
		c.group.update(c, func(s *Status) { s.Restarts++ })
	}
}

// once runs the service to its end and says whether it became ready on the way.
func (c *child) once(first bool) (wasReady bool, err error) {
	if c.svc.Prepare != nil {
		if err := c.svc.Prepare(c.ctx); err != nil {
			return false, fmt.Errorf("prepare: %w", err)
		}
	}
	cmd := exec.Command(c.svc.Path, c.svc.Args...)
	cmd.Env = append(os.Environ(), c.svc.Env...)
	cmd.Stdout, cmd.Stderr = c.out, c.out
	cmd.WaitDelay = outputWaitDelay // a grandchild may hold the pipe open
	if err := c.group.launcher.start(cmd); err != nil {
		return false, fmt.Errorf("start %s: %w", c.svc.Path, err)
	}
	c.group.update(c, func(s *Status) { s.PID, s.Since = cmd.Process.Pid, time.Now() })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	polling, stopPolling := context.WithCancel(c.ctx)
	defer stopPolling()
	ready := make(chan struct{})
	go c.pollReady(polling, ready)
	for {
		select {
		case <-ready:
			ready, wasReady = nil, true
			if first {
				close(c.ready)
			}
			c.group.update(c, func(s *Status) { s.Ready = true })
		case err := <-ended:
			return wasReady, err
		case <-c.ctx.Done():
			return wasReady, c.end(cmd, ended)
		}
	}
}

func (c *child) pollReady(ctx context.Context, ready chan<- struct{}) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for c.svc.Ready != nil && c.svc.Ready(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	close(ready)
}

// end asks the process to stop, waits, and kills its whole group.
func (c *child) end(cmd *exec.Cmd, ended <-chan error) error {
	if err := interrupt(cmd.Process); err == nil {
		timer := time.NewTimer(c.svc.StopWait)
		defer timer.Stop()
		select {
		case <-ended: //nolint:errcheck // it ended as asked, with whatever code
			_ = killGroup(cmd.Process) // what it left behind
			return nil
		case <-timer.C:
			c.group.cfg.Logger.Warn("service did not stop in time, killing it", "service", c.svc.Name, "waited", c.svc.StopWait)
		}
	}
	if err := killGroup(cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.group.cfg.Logger.Warn("kill", "service", c.svc.Name, "err", err)
	}
	return <-ended
}
