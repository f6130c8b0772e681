package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"nocturne/ruler/rule"
)

func noiseCommands() []command {
	return []command{{name: "rules noise", args: "[-since 7d] [-config FILE]", summary: "rank rules by the messages that they made, per server and week", run: rulesNoise}}
}

func rulesNoise(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var since string
	o, err := storeFlags(ctx, "rules noise", 0, args, stdout, func(fs *flag.FlagSet) {
		fs.StringVar(&since, "since", "7d", "how long ago to begin: 24h, 7d, 30d")
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.store.Close()) }()
	d, err := rule.ParseDuration(since)
	if err != nil {
		return fmt.Errorf("-since: %w", err)
	}
	now := time.Now()
	n, err := o.store.Noise(ctx, now.Add(-d))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PER SERVER AND WEEK\tMESSAGES\tNOTIFICATIONS\tSERVERS\tOVER IN 5 MIN\tACKNOWLEDGED\tRULE")
	sum := 0
	for _, v := range n.Rules {
		sum += v.Messages
		fmt.Fprintf(w, "%.4f\t%d\t%d\t%d\t%d\t%d\t%s\n", n.PerServerWeek(v.Messages, now), v.Messages, v.Notifications, v.Servers, v.Brief, v.Acknowledged, v.RuleID)
	}
	fmt.Fprintf(stderr, "%d messages about %d servers since %s: %.4f per server and week\n", sum, n.Servers, n.From.Local().Format("2006-01-02 15:04"), n.PerServerWeek(sum, now))
	return w.Flush()
}
