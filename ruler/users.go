package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"nocturne/ruler/api"
	"nocturne/ruler/app"
	"nocturne/ruler/store"
)

func userCommands() []command {
	return []command{
		{name: "users add", args: "-name NAME -role viewer|editor|admin [-config FILE]", summary: "invite somebody to log in to the page; prints a link to choose a password, once", run: usersAdd},
		{name: "users link", args: "[-config FILE] [NAME]", summary: "print a new link for somebody who forgot the password; without a name, the first admin's", run: usersLink},
		{name: "users list", args: "[-config FILE]", summary: "list who may log in", run: usersList},
		{name: "users role", args: "[-config FILE] NAME viewer|editor|admin", summary: "give somebody another role; their sessions end", run: usersRole},
		{name: "users remove", args: "[-config FILE] NAME", summary: "remove somebody; their sessions end at once", run: usersRemove},
	}
}

// people opens the store of a command about users, and hands over what is left of
// its arguments and where the page is.
func people(ctx context.Context, name string, words int, args []string, stdout io.Writer, more func(*flag.FlagSet), do func(s app.Store, rest []string, page string) error) (err error) {
	o, err := storeFlags(ctx, name, words, args, stdout, more)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	return do(o.store, o.rest, o.cfg.PageURL())
}

func usersAdd(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var name, role string
	return people(ctx, "users add", 0, args, stdout, func(fs *flag.FlagSet) {
		fs.StringVar(&name, "name", "", "for logging in; the audit log names it")
		fs.StringVar(&role, "role", "viewer", "viewer looks, editor works with notifications and silences, admin does everything")
	}, func(s app.Store, _ []string, page string) error {
		u, err := api.NewUser(name, role, time.Now())
		if err != nil {
			return err
		}
		u.CreatedBy = operator()
		l, path := api.NewLink(u.ID, time.Now())
		if err := s.AddUser(ctx, u, l, cliEntry("user.create", u.Name, map[string]any{"role": u.Role, "link_until": l.Expires})); err != nil {
			return err
		}
		return printLink(stdout, stderr, &l, page+path, u.Name+", role "+u.Role)
	})
}

func printLink(stdout, stderr io.Writer, l *store.LoginLink, link, whose string) error {
	fmt.Fprintf(stderr, "a link for %s to choose a password. It works once, until %s, and is printed this once\n", whose, day(l.Expires))
	_, err := fmt.Fprintln(stdout, link)
	return err
}

func usersLink(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return people(ctx, "users link", 1, args, stdout, nil, func(s app.Store, rest []string, page string) error {
		u, whose := store.User{}, "the first admin"
		if len(rest) == 1 {
			var err error
			if u, err = named(ctx, s, rest[0]); err != nil {
				return err
			}
			whose = u.Name
		}
		l, path := api.NewLink(u.ID, time.Now())
		switch err := s.AddLink(ctx, l, cliEntry("user.link", u.Name, map[string]any{"link_until": l.Expires})); {
		case errors.Is(err, store.ErrConflict):
			return fmt.Errorf("somebody can log in already: name whose password is to be chosen anew, ruler users list shows them, or make another admin with ruler users add: %w", errUsage)
		case err != nil:
			return err
		}
		return printLink(stdout, stderr, &l, page+path, whose)
	})
}

// named finds a user for the command line.
func named(ctx context.Context, s app.Store, name string) (store.User, error) {
	u, err := s.UserByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return u, fmt.Errorf("there is no user %.80q: ruler users list shows them", name)
	}
	return u, err
}

func usersList(ctx context.Context, args []string, stdout, _ io.Writer) error {
	return people(ctx, "users list", 0, args, stdout, nil, func(s app.Store, _ []string, _ string) error {
		list, err := s.Users(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tCREATED\tBY\tLAST LOGIN\tSTATE")
		for _, u := range list {
			state := "active"
			switch {
			case u.Password == "" && time.Now().Before(u.Invited):
				state = "invited until " + day(u.Invited)
			case u.Password == "":
				state = "invited, the link has ended"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", u.Name, u.Role, day(u.Created), u.CreatedBy, day(u.Login), state)
		}
		return w.Flush()
	})
}

func usersRole(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return people(ctx, "users role", 2, args, stdout, nil, func(s app.Store, rest []string, _ string) error {
		if len(rest) != 2 {
			return fmt.Errorf("name a user and a role: %w", errUsage)
		}
		u, err := named(ctx, s, rest[0])
		if err != nil {
			return err
		}
		if _, err := api.NewUser(u.Name, rest[1], time.Now()); err != nil { // says which roles there are
			return err
		}
		detail := map[string]any{"role": map[string]string{"before": u.Role, "after": rest[1]}}
		if u, err = s.SetRole(ctx, u.ID, rest[1], cliEntry("user.role", u.Name, detail)); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "%s is %s\n", u.Name, u.Role)
		return nil
	})
}

func usersRemove(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return people(ctx, "users remove", 1, args, stdout, nil, func(s app.Store, rest []string, _ string) error {
		if len(rest) != 1 {
			return fmt.Errorf("name one user: %w", errUsage)
		}
		u, err := named(ctx, s, rest[0])
		if err != nil {
			return err
		}
		if _, err := s.RemoveUser(ctx, u.ID, cliEntry("user.remove", u.Name, map[string]any{"role": u.Role})); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "%s is removed\n", u.Name)
		return nil
	})
}
