package metricrule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"

	"nocturne/internal/record"
	"nocturne/ruler/engine"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

const (
	lookEvery  = 10 * time.Second
	leaseEvery = time.Minute     // a commit at least, so that who was fenced off notices
	awayAfter  = 5 * time.Minute // before people are told that the metrics store is away
	knownFor   = 5 * time.Minute // what the registry says of a server
	mostKnown  = 100_000
)

// keeper owns the book under one claim: it takes findings, commits, and tells.
type keeper struct {
	e     *Evaluator
	pack  *Pack
	book  *book
	epoch uint64
	pos   store.Position

	committed time.Time
	awaySince time.Time
	why       string
	folded    map[string]string // notifications that another one speaks for
	servers   map[record.ID]known
	names     map[string]known
	bad       map[string]string // what was said in the log, by rule
}

// known is what the registry says of a server.
type known struct {
	facts   operator.ServerFacts
	ok      bool
	retired bool
	until   time.Time
}

func (k *keeper) claim(ctx context.Context) error {
	c, err := k.e.opts.Store.Claim(ctx, store.MetricPartition, k.e.opts.Owner)
	if err != nil {
		return err
	}
	k.epoch, k.pos = c.Epoch, c.Position
	k.folded, k.servers, k.names, k.bad = map[string]string{}, map[record.ID]known{}, map[string]known{}, map[string]string{}
	var rows []notify.Notification
	for i := range c.Notifications {
		n, err := engine.Saved(&c.Notifications[i])
		if err != nil { // n is what the row's columns say
			k.e.opts.Log.Error("a stored notification cannot be read: it goes on from its columns", "err", err)
		}
		rows = append(rows, n)
		if into := c.Notifications[i].FoldedInto; into != "" {
			k.folded[n.ID] = into
		}
	}
	now := k.e.opts.Now().UTC()
	var changes []change
	k.book, changes = newBook(k.pack, rows, at(now, k.pos))
	return k.commit(ctx, changes, nil, now)
}

// run takes findings until the rules are stale or ctx ends.
func (k *keeper) run(ctx context.Context, found <-chan finding, stale <-chan struct{}) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stale:
			return errReload
		case f := <-found:
			if err := k.take(ctx, f); err != nil {
				return err
			}
		case <-look.C:
			if err := k.look(ctx); err != nil {
				return err
			}
		}
	}
}

// take applies one finding and commits what it changed.
func (k *keeper) take(ctx context.Context, f finding) error {
	k.health(f)
	if f.away != nil {
		if k.awaySince.IsZero() {
			k.awaySince = f.at
		}
		k.why = f.away.Error()
		k.e.metrics.away.Set(1)
		return nil
	}
	k.awaySince, k.why = time.Time{}, ""
	k.e.metrics.away.Set(0)
	when := at(f.at.UTC(), k.pos)
	changes := k.book.away("", when)
	about := func(id record.ID) operator.ServerFacts { return k.servers[id].facts }
	for _, r := range f.rules {
		wants, err := k.wants(ctx, r)
		if err != nil {
			return err
		}
		out, skipped := k.book.observe(r.place, wants, about, when)
		k.e.metrics.skipped.WithLabelValues(skipTooMany).Add(float64(skipped))
		changes = append(changes, out...)
	}
	if len(changes) == 0 {
		return nil
	}
	return k.commit(ctx, changes, nil, f.at)
}

// health says once in the log what is wrong with a rule, and that it is right again.
func (k *keeper) health(f finding) {
	prefix := f.group.File() + " " + f.group.Name() + " "
	for name, why := range f.bad {
		if k.bad[prefix+name] == "" {
			k.e.opts.Log.Warn("metric rule fails", "file", f.group.File(), "group", f.group.Name(), "rule", name, "err", why)
		}
		k.bad[prefix+name] = why
	}
	for key := range k.bad {
		if len(key) > len(prefix) && key[:len(prefix)] == prefix && f.bad[key[len(prefix):]] == "" && f.away == nil {
			delete(k.bad, key)
			k.e.opts.Log.Info("metric rule works again", "file", f.group.File(), "group", f.group.Name(), "rule", key[len(prefix):])
		}
	}
	counts := map[string]float64{}
	for _, g := range k.e.groups {
		for _, r := range g.Rules() {
			switch r.Health() {
			case rules.HealthGood:
				counts["good"]++
			case rules.HealthBad:
				counts["bad"]++
			default:
				counts["unknown"]++
			}
		}
	}
	for _, h := range []string{"good", "bad", "unknown"} {
		k.e.metrics.rules.WithLabelValues(h).Set(counts[h])
	}
}

