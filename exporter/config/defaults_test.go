package config

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	defaultsPage  = "../../docs/exporter.md"
	defaultsBegin = "<!-- defaults: go test ./exporter/config -update -->\n"
	defaultsEnd   = "<!-- end of defaults -->\n"
)

// The page's table of defaults is made of the code, and its table of rights
// has a row for every source.
func TestThePageHasTheDefaults(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the page has Linux' defaults")
	}
	b, err := os.ReadFile(defaultsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), defaultsBegin)
	old, after, ok2 := strings.Cut(rest, defaultsEnd)
	if !ok || !ok2 {
		t.Fatal("docs/exporter.md has no table of defaults")
	}
	table, sources := defaultsTable(Default())
	if *update && old != table {
		if err := os.WriteFile(defaultsPage, []byte(before+defaultsBegin+table+defaultsEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for row := range strings.Lines(table) {
		name, _, _ := strings.Cut(row, "` |")
		switch {
		case *update || strings.Contains(old, row):
		case strings.Contains(old, name+"` |"):
			t.Errorf("docs/exporter.md has other defaults than the code, go test ./exporter/config -update: %s", row)
		default:
			t.Errorf("docs/exporter.md has no row, go test ./exporter/config -update: %s", row)
		}
	}
	_, rights, _ := strings.Cut(after, "## Rights\n")
	rights, _, _ = strings.Cut(rights, "\n## ")
	for _, s := range sources {
		if !strings.Contains(rights, "\n| `"+s+"` |") {
			t.Errorf("docs/exporter.md, Rights: add a row that says what the source `%s` needs", s)
		}
	}
}

// defaultsTable returns a row for each section that has a schedule or limits,
// and the names of those that are sources.
func defaultsTable(c Config) (table string, sources []string) {
	var b strings.Builder
	b.WriteString("| section | on | period | deadline | jitter | limits and other numbers |\n|---|---|---|---|---|---|\n")
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if v.Field(i).Kind() != reflect.Struct {
			continue
		}
		leaves := map[string]string{}
		var order []string
		collect(v.Field(i), "", leaves, &order)
		var more []string
		for _, k := range order {
			switch k {
			case "enabled", "period", "deadline", "jitter":
			default:
				more = append(more, "`"+k+"` "+leaves[k])
			}
		}
		if len(order) == 0 {
			continue
		}
		if leaves["enabled"] != "" || name == "heartbeat" {
			sources = append(sources, name)
		}
		on := map[string]string{"true": "yes", "false": "no"}[leaves["enabled"]]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", name, on, leaves["period"], leaves["deadline"], leaves["jitter"], strings.Join(more, ", "))
	}
	return b.String(), sources
}

// collect gathers numbers, durations and switches by their keys.
func collect(v reflect.Value, prefix string, leaves map[string]string, order *[]string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		text := ""
		switch x := v.Field(i).Interface().(type) {
		case time.Duration:
			text = short(x)
		case bool, int, int64, uint64, float64:
			text = fmt.Sprint(x)
		default:
			if f.Type.Kind() == reflect.Struct {
				p := prefix + name + "."
				if strings.Contains(options, "inline") {
					p = prefix
				}
				collect(v.Field(i), p, leaves, order)
			}
			continue
		}
		leaves[prefix+name] = text
		*order = append(*order, prefix+name)
	}
}

// short leaves out zeros: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
