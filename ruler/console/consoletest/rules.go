package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nocturne/ruler/api"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// rules are two of a file, one of the store with three versions, and one that was
// deleted.
func rules(kept *sqlite.Store) (*rulebook.Book, error) {
	ctx := context.Background()
	pack, err := rule.ParsePack("alerts/records/planned.yml", []byte(fileWindow))
	if err != nil {
		return nil, err
	}
	book, err := apitest.Book(kept, time.Now, func(f *rulebook.Files) {
		f.Windows = pack.Windows
		f.Metric = []rulebook.Metric{{Rule: volumeFull, Text: "alert: VolumeNearlyFull\nexpr: nocturne_volume_free_percent < 5\nfor: 30m\n"}}
	})
	if err != nil {
		return nil, err
	}
	ada, bob := rulebook.Editor{Actor: "ada", Via: "console", Comment: "the new cards"}, rulebook.Editor{Actor: "bob", Via: "console", Comment: "only info, <b>they</b> come back"}
	if _, _, err := book.Create(ctx, ada, apitest.StoredRule); err != nil {
		return nil, err
	}
	if _, _, err := book.Update(ctx, bob, "nic-link-lost", 1, strings.Replace(apitest.StoredRule, "severity: warning", "severity: info", 1)); err != nil {
		return nil, err
	}
	gone := strings.NewReplacer("nic-link-lost", "nic-old", "NicLinkLost", "NicOld").Replace(apitest.StoredRule)
	if _, _, err := book.Create(ctx, ada, gone); err != nil {
		return nil, err
	}
	if _, err := book.Delete(ctx, bob, "nic-old", 1); err != nil {
		return nil, err
	}
	return book, planned(ctx, book)
}

const fileWindow = `windows:
  - id: weekly-patching
    who: platform team
    why: monthly firmware updates
    servers: {role: {not: sql}, site: south}
    weekly: {days: [tue, thu], from: "22:00", to: "02:00", zone: Europe/Zurich}
`

// planned is work that runs, work that comes and work that is over.
func planned(ctx context.Context, book *rulebook.Book) error {
	now := time.Now().UTC().Truncate(time.Minute)
	ada, bob := rulebook.Editor{Actor: "ada", Via: "console"}, rulebook.Editor{Actor: "bob", Via: "console", Comment: "the cabinet has two more"}
	once := func(id, why, servers string, from, to time.Duration) string {
		return fmt.Sprintf("id: %s\nwho: ada\nwhy: %q\nservers: %s\nfrom: %s\nto: %s\n", id, why, servers, now.Add(from).Format(time.RFC3339), now.Add(to).Format(time.RFC3339))
	}
	for _, text := range []string{
		once("rack-n03", "new boards in rack n03, ticket 4711", "{site: [north], rack: [n03]}", -time.Hour, 5*time.Hour),
		once("more-memory", "64 GB more for the new database", "{name: [sim-north-05]}", 50*time.Hour, 54*time.Hour),
		once("was-last-week", "controllers: firmware <b>51.16</b>", "{site: [south]}", -170*time.Hour, -166*time.Hour),
		once("not-needed", "cables", "{site: [north]}", 2*time.Hour, 3*time.Hour),
	} {
		if _, _, err := book.Plan(ctx, ada, text); err != nil {
			return err
		}
	}
	if _, _, err := book.Replan(ctx, bob, "rack-n03", 1, once("rack-n03", "new boards in rack n03, ticket 4711", "{site: [north], rack: [n03, n04]}", -time.Hour, 5*time.Hour)); err != nil {
		return err
	}
	_, _, err := book.End(ctx, bob, "not-needed", 1)
	return err
}

func failures() map[string]engine.Failure {
	return map[string]engine.Failure{"disk-bad-block": {Records: 4, Reason: "no such key: param9", RecordID: "r-1", At: time.Now().Add(-time.Hour)}}
}

// volume is what a metric rule asks for.
type volume struct{}

// Explain implements rule.Spec.
func (volume) Explain(*rule.Rule) string {
	return "Fires while VictoriaMetrics answers the query nocturne_volume_free_percent < 5 for 30m, for each series of the answer."
}

var volumeFull = &rule.Rule{ID: "metric-volume-nearly-full", Name: "VolumeNearlyFull", Class: "disk-space", Severity: rule.Warning, Kind: "metric", Spec: volume{}, File: "alerts/metrics/disk.yml", Line: 4}

func metricHealth() map[string][]api.MetricHealth {
	return map[string][]api.MetricHealth{volumeFull.ID: {api.MetricHealthOf("disk", time.Minute, time.Now(), 3*time.Millisecond, "", 2)}}
}

// What is kept of rules is in the store, not in the fixed fleet.

// StoredRules implements store.Rules.
func (r *reader) StoredRules(ctx context.Context) ([]store.StoredRule, error) {
	return r.kept.StoredRules(ctx)
}

// RuleVersions implements store.Rules.
func (r *reader) RuleVersions(ctx context.Context, id string) ([]store.RuleVersion, error) {
	return r.kept.RuleVersions(ctx, id)
}

// RuleSwitches implements store.Rules.
func (r *reader) RuleSwitches(ctx context.Context) ([]store.RuleSwitch, error) {
	return r.kept.RuleSwitches(ctx)
}

// Generations implements store.Rules.
func (r *reader) Generations(ctx context.Context, limit int) ([]store.Generation, error) {
	return r.kept.Generations(ctx, limit)
}

// EditRules implements store.Rules.
func (r *reader) EditRules(ctx context.Context, e store.RuleEdit) error {
	return r.kept.EditRules(ctx, e)
}

// RuleVerdicts implements store.Rules.
func (r *reader) RuleVerdicts(context.Context, time.Time) ([]store.RuleVerdicts, error) {
	return []store.RuleVerdicts{
		{ID: "disk-bad-block", Effect: "muted", N: 2, Last: time.Now().Add(-26 * time.Hour)},
		{ID: "disk-bad-block", Effect: "opened", N: 12, Last: time.Now().Add(-2 * time.Hour)},
		{ID: "disk-bad-block", Effect: "repeated", N: 48, Last: time.Now().Add(-2 * time.Hour)},
		{ID: "server-silent", Effect: "opened", N: 1, Last: time.Now().Add(-20 * time.Minute)},
	}, nil
}
