package rule

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Risk fires for a device of which a rule says that it is going to fail, while
// the group that it belongs to has lost its redundancy: worse than either. It
// watches what other rules hold open and clears when one of them is over.
type Risk struct {
	Degraded []string // ids of rules about arrays that work without redundancy
	Weak     []string // ids of rules about drives that still work, and not for long
	Failed   []string // ids of rules about drives that do not work: they are no risk any more

	lines map[string]int // where it names a rule first
}

func decodeRisk(d *decoder, n *yaml.Node, _ *Rule) Spec {
	r := &Risk{lines: map[string]int{}}
	ids := func(to *[]string, what string) field {
		return field{what, func(n *yaml.Node) {
			for _, id := range d.texts(n, what) {
				if !idForm.MatchString(id) {
					d.fail(n.Line, fmt.Sprintf("%s %.40q", what, id), "write ids of rules")
				}
				*to = append(*to, id)
				if r.lines[id] == 0 {
					r.lines[id] = n.Line
				}
			}
		}}
	}
	d.mapping(n, "risk", ids(&r.Degraded, "degraded"), ids(&r.Weak, "weak"), ids(&r.Failed, "failed"))
	if n.Kind != yaml.MappingNode {
		return nil
	}
	d.need(n, "risk", "for example {degraded: raid-virtual-drive-degraded, weak: raid-drive-predicted}", "degraded", "weak")
	return r
}

// Explain implements Spec.
func (k *Risk) Explain(*Rule) string {
	out := fmt.Sprintf("Fires for a drive of which %s holds, while %s holds for an array of its drive group", orList(k.Weak), orList(k.Degraded))
	if len(k.Failed) > 0 {
		out += ", unless " + orList(k.Failed) + " holds for it"
	}
	return out + "; clears when one of them is over."
}

// Names returns the ids of other rules that a rule names, sorted.
func (r *Rule) Names() []string {
	if k, ok := r.Spec.(*Risk); ok {
		return slices.Sorted(maps.Keys(k.lines))
	}
	return nil
}

// watched are the kinds whose rules hold problems of devices open.
var watched = []string{"match", "state", "count", "flap", "change"}

// Dangling returns an error for every rule that one of the rules names and that
// cannot be meant. all are the rules that there are, carried out or not.
func Dangling(rules, all []*Rule) Errors {
	var errs Errors
	byID := map[string]*Rule{}
	for _, r := range all {
		byID[r.ID] = r
	}
	for _, r := range rules {
		for _, id := range r.Names() {
			fail := func(text, hint string) {
				errs = append(errs, &Error{File: r.File, Line: r.Spec.(*Risk).lines[id], Text: text, Hint: hint})
			}
			switch other := byID[id]; {
			case id == r.ID:
				fail(fmt.Sprintf("rule %q names itself", id), "name the rules that say which drives and arrays have a problem")
			case other == nil:
				hint := "name one of the rules that are read together with this one"
				if near := nearest(id, slices.Sorted(maps.Keys(byID))); near != "" {
					hint = fmt.Sprintf("did you mean %q?", near)
				}
				fail(fmt.Sprintf("there is no rule %q", id), hint)
			case !slices.Contains(watched, other.Kind):
				fail(fmt.Sprintf("rule %q is of kind %s", id, other.Kind), "name rules about devices, of kind "+orList(watched))
			}
		}
	}
	return errs
}
