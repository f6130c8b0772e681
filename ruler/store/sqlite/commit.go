package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// Commit implements store.Store. Once begun it is not cut short by ctx: a
// caller who gave up would not know where the partition stands.
func (s *Store) Commit(ctx context.Context, commits []store.PartitionCommit) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return s.update(context.WithoutCancel(ctx), "commit", func(w *writer) {
		for i := range commits {
			w.move(&commits[i])
		}
		for i := range commits {
			w.partition(&commits[i])
		}
		w.sums()
	})
}

// update runs fn in a transaction and keeps what it wrote unless it failed.
func (s *Store) update(ctx context.Context, what string, fn func(*writer)) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w := &writer{ctx: ctx, tx: tx, stmts: &s.stmts, touched: map[record.ID]struct{}{}, parts: map[record.ID]struct{}{}, evidenced: map[string]struct{}{}}
	if fn(w); w.err == nil {
		w.err = tx.Commit()
	}
	if w.err != nil {
		err := fmt.Errorf("%s: %w", what, w.err)
		if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rb))
		}
		return err
	}
	s.commits.Add(1)
	s.rows.Add(w.rows)
	s.news.tell()
	return nil
}

// writer writes in one transaction; after an error it does nothing.
type writer struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts *statements
	err   error
	rows  int64
	// servers whose notifications changed, notifications with new evidence
	touched   map[record.ID]struct{}
	parts     map[record.ID]struct{} // servers whose model or updates may be others
	evidenced map[string]struct{}
}

func (w *writer) exec(st statement, args ...any) int64 {
	if w.err != nil {
		return 0
	}
	res, err := w.tx.StmtContext(w.ctx, w.stmts[st]).ExecContext(w.ctx, args...)
	if err != nil {
		w.err = fmt.Errorf("%s: %w", statementNames[st], err)
		return 0
	}
	n, err := res.RowsAffected()
	if err != nil {
		w.err = fmt.Errorf("%s: %w", statementNames[st], err)
	}
	w.rows += n
	return n
}

func (w *writer) move(c *store.PartitionCommit) {
	ledger, err := json.Marshal(c.Ledger)
	losses, err2 := json.Marshal(c.Losses)
	if err := errors.Join(err, err2); err != nil && w.err == nil {
		w.err = err
	}
	n := w.exec(stMove, c.To.Incarnation, int64(c.To.Entry), unix(c.StreamTime), unix(c.Clock), unix(c.Committed), c.Frozen, string(ledger), string(losses),
		c.Partition, int64(c.Epoch), c.From.Incarnation, int64(c.From.Entry))
	if n == 1 || w.err != nil {
		return
	}
	w.err = &store.FencedError{Partition: c.Partition, Detail: fmt.Sprintf("partition %d is not at epoch %d, position %s/%d: %s",
		c.Partition, c.Epoch, c.From.Incarnation, c.From.Entry, w.whereIs(c.Partition))}
}

func (w *writer) whereIs(partition int) string {
	var p store.Position
	var epoch int64
	var owner string
	row := w.tx.QueryRowContext(w.ctx, "SELECT incarnation, entry, epoch, owner FROM partitions WHERE id = ?", partition)
	if err := row.Scan(&p.Incarnation, &p.Entry, &epoch, &owner); err != nil {
		return "nobody has claimed it"
	}
	return fmt.Sprintf("%q holds epoch %d at %s/%d", owner, epoch, p.Incarnation, p.Entry)
}

