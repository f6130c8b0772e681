package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

type statement int

const (
	stMove statement = iota
	stBase
	stDelta
	stDeltasDone
	stServer
	stServerLabels
	stServerFacts
	stServerState
	stServerSeen
	stServerClones
	stServerAddress
	stServerSums
	stServerParts
	stDevice
	stDeviceDelete
	stOccupantLeft
	stOccupantCame
	stServerLog
	stRegister
	stRegisterDelete
	stSnapshot
	stCurrent
	stHistory
	stChange
	stNotification
	stEvidence
	stEvidenceBound
	stFold
	stFact
	stFactsDone
	stAudit
	stDelivery
	stGeneration
	stGenerationEntry
	stRuleCount
	stPruneChanges
	stPruneHistory
	stPruneServerLog
	stPruneOccupants
	stPruneSnapshots
	stPruneEvidence
	stPruneEvidenceOf
	stPruneDeliveries
	stPruneNotifications
	stPruneAudit
	stPruneVerdicts
	statementCount
)

var statementNames = [statementCount]string{
	"move position", "write base", "write delta", "fold deltas",
	"add server", "write labels", "write server facts", "write server state", "write last seen", "write clone flag", "write address", "sum up server", "sum up devices",
	"write device", "delete device", "close occupant", "open occupant", "write server log", "write register", "delete from register", "write snapshot", "write current snapshot", "write history", "write change",
	"write notification", "write evidence", "bound evidence", "fold notification",
	"write fact", "delete facts", "write audit log", "write delivery",
	"move generation", "write generation entry", "count verdicts",
	"prune changes", "prune history", "prune server log", "prune occupants", "prune snapshots", "prune evidence", "prune evidence of notifications", "prune deliveries", "prune notifications", "prune audit log", "prune verdicts",
}

// Notifications that closed before the retention go with all they own, in one
// transaction: the same ones for each table.
const pruned = `(SELECT id FROM notifications WHERE state = 'resolved' AND changed < ? ORDER BY changed, id LIMIT 100)`

