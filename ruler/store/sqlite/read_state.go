package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// WorkingState returns a partition's base and the deltas over it, oldest
// first, as they stand at one moment. It claims nothing: it is for showing.
func (s *Store) WorkingState(ctx context.Context, partition int) (base []byte, deltas [][]byte, err error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("read working state: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	err = tx.QueryRowContext(ctx, "SELECT bytes FROM state_base WHERE partition = ?", partition).Scan(&base)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("read working state: %w", err)
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var b []byte
		err := rows.Scan(&b)
		deltas = append(deltas, b)
		return err
	}, "SELECT bytes FROM state_delta WHERE partition = ? ORDER BY n", partition)
	if err != nil {
		return nil, nil, fmt.Errorf("read working state: %w", err)
	}
	return base, deltas, nil
}
