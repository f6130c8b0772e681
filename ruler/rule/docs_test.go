package rule_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nocturne/ruler/rule"
)

// What an administrator copies from docs/rules.md is understood: whole files,
// and the parts that stand under the name of a kind.
func TestExamplesOfTheDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(data), "```yaml\n")
	tried := 0
	for _, p := range parts[1:] {
		text, _, _ := strings.Cut(p, "```")
		if strings.HasPrefix(text, "# ruler.yml") || strings.HasPrefix(text, "windows:") || strings.Contains(text, "\ngroups:") /* Prometheus' own format: ruler/metricrule */ || !strings.Contains(text, ":") {
			continue
		}
		for _, example := range examples(text) {
			tried++
			if _, err := rule.Parse("docs/rules.md", []byte(example)); err != nil {
				t.Errorf("%v\n%s", err, example)
			}
		}
	}
	if tried < 15 {
		t.Errorf("only %d examples", tried)
	}
}

// examples cuts at top-level keys and makes a rule of each.
func examples(text string) []string {
	if strings.HasPrefix(text, "rules:") {
		return []string{text}
	}
	var out []string
	for _, line := range strings.SplitAfter(text, "\n") {
		if len(out) == 0 || line != "" && line[0] != ' ' && line[0] != '#' && line[0] != '\n' {
			out = append(out, "")
		}
		out[len(out)-1] += line
	}
	for i, one := range out {
		head := "id: x\nname: X\nclass: c\nseverity: info\nsummary: s\nrunbook: a#b\n"
		var doc map[string]yaml.Node
		if yaml.Unmarshal([]byte(one), &doc) == nil {
			n, isMatch := doc["match"]
			_, isChange := doc["change"]
			_, isSequence := doc["sequence"]
			if isMatch && !strings.Contains(one, "clear:") && n.Kind == yaml.MappingNode || isChange || isSequence && !strings.Contains(one, "resolve:") && !strings.Contains(one, "not:") {
				head += "expires: 1h\n"
			}
		}
		out[i] = head + one
	}
	return out
}
