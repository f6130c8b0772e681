package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"nocturne/deploy/nocturne/stack"
	"nocturne/internal/trust"
)

const (
	statusTimeout = 5 * time.Second
	maxAnswer     = 16 << 20
)

// pipeline is what we show of the ruler's GET /api/v1/pipeline.
type pipeline struct {
	OK       bool          `json:"ok"`
	Text     string        `json:"text"`
	Problems []string      `json:"problems"`
	Stages   []stageTotals `json:"stages"`
	Sinks    []struct {
		Name string `json:"name"`
		OK   bool   `json:"ok"`
		Lag  int64  `json:"lag_entries"`
	} `json:"sinks"`
}

type stageTotals struct {
	Name    string    `json:"name"`
	In      int64     `json:"in_records"`
	Out     int64     `json:"out_records"`
	Dropped int64     `json:"dropped_records"`
	Waiting int64     `json:"waiting_records"`
	Reasons []dropped `json:"dropped_by_reason"`
}

type dropped struct {
	Reason  string `json:"reason"`
	Records int64  `json:"records"`
}

// statusCommand says how the stack is and fails when something is not well.
func statusCommand(ctx context.Context, e env, args []string) error {
	flags := newFlags(e, "status")
	data := flags.String("data", "", dataUsage)
	tokenFile := flags.String("token-file", "", "`file` with a token of \"ruler tokens add\", where the page asks for a login; else that of "+trust.TokenVariable+" is sent")
	if err := parse(flags, args); err != nil {
		return err
	}
	token, err := trust.Token(*tokenFile)
	if err != nil {
		return err
	}
	dir, state, err := stack.Running(*data)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "nocturne %s, up %s, data in %s, page at %s\n\n", state.Mode, time.Since(state.Started).Round(time.Second), dir, state.Page.URL(state.Ports.Ruler))
	well, err := printParts(e.out, state)
	if err != nil {
		return err
	}
	p, err := askPipeline(ctx, state, token, stack.Layout{Dir: dir}.Config("ruler"))
	if err != nil {
		fmt.Fprintf(e.out, "\nHow far behind is not known: %v\n", err)
		return errQuiet
	}
	if err := printPipeline(e.out, p); err != nil {
		return err
	}
	if !well || !p.OK {
		return errQuiet
	}
	return nil
}

func printParts(w io.Writer, s stack.State) (well bool, err error) {
	well = s.Ready != nil
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PART\tSTATE\tPROCESS\tRESTARTS\tFOR\tLOG")
	for _, p := range s.Parts {
		word, since, pid := "up", "-", "-"
		if !p.Since.IsZero() {
			since = time.Since(p.Since).Round(time.Second).String()
		}
		if p.PID != 0 {
			pid = strconv.Itoa(p.PID)
		}
		switch {
		case p.Ready:
		case p.PID != 0:
			word, well = "starting", false
		default:
			word, well = "down", false
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, word, pid, p.Restarts, since, p.Log)
	}
	return well, t.Flush()
}

func printPipeline(w io.Writer, p pipeline) error {
	fmt.Fprintf(w, "\n%s\n", plain(p.Text))
	if len(p.Stages) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "STAGE\tIN\tOUT\tDROPPED\tWAITING\tDROPPED BECAUSE")
		for _, s := range p.Stages {
			var why []string
			for _, r := range s.Reasons {
				why = append(why, fmt.Sprintf("%s %d", plain(r.Reason), r.Records))
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\n", plain(s.Name), s.In, s.Out, s.Dropped, s.Waiting, strings.Join(why, ", "))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, s := range p.Sinks {
		word := "writes"
		if !s.OK {
			word = "fails"
		}
		fmt.Fprintf(w, "sink %s %s, %d entries behind\n", plain(s.Name), word, s.Lag)
	}
	if !p.OK {
		fmt.Fprintln(w, "\nNot as it should be:")
		for _, problem := range p.Problems {
			fmt.Fprintln(w, "  "+plain(problem))
		}
	}
	return nil
}

// askPipeline asks the ruler. config is its configuration file, for what to do when it refuses.
func askPipeline(ctx context.Context, state stack.State, token, config string) (pipeline, error) {
	var p pipeline
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, state.Page.Here(state.Ports.Ruler)+"/api/v1/pipeline", nil)
	if err != nil {
		return p, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{
		Transport:     &http.Transport{TLSClientConfig: state.Page.Believes(), DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for the ruler alone
	}
	res, err := client.Do(req)
	if err != nil {
		return p, fmt.Errorf("ask the ruler: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return p, refused(res, token != "", config)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&p); err != nil {
		return p, errors.Join(errors.New("the ruler's answer cannot be read"), err)
	}
	return p, nil
}

// refused words an answer that is none, with what to do about it.
func refused(res *http.Response, token bool, config string) error {
	switch {
	case res.StatusCode == http.StatusUnauthorized && !token:
		return fmt.Errorf("the ruler asks for a login. Make a token, once:\n\n    ruler tokens add -config %s -name status -role viewer\n\nand name a file that holds it, --token-file FILE, or set %s", quoted(config), trust.TokenVariable)
	case res.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the ruler does not take this token: it may be revoked, or of another ruler. See: ruler tokens list -config %s", quoted(config))
	}
	var said struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said); err != nil || said.Error == "" {
		return fmt.Errorf("the ruler answers %s", res.Status)
	}
	return fmt.Errorf("the ruler answers %s: %s (%s)", res.Status, plain(said.Error), plain(said.Hint))
}

// plain takes out what a terminal might obey: names and texts may come from servers.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
