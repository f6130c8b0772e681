//go:build linux

package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nocturne/deploy/nocturne/stack"
)

// The rule of an administrator whose plugin states licences. No part of Nocturne knows what a licence is.
const licenceRule = `rules:
  - id: licence-ends
    name: LicenceEnds
    class: licence
    severity: warning
    summary: "{{ .Server }}: licence {{ .Place }} is {{ .After }}"
    runbook: check#check-warning
    state: {device: licence, field: state, ok: [valid]}
`

// licences is what the plugin of the check "licences" writes.
func licences(state, devices string) string {
	return fmt.Sprintf(`{"nocturne": 1, "state": %q, "text": "the soonest ends in 9 days", "values": [{"name": "soonest", "value": 9, "unit": "d"}],
		"snapshot": {"sections": [{"type": "licence"}], "devices": [%s]}}`, state, devices)
}

func licence(place, serial, state string) string {
	return fmt.Sprintf(`{"type": "licence", "place": %q, "serial": %q, "fields": {"state": %q, "product": "CAD"}}`, place, serial, state)
}

// TestCheckChain: a plugin that states devices goes through difference, state, notification and series as hardware does. Two
// checks state the same type and do not touch each other's devices.
func TestCheckChain(t *testing.T) {
	c := &chain{nocturne: newNocturne(t, "run"), dir: t.TempDir()}
	layout := stack.Layout{Dir: c.data}
	file := func(name string) string { return filepath.Join(c.dir, name) }
	if err := os.MkdirAll(layout.Rules(), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(layout.Rules(), "licences.yml"), licenceRule)
	writeFile(t, file("licences"), licences("ok", licence("cad", "L-1", "valid")+","+licence("mail", "L-2", "valid")))
	writeFile(t, file("others"), licences("ok", licence("cad", "L-9", "valid")))
	writeFile(t, file("orders"), "# TYPE orders_waiting gauge\norders_waiting{queue=\"eu\"} 5\n")
	if err := os.Mkdir(file("checks.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file("checks.d/orders.yml"), fmt.Sprintf("command: [/bin/cat, %s]\nformat: prometheus\nperiod: 1s\n", file("orders")))
	writeFile(t, layout.Config("exporter"), fmt.Sprintf(`
data: %s
metrics: {listen: "%s", interval: 1s, machine: false}
outputs: [{name: eventbridge, url: "%s"}]
heartbeat: {interval: 5s}
journal: {enabled: false}
raid: {enabled: false}
hardware: {enabled: false}
check:
  folder: %s
  checks:
    - {name: licences, command: [/bin/cat, %s], format: nocturne, period: 1s}
    - {name: others, command: [/bin/cat, %s], format: nocturne, period: 1s}
    - {name: absent, command: [/usr/lib/nagios/plugins/check_that_is_not_there], period: 1s}
`, layout.Part("exporter"), stack.Addr(c.ports.Exporter), stack.URL(c.ports.Ingest), file("checks.d"), file("licences"), file("others")))
	c.start()
	server := c.self()
	expect := func(t *testing.T, typ, place, serial, state string) {
		t.Helper()
		wait(t, seeLimit, typ+" "+place, func() error {
			devices, err := c.devices(server)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(devices, func(d device) bool {
				return d.Category == "check" && d.Type == typ && d.Place == place && d.Serial == serial && d.State == state
			}) {
				return fmt.Errorf("among %+v", devices)
			}
			return nil
		})
	}
	t.Run("devices and series", func(t *testing.T) {
		expect(t, "check", "licences", "", "ok")
		expect(t, "check", "orders", "", "ok")
		expect(t, "check", "absent", "", "unclear")
		expect(t, "licence", "licences/cad", "L-1", "valid")
		expect(t, "licence", "others/cad", "L-9", "valid")
		c.expectSeries(t, fmt.Sprintf(`nocturne_check_state{server=%q,place="licences",state="ok"} == 1`, server), 1)
		c.expectSeries(t, fmt.Sprintf(`nocturne_check_value{server=%q,place="licences",name="soonest",unit="d"} == 9`, server), 1)
		c.expectSeries(t, fmt.Sprintf(`orders_waiting{server=%q,check="orders",queue="eu"} == 5`, server), 1)
		c.expectSeries(t, fmt.Sprintf(`exporter_source_success{server=%q,source="check/absent"} == 0`, server), 1)
		c.expectEvents(t, `category:=check name:="nocturne.check.result" "absent"`, 1)
	})
	t.Run("another licence at the place, and it ends soon", func(t *testing.T) {
		writeFile(t, file("licences"), licences("warning", licence("cad", "L-3", "ending")+","+licence("mail", "L-2", "valid")))
		c.expectChange(t, change{Kind: "replaced", DeviceType: "licence", Place: "licences/cad", Before: "L-1", After: "L-3"})
		c.expectChange(t, change{Kind: "field", DeviceType: "licence", Place: "licences/cad", Field: "state", Before: "valid", After: "ending"})
		c.expectChange(t, change{Kind: "field", DeviceType: "check", Place: "licences", Field: "state", Before: "ok", After: "warning"})
		c.expectMessage(t, "firing", "LicenceEnds", server, "licence licences/cad")
		c.expectSeries(t, fmt.Sprintf(`nocturne_check_state{server=%q,place="licences",state="warning"} == 1`, server), 1)
	})
	t.Run("it is renewed, another is gone, and the other check's are there", func(t *testing.T) {
		writeFile(t, file("licences"), licences("ok", licence("cad", "L-3", "valid")))
		c.expectMessage(t, "resolved", "LicenceEnds", server, "licence licences/cad")
		c.expectChange(t, change{Kind: "removed", DeviceType: "licence", Place: "licences/mail"})
		expect(t, "licence", "others/cad", "L-9", "valid")
	})
	t.Run("a check that is taken out is gone", func(t *testing.T) {
		if err := os.Remove(file("checks.d/orders.yml")); err != nil {
			t.Fatal(err)
		}
		c.stop()
		c.start()
		c.expectChange(t, change{Kind: "removed", DeviceType: "check", Place: "orders"})
		expect(t, "licence", "licences/cad", "L-3", "valid")
	})
	t.Run("nothing lost, nothing twice", func(t *testing.T) { c.expectCleanLedgerOf(t, 0) })
}
