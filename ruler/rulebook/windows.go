package rulebook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// Window is planned work, of a file or of the store.
type Window struct {
	ID     string
	Source Source
	Plan   *rule.Window  // nil = the store's text cannot be read
	Off    string        // why it does not count although nobody ended it; "" = it does
	Stored *store.Window // of FromStore
	over   bool          // its last time has passed: it may still count for records that are read again
}

// Ended tells whether somebody ended it.
func (w *Window) Ended() bool { return w.Stored != nil && w.Stored.Action == store.WindowEnded }

// maxPlans is how many windows of the store may stand at once: each change is
// held against all of them. keepPlans is for how long one that is over counts, and
// keepOver how many of those do, the last ones: a ruler that reads old records
// again judges as it did.
const (
	maxPlans  = 200
	keepPlans = 31 * 24 * time.Hour
	keepOver  = 500

	isOver = "is over" // why most windows do not count any more: nothing to warn of
)

// windowsOf puts those of files and of the store together, by id.
func windowsOf(files []*rule.Window, stored []store.Window, now time.Time) []Window {
	var out []Window
	taken := map[string]bool{}
	for _, w := range files {
		taken[w.ID] = true
		out = append(out, Window{ID: w.ID, Source: FromFile, Plan: w})
	}
	for i := range stored {
		w := Window{ID: stored[i].ID, Source: FromStore, Stored: &stored[i]}
		plan, err := oneWindow(stored[i].YAML)
		switch {
		case err != nil:
			w.Off = "cannot be read: " + err.Error()
		case taken[w.ID]:
			w.Plan, w.Off = plan, "has the id of a window in a rule file: make it anew under another id"
		case len(plan.Days) == 0 && now.Sub(plan.To) > keepPlans:
			w.Plan, w.Off = plan, isOver
		default:
			w.Plan, w.over = plan, len(plan.Days) == 0 && !now.Before(plan.To)
		}
		out = append(out, w)
	}
	forgetOld(out)
	slices.SortStableFunc(out, func(a, b Window) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// forgetOld lets only the last of those that are over count.
func forgetOld(all []Window) {
	var over []*Window
	for i := range all {
		if w := &all[i]; w.over && !w.Ended() {
			over = append(over, w)
		}
	}
	slices.SortStableFunc(over, func(a, b *Window) int { return b.Plan.To.Compare(a.Plan.To) })
	for _, w := range over[min(keepOver, len(over)):] {
		w.Off = isOver
	}
}

// standing are those of the store that count: rules of files have the others.
func standing(all []Window) []*rule.Window {
	var out []*rule.Window
	for i := range all {
		if w := &all[i]; w.Source == FromStore && w.Off == "" && !w.Ended() {
			out = append(out, w.Plan)
		}
	}
	return out
}

// checkWindows refuses an edit that makes one window too many.
func (s *set) checkWindows(e *edit) error {
	if e == nil || e.window == nil || e.window.Action == store.WindowEnded {
		return nil
	}
	n := 0
	for i := range s.windows {
		if w := &s.windows[i]; w.Source == FromStore && w.Off == "" && !w.over && !w.Ended() {
			n++
		}
	}
	if n > maxPlans {
		return invalid(rule.Errors{{File: StoreFile, Line: 1, Text: fmt.Sprintf("%d windows stand", n), Hint: fmt.Sprintf("at most %d; end those that are not needed", maxPlans)}})
	}
	return nil
}

// oneWindow reads the text of one window, as it would stand in a rule file.
func oneWindow(text string) (*rule.Window, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	pack, err := rule.ParsePack(StoreFile, []byte("windows:\n  - "+strings.Join(lines, "\n    ")+"\n"))
	if err != nil {
		return nil, err
	}
	if len(pack.Windows) != 1 || len(pack.Rules) != 0 {
		return nil, rule.Errors{{File: StoreFile, Line: 1, Text: "it is not one window", Hint: "write the lines of one, without \"windows:\""}}
	}
	return pack.Windows[0], nil
}

// ReadWindow reads the text of a window as Plan would, and keeps nothing.
func ReadWindow(text string) (Window, error) {
	plan, err := oneWindow(text)
	if err != nil {
		return Window{}, invalid(err)
	}
	return Window{ID: plan.ID, Source: FromStore, Plan: plan}, nil
}

// overWindows lays the edit over what is stored.
func (e *edit) overWindows(stored []store.Window) []store.Window {
	if e.window == nil {
		return stored
	}
	stored = append(slices.DeleteFunc(stored, func(w store.Window) bool { return w.ID == e.window.ID }), *e.window)
	slices.SortFunc(stored, func(a, b store.Window) int { return cmp.Compare(a.ID, b.ID) })
	return stored
}

// Windows returns all planned work by id, what is over and ended too.
func (b *Book) Windows() []Window {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.set.windows)
}

// Window returns one; ErrUnknown when there is none.
func (b *Book) Window(id string) (Window, error) {
	for _, w := range b.Windows() {
		if w.ID == id {
			return w, nil
		}
	}
	return Window{}, fmt.Errorf("window %.80q: %w", id, ErrUnknown)
}

// WindowVersions lists the versions of a window of the store, newest first.
func (b *Book) WindowVersions(ctx context.Context, id string) ([]store.Window, error) {
	return b.cfg.Store.WindowVersions(ctx, id)
}

// Plan makes a window from its text.
func (b *Book) Plan(ctx context.Context, who Editor, text string) (Window, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	plan, err := oneWindow(text)
	if err != nil {
		return Window{}, Outcome{}, invalid(err)
	}
	if _, err := b.Window(plan.ID); err == nil {
		return Window{}, Outcome{}, fmt.Errorf("window %q: %w: take another id", plan.ID, ErrTaken)
	}
	return b.writeWindow(ctx, who, store.Window{ID: plan.ID, Version: 1, Action: store.WindowMade, YAML: text})
}

// Replan changes a window of the store that is at the version named.
func (b *Book) Replan(ctx context.Context, who Editor, id string, based int, text string) (Window, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	w, err := b.storedWindow(id, based)
	if err != nil {
		return Window{}, Outcome{}, err
	}
	plan, err := oneWindow(text)
	if err != nil {
		return Window{}, Outcome{}, invalid(err)
	}
	if plan.ID != id {
		return Window{}, Outcome{}, invalid(rule.Errors{{File: StoreFile, Line: 1, Text: fmt.Sprintf("id %q is not %q", plan.ID, id), Hint: "an id never changes: make a new window instead"}})
	}
	w.Version, w.Action, w.YAML = w.Version+1, store.WindowChanged, text
	return b.writeWindow(ctx, who, w)
}

// End ends a window of the store now. Its versions stay, and so does its id.
func (b *Book) End(ctx context.Context, who Editor, id string, based int) (Window, Outcome, error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	w, err := b.storedWindow(id, based)
	if err != nil {
		return Window{}, Outcome{}, err
	}
	w.Version, w.Action = w.Version+1, store.WindowEnded
	return b.writeWindow(ctx, who, w)
}

// storedWindow returns a window that can be edited.
func (b *Book) storedWindow(id string, based int) (store.Window, error) {
	w, err := b.Window(id)
	switch {
	case err != nil:
		return store.Window{}, err
	case w.Source == FromFile:
		return store.Window{}, fmt.Errorf("window %s: %w: change it there", id, ErrReadOnly)
	case w.Ended():
		return store.Window{}, fmt.Errorf("window %s was ended by %s: %w: make a new one", id, w.Stored.Author, store.ErrConflict)
	case w.Stored.Version != based:
		return store.Window{}, fmt.Errorf("window %s was changed by %s: it is at version %d, the edit was made on version %d: %w", id, w.Stored.Author, w.Stored.Version, based, store.ErrConflict)
	}
	return *w.Stored, nil
}

func (b *Book) writeWindow(ctx context.Context, who Editor, w store.Window) (Window, Outcome, error) {
	w.At, w.Author, w.Comment = b.cfg.Now().UTC(), who.Actor, who.Comment
	who.Reason = w.Action + " " + w.ID
	out, err := b.commit(ctx, b.files, who, &edit{window: &w})
	if err != nil {
		return Window{}, Outcome{}, err
	}
	shown, err := b.Window(w.ID)
	return shown, out, err
}