func (w *writer) partition(c *store.PartitionCommit) {
	w.state(c)
	for i := range c.Servers {
		w.server(&c.Servers[i], c.StreamTime)
	}
	for i := range c.Devices {
		w.device(&c.Devices[i], c.StreamTime)
	}
	for i := range c.Snapshots {
		n := &c.Snapshots[i]
		w.exec(stSnapshot, n.Hash[:], n.Bytes)
		w.exec(stCurrent, n.Server[:], n.Category, unix(n.At), n.Hash[:])
	}
	for i := range c.History {
		h := &c.History[i]
		w.exec(stHistory, h.Server[:], h.Category, unix(h.At), h.Hash[:], h.RecordID, h.Changes)
	}
	for i := range c.Changes {
		h := &c.Changes[i]
		w.exec(stChange, h.Server[:], h.Category, unix(h.At), unix(h.Stream), h.Kind, h.Type, h.Place, h.Field, h.Before, h.After, h.From, h.Occupant, h.RecordID, h.Hash[:], idBytes(h.FromServer), h.Muted, h.Plan.ID, h.Plan.Who, h.Plan.Why)
	}
	for i := range c.Notifications {
		w.notification(&c.Notifications[i])
	}
	for i := range c.Evidence {
		w.evidence(&c.Evidence[i])
	}
	for i := range c.Facts {
		f := &c.Facts[i]
		w.exec(stFact, f.Partition, string(f.Kind), unix(f.At), f.Server[:], f.Site, f.Rack, f.Simulated, f.Address, f.Notification, f.Category, unix(f.Seen), f.RecordID)
	}
	for i := range c.Folds {
		w.fold(&c.Folds[i])
	}
	for _, seq := range c.FactsDone {
		w.exec(stFactsDone, int64(seq))
	}
	for i := range c.Audit {
		w.audit(&c.Audit[i])
	}
	w.rules(c)
}

func (w *writer) state(c *store.PartitionCommit) {
	switch {
	case c.Base != nil:
		w.exec(stBase, c.Partition, c.Base)
		w.exec(stDeltasDone, c.Partition)
	case len(c.Delta) > 0:
		w.exec(stDelta, c.Partition, c.Delta)
	}
}

func (w *writer) server(c *store.ServerWrite, now time.Time) {
	w.exec(stServer, c.ID[:], c.Partition)
	if l := c.Labels; l != nil {
		w.exec(stServerLabels, l.Name, l.Site, l.Rack, l.Role, l.Owner, l.From, l.Simulated, unix(l.Enrolled), unix(l.Enrolled), c.ID[:])
		if now.IsZero() {
			now = l.Enrolled
		}
		since := c.LabelsSince
		if since.IsZero() {
			since = now
		}
		w.log(c.ID, logLabels, since, labelsLog{l.Name, l.Site, l.Rack, l.Role, l.Owner, l.Simulated, l.From})
	}
	if f := c.Facts; f != nil {
		w.exec(stServerFacts, f.OSName, f.OSType, f.OSVersion, f.OSBuild, unix(f.BootTime), f.ExporterVersion, f.ReportedName, f.MachineID, f.SMBIOSUUID, int64(f.Interval), c.ID[:])
		w.log(c.ID, logFacts, now, factsLog{f.OSName, f.OSType, f.OSVersion, f.OSBuild, f.ExporterVersion, f.ReportedName, f.BootTime})
	}
	for _, st := range c.Was {
		w.log(c.ID, logState, st.Since, stateLog{st.State, st.Reason})
	}
	if st := c.State; st != nil {
		w.exec(stServerState, string(st.State), st.Reason, unix(st.Since), c.ID[:])
		w.log(c.ID, logState, st.Since, stateLog{st.State, st.Reason})
	}
	if sn := c.Seen; sn != nil {
		w.exec(stServerSeen, unix(sn.At), int64(sn.Skew), c.ID[:])
	}
	if a := c.Address; a != nil {
		w.exec(stServerAddress, *a, store.Subnet(*a), c.ID[:])
	}
	if cl := c.Clones; cl != nil {
		of := []byte{}
		if !cl.Of.IsZero() {
			of = cl.Of[:]
		}
		w.exec(stServerClones, of, cl.Clones, c.ID[:])
	}
}

func (w *writer) device(d *store.DeviceWrite, now time.Time) {
	w.occupant(d, now)
	if d.Category == record.Updates || d.Type == record.DeviceSystem {
		w.parts[d.Server] = struct{}{}
	}
	if d.Delete {
		w.exec(stDeviceDelete, d.Server[:], d.Category, d.Type, d.Place)
		return
	}
	w.exec(stDevice, d.Server[:], d.Category, d.Type, d.Place, d.Occupant, d.State, object(d.Fields), unix(d.First), unix(d.Changed), unix(d.Removed))
}

func (w *writer) notification(n *store.Notification) {
	labels, err := json.Marshal(n.Labels)
	annotations, err2 := json.Marshal(n.Annotations)
	parts, err3 := json.Marshal(n.Parts)
	if err := errors.Join(err, err2, err3); err != nil && w.err == nil {
		w.err = err
	}
	w.exec(stNotification, n.ID, n.Partition, n.Server[:], n.Name, n.Device, n.Class, string(n.State), n.Severity, store.SeverityRank(n.Severity), n.RuleID,
		n.Title, n.Reason, n.Labels["site"], unix(n.Opened), unix(n.Changed), unix(n.Resolved), n.Muted, n.FoldedInto, n.Held, n.Simulated, string(labels), string(annotations),
		string(parts), append([]byte{}, n.Saved...))
	w.touched[n.Server] = struct{}{}
}

