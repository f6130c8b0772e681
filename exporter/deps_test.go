package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// forbidden are packages that the agent must not drag onto every server, and
// why. A prefix ends in "/" or is a whole path.
var forbidden = map[string]string{
	"nocturne/eventbridge/":               "the exporter speaks HTTP to the bridge",
	"nocturne/ruler/":                     "the exporter knows nothing of rules",
	"nocturne/deploy/":                    "the stack starts the exporter, not the other way round",
	"nocturne/internal/stream":            "the stream is behind the bridge",
	"nocturne/internal/corpus":            "for tests only",
	"nocturne/exporter/source/sourcetest": "for tests only",
	"github.com/nats-io/":                 "the stream is behind the bridge",
	"modernc.org/":                        "the agent has no SQL",
	"cel.dev/":                            "no conditions are evaluated here",
	"github.com/prometheus/alertmanager/": "nothing is notified from here",
	"github.com/prometheus/prometheus/":   "remote write is forty lines; prompb brings megabytes",
	"go.opentelemetry.io/":                "OTLP is encoded by internal/record",
	"google.golang.org/grpc":              "frames go over HTTP",
	"k8s.io/":                             "never",
	"github.com/stretchr/":                "for tests only",
	"net/http/pprof":                      "registers itself on a handler that nobody asked for",
	"nocturne/exporter/output/outputtest": "for tests only",
	"github.com/aws/":                     "never",
}

// foreign must not be in the build for a system.
var foreign = map[string][]string{
	"windows": {"github.com/prometheus/node_exporter/", "github.com/prometheus/procfs"},
	"linux":   {"github.com/prometheus-community/windows_exporter/", "github.com/go-ole/"},
}

func TestDependencies(t *testing.T) {
	if testing.Short() {
		t.Skip("lists every package twice")
	}
	for _, goos := range []string{"linux", "windows"} {
		t.Run(goos, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
			cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			deps := strings.Fields(string(out))
			for _, dep := range deps {
				for bad, why := range forbidden {
					if dep == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(dep, bad) || strings.HasPrefix(dep, bad+"/") {
						t.Errorf("depends on %s: %s", dep, why)
					}
				}
				for _, bad := range foreign[goos] {
					if strings.HasPrefix(dep, bad) {
						t.Errorf("depends on %s, which is of no use there", dep)
					}
				}
			}
			t.Logf("%d packages", len(deps))
		})
	}
}
