package engine

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// judgeMissing decides about servers that never came, once others had the time
// to be missed too: whoever enters a list of servers enters them together.
func (f *fleet) judgeMissing(now time.Time, o *outcome) {
	groups := map[group][]record.ID{}
	for _, id := range slices.SortedFunc(maps.Keys(f.Missing), func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) }) {
		if x := f.Missing[id]; !x.Judged {
			g := group{site: x.Site, simulated: x.Simulated}
			groups[g] = append(groups[g], id)
		}
	}
	f.due = 0
	for g, ids := range groups {
		key := "never " + g.key()
		d := f.Folds[key]
		if d == nil && len(ids) >= foldLeast {
			d = &fold{Never: true, Notification: notify.Notification{
				ID: fleetID(classNever, key, uint64(now.UnixNano())), Device: g.String(), Class: classNever, State: notify.Firing, Severity: notify.Warning, RuleID: ruleMass,
				Opened: now, Simulated: g.simulated, Title: "Servers of " + g.String() + " are expected and were never heard",
			}}
			d.Notification.Labels = fleetLabels("ServersNeverHeard", g, d.Notification)
			f.Folds[key] = d
		}
		for _, id := range ids {
			x := f.Missing[id]
			x.Judged = true
			f.dirty.missing[id] = struct{}{}
			if d == nil {
				o.folds = append(o.folds, store.Fold{Notification: x.Notification, At: now})
				continue
			}
			x.Fold = key
			d.silent++
			o.folds = append(o.folds, store.Fold{Notification: x.Notification, Into: d.Notification.ID, Muted: d.Notification.Title, At: now})
		}
		if d != nil {
			f.dirty.folds[key] = struct{}{}
			d.Size = max(d.Size, d.silent)
			n := &d.Notification
			n.Annotations = map[string]string{notify.AnnotationSummary: n.Title, notify.AnnotationRunbook: "server#never-heard",
				notify.AnnotationDescription: fmt.Sprintf("%d servers are in the register, and nothing was ever heard of them.", d.silent)}
			change(n, "servers that are expected did not come", now)
			o.note(*n)
		}
	}
}

// expect notes when a server that never came is to be judged.
func (f *fleet) expect(x *missing) {
	if due := x.At + int64(missingWait); !x.Judged && (f.due == 0 || due < f.due) {
		f.due = due
	}
}

// found forgets a server that came after all, or is not expected any more.
func (f *fleet) found(x store.Fact, o *outcome) {
	m := f.Missing[x.Server]
	if m == nil || x.Kind == store.FactFound && x.Notification != m.Notification {
		return
	}
	delete(f.Missing, x.Server)
	f.dirty.missing[x.Server] = struct{}{}
	d := f.Folds[m.Fold]
	switch {
	case !m.Judged: // nobody was told; the row must not stay held
		if m.At+int64(missingWait) == f.due {
			f.due = 0
			for _, x := range f.Missing {
				f.expect(x)
			}
		}
		o.folds = append(o.folds, store.Fold{Notification: m.Notification, At: x.At})
	case d != nil:
		f.dirty.folds[m.Fold] = struct{}{}
		if d.silent--; d.silent == 0 {
			f.end(m.Fold, d, "all of them came, or are not expected any more", x.At, o)
		}
	}
}
