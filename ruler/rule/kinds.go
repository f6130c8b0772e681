package rule

import "go.yaml.in/yaml/v3"

// kind is one kind of condition: the key in a rule file, and who reads it.
type kind struct {
	name   string
	decode func(d *decoder, n *yaml.Node, r *Rule) Spec // nil after an error
	// What a rule of this kind may say about time.
	mayFor      bool
	mayExpire   bool
	mustExpire  func(Spec) bool // nil = no
	expiresHint string
}

// kinds is the registry. The kinds of later versions belong here, each with
// its file: metric, check, service.
func kinds() []kind {
	return []kind{
		{name: "match", decode: decodeMatch, mayExpire: true,
			mustExpire:  func(s Spec) bool { return s.(*Match).Clear == nil },
			expiresHint: `a match has to end: say which event clears it ("clear:") or when it expires ("expires: 24h")`},
		{name: "state", decode: decodeState, mayFor: true},
		{name: "change", decode: decodeChange, mayExpire: true,
			mustExpire:  func(Spec) bool { return true },
			expiresHint: `a change has no end of its own: say how long it is worth showing ("expires: 24h")`},
		{name: "count", decode: decodeCount},
		{name: "flap", decode: decodeFlap},
		{name: "sequence", decode: decodeSequence, mayExpire: true,
			mustExpire:  func(s Spec) bool { return len(s.(*Sequence).Resolve) == 0 },
			expiresHint: `say what is its end ("resolve:") or when it expires ("expires: 24h")`},
		{name: "absent", decode: decodeAbsent},
		{name: "clone", decode: decodeClone},
		{name: "risk", decode: decodeRisk},
	}
}

// Kinds returns the names of all kinds, for metrics and messages.
func Kinds() []string {
	var out []string
	for _, k := range kinds() {
		out = append(out, k.name)
	}
	return out
}

func kindOf(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}