var statementSQL = [statementCount]string{
	stMove: `UPDATE partitions SET incarnation = ?, entry = ?, stream_time = ?, clock = ?, committed = ?, frozen = ?, ledger = ?, losses = ?
		WHERE id = ? AND epoch = ? AND incarnation = ? AND entry = ?`,
	stBase:         `INSERT INTO state_base (partition, bytes) VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET bytes = excluded.bytes`,
	stDelta:        `INSERT INTO state_delta (partition, bytes) VALUES (?, ?)`,
	stDeltasDone:   `DELETE FROM state_delta WHERE partition = ?`,
	stServer:       `INSERT INTO servers (id, partition) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`,
	stServerLabels: `UPDATE servers SET name = ?, site = ?, rack = ?, role = ?, owner = ?, labels_from = ?, simulated = ?, enrolled = CASE WHEN ? <> 0 THEN ? ELSE enrolled END WHERE id = ?`,
	stServerFacts: `UPDATE servers SET os_name = ?, os_type = ?, os_version = ?, os_build = ?, boot_time = ?, exporter_version = ?,
		reported_name = ?, machine_id = ?, smbios_uuid = ?, interval = ? WHERE id = ?`,
	stServerState:   `UPDATE servers SET state = ?, state_reason = ?, state_since = ? WHERE id = ?`,
	stServerSeen:    `UPDATE servers SET last_seen = ?, skew = ? WHERE id = ?`,
	stServerClones:  `UPDATE servers SET clone_of = ?, clones = ? WHERE id = ?`,
	stServerAddress: `UPDATE servers SET address = ?, subnet = ? WHERE id = ?`,
	stServerSums: `UPDATE servers SET (open, worst, worst_word) = (
		SELECT count(*), coalesce(max(rank), 0), coalesce((SELECT severity FROM notifications WHERE server = ? AND state = 'firing' AND (muted = '' OR folded_into <> '') ORDER BY rank DESC LIMIT 1), '')
		FROM notifications WHERE server = ? AND state = 'firing' AND (muted = '' OR folded_into <> '')) WHERE id = ?`,
	stServerParts: `UPDATE servers SET
		model = coalesce((SELECT model FROM devices WHERE server = ?1 AND category = 4 AND type = 'system' AND removed = 0 LIMIT 1), model),
		reboot = coalesce((SELECT json_extract(fields, '$.reboot_required') IN (1, 'true') FROM devices WHERE server = ?1 AND category = 5 AND type = 'update_status' LIMIT 1), 0),
		updates_security = (SELECT count(*) FROM devices WHERE server = ?1 AND category = 5 AND type = 'update_pending' AND removed = 0 AND json_extract(fields, '$.security') IN (1, 'true')),
		updates = CASE WHEN EXISTS (SELECT 1 FROM devices WHERE server = ?1 AND category = 5 AND type = 'update_status' AND state <> 'unknown')
			THEN (SELECT count(*) FROM devices WHERE server = ?1 AND category = 5 AND type = 'update_pending' AND removed = 0) ELSE -1 END
		WHERE id = ?1`,
	stDevice: `INSERT INTO devices (server, category, type, place, occupant, state, fields, first, changed, removed, model, firmware)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, coalesce(json_extract(?7, '$.model'), ''), coalesce(json_extract(?7, '$.firmware'), ''))
		ON CONFLICT DO UPDATE SET occupant = excluded.occupant, state = excluded.state, fields = excluded.fields, changed = excluded.changed, removed = excluded.removed,
		model = excluded.model, firmware = excluded.firmware`,
	stDeviceDelete: `DELETE FROM devices WHERE server = ? AND category = ? AND type = ? AND place = ?`,
	stOccupantLeft: `UPDATE occupants SET until = max(since, ?) WHERE server = ? AND category = ? AND type = ? AND place = ? AND until = 0 AND serial <> ?`,
	stOccupantCame: `INSERT INTO occupants (serial, server, category, type, place, model, since, until)
		SELECT ?1, ?2, ?3, ?4, ?5, coalesce(json_extract(?6, '$.model'), ''), ?7, 0
		WHERE NOT EXISTS (SELECT 1 FROM occupants WHERE server = ?2 AND category = ?3 AND type = ?4 AND place = ?5 AND until = 0)`,
	stServerLog: `INSERT INTO server_log (server, kind, at, value, turns) SELECT ?1, ?2, ?3, ?4,
		CASE ?2 WHEN 'labels' THEN 1 WHEN 'state' THEN (?4 ->> 'state' IN ('up', 'silent')) <>
			coalesce((SELECT value ->> 'state' IN ('up', 'silent') FROM server_log WHERE server = ?1 AND kind = ?2 ORDER BY n DESC LIMIT 1), 0) ELSE 0 END
		WHERE ?4 IS NOT (SELECT value FROM server_log WHERE server = ?1 AND kind = ?2 ORDER BY n DESC LIMIT 1)`,
	stRegister: `INSERT INTO register (key, name, serial, site, rack, role, owner, warranty, contract, note, created, changed, by, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
		ON CONFLICT (key) DO UPDATE SET name = excluded.name, serial = excluded.serial, site = excluded.site, rack = excluded.rack, role = excluded.role, owner = excluded.owner,
		warranty = excluded.warranty, contract = excluded.contract, note = excluded.note, changed = excluded.changed, by = excluded.by, version = version + 1`,
	stRegisterDelete: `DELETE FROM register WHERE key = ?`,
	stSnapshot:       `INSERT INTO snapshots (hash, bytes) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING`,
	stCurrent: `INSERT INTO current (server, category, at, hash) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, hash = excluded.hash`,
	stHistory: `INSERT INTO history (server, category, at, hash, record_id, changes) VALUES (?, ?, ?, ?, ?, ?)`,
	stChange: `INSERT INTO changes (server, category, at, stream, kind, type, place, field, before, after, from_place, occupant, record_id, hash, from_server, muted, plan, plan_who, plan_why)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	stNotification: `INSERT INTO notifications (id, partition, server, name, device, class, state, severity, rank, rule_id, title, reason, site,
		opened, changed, resolved, muted, folded_into, held, simulated, labels, annotations, parts, saved, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, severity = excluded.severity, rank = excluded.rank, title = excluded.title, reason = excluded.reason,
		changed = excluded.changed, resolved = excluded.resolved, muted = CASE WHEN folded_into <> '' THEN muted ELSE excluded.muted END,
		annotations = excluded.annotations, parts = excluded.parts, saved = excluded.saved, version = version + 1`,
	stEvidence: `INSERT INTO evidence (notification, at, event, effect, rule_id, reason, record_id, category, name, body, attrs, raw, before, after, cut)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	stEvidenceBound: `DELETE FROM evidence WHERE notification = ?
		AND n NOT IN (SELECT n FROM evidence WHERE notification = ? ORDER BY n LIMIT ?)
		AND n NOT IN (SELECT n FROM evidence WHERE notification = ? ORDER BY n DESC LIMIT ?)`,
	stFold:      `UPDATE notifications SET folded_into = ?, muted = ?, held = 0, probe = CASE WHEN ? <> '' THEN ? ELSE probe END, changed = max(changed, ?), version = version + 1 WHERE id = ?`,
	stFact:      `INSERT INTO facts (partition, kind, at, server, site, rack, simulated, address, notification, category, seen, record_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	stFactsDone: `DELETE FROM facts WHERE seq = ?`,
	stAudit:     `INSERT INTO audit (at, actor, via, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)`,
	stDelivery: `INSERT INTO deliveries (notification, target, state, version, first, at, attempts, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET version = excluded.version, at = excluded.at, attempts = excluded.attempts, error = excluded.error
		WHERE excluded.error = '' OR deliveries.error <> ''`,
	stGeneration: `UPDATE partitions SET generation = ? WHERE id = ?`,
	stGenerationEntry: `INSERT INTO generation_entries (generation, partition, incarnation, entry, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`,
	stRuleCount: `INSERT INTO rule_verdicts (rule, day, effect, n, last) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n, last = max(last, excluded.last)`,
	stPruneChanges: `DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE stream < ? LIMIT 1000)`,
	stPruneHistory: `DELETE FROM history WHERE n IN (SELECT h.n FROM history h WHERE h.at < ?1
		AND EXISTS (SELECT 1 FROM history x WHERE x.server = h.server AND x.category = h.category AND x.at < ?1 AND x.n > h.n) LIMIT 1000)`,
	stPruneServerLog: `DELETE FROM server_log WHERE n IN (SELECT l.n FROM server_log l WHERE l.at < ?1
		AND EXISTS (SELECT 1 FROM server_log x WHERE x.server = l.server AND x.kind = l.kind AND x.at < ?1 AND x.n > l.n) LIMIT 1000)`,
	stPruneOccupants: `DELETE FROM occupants WHERE n IN (SELECT n FROM occupants WHERE until > 0 AND until < ? LIMIT 1000)`,
	stPruneSnapshots: `DELETE FROM snapshots WHERE n IN (SELECT n FROM snapshots
		WHERE hash NOT IN (SELECT hash FROM history) AND hash NOT IN (SELECT hash FROM current) LIMIT 500)`,
	stPruneEvidence: `DELETE FROM evidence WHERE n IN (SELECT e.n FROM evidence e JOIN notifications x ON x.id = e.notification
		WHERE x.state = 'resolved' AND x.changed < ? LIMIT 1000)`,
	stPruneEvidenceOf:    `DELETE FROM evidence WHERE notification IN ` + pruned,
	stPruneDeliveries:    `DELETE FROM deliveries WHERE notification IN ` + pruned,
	stPruneNotifications: `DELETE FROM notifications WHERE id IN ` + pruned,
	stPruneVerdicts:      `DELETE FROM rule_verdicts WHERE rowid IN (SELECT rowid FROM rule_verdicts WHERE last < ? LIMIT 1000)`,
	stPruneAudit:         `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT 1000)`,
}

type statements [statementCount]*sql.Stmt

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for i, q := range statementSQL {
		st, err := db.PrepareContext(ctx, q)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", statementNames[i], err)
		}
		s[i] = st
	}
	return nil
}
