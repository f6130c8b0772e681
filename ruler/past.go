package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"nocturne/internal/trust"
	"nocturne/ruler/api"
	"nocturne/ruler/config"
	"nocturne/ruler/rule"
)

// runningCommands ask the ruler that runs: it has the store and the stream.
func runningCommands() []command {
	return []command{
		{name: "rules list", args: "[-config FILE] [-url URL] [-ca-file FILE] [-token-file FILE]", summary: "list the rules of the ruler that runs, carried out or not", run: listRules},
		{name: "rules backtest", args: "[-config FILE] [-url URL] [-ca-file FILE] [-token-file FILE] [-since 30d] FILE|ID", summary: "try a rule on the past: what would it have told", run: backtestRule},
	}
}

// rulerFlags say which ruler is asked, and as whom.
type rulerFlags struct {
	set                            *flag.FlagSet
	config, url, tokenFile, caFile string
}

func newRulerFlags(name, args string, stdout io.Writer) *rulerFlags {
	f := &rulerFlags{set: ruleFlags(name, args, stdout)}
	f.set.StringVar(&f.config, "config", "", "configuration file of the ruler that runs")
	f.set.StringVar(&f.url, "url", "", "where it answers, when that is not listen of -config: http://127.0.0.1:9480")
	f.set.StringVar(&f.tokenFile, "token-file", "", "file with a token of \"ruler tokens add\"; else that of NOCTURNE_TOKEN is sent; on the ruler's own machine none is needed")
	f.set.StringVar(&f.caFile, "ca-file", "", "PEM file with who may sign the certificate of -url, instead of the system's list")
	return f
}

// base is the address that is asked, and whom it is believed; nil = whom the
// system believes.
func (f *rulerFlags) base() (string, *tls.Config, error) {
	if f.url != "" {
		u, err := url.Parse(f.url)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", nil, fmt.Errorf("-url %q: want http://HOST:PORT or https://HOST: %w", f.url, errUsage)
		}
		if f.caFile == "" {
			return strings.TrimSuffix(f.url, "/"), nil, nil
		}
		believed, err := trust.Trust{CAFile: f.caFile}.TLS(f.url)
		if err != nil {
			return "", nil, fmt.Errorf("-ca-file: %w", err)
		}
		return strings.TrimSuffix(f.url, "/"), believed, nil
	}
	if f.caFile != "" {
		return "", nil, fmt.Errorf("-ca-file belongs to -url: %w", errUsage)
	}
	cfg, err := config.Load(f.config)
	if err != nil {
		return "", nil, err
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("listen %q: %w", cfg.Listen, err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens everywhere, here too
	}
	var believed *tls.Config
	if !cfg.TLS.IsZero() {
		believed = trust.Exactly(cfg.TLS.CertFile)
	}
	return cfg.Scheme() + "://" + net.JoinHostPort(host, port), believed, nil
}

// ask sends a request to the ruler that runs.
func (f *rulerFlags) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	base, believed, err := f.base()
	if err != nil {
		return nil, err
	}
	token, err := trust.Token(f.tokenFile)
	if err != nil {
		return nil, err
	}
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+api.Prefix+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// The token is for the one who was named, whatever he answers.
	client := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: believed, ForceAttemptHTTP2: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the ruler at %s: %w (does it run? -config or -url says where)", base, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, refusal(base, res, token != "")
}

// refusal words an answer that is none, with what to do about it.
func refusal(base string, res *http.Response, token bool) error {
	var p api.RuleProblem
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&p); err != nil || p.Error == "" {
		return fmt.Errorf("%s answered %s: is that a ruler?", base, res.Status)
	}
	for _, m := range p.Mistakes {
		p.Error += fmt.Sprintf("\n  line %d: %s: %s", m.Line, m.Text, m.Hint)
	}
	if res.StatusCode == http.StatusUnauthorized && !token {
		p.Hint = "name a file with a token of \"ruler tokens add\": -token-file FILE, or set " + trust.TokenVariable
	}
	return fmt.Errorf("%s (%s)", p.Error, p.Hint)
}

// listTimeout is how long a ruler may take to answer with its rules.
const listTimeout = 30 * time.Second

func listRules(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := newRulerFlags("rules list", "[-config FILE] [-url URL] [-ca-file FILE] [-token-file FILE]", stdout)
	if rest, err := parseFlags(f.set, args); err != nil {
		return err
	} else if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q: %w", rest[0], errUsage)
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	res, err := f.ask(ctx, "GET", "/rules?limit=1000", nil)
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
	f := newRulerFlags("rules backtest", "[-config FILE] [-url URL] [-ca-file FILE] [-token-file FILE] [-since 30d] FILE|ID", stdout)
	since := f.set.String("since", "30d", "how far back: 12h, 30d, at most 90d")
	args, err := parseFlags(f.set, args)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return fmt.Errorf("name one rule file or one id: %w", errUsage)
	}
	what := args[0]
	span, err := rule.ParseDuration(*since)
	if err != nil {
		return fmt.Errorf("-since: %w", err)
	}
	q := api.BacktestRequest{ID: what, SinceSeconds: int64(span / time.Second)}
	if strings.ContainsAny(what, "./\\") {
		b, err := readFile(what, rule.MaxFile)
		if err != nil {
			return fmt.Errorf("read rule: %w", err)
		}
		q.ID, q.YAML = "", string(b)
	}
	res, err := f.ask(ctx, "POST", "/rules/backtest", q)
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
