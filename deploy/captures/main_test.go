package captures

import (
	"os"
	"testing"

	"nocturne/exporter/source/evtx"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == evtx.Subcommand {
		os.Exit(evtx.Child(os.Args[2:], os.Stdout))
	}
	os.Exit(m.Run())
}
