// Package supervise runs a set of programs as child processes on one machine and keeps them running.
//
// Services are started stage by stage: the services of a stage together, the next stage when all of them are ready. One
// that ends is started again with a growing delay. When the context ends the stages are stopped in reverse order, each
// service politely first, then by force, and with it every process of its group. No child outlives its parent, however
// the parent ends (parent-death signal on Linux, a job object on Windows).
//
// [Lock] keeps two parents off one data folder, [TakenPorts] says beforehand which ports are not free and who holds
// them. Output goes to one size-capped file per service and, as far as it matters, to a shared writer with a prefix.
//
// Tests run the test binary itself as the child.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	firstDelay      = 500 * time.Millisecond
	longestDelay    = 30 * time.Second
	steadyAfter     = time.Minute // a service that ran this long starts again with the first delay
	startAttempts   = 3           // a service that ends this often before it was ready once fails the start
	defaultReady    = 60 * time.Second
	defaultStop     = 2 * time.Second
	readyPoll       = 50 * time.Millisecond
	tailLines       = 12
	logSizeCap      = 8 << 20
	killWait        = 2 * time.Second
	outputWaitDelay = time.Second
)

// Service is one program.
type Service struct {
	Name    string
	Purpose string // in a person's words: "metrics database"
	Path    string
	Args    []string
	Env     []string // added to our own environment
	Ports   []Port
	// Prepare runs before every start, when the stages before are ready. An error counts as a failed start.
	Prepare func(ctx context.Context) error
	// Ready says with nil that the service can be used; nil means ready at once.
	Ready     func(ctx context.Context) error
	ReadyWait time.Duration // 60 s when zero
	StopWait  time.Duration // from the polite request to the kill, 2 s when zero
}

// Port is an address that a service will bind.
type Port struct {
	Addr    string
	Purpose string
}

// Config is what New needs.
type Config struct {
	Stages  [][]Service
	LogDir  string
	Console io.Writer // gets prefixed output lines: warnings and errors, or everything when Verbose
	Verbose bool
	Logger  *slog.Logger
	// Changed is called, never concurrently, whenever a status changes. It must not block for long.
	Changed func([]Status)
}

// Status is what is known of one service.
type Status struct {
	Name     string    `json:"name"`
	Purpose  string    `json:"purpose"`
	PID      int       `json:"pid,omitempty"`
	Ready    bool      `json:"ready"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	LastEnd  string    `json:"last_end,omitempty"`
	Log      string    `json:"log"`
}

// Group is a set of services. Run may be called once.
type Group struct {
	cfg      Config
	launcher *launcher
	stages   [][]*child

	mu sync.Mutex // serialises Changed and guards the children's status
}

// New opens the log files. It starts nothing.
func New(cfg Config) (*Group, error) {
	g := &Group{cfg: cfg}
	console := &console{w: cfg.Console}
	for _, stage := range cfg.Stages {
		var children []*child
		for _, s := range stage {
			out, err := newOutput(filepath.Join(cfg.LogDir, s.Name+".log"), s.Name, console, cfg.Verbose)
			if err != nil {
				return nil, errors.Join(err, g.closeOutputs())
			}
			children = append(children, newChild(g, s, out))
		}
		g.stages = append(g.stages, children)
	}
	return g, nil
}

// Run starts everything, calls ready, keeps everything running until ctx ends and stops everything. It returns nil after
// an ordinary stop, and why the start failed otherwise.
func (g *Group) Run(ctx context.Context, ready func()) error {
	var err error
	if g.launcher, err = newLauncher(); err != nil {
		return errors.Join(err, g.closeOutputs())
	}
	startErr := g.start(ctx)
	if startErr == nil {
		if ready != nil {
			ready()
		}
		<-ctx.Done()
	}
	stopErr := g.stop()
	g.launcher.close()
	if ctx.Err() != nil {
		startErr = nil // asked to stop while starting
	}
	return errors.Join(startErr, stopErr, g.closeOutputs())
}

func (g *Group) start(ctx context.Context) error {
	for _, stage := range g.stages {
		var starting errgroup.Group
		for _, c := range stage {
			c.launched = true
			go c.run()
			starting.Go(func() error { return c.waitReady(ctx) })
		}
		if err := starting.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) stop() error {
	var errs []error
	for i := len(g.stages) - 1; i >= 0; i-- {
		var stopping errgroup.Group
		for _, c := range g.stages[i] {
			stopping.Go(c.stop)
		}
		errs = append(errs, stopping.Wait())
	}
	return errors.Join(errs...)
}

func (g *Group) closeOutputs() error {
	var errs []error
	for _, stage := range g.stages {
		for _, c := range stage {
			errs = append(errs, c.out.close())
		}
	}
	return errors.Join(errs...)
}

// update changes a child's status under the lock and tells who wants to know.
func (g *Group) update(c *child, change func(*Status)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&c.status)
	if g.cfg.Changed == nil {
		return
	}
	var all []Status
	for _, stage := range g.stages {
		for _, c := range stage {
			all = append(all, c.status)
		}
	}
	g.cfg.Changed(all)
}

// errNotReady wraps why a service did not become ready.
func errNotReady(c *child, why string) error {
	return fmt.Errorf("%s (%s) %s; the end of %s:\n%s", c.svc.Name, c.svc.Purpose, why, c.out.path, c.out.tail())
}
