package machine

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"
)

// The names that are let through on Linux are those of the library.
func TestLinuxCollectorsAreKnown(t *testing.T) {
	var names []string
	for _, f := range kingpin.CommandLine.Model().Flags {
		if name, ok := strings.CutPrefix(f.Name, "collector."); ok && f.IsBoolFlag() && !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, known["linux"]) {
		t.Errorf("node_exporter has %v, known are %v", names, known["linux"])
	}
}
