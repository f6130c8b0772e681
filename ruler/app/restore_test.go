package app_test

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// drives sends a snapshot of drives, by slot and state.
func (f *fleet) drives(states map[string]string) {
	var devices []record.Device
	for slot, state := range states {
		devices = append(devices, record.Device{Type: record.DevicePhysicalDrive, Place: "c0/e252/" + slot, Occupant: "Z" + slot, Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}})
	}
	f.send(record.ExporterProducer(f.id), record.RAID, record.Record{Name: record.NameSnapshot, Snapshot: &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}}, Devices: devices}})
}

// A backup is put in the place of the store, and the ruler reads the stream again
// from there. What was over by then, and what came and went since the backup, is
// told to nobody a second time; what comes now is.
func TestRestoreTellsNobodyTwice(t *testing.T) {
	_, conn := streamtest.Server(t)
	if err := conn.CreateStreams(t.Context(), stream.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	am := newAlertmanager(t)
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Alertmanager.URLs = t.TempDir(), "127.0.0.1:0", []string{am.URL}
	var page string
	start := func() (stop func()) {
		page, stop = begin(t, app.Options{Config: cfg, Stream: conn, Rules: func() (rulebook.Files, error) { return cfg.Rules.Files() }})
		return stop
	}
	// until waits for the state in which the store has a slot's notification.
	until := func(slot, state string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			var list struct {
				Items []struct{ Device, State string }
			}
			if err := json.Unmarshal([]byte(get(t, page+"/api/v1/notifications?search="+url.QueryEscape(slot))), &list); err != nil {
				t.Fatal(err)
			}
			if len(list.Items) == 1 && list.Items[0].State == state {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s does not become %s: %+v", slot, state, list.Items)
			}
		}
	}
	device := func(slot string) string { return "physical_drive c0/e252/" + slot }

	f := &fleet{t: t, conn: conn, id: record.ID{1, 2, 3}, seq: map[string]uint64{}}
	stop := start()
	f.send("bridge/b1/registry", record.Agent, record.Record{Name: record.NameEnrolled, Attrs: []record.Attr{{Key: record.AttrServer, Value: record.String("db7")}}})
	f.drives(map[string]string{"s1": "Onln", "s2": "Onln", "s3": "Onln"})
	f.drives(map[string]string{"s1": "Failed", "s2": "Onln", "s3": "Onln"})
	am.next(t, device("s1"))
	until("s1", "firing")
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := app.Backup(t.Context(), cfg.Data, copied); err != nil {
		t.Fatal(err)
	}
	f.drives(map[string]string{"s1": "Onln", "s2": "Failed", "s3": "Onln"})
	am.next(t, device("s2"))
	until("s1", "resolved")
	f.drives(map[string]string{"s1": "Onln", "s2": "Onln", "s3": "Onln"})
	until("s2", "resolved")
	stop()
	for len(am.told) > 0 {
		<-am.told
	}

	if _, err := app.Restore(t.Context(), copied, cfg.Data, store.AuditEntry{At: time.Now(), Actor: "ada", Action: "store.restore"}); err != nil {
		t.Fatal(err)
	}
	stop = start()
	until("s1", "resolved")
	until("s2", "resolved")
	f.drives(map[string]string{"s1": "Onln", "s2": "Onln", "s3": "Failed"})
	until("s3", "firing")
	for {
		v := <-am.told
		labels, _ := v["labels"].(map[string]any)
		if labels["device"] == device("s3") {
			break
		}
		ends, err := time.Parse(time.RFC3339, v["endsAt"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if name := labels["alertname"]; name != "Watchdog" && ends.After(time.Now()) {
			t.Errorf("told once more: %s of %v", name, labels["device"])
		}
	}
	var log struct {
		Items []struct{ Actor, Action string }
	}
	if err := json.Unmarshal([]byte(get(t, page+"/api/v1/audit?action=store.restore")), &log); err != nil {
		t.Fatal(err)
	}
	if len(log.Items) != 1 || log.Items[0].Actor != "ada" {
		t.Errorf("audit log %+v", log.Items)
	}
	stop()
}
