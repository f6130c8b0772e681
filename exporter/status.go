package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"nocturne/exporter/app"
	"nocturne/exporter/enrol"
	"nocturne/exporter/service"
)

// Exit codes of status, those of LSB where it has them.
const (
	exitFailing    exitCode = 1
	exitNotRunning exitCode = 3
)

// report is what status prints.
type report struct {
	Service  string      `json:"service"`
	Running  bool        `json:"running"`
	Well     bool        `json:"well"`
	Wrong    []string    `json:"wrong,omitempty"`
	ServerID string      `json:"server_id,omitempty"`
	Server   string      `json:"server,omitempty"`
	URL      string      `json:"url,omitempty"`
	Config   string      `json:"config"` // "valid", or what is wrong with the file
	Status   *app.Status `json:"exporter,omitempty"`
}

func runStatus(ctx context.Context, args []string, io stdio) error {
	f := newFlags("status", io)
	asJSON := f.set.Bool("json", false, "print it as JSON")
	if err := f.flags(args, 0); err != nil {
		return err
	}
	cfg, err := f.load()
	r := report{Config: "valid", Service: serviceState(ctx)}
	if err != nil { // at night of all times: go on with its folder, or the defaults
		r.Config = err.Error()
		r.Wrong = append(r.Wrong, "the configuration is not valid: a restart would fail")
	}
	if err := r.read(cfg.Data); err != nil {
		return err
	}
	if err := r.print(io.out, *asJSON); err != nil {
		return err
	}
	switch {
	case !r.Running:
		return exitNotRunning
	case !r.Well:
		return exitFailing
	}
	return nil
}

func serviceState(ctx context.Context) string {
	m, err := service.Open()
	if err != nil {
		return "not known: " + err.Error()
	}
	defer func() { _ = m.Close() }()
	state, err := m.State(ctx)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return "none: systemd does not run here"
	case err != nil:
		return "not known: " + err.Error()
	}
	return string(state)
}

// read fills in what lies in the data folder.
func (r *report) read(dir string) error {
	var err error
	if r.Running, err = app.Runs(dir); err != nil {
		return fmt.Errorf("data folder %s (as administrator?): %w", dir, err)
	}
	switch e, err := enrol.Load(dir); {
	case err == nil:
		r.ServerID, r.Server, r.URL = e.ServerID.String(), e.Server, e.URL
	case !errors.Is(err, enrol.ErrNotEnrolled):
		r.Wrong = append(r.Wrong, err.Error())
	}
	if r.Status, err = app.ReadStatus(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	idle := r.Status == nil || r.Status.Stopped != nil
	waits := r.ServerID == "" && r.Service == string(service.Running) // for its enrolment, and holds nothing meanwhile
	if !r.Running && !waits {
		r.Wrong = append(r.Wrong, "no exporter runs in "+dir)
	}
	switch {
	case idle && r.ServerID == "":
		r.Wrong = append(r.Wrong, notEnrolled(dir))
	case !r.Running:
	case idle:
	default:
		_, bad := r.Status.Well(time.Now())
		r.Wrong = append(r.Wrong, bad...)
	}
	r.Well = len(r.Wrong) == 0
	return nil
}

func notEnrolled(dir string) string {
	if at := enrol.Waiting(dir); at != "" {
		return "this machine is not enrolled yet: the service tries it at " + at + ", its log says what is in the way"
	}
	return "this machine is not enrolled: paste the line of `nocturne token create`"
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	verdict := "WELL"
	if !r.Well {
		verdict = "NOT WELL"
	}
	fmt.Fprintln(&b, verdict)
	for _, t := range r.Wrong {
		fmt.Fprintln(&b, "  -", t)
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "service\t%s\n", r.Service)
	if r.ServerID != "" {
		fmt.Fprintf(t, "enrolled as\t%s (server id %s) at %s\n", r.Server, r.ServerID, r.URL)
	} else {
		fmt.Fprintf(t, "enrolled as\tnobody\n")
	}
	fmt.Fprintf(t, "configuration\t%s\n", r.Config)
	if r.Status != nil {
		printStatus(t, r.Status, r.Running, time.Now())
	}
	_ = t.Flush() // into memory
	_, err := io.WriteString(w, b.String())
	return err
}

func printStatus(w io.Writer, s *app.Status, running bool, now time.Time) {
	ago := func(t *time.Time) string {
		if t == nil {
			return "never"
		}
		return now.Sub(*t).Round(time.Second).String() + " ago"
	}
	switch {
	case s.Stopped != nil:
		fmt.Fprintf(w, "exporter\t%s, stopped %s\n", s.Version, ago(s.Stopped))
	case !running:
		fmt.Fprintf(w, "exporter\t%s, died after %s\n", s.Version, s.Written.Local().Format(time.DateTime))
	default:
		fmt.Fprintf(w, "exporter\t%s, pid %d, since %s, seen %s\n", s.Version, s.PID, s.Started.Local().Format(time.DateTime), ago(&s.Written))
	}
	fmt.Fprintf(w, "spool\t%.1f of %.0f MiB\n", float64(s.SpoolBytes)/(1<<20), float64(s.SpoolLimit)/(1<<20))
	for _, o := range s.Outputs {
		up := "up"
		if !o.Up {
			up = "DOWN"
		}
		fmt.Fprintf(w, "output %s\t%s, last good answer %s, %d records wait, %d dropped, %d frames refused\n", o.Name, up, ago(o.LastAnswer), o.Waiting, o.Dropped, o.Refused)
	}
	for _, c := range s.Sources {
		state := c.State
		if state == app.SourceFails {
			state = "FAILS"
		}
		fmt.Fprintf(w, "source %s\t%s, last good look %s, %d records, %d failures\n", c.Name, state, ago(c.LastSuccess), c.Records, c.Failures)
	}
	for _, p := range s.Problems {
		text := p.Text
		if p.About != "" {
			text = p.About + ": " + text
		}
		if p.Err != "" {
			text += ": " + p.Err
		}
		if p.Count > 1 {
			text += fmt.Sprintf(" (%d times since %s)", p.Count, p.First.Local().Format(time.DateTime))
		}
		fmt.Fprintf(w, "%s\t%s %s\n", p.Last.Local().Format(time.DateTime), strings.ToLower(p.Level), text)
	}
}
