package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"nocturne/ruler/api/apitest"
)

func TestRulesList(t *testing.T) {
	b := newBench(t, nil)
	f := func(query string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range get[RuleList](b, "/rules?"+query).Items {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	f("", "disk-bad-block", "nic-link-lost", "server-silent")
	f("source=store", "nic-link-lost")
	f("kind=match&severity=warning&limit=1", "disk-bad-block")
	f("search=SILENT", "server-silent")
	f("enabled=false")
	d := get[RuleDetail](b, "/rules/disk-bad-block")
	if d.Rule.Fired30d != 3 || d.Rule.LastFired == nil || d.Rule.File != "alerts/records/demo.yml" || d.Rule.Line != 2 || d.Since != 1 || d.Generation.Number != 2 || !strings.HasPrefix(d.YAML, "id: disk-bad-block\n") || d.Explain == "" {
		t.Errorf("rule %+v", d)
	}
}

// Two people edit one rule: the second is told of both.
func TestEditOfAnOlderRule(t *testing.T) {
	b := newBench(t, nil)
	put := func(version int, severity string) (int, RuleProblem) {
		t.Helper()
		w := b.call("PUT", Prefix+"/rules/nic-link-lost", fmt.Sprintf(`{"version":%d,"comment":"","yaml":%s}`, version, quote(strings.Replace(apitest.StoredRule, "warning", severity, 1))), nil)
		var p RuleProblem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		return w.Code, p
	}
	if code, p := put(1, "critical"); code != http.StatusOK {
		t.Fatalf("%d %+v", code, p)
	}
	code, p := put(1, "info")
	if code != http.StatusConflict || p.Current == nil || p.Current.Version != 2 || p.Based == nil || p.Based.Version != 1 || !strings.Contains(p.Diff, "+severity: critical") {
		t.Errorf("%d %+v", code, p)
	}
	if code, p = put(2, "grave"); code != http.StatusUnprocessableEntity || len(p.Mistakes) != 1 || p.Mistakes[0].Line != 4 || p.Mistakes[0].Column != 11 || p.Mistakes[0].Hint == "" {
		t.Errorf("%d %+v", code, p)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/rules/disk-bad-block", `{"version":1,"yaml":"id: x"}`, 403},
		{"PUT", "/rules/none", `{"version":1,"yaml":"id: x"}`, 404},
		{"GET", "/rules/none", "", 404},
		{"GET", "/rules/none/versions", "", 404},
		{"GET", "/rules/nic-link-lost/diff?from=1&to=9", "", 404},
		{"POST", "/rules", `{"yaml":` + quote(apitest.StoredRule) + `}`, 409},
		{"POST", "/rules/nic-link-lost/restore", `{"version":1,"restore":1}`, 409},
		{"DELETE", "/rules/nic-link-lost?version=1", "", 409},
		{"DELETE", "/rules/nic-link-lost?version=2", "", 200},
		{"GET", "/rules/nic-link-lost", "", 404},
		{"GET", "/rules/nic-link-lost/versions", "", 200},
		{"POST", "/rules/nic-link-lost/restore", `{"version":3,"restore":1}`, 200},
		{"POST", "/rules/reload", `{}`, 200},
	} {
		if w := b.call(c.method, Prefix+c.path, c.body, nil); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, c.want, w.Body)
		}
	}
}

// quote writes a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}
