//go:build linux

package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/receiver"
	"nocturne/deploy/nocturne/stack"
	"nocturne/internal/corpus"
)

// What the captures hold: a MegaRAID 9560-8i with twelve drives, of which the one in slot 12 becomes UGood when its
// virtual drive is deleted, and twelve events 153 of the provider disk.
const (
	slot12       = "c0/e251/s12"
	serialOf12   = "ZVT1ZB580000C2372XE4"
	deletedDrive = "c0/v228"
	eventsFile   = "sample-with-zero-data-size-event.evtx"
	eventsInFile = 12
	journalText  = "the night watch begins"
)

// chain is a stack whose exporter sees captures where this machine has no hardware to see.
type chain struct {
	*nocturne
	dir     string
	journal string // a line appended here is a line of the journal; "" = journald runs and is used
}

// newChain writes the exporter's configuration the way a person would: by taking over the generated file.
func newChain(t *testing.T) *chain {
	t.Helper()
	raid := filepath.Join(corpus.Dir(t), "raid", "scality.raidmgmt")
	c := &chain{nocturne: newNocturne(t, "run"), dir: t.TempDir()}
	tool := filepath.Join(c.dir, "storcli64")
	goBuild(t, tool, "./fakestorcli", "")
	c.setRAID("before")
	config := fmt.Sprintf(`
data: %s
metrics: {listen: "%s", interval: 1s}
outputs: [{name: eventbridge, url: "%s"}]
heartbeat: {interval: 5s}
raid:
  command: [%s, %s, %s]
  period: 1h
  deadline: 60s
  jitter: 0s
`, stack.Layout{Dir: c.data}.Part("exporter"), stack.Addr(c.ports.Exporter), stack.URL(c.ports.Ingest), tool, raid, c.raidState())
	if _, err := os.Stat("/run/systemd/journal/socket"); err != nil {
		t.Log("no journald runs here: a script stands in for journalctl")
		c.journal = filepath.Join(c.dir, "journal.jsonl")
		writeFile(t, c.journal, "")
		script := filepath.Join(c.dir, "journalctl")
		writeFile(t, script, "#!/bin/sh\n# Stands in for journalctl where no journald runs.\nexec tail -n +1 -f "+c.journal+"\n")
		if err := os.Chmod(script, 0o700); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("journal: {command: [%s]}\n", script)
	}
	writeFile(t, stack.Layout{Dir: c.data}.Config("exporter"), config)
	return c
}

func (c *chain) raidState() string { return filepath.Join(c.dir, "raid-state") }

func (c *chain) setRAID(state string) { writeFile(c.t, c.raidState(), state) }

// logLine makes one live line of the journal, as a program writes it that calls itself so.
func (c *chain) logLine(identifier, text string) {
	c.t.Helper()
	if c.journal == "" {
		if out, err := exec.Command("logger", "-t", identifier, "-p", "user.err", text).CombinedOutput(); err != nil {
			c.t.Fatalf("logger: %v: %s", err, out)
		}
		return
	}
	now := time.Now().UnixMicro()
	line := fmt.Sprintf(`{"__CURSOR":"s=0a;i=1;b=0b;m=1;t=%x;x=1","__REALTIME_TIMESTAMP":"%d","PRIORITY":"3","SYSLOG_IDENTIFIER":"%s","MESSAGE":"%s"}`, now, now, identifier, text)
	f, err := os.OpenFile(c.journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		c.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		c.t.Fatal(err)
	}
}

