package registry

import (
	"fmt"
	"regexp"
	"strings"
)

// Where a label comes from, the strongest first: what a person or the register
// says holds over the join token, and that over the pattern of a name.
const (
	FromRegister  = "register"
	FromEnrolment = "enrolment"
	FromPattern   = "pattern"
)

// Sources say where each label comes from; "" = no label, or one that was set
// before sources were noted.
type Sources struct {
	Site  string `json:"site,omitempty"`
	Rack  string `json:"rack,omitempty"`
	Role  string `json:"role,omitempty"`
	Owner string `json:"owner,omitempty"`
}

// String is how records carry it: "site=register rack=pattern".
func (s Sources) String() string {
	var out []string
	for _, f := range [...]struct{ name, from string }{{"site", s.Site}, {"rack", s.Rack}, {"role", s.Role}, {"owner", s.Owner}} {
		if f.from != "" {
			out = append(out, f.name+"="+f.from)
		}
	}
	return strings.Join(out, " ")
}

// kept leaves the source of a label that did not change what it was.
func (s Sources) kept(before, after Labels, now Sources) Sources {
	for _, f := range [...]struct {
		same bool
		was  string
		now  *string
	}{{before.Site == after.Site, s.Site, &now.Site}, {before.Rack == after.Rack, s.Rack, &now.Rack}, {before.Role == after.Role, s.Role, &now.Role}, {before.Owner == after.Owner, s.Owner, &now.Owner}} {
		if f.same {
			*f.now = f.was
		}
	}
	return now
}

// Pattern gives labels to servers whose names fit, where nobody said others:
// fixed ones, and those that a named group of the expression finds.
type Pattern struct {
	Name  string `yaml:"name"` // ^(?P<site>[a-z]{3})-(?P<rack>r\d+)-
	Site  string `yaml:"site"`
	Rack  string `yaml:"rack"`
	Role  string `yaml:"role"`
	Owner string `yaml:"owner"`
}

const maxPatterns = 200

func checkPatterns(list []Pattern) error {
	if len(list) > maxPatterns {
		return fmt.Errorf("registry.patterns: %d, want at most %d", len(list), maxPatterns)
	}
	for i, p := range list {
		re, err := regexp.Compile("(?i)" + p.Name)
		if err != nil || p.Name == "" || len(p.Name) > maxLabel {
			return fmt.Errorf("registry.patterns[%d].name %.60q: want a regular expression such as ^(?P<site>[a-z]{3})-(?P<rack>r[0-9]+)-", i, p.Name)
		}
		gives := p.Site + p.Rack + p.Role + p.Owner
		for _, g := range re.SubexpNames()[1:] {
			switch g {
			case "site", "rack", "role", "owner":
				gives += g
			case "":
			default:
				return fmt.Errorf("registry.patterns[%d].name: group %.40q is no label, want site, rack, role or owner", i, g)
			}
		}
		if gives == "" {
			return fmt.Errorf("registry.patterns[%d]: gives no label: name a group (?P<site>…), or write site: …", i)
		}
		if err := (Labels{Site: p.Site, Rack: p.Rack, Role: p.Role, Owner: p.Owner}).Validate(); err != nil {
			return fmt.Errorf("registry.patterns[%d]: %w", i, err)
		}
	}
	return nil
}

// place notes where the labels of a server come from and fills the empty ones
// from the patterns; the first that gives one counts.
func (r *Registry) place(s *Server, said string) {
	byPattern := map[string]string{}
	for _, p := range r.cfg.Patterns {
		re, err := regexp.Compile("(?i)" + p.Name)
		if err != nil {
			continue // Validate refused it
		}
		found := re.FindStringSubmatch(s.Name)
		if found == nil {
			continue
		}
		gives := map[string]string{"site": p.Site, "rack": p.Rack, "role": p.Role, "owner": p.Owner}
		for i, g := range re.SubexpNames() {
			if g != "" && found[i] != "" {
				gives[g] = strings.ToLower(found[i])
			}
		}
		for name, v := range gives {
			if byPattern[name] == "" && checkText(name, v, maxLabel) == nil {
				byPattern[name] = v
			}
		}
	}
	for _, f := range [...]struct {
		name        string
		value, from *string
	}{{"site", &s.Labels.Site, &s.From.Site}, {"rack", &s.Labels.Rack, &s.From.Rack}, {"role", &s.Labels.Role, &s.From.Role}, {"owner", &s.Labels.Owner, &s.From.Owner}} {
		switch {
		case *f.value != "":
			*f.from = said
		case byPattern[f.name] != "":
			*f.value, *f.from = byPattern[f.name], FromPattern
		default:
			*f.from = ""
		}
	}
}
