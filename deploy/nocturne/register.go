package main

import (
	"context"
	"fmt"
	"os/user"
	"text/tabwriter"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/stack"
	"nocturne/internal/joinline"
)

// bridgeOf finds the running stack's admin API.
func bridgeOf(data string) (admin.Client, error) {
	dir, state, err := stack.Running(data)
	if err != nil {
		return admin.Client{}, err
	}
	return admin.Client{URL: stack.URL(state.Ports.Admin), TokenFile: stack.Layout{Dir: dir}.AdminToken()}, nil
}

const dataUsage = "data `folder` of the stack to talk to (default: that of nocturne run, or of nocturne demo when only that one runs)"

// tokenCommand prints the lines that add a server.
func tokenCommand(ctx context.Context, e env, args []string) error {
	flags := newFlags(e, "token create")
	data := flags.String("data", "", dataUsage)
	var q admin.TokenRequest
	flags.StringVar(&q.Site, "site", "", "site of the servers that join with it")
	flags.StringVar(&q.Rack, "rack", "", "their rack")
	flags.StringVar(&q.Role, "role", "", "what they are for")
	flags.StringVar(&q.Owner, "owner", "", "who answers for them")
	flags.IntVar(&q.Uses, "uses", 1, "how many servers may join with it")
	host := flags.String("address", "", "`host` by which the servers reach this machine (default: its address on the default route); a name must be in ingest.names of the eventbridge")
	ttl := flags.Duration("ttl", 24*time.Hour, "how long it can be used")
	if err := parse(flags, args); err != nil {
		return err
	}
	if q.Uses < 1 { // 0 would be left to the bridge, which takes it for 1
		return fmt.Errorf("%w: --uses: want how many servers may join, 1 or more", errMisused)
	}
	if *ttl < time.Second {
		return fmt.Errorf("%w: --ttl: want a second or more", errMisused)
	}
	q.TTLS = int(ttl.Seconds())
	bridge, err := bridgeOf(*data)
	if err != nil {
		return err
	}
	status, err := bridge.Status(ctx)
	if err != nil {
		return err
	}
	invite := joinline.New(status.Bridge, "")
	if *host != "" { // before a token is made that nobody could use
		if invite, err = invite.At(*host); err != nil {
			return err
		}
	}
	token, err := bridge.CreateToken(ctx, q)
	if err != nil {
		return err
	}
	invite.Token = token.Token
	lines, err := invite.Lines()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s\n\nWith the package. On Windows, in PowerShell as administrator; on Debian or Ubuntu, in a shell:\n\n  %s\n\n  %s\n\n"+
		"With the program alone, in a folder where it can stay:\n\n  %s\n\n  %s\n\nGood for %s until %s.\n",
		lines.Note, lines.WindowsPackage, lines.LinuxPackage, lines.Windows, lines.Linux, servers(q.Uses), token.Expires.Local().Format(time.DateTime))
	return nil
}

func servers(n int) string {
	if n == 1 {
		return "one server"
	}
	return fmt.Sprintf("%d servers", n)
}

// serversCommand lists the register or changes one server.
func serversCommand(ctx context.Context, e env, args []string) error {
	flags := newFlags(e, "servers")
	data := flags.String("data", "", dataUsage)
	words, err := parseMixed(flags, args)
	if err != nil {
		return err
	}
	verb := "list"
	if len(words) > 0 {
		verb = words[0]
	}
	bridge, err := bridgeOf(*data)
	if verb == "list" && len(words) < 2 {
		if err == nil {
			err = listServers(ctx, e, bridge)
		}
		return err
	}
	change := map[string]func(context.Context, string, string) error{
		"approve": bridge.Approve, "revoke": bridge.Revoke, "decommission": bridge.Decommission,
	}[verb]
	if change == nil || len(words) != 2 {
		return fmt.Errorf("%w: want list, or approve, revoke or decommission and a server's id or name; got %q", errMisused, words)
	}
	if err != nil {
		return err
	}
	server, err := oneServer(ctx, bridge, words[1])
	if err != nil {
		return err
	}
	if err := change(ctx, server.ID, whoAmI()); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s %s: done\n", verb, plain(server.Name))
	return nil
}

func listServers(ctx context.Context, e env, bridge admin.Client) error {
	all, err := bridge.Servers(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSERVER\tSTATE\tSITE\tRACK\tROLE\tOS\tLAST SEEN\t")
	for _, s := range all {
		seen, note := "never since the bridge's start", ""
		if s.LastSeen != nil {
			seen = s.LastSeen.Local().Format(time.DateTime)
		}
		if s.Labels.Simulated {
			note = "simulated"
		}
		if s.SuccessionOf != "" {
			note += " looks like " + s.SuccessionOf + ": approve it if it took its place"
		}
		fmt.Fprintln(t, plain(s.ID)+"\t"+plain(s.Name)+"\t"+plain(s.State)+"\t"+plain(s.Labels.Site)+"\t"+plain(s.Labels.Rack)+"\t"+plain(s.Labels.Role)+"\t"+plain(s.OS)+"\t"+seen+"\t"+note)
	}
	return t.Flush()
}

// oneServer finds a server by id, or by name when only one bears it.
func oneServer(ctx context.Context, bridge admin.Client, word string) (admin.Server, error) {
	all, err := bridge.Servers(ctx)
	if err != nil {
		return admin.Server{}, err
	}
	var named []admin.Server
	for _, s := range all {
		if s.ID == word {
			return s, nil
		}
		if s.Name == word {
			named = append(named, s)
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return admin.Server{}, fmt.Errorf("no server has the id or name %q; nocturne servers list shows them", word)
	}
	return admin.Server{}, fmt.Errorf("%d servers are called %s: name one by its id", len(named), word)
}

// whoAmI is for the audit log.
func whoAmI() string {
	if u, err := user.Current(); err == nil {
		return u.Username + " (nocturne servers)"
	}
	return "nocturne servers"
}
