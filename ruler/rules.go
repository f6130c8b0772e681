package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nocturne/alerts"
	"nocturne/internal/record"
	"nocturne/internal/strict"
	"nocturne/ruler/api"
	"nocturne/ruler/config"
	"nocturne/ruler/metricrule"
	op "nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/story"
)

// fileCommands work on rule files; no ruler has to run.
func fileCommands() []command {
	return []command{
		{name: "rules check", args: "FILE|FOLDER…", summary: "read rule files strictly; say where mistakes are and what to write instead", run: rulesCheck},
		{name: "rules test", args: "[-update] FILE|FOLDER…", summary: "play stories (*.txtar) against the rule files named, or the default rules", run: rulesTest},
		{name: "rules explain", args: "[-config FILE] [-record FILE] ID|FILE", summary: "say what a rule does, and why a record does or does not concern it", run: rulesExplain},
	}
}

// parseFlags parses flags wherever they stand among the arguments.
func parseFlags(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

func ruleFlags(name, args string, stdout io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("ruler "+name, flag.ContinueOnError)
	f.SetOutput(stdout)
	f.Usage = func() {
		fmt.Fprintf(stdout, "usage: ruler %s %s\n", name, args)
		f.PrintDefaults()
	}
	return f
}

// filesOf returns the files named and those of folders named that end so.
func filesOf(args []string, suffixes ...string) ([]string, error) {
	var out []string
	for _, a := range args {
		info, err := os.Stat(a)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			out = append(out, a)
			continue
		}
		entries, err := os.ReadDir(a)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() && slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(e.Name(), s) }) {
				out = append(out, filepath.Join(a, e.Name()))
			}
		}
	}
	return out, nil
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return data, err
}

// readRules parses rule files; mistakes of all of them are one error.
func readRules(files []string) (map[string]int, []*rule.Rule, error) {
	count := map[string]int{}
	var rules []*rule.Rule
	var errs rule.Errors
	for _, file := range files {
		data, err := readFile(file, rule.MaxFile)
		if err != nil {
			return nil, nil, err
		}
		got, err := rule.Parse(file, data)
		var bad rule.Errors
		switch {
		case errors.As(err, &bad):
			errs = append(errs, bad...)
		case err != nil:
			return nil, nil, err
		}
		count[file] = len(got)
		rules = append(rules, got...)
	}
	if errs = append(errs, rule.Unique(rules)...); len(errs) > 0 {
		return nil, nil, errs
	}
	known, err := withBuiltin(rules)
	if err != nil {
		return nil, nil, err
	}
	if errs = rule.Dangling(rules, known); len(errs) > 0 {
		return nil, nil, errs
	}
	return count, rules, nil
}

// withBuiltin adds the program's own rules, which others may name; of those with
// one id the given one counts.
func withBuiltin(rules []*rule.Rule) ([]*rule.Rule, error) {
	builtin, err := (&config.Rules{Builtin: true, Packs: alerts.Packs()}).Files()
	return append(builtin.Rules, rules...), err
}

func rulesCheck(_ context.Context, args []string, stdout, stderr io.Writer) error {
	args, err := parseFlags(ruleFlags("rules check", "FILE|FOLDER…", stdout), args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return fmt.Errorf("rules check: name rule files or folders with *.yml: %w", errUsage)
	}
	files, err := filesOf(args, ".yml")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no *.yml in %s", strings.Join(args, ", "))
	}
	count, rules, err := readRules(files)
	var bad rule.Errors
	if errors.As(err, &bad) {
		fmt.Fprintln(stderr, bad.Error())
		return fmt.Errorf("%s, nothing of it would be used", plural(len(bad), "mistake"))
	}
	if err != nil {
		return err
	}
	if _, err := op.NewSet(rules); err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(stdout, "%s: %s\n", f, plural(count[f], "rule"))
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func rulesTest(_ context.Context, args []string, stdout, stderr io.Writer) error {
	f := ruleFlags("rules test", "[-update] FILE|FOLDER…", stdout)
	update := f.Bool("update", false, "rewrite what the stories want")
	args, err := parseFlags(f, args)
	if err != nil {
		return err
	}
	files, err := filesOf(args, ".yml", ".txtar")
	if err != nil {
		return err
	}
	var ruleFiles, stories []string
	for _, name := range files {
		if strings.HasSuffix(name, ".txtar") {
			stories = append(stories, name)
		} else {
			ruleFiles = append(ruleFiles, name)
		}
	}
	if len(stories) == 0 {
		return fmt.Errorf("rules test: name stories (*.txtar), and the rule files they are about: %w", errUsage)
	}
	rules, err := (&config.Rules{Builtin: true}).Load()
	if len(ruleFiles) > 0 {
		_, rules, err = readRules(ruleFiles)
	}
	if err != nil {
		return err
	}
	failed := 0
	for _, name := range stories {
		ok, err := playStory(name, rules, *update, stdout)
		if err != nil {
			fmt.Fprintln(stderr, err)
		}
		if !ok {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, storyCount(len(stories)))
	}
	return nil
}