func goBuild(t *testing.T, out, pkg, goos string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if goos != "" {
		cmd.Env = append(cmd.Env, "GOOS="+goos, "GOARCH=amd64")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
}

// change is what the test reads of the API's changes.
type change struct {
	Kind, Field, Before, After, Place, Server, Text string
	DeviceType                                      string `json:"device_type"`
}

// TestChain is gate A: real data through every part, started the way a user starts it.
func TestChain(t *testing.T) {
	c := newChain(t)
	events := corpus.File(t, "evtx", "omerbenamram.evtx", eventsFile)
	c.fastScrapes()
	c.start()
	server := c.self()

	t.Run("series of the controller", func(t *testing.T) {
		c.expectSeries(t, fmt.Sprintf(`nocturne_raid_physical_drive_state{server=%q,place=%q,state="Onln"} == 1`, server, slot12), 1)
		c.expectSeries(t, fmt.Sprintf(`nocturne_raid_physical_drive_info{server=%q}`, server), 12)
		c.expectSeries(t, fmt.Sprintf(`nocturne_server_info{server=%q}`, server), 1)
	})
	t.Run("series that the exporter pushes", func(t *testing.T) {
		c.expectSeries(t, fmt.Sprintf(`exporter_source_success{server=%q,source="raid"} == 1`, server), 1)
	})
	t.Run("hardware of this machine", func(t *testing.T) {
		wait(t, seeLimit, "hardware in the API", func() error {
			devices, err := c.devices(server)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(devices, func(d device) bool { return d.Category == "hardware" }) {
				return fmt.Errorf("no hardware among %d devices", len(devices))
			}
			return nil
		})
	})
	t.Run("live journal line", func(t *testing.T) {
		c.logLine("nocturne-test", journalText)
		c.expectEvents(t, fmt.Sprintf(`category:=eventlog provider:="nocturne-test" %q`, journalText), 1)
	})
	t.Run("real event log file", func(t *testing.T) {
		c.importEvents(events, "old-windows")
		c.expectEvents(t, `server:="old-windows" name:="windows.event" provider:=disk event_id:=153`, eventsInFile)
		c.expectMessage(t, "firing", "DiskIORetried", "old-windows", "")
		var list struct {
			Complete bool
			Items    []struct {
				Server   string
				RecordID string `json:"record_id"`
			}
		}
		if err := c.api("events?provider=Disk&event_id=150-157&name=windows.event", &list); err != nil || len(list.Items) != eventsInFile || list.Items[0].Server != "old-windows" || !list.Complete {
			t.Fatalf("events of the API: %+v %v", list, err)
		}
		var one struct{ Fields []struct{ Name string } }
		if err := c.api("events/"+list.Items[0].RecordID, &one); err != nil || len(one.Fields) == 0 {
			t.Errorf("one event of the API: %+v %v", one, err)
		}
	})
	t.Run("the drive leaves its virtual drive", func(t *testing.T) {
		// The next round is an hour away: what the driver says makes the exporter look now.
		c.setRAID("after")
		began := time.Now()
		c.logLine("kernel", "megaraid_sas 0000:18:00.0: 2012 (s/0x20/CRIT) - VD e4/228 is now DELETED")
		c.expectChange(t, change{Kind: "field", DeviceType: "physical_drive", Place: slot12, Field: "state", Before: "Onln", After: "UGood"})
		c.expectChange(t, change{Kind: "removed", DeviceType: "virtual_drive", Place: deletedDrive})
		c.expectMessage(t, "firing", "RaidVirtualDriveChanged", server, "virtual_drive "+deletedDrive)
		t.Logf("the driver's line to the message at the receiver: %s", time.Since(began).Round(100*time.Millisecond))
		c.expectSeries(t, fmt.Sprintf(`nocturne_raid_physical_drive_state{server=%q,place=%q,state="UGood"} == 1`, server, slot12), 1)
		devices, err := c.devices(server)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range devices {
			if d.Type == "physical_drive" && d.Place == slot12 && d.Serial != serialOf12 {
				t.Errorf("serial in slot 12 is %q, want %q", d.Serial, serialOf12)
			}
		}
	})
	t.Run("nothing lost, nothing twice", c.expectCleanLedger)
	t.Run("status says so", func(t *testing.T) {
		out, err := c.command("status", "--data", c.data)
		if err != nil || !strings.Contains(out, "0 missing") {
			t.Errorf("nocturne status: %v\n%s", err, out)
		}
	})
	t.Run("goodbye", func(t *testing.T) {
		sent, err := c.messages()
		if err != nil {
			t.Fatal(err)
		}
		c.stop()
		c.start()
		c.expectEvents(t, fmt.Sprintf(`name:="nocturne.goodbye" server:=%q`, server), 1)
		again, err := c.messages()
		if err != nil {
			t.Fatal(err)
		}
		if len(again) < len(sent) {
			t.Fatalf("%d messages after a restart, %d before", len(again), len(sent))
		}
		known := map[string]bool{}
		for _, m := range sent {
			known[saying(m)] = true
		}
		for _, m := range again[:len(again)-len(sent)] { // this machine may have something new to say
			if known[saying(m)] {
				t.Errorf("sent twice: %s", saying(m))
			}
		}
	})
	t.Run("dashboards", c.expectDashboards)
}

// saying is what a message says, whenever it is sent.
func saying(m receiver.Message) string {
	said := []string{m.Receiver, m.Status}
	for _, a := range m.Alerts {
		said = append(said, fmt.Sprint(a.Status, a.Labels, a.StartsAt))
	}
	return strings.Join(said, " ")
}

// importEvents sends the events of a file under an identity of their own, with a join token, as one does with the event
// log of a machine that is gone.
func (c *chain) importEvents(file, name string) {
	c.t.Helper()
	token, err := c.bridge().CreateToken(c.t.Context(), admin.TokenRequest{Uses: 1, TTLS: 60})
	if err != nil {
		c.t.Fatal(err)
	}
	config := filepath.Join(c.dir, "import.yml")
	writeFile(c.t, config, fmt.Sprintf("data: %s\nmetrics: {listen: \"\"}\n", filepath.Join(c.dir, "import")))
	for _, args := range [][]string{
		{"enrol", "--config", config, "--server", stack.URL(c.ports.Ingest), "--token", token.Token, "--name", name},
		{"import", "--config", config, file},
	} {
		out, err := exec.Command(filepath.Join(c.bin, "exporter"), args...).CombinedOutput()
		if err != nil {
			c.t.Fatalf("exporter %s: %v\n%s", args[0], err, out)
		}
		c.t.Logf("exporter %s: %s", args[0], out)
	}
}

// self returns the name that this machine was enrolled with.
func (c *chain) self() (name string) {
	c.t.Helper()
	wait(c.t, seeLimit, "this machine among the servers", func() error {
		var answer struct {
			Items []struct{ Name, State string }
		}
		if err := c.api("servers", &answer); err != nil {
			return err
		}
		if len(answer.Items) != 1 || answer.Items[0].State != "up" {
			return fmt.Errorf("servers %+v, want one that is up", answer.Items)
		}
		name = answer.Items[0].Name
		return nil
	})
	return name
}

type device struct{ Category, Type, Place, Serial, State string }

func (c *chain) devices(server string) ([]device, error) {
	var list struct{ Items []struct{ ID, Name string } }
	if err := c.api("servers", &list); err != nil {
		return nil, err
	}
	for _, s := range list.Items {
		if s.Name == server {
			var detail struct{ Devices []device }
			return detail.Devices, c.api("servers/"+s.ID, &detail)
		}
	}
	return nil, fmt.Errorf("no server %s", server)
}

func (c *chain) expectSeries(t *testing.T, query string, want int) {
	t.Helper()
	wait(t, seeLimit, query, func() error {
		found, err := c.series(query)
		if err == nil && len(found) != want {
			err = fmt.Errorf("%d series, want %d: %v", len(found), want, found)
		}
		return err
	})
}

func (c *chain) expectEvents(t *testing.T, query string, want int) {
	t.Helper()
	wait(t, seeLimit, query, func() error {
		found, err := c.events(query)
		if err == nil && len(found) != want {
			err = fmt.Errorf("%d rows, want %d: %v", len(found), want, found)
		}
		return err
	})
}

func (c *chain) expectMessage(t *testing.T, status, alertname, server, device string) {
	t.Helper()
	wait(t, seeLimit, fmt.Sprintf("message %s %s %s", status, alertname, device), func() error {
		messages, err := c.messages()
		if err != nil {
			return err
		}
		var seen []string
		for _, m := range messages {
			for _, a := range m.Alerts {
				seen = append(seen, a.Status+" "+a.Labels["alertname"]+" "+a.Labels["device"])
				if a.Status == status && a.Labels["alertname"] == alertname && a.Labels["server"] == server && (device == "" || a.Labels["device"] == device) {
					return nil
				}
			}
		}
		return fmt.Errorf("delivered were %q", seen)
	})
}

func (c *chain) expectChange(t *testing.T, want change) {
	t.Helper()
	wait(t, seeLimit, fmt.Sprintf("change %+v", want), func() error {
		var answer struct{ Items []change }
		if err := c.api("changes?limit=1000", &answer); err != nil {
			return err
		}
		var near []string
		for _, got := range answer.Items {
			if got.Kind == want.Kind && got.Place == want.Place && got.DeviceType == want.DeviceType && got.Field == want.Field &&
				(want.Before == "" || got.Before == want.Before && got.After == want.After) {
				return nil
			}
			if got.Place == want.Place {
				near = append(near, got.Text)
			}
		}
		return fmt.Errorf("not among %d changes; at this place: %q", len(answer.Items), near)
	})
}

// expectCleanLedger waits until nothing is on its way and wants nothing to be missing.
func (c *chain) expectCleanLedger(t *testing.T) { c.expectCleanLedgerOf(t, eventsInFile) }

// expectCleanLedgerOf wants at least so many records in it.
func (c *chain) expectCleanLedgerOf(t *testing.T, records int64) {
	t.Helper()
	wait(t, seeLimit, "a clean ledger", func() error {
		var p struct {
			OK     bool
			Text   string
			Ledger struct {
				Received int64 `json:"received_records"`
				Missing  int64 `json:"missing_records"`
				Rejected int64 `json:"rejected_frames"`
			}
		}
		if err := c.api("pipeline", &p); err != nil {
			return err
		}
		if !p.OK || p.Ledger.Missing != 0 || p.Ledger.Rejected != 0 {
			return errors.New(p.Text)
		}
		if p.Ledger.Received < records {
			return fmt.Errorf("only %d records received", p.Ledger.Received)
		}
		return nil
	})
}
