package main

import (
	"context"

	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// large is a fleet of many servers in a real store; its pipeline is as fresh as the clock.
type large struct {
	*sqlite.Store
	fresh *reader
}

// Pipeline implements store.Reader.
func (l *large) Pipeline(ctx context.Context) (store.Pipeline, error) { return l.fresh.Pipeline(ctx) }

// WorkingState shows the ledger.
func (l *large) WorkingState(ctx context.Context, partition int) ([]byte, [][]byte, error) {
	return l.fresh.WorkingState(ctx, partition)
}
