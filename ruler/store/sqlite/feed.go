package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"nocturne/ruler/store"
)

// Feed implements store.FeedStore.
func (s *Store) Feed(ctx context.Context, after int64, limit int) (store.Feed, error) {
	var f store.Feed
	var oldest int64
	err := s.read.QueryRowContext(ctx, "SELECT coalesce(min(seq), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'feed'), 0) FROM feed").Scan(&oldest, &f.Newest)
	if err != nil {
		return f, fmt.Errorf("read feed: %w", err)
	}
	if after > f.Newest || after < f.Newest && (oldest == 0 || after < oldest-1) {
		f.Gone = true
		return f, nil
	}
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var e store.FeedEvent
		err := rows.Scan(&e.Seq, &e.Kind, &e.ID)
		f.Events = append(f.Events, e)
		return err
	}, "SELECT max(seq), kind, id FROM feed WHERE seq > ? AND seq <= ? GROUP BY kind, id ORDER BY max(seq) LIMIT ?", after, f.Newest, limit)
	if err != nil {
		return f, fmt.Errorf("read feed: %w", err)
	}
	return f, nil
}

// Committed implements store.FeedStore.
func (s *Store) Committed() <-chan struct{} { return s.news.wait() }

// broadcast wakes everybody who waits.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
