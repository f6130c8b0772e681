package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"nocturne/ruler/api"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

func tokenCommands() []command {
	return []command{
		{name: "tokens add", args: "-name NAME -role viewer|editor|admin [-kind plugin] [-expires 90d] [-config FILE]", summary: "make a token for a caller of the API; it is printed once", run: tokensAdd},
		{name: "tokens list", args: "[-config FILE]", summary: "list the tokens, revoked ones too", run: tokensList},
		{name: "tokens revoke", args: "[-config FILE] NAME|ID", summary: "revoke a token at once", run: tokensRevoke},
	}
}

// opened is what a command about a store works with.
type opened struct {
	store app.Store
	cfg   config.Config
	rest  []string // its arguments beside flags
}

// storeFlags parses the flags of a command, and at most so many other arguments,
// and opens the store of a ruler, which may be in use by a running ruler. Only
// what adds somebody makes a store where there is none.
func storeFlags(ctx context.Context, name string, words int, args []string, stdout io.Writer, more func(*flag.FlagSet)) (opened, error) {
	fs := ruleFlags(name, argsOf(name), stdout)
	path := fs.String("config", "", "the ruler's configuration file; without one the defaults hold")
	if more != nil {
		more(fs)
	}
	rest, err := parseFlags(fs, args)
	if err != nil {
		return opened{}, err
	}
	if len(rest) > words {
		return opened{}, fmt.Errorf("ruler %s: %.80q is too much, its usage is: %s: %w", name, rest[words], argsOf(name), errUsage)
	}
	cfg, err := config.Load(*path)
	if err != nil {
		return opened{}, err
	}
	if makes := strings.HasSuffix(name, " add") || name == "users link"; !makes {
		if err := app.HasStore(cfg.Data); err != nil {
			return opened{}, err
		}
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return opened{}, fmt.Errorf("%w (run it as the ruler's user)", err)
	}
	return opened{s, cfg, rest}, nil
}

func tokensAdd(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var name, role, kind, expires string
	o, err := storeFlags(ctx, "tokens add", 0, args, stdout, func(fs *flag.FlagSet) {
		fs.StringVar(&name, "name", "", "whose it is; the audit log names it")
		fs.StringVar(&role, "role", "viewer", "viewer looks, editor works with notifications and silences, admin does everything")
		fs.StringVar(&kind, "kind", store.TokenPerson, "token, or plugin: it names the person for whom it asks")
		fs.StringVar(&expires, "expires", "", "when it ends: 12h, 90d; nothing = never")
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	var ttl time.Duration
	if expires != "" {
		if ttl, err = rule.ParseDuration(expires); err != nil {
			return fmt.Errorf("-expires: %w, write 12h or 90d", err)
		}
	}
	t, value, err := api.NewToken(name, kind, role, ttl, time.Now())
	if err != nil {
		return err
	}
	t.CreatedBy = operator()
	if err := o.store.AddToken(ctx, t, cliEntry("token.create", t.ID, api.TokenDetail(t))); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "token %s of %s, role %s. It is printed this once; send it as Authorization: Bearer …\n", t.ID, t.Name, t.Role)
	fmt.Fprintln(stdout, value)
	return nil
}

func tokensList(ctx context.Context, args []string, stdout, _ io.Writer) (err error) {
	o, err := storeFlags(ctx, "tokens list", 0, args, stdout, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	list, err := o.store.Tokens(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tKIND\tROLE\tCREATED\tBY\tLAST USED\tSTATE")
	for _, t := range list {
		state := "valid"
		switch {
		case !t.Revoked.IsZero():
			state = "revoked " + day(t.Revoked) + " by " + t.RevokedBy
		case !t.Expires.IsZero() && t.Expires.Before(time.Now()):
			state = "expired " + day(t.Expires)
		case !t.Expires.IsZero():
			state = "until " + day(t.Expires)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Kind, t.Role, day(t.Created), t.CreatedBy, day(t.Used), state)
	}
	return w.Flush()
}

func tokensRevoke(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := storeFlags(ctx, "tokens revoke", 1, args, stdout, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	if len(o.rest) != 1 {
		return fmt.Errorf("name one token by its name or id: %w", errUsage)
	}
	list, err := o.store.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.Revoked.IsZero() && (t.ID == o.rest[0] || t.Name == o.rest[0]) {
			if _, err := o.store.RevokeToken(ctx, t.ID, cliEntry("token.revoke", t.ID, nil)); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "token %s of %s is revoked\n", t.ID, t.Name)
			return nil
		}
	}
	return fmt.Errorf("there is no valid token %.80q: ruler tokens list shows them", o.rest[0])
}

func cliEntry(action, subject string, detail map[string]any) store.AuditEntry {
	raw, err := json.Marshal(detail)
	if err != nil {
		raw = nil // a map of strings and times: cannot fail
	}
	return store.AuditEntry{At: time.Now().UTC(), Actor: operator(), Via: "command line", Action: action, Subject: subject, Detail: raw}
}

// operator is who sits at the command line, for the audit log.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "command line"
	}
	return strings.ToValidUTF8(u.Username, "?")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}