// look does what no finding leads to: the notification about the store itself,
// the ends of those that spoke for ours, and the lease.
func (k *keeper) look(ctx context.Context) error {
	now := k.e.opts.Now().UTC()
	var changes []change
	if !k.awaySince.IsZero() && now.Sub(k.awaySince) >= awayAfter {
		changes = k.book.away(rule.Cut(k.why, rule.MaxSummary), at(now, k.pos))
	}
	folds, err := k.unfold(ctx, now)
	if err != nil {
		return err
	}
	if len(changes) == 0 && len(folds) == 0 && now.Sub(k.committed) < leaseEvery {
		return nil
	}
	return k.commit(ctx, changes, folds, now)
}

// unfold lets ours speak for itself whose other one is over.
func (k *keeper) unfold(ctx context.Context, now time.Time) ([]store.Fold, error) {
	var folds []store.Fold
	for id, into := range k.folded {
		d, err := k.e.opts.Store.Notification(ctx, into)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil && d.State == store.Firing && d.FoldedInto == "" {
			continue
		}
		folds = append(folds, store.Fold{Notification: id, At: now})
	}
	return folds, nil
}

// commit writes what changed, with the position, and tells people.
func (k *keeper) commit(ctx context.Context, changes []change, folds []store.Fold, when time.Time) error {
	c := store.PartitionCommit{Partition: store.MetricPartition, Epoch: k.epoch, From: k.pos, To: store.Position{Incarnation: incarnation, Entry: k.pos.Entry + 1},
		StreamTime: when, Committed: k.e.opts.Now(), Folds: folds}
	last := map[string]int{}
	var told []notify.Notification
	for i := range changes {
		ch := &changes[i]
		k.e.metrics.transitions.WithLabelValues(string(ch.Effect)).Inc()
		c.RuleCounts = append(c.RuleCounts, store.RuleCount{ID: ch.RuleID, Effect: string(ch.Effect), N: 1, Last: when})
		if ch.Effect == notify.Ignored {
			continue
		}
		n := ch.Notification
		row := engine.Row(&n, store.MetricPartition)
		if ch.Effect == notify.Opened {
			if err := k.fold(ctx, &row); err != nil {
				return err
			}
		}
		if at, ok := last[n.ID]; ok {
			row.FoldedInto, row.Muted = c.Notifications[at].FoldedInto, c.Notifications[at].Muted
			c.Notifications[at] = row
		} else {
			last[n.ID] = len(c.Notifications)
			c.Notifications = append(c.Notifications, row)
		}
		if ch.Effect != notify.Repeated {
			c.Evidence = append(c.Evidence, k.evidence(ch))
		}
		if ch.Deliver && k.folded[n.ID] == "" {
			told = append(told, n)
		}
		if n.State == notify.Resolved {
			delete(k.folded, n.ID)
		}
	}
	if err := k.e.opts.Store.Commit(ctx, []store.PartitionCommit{c}); err != nil {
		return err
	}
	k.pos, k.committed = c.To, k.e.opts.Now()
	k.e.metrics.open.Set(float64(k.book.count))
	for _, f := range folds {
		delete(k.folded, f.Notification)
		d, err := k.e.opts.Store.Notification(ctx, f.Notification)
		if err != nil {
			continue // the sender's next round finds it
		}
		if n, err := engine.Saved(&d.Notification); err == nil && n.State == notify.Firing {
			told = append(told, n)
		}
	}
	if len(told) > 0 {
		k.e.opts.Changed(told...)
	}
	return nil
}

// fold lets an open notification of the same server, device and class speak for
// a new one of ours: one problem is one message, whichever rules see it first.
func (k *keeper) fold(ctx context.Context, row *store.Notification) error {
	if row.Server.IsZero() {
		return nil
	}
	page, err := k.e.opts.Store.Notifications(ctx, store.NotificationQuery{Server: row.Server, State: store.Firing, Class: row.Class, Limit: 1000})
	if err != nil {
		return err
	}
	for i := range page.Notifications {
		n := &page.Notifications[i]
		if n.Partition != store.MetricPartition && n.Device == row.Device && n.FoldedInto == "" && !rule.Worse(row.Severity, n.Severity) {
			row.FoldedInto, row.Muted = n.ID, rule.Cut(n.Title, rule.MaxSummary)
			k.folded[row.ID] = n.ID
			return nil
		}
	}
	return nil
}

