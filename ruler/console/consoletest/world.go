package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// reader is the fixed fleet, which can fail, be empty, and keeps its pipeline
// as fresh as the clock.
type reader struct {
	*apitest.Fleet
	kept *sqlite.Store // the same notifications, for what people do with them
	mu   sync.Mutex
	mode string
}

// gone are stays that are over, of drives that failed in one server and were
// tried in another: the only ones on the fixed fleet.
func gone(now time.Time) []store.Occupant {
	stay := func(serial string, server int, name, place string, since, until time.Duration) store.Occupant {
		o := store.Occupant{Serial: serial, Model: "ST4000NM0035-1V4107", Server: apitest.ID(server), Name: name, Category: record.RAID, Type: record.DevicePhysicalDrive, Place: place, Simulated: true, Since: now.Add(-since), Until: now.Add(-until)}
		o.LastSeen = o.Until
		return o
	}
	const day = 24 * time.Hour
	return []store.Occupant{
		stay("ZA10504K", 7, "sim-north-07", "c0/e252/s2", 300*day, 21*day), stay("ZA10504K", 3, "sim-north-03", "c0/e252/s9", 320*day, 301*day),
		stay("ZA10404X", 5, "sim-north-05", "c0/e252/s7", 200*day, 30*time.Hour),
	}
}

func (r *reader) set(mode string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = mode
}

func (r *reader) is(mode string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mode == mode
}

var errBroken = errors.New("the store is broken, as the test asked")

// now returns what the store holds at this moment.
func (r *reader) now() *apitest.Fleet {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.mode {
	case "fail":
		return &apitest.Fleet{Err: errBroken}
	case "empty":
		return &apitest.Fleet{}
	default:
		return r.Fleet
	}
}

// Servers implements store.Reader.
func (r *reader) Servers(ctx context.Context, q store.ServerQuery) (store.ServerPage, error) {
	return r.now().Servers(ctx, q)
}

// Changes implements store.Reader.
func (r *reader) Changes(ctx context.Context, q store.ChangeQuery) (store.ChangePage, error) {
	return r.now().Changes(ctx, q)
}

// Notifications implements store.Reader.
func (r *reader) Notifications(ctx context.Context, q store.NotificationQuery) (store.NotificationPage, error) {
	if r.is("fail") || r.is("empty") {
		return r.now().Notifications(ctx, q)
	}
	return r.kept.Notifications(ctx, q)
}

// Notification implements store.Reader.
func (r *reader) Notification(ctx context.Context, id string) (store.NotificationDetail, error) {
	return r.kept.Notification(ctx, id)
}

// AuditLog implements store.Reader.
func (r *reader) AuditLog(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	if r.is("fail") || r.is("empty") {
		return nil, r.now().Err
	}
	return r.kept.AuditLog(ctx, q)
}

// Silent implements store.Reader.
func (r *reader) Silent(ctx context.Context) ([]store.SilentServer, error) {
	return r.now().Silent(ctx)
}

// Overview implements store.Reader.
func (r *reader) Overview(ctx context.Context) (store.Overview, error) { return r.now().Overview(ctx) }

// WorkingState shows the ledger.
func (r *reader) WorkingState(ctx context.Context, partition int) ([]byte, [][]byte, error) {
	return r.now().WorkingState(ctx, partition)
}

// Pipeline implements store.Reader.
func (r *reader) Pipeline(ctx context.Context) (store.Pipeline, error) {
	p, err := r.now().Pipeline(ctx)
	fresh := make([]store.PartitionStatus, len(p.Partitions))
	for i, v := range p.Partitions {
		v.StreamTime, v.Clock, v.Committed = time.Now(), time.Now(), time.Now()
		if r.is("frozen") {
			v.Frozen = "the bridge is not heard"
		}
		fresh[i] = v
	}
	p.Partitions = fresh
	return p, err
}

// neighbours plays the bridge, the demo receiver and the simulator.
func (w *world) neighbours(mux *http.ServeMux) {
	mux.HandleFunc("GET /neighbour/admin/v1/status", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `{"bridge":"b1","version":"0.2.0","ingest_url":"http://127.0.0.1:9470","listen_url":"https://10.20.0.5:9471","ca_fingerprint":"3f1e0c6b8a9d7e5f4c3b2a190807060504030201fedcba98765432100a1b2c3d","probe":{"ok":true},
			"stages":{"append":{"in":149320,"out":149318,"waiting":2,"dropped":{}},"ingest":{"in":149321,"out":149320,"waiting":0,"dropped":{"malformed":1,"busy":0}},"otlp":{"in":0,"out":0,"waiting":0,"dropped":{}}},
			"stream":[{"partition":0,"incarnation":"01JD0","first":1,"head":2003,"bytes":1024},{"partition":1,"incarnation":"01JD0","first":1,"head":2001,"bytes":1024}],
			"sinks":[{"name":"victoriametrics","lag_entries":0,"in_records":149318,"out_records":149318,"waiting_records":0,"dropped_records":{},"store":"up"},
			{"name":"victorialogs","lag_entries":2,"in_records":149318,"out_records":149310,"waiting_records":8,"dropped_records":{},"store":"up"}]}`)
	})
	mux.HandleFunc("POST /neighbour/admin/v1/tokens", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, map[string]any{"token": "nocj.5f2c91aa07.Zk3xw0qB8uHc1dVt5sYyE2nRr9LpGm4JfKq7AaXo6Ti", "id": "5f2c91aa07", "expires": time.Now().Add(time.Hour)})
	})
	mux.HandleFunc("POST /neighbour/admin/v1/servers/{id}/labels", func(rw http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == apitest.ID(7).String() {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusConflict)
			answer(rw, map[string]string{"error": "its labels are others", "hint": "read them again"})
			return
		}
		answer(rw, struct{}{})
	})
	w.joinTokens(mux)
	mux.HandleFunc("POST /neighbour/incident", func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken = append(w.broken, string(body))
		answer(rw, map[string]string{"text": "Simulated: begun. Watch the notifications."})
	})
	start := time.Now()
	mux.HandleFunc("GET /neighbour/messages", func(rw http.ResponseWriter, _ *http.Request) {
		type object = map[string]any
		alert := func(status, name, severity, server, id string) object {
			return object{"status": status, "startsAt": start, "labels": object{"alertname": name, "severity": severity, "server": server, "server_id": apitest.ID(5).String(), "notification_id": id, "simulated": "true", "device": "physical_drive c0/e252/s4"},
				"annotations": object{"summary": name + " on " + server, "description": "Its evidence."}}
		}
		answer(rw, object{"messages": []object{
			{"received_at": start.Add(-20 * time.Minute), "status": "firing", "alerts": []object{alert("firing", "Rack s01 is silent", "critical", "sim-south-12", "e5f6071829304152")}},
			{"received_at": start.Add(-19 * time.Minute), "status": "resolved", "alerts": []object{alert("resolved", "Rack s01 is silent", "critical", "sim-south-12", "e5f6071829304152")}},
			{"received_at": start.Add(-7 * time.Minute), "status": "firing", "alerts": []object{alert("firing", "Drive failed in slot c0/e252/s4", "critical", "sim-north-05", "a1b2c3d4e5f60718"),
				alert("firing", "Drive failed in slot c0/e252/s4", "warning", "sim-north-05", "a1b2c3d4e5f60718"), alert("firing", apitest.Hostile[0], "warning", apitest.Hostile[1], "f607182930415263")}},
		}})
	})
}
