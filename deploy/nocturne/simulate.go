package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/simulate"
	"nocturne/deploy/nocturne/stack"
	"nocturne/deploy/nocturne/supervise"
)

// simulateCommand plays servers against a stack that runs, or breaks one that is played.
func simulateCommand(ctx context.Context, e env, args []string) error {
	flags := newFlags(e, "simulate")
	data := flags.String("data", "", dataUsage)
	demo := flags.Bool("demo", false, "as nocturne demo wants it: short periods, a drive that fails soon, then something now and then")
	var c simulate.Config
	c.Servers = demoServers
	flags.Var((*fleetSize)(&c.Servers), "servers", "`number` of servers")
	flags.Uint64Var(&c.Seed, "seed", 1, "`number` that everything random follows from")
	flags.StringVar(&c.Dir, "dir", "", "`folder` for what the servers remember (default: simulator/ in the data folder)")
	flags.StringVar(&c.Control, "control", "", "`address` that incidents are started through (default: the stack's simulator port)")
	flags.DurationVar(&c.Every, "every", 0, "start an incident of a random kind about once in this `duration`; 0 never does")
	first := flags.Duration("first", -1, "with --demo: start the first incident after this `duration`; 0 never does (default 20s)")
	flags.Float64Var(&c.Pace, "pace", 1, "stretch or, below 1, shorten the steps of incidents by this `factor`")
	flags.StringVar(&c.Accounting, "accounting", "", "write down what was sent and what must come of it, into this `file`")
	level := flags.String("log-level", "info", levelUsage)
	words, err := parseMixed(flags, args)
	if err != nil {
		return err
	}
	if !(c.Pace > 0 && c.Pace <= 100) {
		return fmt.Errorf("%w: --pace: want a factor above 0, up to 100", errMisused)
	}
	if len(words) > 0 && (words[0] != "incident" || len(words) != 3) {
		return fmt.Errorf("%w: want nothing, or incident KIND SERVER, of the kinds %s; got %q", errMisused, strings.Join(simulate.Kinds(), ", "), words)
	}
	if c.Log, err = newLogger(e, *level); err != nil {
		return err
	}
	dir, state, err := stack.Running(*data)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return incident(ctx, e, stack.URL(state.Ports.Simulator), words[1], words[2])
	}
	layout := stack.Layout{Dir: dir}
	c.Bridge = stack.URL(state.Ports.Ingest)
	c.JoinToken = simulate.AdminTokens(admin.Client{URL: stack.URL(state.Ports.Admin), TokenFile: layout.AdminToken()})
	if c.Dir == "" {
		c.Dir = layout.Part("simulator")
	}
	if c.Control == "" {
		c.Control = stack.Addr(state.Ports.Simulator)
	}
	if *demo {
		c = withDemo(c, flags.FlagSet)
		switch {
		case restarted(state), *first == 0: // the plan was for the start of the demo
			c.Plan = nil
		case *first > 0:
			c.Plan[0].After = *first
		}
	}
	return simulate.Run(ctx, c)
}

// withDemo fills in the demo's settings but keeps what was asked for.
func withDemo(c simulate.Config, flags *flag.FlagSet) simulate.Config {
	every := c.Every
	c = c.Demo()
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "every" {
			c.Every = every
		}
	})
	return c
}

// restarted says whether we are the stack's simulator, started again after its end.
func restarted(s stack.State) bool {
	return slices.ContainsFunc(s.Parts, func(p supervise.Status) bool { return p.Name == stack.Simulator && p.Restarts > 0 })
}

// incident asks a running simulator to break a server.
func incident(ctx context.Context, e env, control, kind, server string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]string{"kind": kind, "server": server})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, control+"/incident", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the simulator (nocturne demo has one): %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	var answer struct{ Text, Error, Hint string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("the simulator answers %s", res.Status)
	}
	if answer.Error != "" {
		return errors.New(strings.TrimSuffix(plain(answer.Error+" ("+answer.Hint), " (") + ")")
	}
	fmt.Fprintln(e.out, plain(answer.Text))
	return nil
}