func (w *writer) evidence(e *store.Evidence) {
	w.exec(stEvidence, e.Notification, unix(e.At), unix(e.Event), e.Effect, e.RuleID, e.Reason, e.RecordID, e.Category, e.Name,
		e.Body, object(e.Attrs), e.Raw, e.Before, e.After, e.Cut)
	w.evidenced[e.Notification] = struct{}{}
}

// fold writes the fleet operator's verdict, which also ends the hold.
func (w *writer) fold(f *store.Fold) {
	w.exec(stFold, f.Into, f.Muted, f.Probe, f.Probe, unix(f.At), f.Notification)
	if w.err != nil {
		return
	}
	var id []byte
	err := w.tx.QueryRowContext(w.ctx, "SELECT server FROM notifications WHERE id = ?", f.Notification).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows): // pruned meanwhile: nothing to fold
	case err != nil:
		w.err = fmt.Errorf("fold notification %s: %w", f.Notification, err)
	default:
		w.touched[serverID(id)] = struct{}{}
	}
}

func (w *writer) audit(e *store.AuditEntry) {
	w.exec(stAudit, unix(e.At), e.Actor, e.Via, e.Action, e.Subject, string(e.Detail))
}

// sums brings the counters in server rows, and the number of kept evidence
// records, up to date.
func (w *writer) sums() {
	for id := range w.touched {
		w.exec(stServerSums, id[:], id[:], id[:])
	}
	for id := range w.parts {
		w.exec(stServerParts, id[:])
	}
	for id := range w.evidenced {
		w.exec(stEvidenceBound, id, id, store.MaxEvidence/4, id, store.MaxEvidence-store.MaxEvidence/4)
	}
}

func object(b []byte) string {
	if len(b) == 0 {
		return "{}"
	}
	return string(b)
}

// idBytes is an id as stored; empty = none.
func idBytes(id record.ID) []byte {
	if id.IsZero() {
		return []byte{}
	}
	return id[:]
}

func serverID(b []byte) record.ID {
	var id record.ID
	if len(b) == len(id) {
		copy(id[:], b)
	}
	return id
}

// RecordDeliveries implements store.Store.
func (s *Store) RecordDeliveries(ctx context.Context, ds []store.Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	return s.update(ctx, "record deliveries", func(w *writer) {
		for _, d := range ds {
			w.exec(stDelivery, d.Notification, d.Target, string(d.State), int64(d.Version), unix(d.First), unix(d.At), d.Attempts, d.Error)
		}
	})
}

// Audit implements store.Store.
func (s *Store) Audit(ctx context.Context, e store.AuditEntry) error {
	return s.update(ctx, "write audit log", func(w *writer) { w.audit(&e) })
}

// Prune implements store.Store. It works in small transactions, so that no
// commit waits long.
func (s *Store) Prune(ctx context.Context, before store.Limits) (int64, error) {
	var sum int64
	for _, kind := range []struct {
		before time.Time
		sts    []statement // carried out together
	}{{before.Changes, []statement{stPruneChanges}}, {before.History, []statement{stPruneHistory}}, {before.History, []statement{stPruneServerLog}},
		{before.History, []statement{stPruneOccupants}}, {time.Time{}, []statement{stPruneSnapshots}}, {before.Evidence, []statement{stPruneEvidence}},
		{before.Notifications, []statement{stPruneEvidenceOf, stPruneDeliveries, stPruneNotifications}}, {before.Audit, []statement{stPruneAudit}}, {before.Audit, []statement{stPruneVerdicts}}} {
		for {
			var n int64
			err := s.update(ctx, "prune", func(w *writer) {
				for _, st := range kind.sts {
					if st == stPruneSnapshots {
						n += w.exec(st)
						continue
					}
					n += w.exec(st, unix(kind.before))
				}
			})
			if err != nil {
				return sum, err
			}
			if sum += n; n == 0 {
				break
			}
		}
	}
	n, err := s.pruneDesk(ctx, before.Notifications)
	return sum + n, err
}
