package rulebook

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"nocturne/ruler/store"
)

// What is over does not keep anybody from planning: only what stands counts, and
// of what is over the last ones go on to count for records that are read again.
func TestManyWindows(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	window := func(id, action string, to time.Time) store.Window {
		return store.Window{ID: id, Version: 1, Action: action, YAML: fmt.Sprintf("id: %s\nwho: ada\nwhy: boards\nfrom: %s\nto: %s\n", id, to.Add(-time.Hour).Format(time.RFC3339), to.Format(time.RFC3339))}
	}
	var stored []store.Window
	for i := range keepOver + 1 {
		stored = append(stored, window(fmt.Sprintf("over-%d", i), store.WindowMade, now.Add(-time.Duration(i)*time.Minute)))
	}
	for i := range maxPlans {
		stored = append(stored, window(fmt.Sprintf("ended-%d", i), store.WindowEnded, now.Add(time.Hour)), window(fmt.Sprintf("stands-%d", i), store.WindowMade, now.Add(time.Hour)))
	}
	check := func(stored []store.Window) error {
		s := &set{windows: windowsOf(nil, stored, now)}
		return s.checkWindows(&edit{window: &stored[len(stored)-1]})
	}
	if err := check(stored); err != nil {
		t.Errorf("the last one that may stand: %v", err)
	}
	if err := check(append(stored, window("more", store.WindowMade, now.Add(time.Hour)))); !errors.Is(err, ErrInvalid) {
		t.Errorf("one too many: %v", err)
	}
	all := windowsOf(nil, stored, now)
	if n := len(standing(all)); n != maxPlans+keepOver {
		t.Errorf("%d windows count", n)
	}
	for _, w := range all {
		if (w.Off == isOver) != (w.ID == fmt.Sprintf("over-%d", keepOver)) {
			t.Errorf("%s: %q", w.ID, w.Off)
		}
	}
}