// evidence is the expression, its answer and where to see it.
func (k *keeper) evidence(c *change) store.Evidence {
	effect := operator.Firing
	if c.Effect == notify.Closed || c.Effect == notify.Eased {
		effect = operator.Resolved
	}
	e := store.Evidence{Notification: c.Notification.ID, At: c.At, Event: c.At, Effect: effect.String(), RuleID: c.RuleID, Reason: c.Reason, Before: c.Before, After: c.After}
	if c.alert == nil {
		return e
	}
	e.Name, e.Body = c.alert.Rule.Name, rule.Cut(c.alert.Expr, store.MaxEvidenceBody)
	attrs := map[string]any{"metric.link": k.link(c.alert.Expr, c.At)}
	if c.want != nil {
		attrs["metric.value"] = strconv.FormatFloat(c.want.value, 'g', 6, 64)
		for name, value := range c.want.series {
			attrs["metric.label."+rule.Cut(name, 100)] = rule.Cut(value, 512)
		}
	}
	b, err := json.Marshal(attrs)
	if err == nil && len(b) <= store.MaxEvidenceAttrs {
		e.Attrs = b
	} else {
		e.Cut = true
	}
	return e
}

// link leads to the query in VictoriaMetrics' own page.
func (k *keeper) link(expr string, at time.Time) string {
	base := cmp.Or(k.e.opts.Config.Link, k.e.opts.Config.URL)
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	u.User = nil
	q := url.Values{"g0.expr": {expr}, "g0.range_input": {"6h"}, "g0.end_input": {at.UTC().Format("2006-01-02T15:04:05")}}
	return u.String() + "/vmui/#/?" + q.Encode()
}

// wants makes of alerts what the book compares.
func (k *keeper) wants(ctx context.Context, r ruleFinding) ([]*want, error) {
	a := k.book.alerts[r.place]
	if a == nil {
		return nil, nil
	}
	var out []*want
	for _, v := range r.alerts {
		s, err := k.server(ctx, v.Labels)
		if err != nil {
			return nil, err
		}
		if s.retired {
			k.e.metrics.skipped.WithLabelValues(skipRetired).Inc()
			continue
		}
		class := v.Annotations.Get(AnnotationClass)
		if l := v.Labels.Get(LabelClass); l != "" {
			class = l
		}
		w := &want{key: key{s.facts.ID, deviceOf(v.Labels, v.Annotations), classOf(a.Rule.Name, class)}, pending: v.State != rules.StateFiring,
			severity: severityOf(v.Labels.Get(LabelSeverity)), value: v.Value, series: v.Labels.Map(), labels: map[string]string{}}
		if name := rule.Clean(v.Labels.Get("server"), maxDevice); s.facts.ID.IsZero() && name != "" && w.device == "" {
			w.device = "server " + name // that the registry does not know: a problem of its own all the same
		}
		w.reason = "the query answers " + strconv.FormatFloat(v.Value, 'g', 6, 64)
		w.summary = rule.Clean(v.Annotations.Get(AnnotationSummary), rule.MaxSummary)
		if w.summary == "" {
			w.summary = rule.Clean(a.Rule.Name+" "+cmp.Or(s.facts.Name, w.device), rule.MaxSummary)
		}
		w.description = rule.Clean(v.Annotations.Get(AnnotationDescription), rule.MaxDescription)
		w.runbook = rule.Clean(runbook(v.Annotations.Map()), maxDevice)
		for _, name := range a.Shown {
			w.labels[name] = v.Labels.Get(name)
		}
		out = append(out, w)
	}
	return out, nil
}

// server finds whom an alert is about: by the id that the bridge wrote into
// the series, else by name.
func (k *keeper) server(ctx context.Context, ls labels.Labels) (known, error) {
	now := k.e.opts.Now()
	var id record.ID
	if text := ls.Get("server_id"); text != "" && id.UnmarshalText([]byte(text)) == nil && !id.IsZero() {
		v, ok := k.servers[id]
		if ok && now.Before(v.until) {
			return v, nil
		}
		v = known{until: now.Add(knownFor)}
		d, err := k.e.opts.Store.Server(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return v, err
		default:
			v = found(&d.Server, v.until)
		}
		k.remember(id, v)
		return v, nil
	}
	name := ls.Get("server")
	if name == "" {
		return known{}, nil
	}
	if v, ok := k.names[name]; ok && now.Before(v.until) {
		return v, nil
	}
	v := known{until: now.Add(knownFor)}
	page, err := k.e.opts.Store.Servers(ctx, store.ServerQuery{Text: name, Limit: 1000})
	if err != nil {
		return v, err
	}
	for i := range page.Servers {
		if page.Servers[i].Name == name {
			v = found(&page.Servers[i], v.until)
			k.remember(v.facts.ID, v)
			break
		}
	}
	if len(k.names) >= mostKnown {
		clear(k.names)
	}
	k.names[name] = v
	return v, nil
}

func (k *keeper) remember(id record.ID, v known) {
	if len(k.servers) >= mostKnown {
		clear(k.servers)
	}
	k.servers[id] = v
}

func found(s *store.Server, until time.Time) known {
	return known{ok: true, until: until, retired: s.State == store.StateDecommissioned, facts: engine.FactsOf(s)}
}
