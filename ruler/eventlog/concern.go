package eventlog

import (
	"slices"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// Concern says for which rows conditions may hold: for no others.
func Concern(c *rule.Conditions) Filter {
	k := c.Keys()
	f := Filter{Names: c.Records}
	if len(f.Names) == 0 {
		f.Names = []string{record.NameWindowsEvent, record.NameJournal}
	}
	// What is not there is the empty text to free conditions, and the id 0.
	said := func(texts []string) []string {
		if slices.Contains(texts, "") {
			return nil
		}
		return texts
	}
	f.Providers, f.Channels, f.Levels = said(k.Provider), said(k.Channel), said(k.Level)
	for _, r := range k.EventID {
		if r.Low <= 0 && 0 <= r.High {
			f.EventIDs = nil
			break
		}
		f.EventIDs = append(f.EventIDs, IDRange(r))
	}
	return f
}

// ConcernDevices says which rows speak of a device, by its type, because rules
// say so. The free conditions of rules are not looked at.
func ConcernDevices(rules []*rule.Rule) map[string][]Filter {
	out := map[string][]Filter{}
	for _, r := range rules {
		spec, ok := r.Spec.(rule.AboutEvents)
		if !ok {
			continue
		}
		for _, e := range spec.Events() {
			if e.Device.Type != "" {
				out[e.Device.Type] = append(out[e.Device.Type], Concern(e.Where))
			}
		}
	}
	return out
}
