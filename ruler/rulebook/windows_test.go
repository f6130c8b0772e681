package rulebook_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

const swapped = "id: swapped\nname: Swapped\nclass: own\nseverity: info\nsummary: own\nrunbook: a#b\nexpires: 1h\nchange: {device: memory, kinds: [replaced]}\n"

const work = "id: %s\nwho: ada\nwhy: boards\nfrom: 2001-09-01T00:00:00Z\nto: 2001-09-2%d\n"

// Planned work is given to rules of kind change and no others, keeps their state,
// and holds until it is ended; all of it survives a restart.
func TestPlannedWork(t *testing.T) {
	d := newDesk(t)
	if _, _, err := d.Create(ctx, ada, swapped); err != nil {
		t.Fatal(err)
	}
	windows := func() (ids []string) {
		for _, r := range d.told.Rules {
			if c, ok := r.Spec.(*rule.Change); ok {
				for _, w := range c.Windows {
					ids = append(ids, fmt.Sprintf("%s until %s", w.ID, w.To.Format("02")))
				}
			}
		}
		return ids
	}
	shape := func() string {
		i := slices.IndexFunc(d.told.Rules, func(r *rule.Rule) bool { return r.ID == "swapped" })
		return d.told.Rules[i].Shape
	}
	before, was := shape(), d.told.Number
	w, out, err := d.Plan(ctx, ada, fmt.Sprintf(work, "bern", 0)+"")
	if err == nil {
		t.Fatalf("a window without a time of day was taken: %+v", w)
	}
	text := func(id string, day int) string {
		return strings.TrimSuffix(fmt.Sprintf(work, id, day), "\n") + "T00:00:00Z\n"
	}
	if w, out, err = d.Plan(ctx, ada, text("bern", 0)); err != nil || w.Stored.Version != 1 || out.Generation != was+1 || !slices.Equal(out.Changes, []string{"planned bern"}) {
		t.Fatalf("%+v %+v %v", w, out, err)
	}
	if _, _, err := d.Replan(ctx, bob, "bern", 1, text("bern", 1)); err != nil {
		t.Fatal(err)
	}
	d.open()
	if got := windows(); !slices.Equal(got, []string{"bern until 21"}) || shape() != before {
		t.Errorf("carried out: %q, shape %s, was %s", got, shape(), before)
	}
	for what, err := range map[string]error{
		"the same id":           second(d.Plan(ctx, bob, text("bern", 2))),
		"an old version":        second(d.Replan(ctx, bob, "bern", 1, text("bern", 2))),
		"the end of an old one": second(d.End(ctx, bob, "bern", 1)),
		"another id":            second(d.Replan(ctx, bob, "bern", 2, text("chur", 2))),
		"none":                  second(d.End(ctx, bob, "chur", 1)),
		"two windows":           second(d.Plan(ctx, bob, text("chur", 2)+"- id: x\n")),
	} {
		if !errors.Is(err, rulebook.ErrTaken) && !errors.Is(err, store.ErrConflict) && !errors.Is(err, rulebook.ErrInvalid) && !errors.Is(err, rulebook.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := d.End(ctx, bob, "bern", 2); err != nil || len(windows()) != 0 {
		t.Errorf("ended: %v, carried out %q", err, windows())
	}
	versions, err := d.WindowVersions(ctx, "bern")
	if err != nil || len(versions) != 3 || versions[0].Action != store.WindowEnded || versions[0].Author != "bob" {
		t.Errorf("versions %+v, %v", versions, err)
	}
	log, err := d.store.AuditLog(ctx, store.AuditQuery{Limit: 10})
	if err != nil || log[0].Action != "rules.end" || log[0].Subject != "bern" || log[0].Actor != "bob" || log[0].Via != "token 7" {
		t.Errorf("audit log %+v, %v", log, err)
	}
}

func second(_ rulebook.Window, _ rulebook.Outcome, err error) error { return err }