func storyCount(n int) string {
	if n == 1 {
		return "1 story"
	}
	return fmt.Sprintf("%d stories", n)
}

func playStory(name string, rules []*rule.Rule, update bool, stdout io.Writer) (bool, error) {
	data, err := readFile(name, story.MaxFile)
	if err != nil {
		return false, err
	}
	s, err := story.Parse(name, data)
	if err != nil {
		return false, err
	}
	r, err := s.Play(rules)
	if err != nil {
		return false, err
	}
	if update {
		data := s.Rewritten(r)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return false, err
		}
		if s, err = story.Parse(name, data); err != nil {
			return false, err
		}
		if r, err = s.Play(rules); err != nil {
			return false, err
		}
	}
	if len(r.Failures) == 0 {
		fmt.Fprintf(stdout, "ok    %s: fired %s\n", name, orNothing(r.Fired))
		return true, nil
	}
	fmt.Fprintf(stdout, "FAIL  %s\n", name)
	for _, why := range r.Failures {
		fmt.Fprintf(stdout, "      %s\n", strings.ReplaceAll(why, "\n", "\n      "))
	}
	return false, nil
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

func rulesExplain(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := ruleFlags("rules explain", "[-config FILE] [-record FILE] ID|FILE", stdout)
	path := f.String("config", "", "the ruler's configuration, for rules of its folders and its overrides")
	recordFile := f.String("record", "", "a record as JSON, as the exporter prints it: say for each condition whether it holds")
	args, err := parseFlags(f, args)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return fmt.Errorf("rules explain: name one rule by its id, or a rule file: %w", errUsage)
	}
	metric := strings.HasPrefix(args[0], metricrule.Prefix)
	if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
		metric = false
	}
	if metric && *recordFile != "" {
		return fmt.Errorf("rules explain: a metric rule is not about records: leave -record out: %w", errUsage)
	}
	if metric {
		return explainMetric(stdout, args[0], *path)
	}
	rules, err := rulesNamed(args[0], *path)
	if err != nil {
		return err
	}
	var in *recordInput
	if *recordFile != "" {
		if in, err = readRecord(*recordFile); err != nil {
			return err
		}
	}
	for i, r := range rules {
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		fmt.Fprintf(stdout, "%s\nRunbook %s, version %s, from %s:%d.\n", rule.Explain(r), r.Runbook, r.Version, r.File, r.Line)
		if in == nil {
			continue
		}
		if err := explainRecord(stdout, r, in); err != nil {
			return err
		}
	}
	return nil
}

// explainMetric says what a metric rule does, with its text in Prometheus' format:
// query, labels and what it tells people. How it did is known to the ruler alone.
func explainMetric(stdout io.Writer, id, configFile string) error {
	cfg, err := config.Load(configFile)
	if err != nil {
		return err
	}
	pack, err := cfg.Rules.LoadMetrics()
	if err != nil {
		return err
	}
	var ids []string
	found := false
	for _, a := range append(pack.Alerts(), pack.Disabled()...) {
		r := a.Rule
		if ids = append(ids, r.ID); r.ID != id {
			continue
		}
		found = true
		off := ""
		if slices.Contains(pack.Disabled(), a) {
			off = " The configuration switches it off."
		}
		fmt.Fprintf(stdout, "%s%s\nRunbook %s, version %s, from %s:%d.\n\n%s\n", rule.Explain(r), off, r.Runbook, r.Version, r.File, r.Line, a.Text)
	}
	if !found {
		return noRule(id, ids, configFile)
	}
	fmt.Fprintf(stdout, "How it did when it was evaluated last is on the rule's page, and what the running ruler answers to GET %s/rules/%s.\n", api.Prefix, id)
	return nil
}

// rulesNamed returns the rules of a file, or the one with an id.
func rulesNamed(name, configFile string) ([]*rule.Rule, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		_, rules, err := readRules([]string{name})
		return rules, err
	}
	if strings.ContainsAny(name, "/\\.") {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	cfg, err := config.Load(configFile)
	if err != nil {
		return nil, err
	}
	rules, err := cfg.Rules.Load()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range rules {
		if r.ID == name {
			return []*rule.Rule{r}, nil
		}
		ids = append(ids, r.ID)
	}
	return nil, noRule(name, ids, configFile)
}

