package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, partition int, owner string) (store.Claim, error) {
	c := store.Claim{Partition: partition}
	fail := func(err error) (store.Claim, error) {
		return store.Claim{}, fmt.Errorf("claim partition %d: %w", partition, err)
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fail(err)
	}
	var epoch, entry int64
	row := tx.QueryRowContext(ctx, `INSERT INTO partitions (id, epoch, owner) VALUES (?, 1, ?)
		ON CONFLICT (id) DO UPDATE SET epoch = epoch + 1, owner = excluded.owner RETURNING epoch, incarnation, entry, losses, generation`, partition, owner)
	var losses string
	var generation int64
	if err = row.Scan(&epoch, &c.Position.Incarnation, &entry, &losses, &generation); err == nil {
		c.Epoch, c.Position.Entry, c.Generation = uint64(epoch), uint64(entry), uint64(generation)
		if err = fromJSON(losses, &c.Losses); err == nil {
			err = loadClaim(ctx, tx, &c)
		}
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
			err = errors.Join(err, rb)
		}
		return fail(err)
	}
	return c, nil
}

func loadClaim(ctx context.Context, q querier, c *store.Claim) error {
	err := q.QueryRowContext(ctx, "SELECT bytes FROM state_base WHERE partition = ?", c.Partition).Scan(&c.Base)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("load base: %w", err)
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var b []byte
		err := rows.Scan(&b)
		c.Deltas = append(c.Deltas, b)
		return err
	}, "SELECT bytes FROM state_delta WHERE partition = ? ORDER BY n", c.Partition)
	if err != nil {
		return fmt.Errorf("load deltas: %w", err)
	}
	if c.Servers, err = scanServers(ctx, q, "SELECT "+serverColumns+" FROM servers WHERE partition = ?", c.Partition); err != nil {
		return fmt.Errorf("load servers: %w", err)
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var id, hash []byte
		var cur store.CurrentSnapshot
		err := rows.Scan(&id, &cur.Category, &hash)
		cur.Server = serverID(id)
		copy(cur.Hash[:], hash)
		c.Current = append(c.Current, cur)
		return err
	}, "SELECT c.server, c.category, c.hash FROM current c JOIN servers s ON s.id = c.server WHERE s.partition = ?", c.Partition)
	if err != nil {
		return fmt.Errorf("load current snapshots: %w", err)
	}
	if c.Notifications, err = scanNotifications(ctx, q, "SELECT "+notificationColumns+" FROM notifications n WHERE partition = ? AND state = 'firing'", c.Partition); err != nil {
		return fmt.Errorf("load notifications: %w", err)
	}
	if c.Marks, err = marksOf(ctx, q, c.Generation); err != nil {
		return fmt.Errorf("load generation: %w", err)
	}
	return nil
}

// Facts implements store.Store.
func (s *Store) Facts(ctx context.Context, after uint64, limit int) ([]store.Fact, error) {
	var out []store.Fact
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var f store.Fact
		var seq, at, seen int64
		var id []byte
		err := rows.Scan(&seq, &f.Partition, &f.Kind, &at, &id, &f.Site, &f.Rack, &f.Simulated, &f.Address, &f.Notification, &f.Category, &seen, &f.RecordID)
		f.Seq, f.At, f.Seen, f.Server = uint64(seq), moment(at), moment(seen), serverID(id)
		out = append(out, f)
		return err
	}, "SELECT seq, partition, kind, at, server, site, rack, simulated, address, notification, category, seen, record_id FROM facts WHERE seq > ? ORDER BY seq LIMIT ?", int64(after), limit)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	return out, nil
}

// Snapshot implements store.Store.
func (s *Store) Snapshot(ctx context.Context, hash store.Hash) ([]byte, error) {
	var b []byte
	err := s.read.QueryRowContext(ctx, "SELECT bytes FROM snapshots WHERE hash = ?", hash[:]).Scan(&b)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("read snapshot %s: %w", hash, store.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("read snapshot %s: %w", hash, err)
	}
	return b, nil
}

// The condition is that of the index servers_group, to the letter.
const grouped = "state IN ('up', 'silent') AND clone_of = x''"

const groupsQuery = "SELECT site, rack, subnet, simulated, count(*) FROM servers INDEXED BY servers_group WHERE " + grouped + " GROUP BY 1, 2, 3, 4"

// groupsAtQuery counts what is there now, and puts right those servers alone that
// turned since: of the others, what counts now counted then. A server that fell
// silent did not.
const groupsAtQuery = `WITH
	later AS MATERIALIZED (SELECT server, max(kind = 'labels') AS labels FROM server_log INDEXED BY server_log_turns WHERE turns = 1 AND at > ?1 GROUP BY server),
	past AS MATERIALIZED (SELECT s.site, s.rack, s.subnet, s.simulated, s.state IN ('up', 'silent') AS now,
		coalesce((SELECT x.value ->> 'state' FROM server_log x WHERE x.server = later.server AND x.kind = 'state' AND x.at <= ?1 ORDER BY x.n DESC LIMIT 1), '') IN ('up', 'silent') AS was,
		CASE WHEN labels THEN (SELECT x.value FROM server_log x WHERE x.server = later.server AND x.kind = 'labels' AND x.at <= ?1 ORDER BY x.n DESC LIMIT 1) END AS labels
		FROM later CROSS JOIN servers s ON s.id = later.server WHERE s.clone_of = x'')
	SELECT site, rack, subnet, simulated, sum(n) FROM (
		SELECT site, rack, subnet, simulated, count(*) AS n FROM servers INDEXED BY servers_group WHERE ` + grouped + ` GROUP BY 1, 2, 3, 4
		UNION ALL SELECT site, rack, subnet, simulated, -1 FROM past WHERE now AND (NOT was OR labels IS NOT NULL)
		UNION ALL SELECT coalesce(labels ->> 'site', site), coalesce(labels ->> 'rack', rack), subnet, coalesce(labels ->> 'simulated', simulated), 1
		FROM past WHERE was AND (NOT now OR labels IS NOT NULL)
	) GROUP BY 1, 2, 3, 4 HAVING sum(n) > 0`

// Groups implements store.Store.
func (s *Store) Groups(ctx context.Context) ([]store.GroupSize, error) {
	out, err := s.groups(ctx, groupsQuery)
	if err != nil {
		return nil, fmt.Errorf("count groups: %w", err)
	}
	return out, nil
}

// GroupsAt implements store.Store.
func (s *Store) GroupsAt(ctx context.Context, at time.Time) ([]store.GroupSize, error) {
	out, err := s.groups(ctx, groupsAtQuery, unix(at))
	if err != nil {
		return nil, fmt.Errorf("count groups as they were: %w", err)
	}
	return out, nil
}

func (s *Store) groups(ctx context.Context, query string, args ...any) ([]store.GroupSize, error) {
	var out []store.GroupSize
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var g store.GroupSize
		err := rows.Scan(&g.Site, &g.Rack, &g.Subnet, &g.Simulated, &g.Servers)
		out = append(out, g)
		return err
	}, query, args...)
	return out, err
}

// Sharing implements store.Store.
func (s *Store) Sharing(ctx context.Context, address string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM servers WHERE address = ? AND address <> '' AND state IN ('up', 'silent', 'stopped')", address).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count servers at an address: %w", err)
	}
	return n, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// each runs a query and calls fn with every row.
func each(ctx context.Context, q querier, fn func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := fn(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}
