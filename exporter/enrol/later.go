package enrol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nocturne/internal/trust"
)

// joinName is the file that a join token waits in until the bridge answers. An
// installer writes it, because the bridge may be down or the network not up
// when it runs; the service reads it and removes it once it is used.
const joinName = "join.json"

// How Await looks and tries.
const (
	lookEvery  = 2 * time.Second
	minJoinGap = 5 * time.Second
	maxJoinGap = 5 * time.Minute
	remindGap  = time.Hour // a failure that stays the same is said again
	joinTime   = 30 * time.Second
)

// ErrEnrolled means that the machine is a server of a fleet already.
var ErrEnrolled = errors.New("this machine is enrolled already")

// join is the file.
type join struct {
	Server        string `json:"server"`
	CAFingerprint string `json:"ca_fingerprint,omitempty"`
	CAFile        string `json:"ca_file,omitempty"`
	Token         string `json:"token"`
	Name          string `json:"name,omitempty"`
}

// Keep stores what a person pasted for Await. A machine that is enrolled stays
// what it is: the error is ErrEnrolled and nothing is stored.
func Keep(dir string, r Request) error {
	if err := trust.CheckURL(r.URL); err != nil {
		return err
	}
	if _, err := (trust.Trust{CAFile: r.CAFile, CAFingerprint: r.CAFingerprint}).TLS(r.URL); err != nil {
		return err
	}
	switch _, err := Load(dir); {
	case err == nil:
		return ErrEnrolled
	case !errors.Is(err, ErrNotEnrolled):
		return err
	}
	if err := Protect(dir); err != nil {
		return fmt.Errorf("keep the token: %w", err)
	}
	b, err := json.Marshal(join{Server: strings.TrimRight(r.URL, "/"), CAFingerprint: r.CAFingerprint, CAFile: r.CAFile, Token: r.Token, Name: r.Name})
	if err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, joinName), append(b, '\n'))
}

// kept reads what Keep stored; nil without it.
func kept(dir string) (*Request, error) {
	path := filepath.Join(dir, joinName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the kept token: %w", err)
	}
	var j join
	if err := json.Unmarshal(b, &j); err != nil || j.Server == "" || j.Token == "" {
		return nil, fmt.Errorf("read the kept token %s: not what enrol --later wrote; run it again", path)
	}
	return &Request{URL: j.Server, CAFingerprint: j.CAFingerprint, CAFile: j.CAFile, Token: j.Token, Name: j.Name}, nil
}

// Waiting returns where a kept token will be used; "" without one.
func Waiting(dir string) string {
	r, _ := kept(dir) // what cannot be read is Await's to tell
	return r.url()
}

// Forget removes a kept token.
func Forget(dir string) error {
	err := os.Remove(filepath.Join(dir, joinName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the kept token: %w", err)
	}
	return nil
}

// Await returns nil once the machine is enrolled: by a person, who runs enrol
// beside it, or by itself with the token that Keep stored, as often as it
// takes. The token is removed when it was used. do enrols with a request and
// must leave the enrolment in dir.
func Await(ctx context.Context, dir string, do func(context.Context, Request) error, log *slog.Logger) error {
	log.Warn("this machine is not enrolled: waiting for it; paste the line of `nocturne token create` (exporter enrol --server URL --token TOKEN)", "data", dir)
	w := waiter{dir: dir, do: do, log: log}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		_, err := Load(dir)
		if err == nil {
			return Forget(dir)
		}
		if !errors.Is(err, ErrNotEnrolled) {
			return err
		}
		w.try(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// waiter tries a kept token, ever more seldom.
type waiter struct {
	dir  string
	do   func(context.Context, Request) error
	log  *slog.Logger
	last Request       // that failed
	gap  time.Duration // after the last failure
	next time.Time
	said string // the last failure that was logged
	when time.Time
}

func (w *waiter) try(ctx context.Context) {
	r, err := kept(w.dir)
	if r == nil && err == nil {
		return
	}
	now := time.Now()
	if err == nil {
		if *r == w.last && now.Before(w.next) {
			return
		}
		if *r != w.last { // another token: another chance
			w.last, w.gap = *r, 0
		}
		err = w.ask(ctx, *r)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	w.gap = min(max(2*w.gap, minJoinGap), maxJoinGap)
	w.next = now.Add(w.gap/2 + rand.N(w.gap)) // spreads a fleet that was installed at once
	if text := err.Error(); text != w.said || now.Sub(w.when) >= remindGap {
		w.said, w.when = text, now
		w.log.Warn("enrolment failed, it is tried again", "server", r.url(), "err", err)
	}
}

func (w *waiter) ask(ctx context.Context, r Request) error {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	return w.do(ctx, r)
}

func (r *Request) url() string {
	if r == nil {
		return ""
	}
	return r.URL
}