// noRule says which rules may be meant.
func noRule(name string, ids []string, configFile string) error {
	var near []string
	for _, id := range slices.Compact(ids) {
		if strings.Contains(id, name) || strict.Distance(id, name) <= 2 {
			near = append(near, id)
		}
	}
	if len(near) > 0 {
		return fmt.Errorf("there is no rule %q; there is %s", name, strings.Join(near, ", "))
	}
	why := "name an id of the default rules, or give -config for those of your files"
	if configFile != "" {
		why = "ruler rules list shows all; of one that was made on the page save the text into a file and name that"
	}
	return fmt.Errorf("there is no rule %q in files: %s", name, why)
}

// recordInput is a record and its server, as a person writes or copies them.
type recordInput struct {
	Time     time.Time                  `json:"time"`
	Observed time.Time                  `json:"observed"`
	ServerID string                     `json:"server_id"`
	RecordID string                     `json:"record_id"`
	Category string                     `json:"category"`
	Name     string                     `json:"name"`
	Severity string                     `json:"severity"`
	Body     string                     `json:"body"`
	Attrs    map[string]json.RawMessage `json:"attrs"`
	Server   map[string]string          `json:"server"` // labels: not of the exporter, but of who asks

	category record.Category
	record   record.Record
}

const recordExample = `{"name": "windows.event", "body": "text", "attrs": {"event.provider": "disk", "event.id": 7}, "server": {"site": "bern"}}`

func readRecord(path string) (*recordInput, error) {
	data, err := readFile(path, record.MaxRecord)
	if err != nil {
		return nil, err
	}
	in := &recordInput{Category: record.EventLog.String(), Name: record.NameWindowsEvent}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		return nil, fmt.Errorf("%s: %w: write one object such as %s", path, err, recordExample)
	}
	if in.category, err = record.ParseCategory(in.Category); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for key := range in.Server {
		if !slices.Contains(rule.SelectorKeys(), key) {
			return nil, fmt.Errorf("%s: server has no label %q: known are %s", path, key, strings.Join(rule.SelectorKeys(), ", "))
		}
	}
	in.record = record.Record{Time: in.Time, Observed: in.Observed, Name: in.Name, Body: in.Body}
	for key, raw := range in.Attrs {
		v, err := attrValue(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: attribute %s: %w", path, key, err)
		}
		in.record.Attrs = append(in.record.Attrs, record.Attr{Key: key, Value: v})
	}
	slices.SortFunc(in.record.Attrs, func(a, b record.Attr) int { return strings.Compare(a.Key, b.Key) })
	return in, nil
}

// attrValue reads a plain value; lists and maps stay the text that they are.
func attrValue(raw json.RawMessage) (record.Value, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return record.Value{}, err
	}
	switch v := v.(type) {
	case nil:
		return record.Value{}, nil
	case string:
		return record.String(v), nil
	case bool:
		return record.Bool(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return record.Int(n), nil
		}
		n, err := v.Float64()
		return record.Double(n), err
	default:
		return record.String(string(raw)), nil
	}
}

func explainRecord(stdout io.Writer, r *rule.Rule, in *recordInput) error {
	facts := op.ServerFacts{ID: record.ID{15: 1}, Name: in.Server["name"], Site: in.Server["site"], Rack: in.Server["rack"], Role: in.Server["role"],
		Owner: in.Server["owner"], OS: in.Server["os"], Simulated: in.Server["simulated"] == "true"}
	now := in.Observed
	if now.IsZero() {
		now = in.Time
	}
	if now.IsZero() {
		now = time.Unix(0, 0).UTC()
	}
	ctx := op.Context{Now: now, Server: facts}
	input := op.Input{Record: &in.record, Header: &record.Header{Category: in.category, Subject: facts.ID}, RecordID: in.RecordID}
	findings := op.Findings(r, ctx, input)
	if findings == nil {
		fmt.Fprintf(stdout, "A rule of kind %s is not about single records; a story says what it does: ruler rules test.\n", r.Kind)
		return nil
	}
	last := ""
	for _, f := range findings {
		if f.For != last {
			fmt.Fprintf(stdout, "%s\n", f.For)
			last = f.For
		}
		if f.Holds {
			fmt.Fprintf(stdout, "  yes  %s\n", f.Condition)
			continue
		}
		fmt.Fprintf(stdout, "  no   %s: %s\n", f.Condition, f.Why)
	}
	set, err := op.NewSet([]*rule.Rule{r})
	if err != nil {
		return err
	}
	verdicts := set.Step(ctx, input)
	if len(verdicts) == 0 {
		fmt.Fprintln(stdout, "Alone, this record leads to nothing.")
	}
	for _, v := range verdicts {
		fmt.Fprintf(stdout, "It leads to: %s %s\n", strings.TrimSpace(v.Kind.String()+" "+v.Device), v.Reason)
	}
	return nil
}
