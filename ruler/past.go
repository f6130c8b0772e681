package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"nocturne/ruler/api"
	"nocturne/ruler/config"
	"nocturne/ruler/rule"
)

// runningCommands ask the ruler that runs: it has the store and the stream.
func runningCommands() []command {
	return []command{
		{name: "rules list", args: "[--config FILE]", summary: "list the rules of the ruler that runs, carried out or not", run: listRules},
		{name: "rules backtest", args: "[--config FILE] [--since 30d] FILE|ID", summary: "try a rule on the past: what would it have told", run: backtestRule},
	}
}

// ask sends a request to the ruler that runs with this configuration.
func ask(ctx context.Context, cfg *config.Config, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+cfg.Listen+api.Prefix+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the ruler at %s (does it run? --config names its file): %w", cfg.Listen, err)
	}
	if res.StatusCode != http.StatusOK {
		defer func() { _ = res.Body.Close() }()
		var p api.RuleProblem
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&p); err != nil {
			return nil, fmt.Errorf("the ruler answered %s", res.Status)
		}
		for _, m := range p.Mistakes {
			p.Error += fmt.Sprintf("\n  line %d: %s: %s", m.Line, m.Text, m.Hint)
		}
		return nil, fmt.Errorf("%s (%s)", p.Error, p.Hint)
	}
	return res, nil
}

func listRules(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("ruler rules list", flag.ContinueOnError)
	fs.SetOutput(stderr)
	path := fs.String("config", "", "configuration file of the ruler that runs")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg, err := config.Load(*path)
	if err != nil {
		return err
	}
	res, err := ask(ctx, &cfg, "GET", "/rules?limit=1000", nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var list api.RuleList
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tKIND\tSEVERITY\tFIRED 30d\tWHERE\tSTATE")
	for _, r := range list.Items {
		state := "on"
		if !r.Enabled {
			state = "off: " + r.Off
		}
		if len(r.Warnings) > 0 {
			state += ", but " + strings.Join(r.Warnings, "; ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s:%d\t%s\n", r.ID, r.Kind, r.Severity, r.Fired30d, r.File, r.Line, state)
	}
	fmt.Fprintf(w, "generation %d, %d of %d rules are carried out\n", list.Generation, list.Active, list.Total)
	return w.Flush()
}

func backtestRule(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("ruler rules backtest", flag.ContinueOnError)
	fs.SetOutput(stderr)
	path := fs.String("config", "", "configuration file of the ruler that runs")
	since := fs.String("since", "30d", "how far back: 12h, 30d, at most 90d")
	if err := fs.Parse(args); err != nil {
		return err
	}
	what := fs.Arg(0)
	if fs.NArg() > 1 { // flags after the file, as people write them
		if err := fs.Parse(fs.Args()[1:]); err != nil {
			return err
		}
	}
	if what == "" || fs.NArg() > 1 {
		return fmt.Errorf("name one rule file or one id: %w", errUsage)
	}
	span, err := rule.ParseDuration(*since)
	if err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	cfg, err := config.Load(*path)
	if err != nil {
		return err
	}
	q := api.BacktestRequest{ID: what, SinceSeconds: int64(span / time.Second)}
	if strings.ContainsAny(what, "./\\") {
		b, err := os.ReadFile(what)
		if err != nil {
			return fmt.Errorf("read rule: %w", err)
		}
		q.ID, q.YAML = "", string(b)
	}
	res, err := ask(ctx, &cfg, "POST", "/rules/backtest", q)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l api.BacktestLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case l.Error != "":
			return fmt.Errorf("%s (%s)", l.Error, l.Hint)
		case len(l.Result) > 0:
			return show(stdout, &l.Result[0])
		case len(l.Progress) > 0:
			p := l.Progress[0]
			fmt.Fprintf(stderr, "partition %d of %d, %d records, fired %d times so far\n", p.Partition+1, p.Partitions, p.Records, p.Fired)
		}
	}
	return errors.Join(errors.New("the answer broke off"), lines.Err())
}

func show(w io.Writer, r *api.BacktestResult) error {
	fmt.Fprintf(w, "%s: %s\n", r.RuleID, r.Text)
	for _, s := range r.Spans {
		fmt.Fprintf(w, "looked at: %s from %s to %s %s\n", s.Source, when(s.From), when(s.To), s.Note)
	}
	for _, s := range r.Warnings {
		fmt.Fprintln(w, "note:", s)
	}
	for _, d := range r.Tried.Days {
		fmt.Fprintf(w, "%s  %d\n", d.Day, d.Fired)
	}
	for _, e := range r.Examples {
		n := e.Notification
		fmt.Fprintf(w, "%s %s %s %s: %s\n", when(n.OpenedAt), n.Server, n.Severity, n.Device, n.Title)
	}
	_, err := fmt.Fprintf(w, "%d records read\n", r.Records)
	return err
}

func when(t *time.Time) string {
	if t == nil {
		return "?"
	}
	return t.UTC().Format("2006-01-02 15:04")
}
