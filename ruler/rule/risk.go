package rule

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Risk fires for a device of which a rule says that it is going to fail, while
// the group that it belongs to has lost its redundancy: worse than either. It
// watches what other rules hold open and clears when one of them is over.
type Risk struct {
	Degraded []string // ids of rules about arrays that work without redundancy
	Weak     []string // ids of rules about drives that still work, and not for long
	Failed   []string // ids of rules about drives that do not work: they are no risk any more
}

func decodeRisk(d *decoder, n *yaml.Node, _ *Rule) Spec {
	r := &Risk{}
	ids := func(to *[]string, what string) field {
		return field{what, func(n *yaml.Node) {
			for _, id := range d.texts(n, what) {
				if !idForm.MatchString(id) {
					d.fail(n.Line, fmt.Sprintf("%s %.40q", what, id), "write ids of rules")
				}
				*to = append(*to, id)
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
