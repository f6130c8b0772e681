package captures

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nocturne/exporter/source/evtx"
	"nocturne/internal/corpus"
	"nocturne/internal/record"
)

// opened is what the default rules make of all captured event logs: how many
// notifications each rule opens, by file. Each line was looked at, and so were
// all kinds of warnings and errors that no rule tells: what is not here, some
// 15,000 other events, is nobody's problem (DNS answers that came late, DCOM
// permissions, Bluetooth, a time server without name for a moment), or no
// hardware's: a NetBIOS name that is used twice, once.
var opened = map[string]map[string]int{
	// A workstation over two years, a virtual machine that is paused and resumed.
	// Its network card loses the link 142 times and mostly has it back within
	// moments, which is nothing: 8 losses last, and 25 times it comes and goes again
	// and again. (A rule that fired with each loss opened 114.)
	// Its clock, which stood still meanwhile, jumps by up to a week when it goes on:
	// 60 times by more than five minutes (of 251), in 19 notifications of six hours each.
	// Two disks fail to page, once each. Four services stop or do not start with an
	// error, two updates fail: all of them say so themselves, at level error.
	"omerbenamram.evtx/system.evtx": {"nic-link-lost": 8, "nic-link-flaps": 25, "disk-paging-error": 2, "service-failed": 4, "update-failed": 2, "time-jumped": 19},
	// 7009 (a service did not connect in time) is not among the rule's events: it
	// names the service second and is followed by 7000, which names it first.
	//
	// IP Helper and the update orchestrator stop with an error; two store apps
	// cannot be installed.
	"omerbenamram.evtx/2-vss_7-System.evtx": {"service-failed": 2, "update-failed": 2},
	// Twelve requests to a virtual disk are retried, on two evenings more than six
	// hours apart: two notifications. Four services stop with an error. The clock is
	// set forward by seven minutes once.
	"omerbenamram.evtx/sample-with-zero-data-size-event.evtx": {"disk-io-retried": 2, "service-failed": 4, "time-jumped": 1},
	// An attack: hundreds of services with code for names are made and do not
	// start. One rule tells eight problems of a server apart within an hour; all
	// others are parts of the eighth, which lists them.
	"mdecrevoisier.EVTX-to-MITRE-Attack/TA0002-Execution__T1569.002-Service_execution__ID7000,7009,7045-Payload_deployed_via_service_-_Tchopper.evtx": {"service-failed": 8},
}

// All captured event logs run through the default rules, each as one server's.
func TestEventLogs(t *testing.T) {
	root := filepath.Join(corpus.Dir(t), "evtx")
	got := map[string]map[string]int{}
	files, events := 0, 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Ext(path) != ".evtx" {
			return err
		}
		d := newDesk(t)
		emit := func(_ context.Context, recs []record.Record, _ []byte) error {
			for i := range recs {
				if r := &recs[i]; r.Time.After(d.now) || events == 0 {
					d.now = r.Time // the stream's time never goes back
				}
				events++
				d.step(record.EventLog, &recs[i])
			}
			return nil
		}
		files++
		d.now = d.now.AddDate(-30, 0, 0)
		if _, err := evtx.Import(t.Context(), path, emit, evtx.Options{}); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		name, _ := filepath.Rel(root, path)
		for _, line := range d.told {
			if effect, rest, _ := strings.Cut(line, " "); effect == "opened" {
				rule, _, _ := strings.Cut(rest, " ")
				if got[name] == nil {
					got[name] = map[string]int{}
				}
				got[name][rule]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 60 || events < 15_000 {
		t.Fatalf("%d events in %d files", events, files)
	}
	t.Logf("%d events in %d files", events, files)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !maps.Equal(got[name], opened[name]) {
			t.Errorf("%s opens %v, want %v", name, got[name], opened[name])
		}
	}
	for name := range opened {
		if got[filepath.FromSlash(name)] == nil {
			t.Errorf("%s opens nothing, want %v", name, opened[name])
		}
	}
}
