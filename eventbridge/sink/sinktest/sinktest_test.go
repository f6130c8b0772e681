package sinktest

import (
	"context"
	"testing"

	"nocturne/eventbridge/sink"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) Subject {
		m := NewMemory()
		return Subject{
			Sink: m, Kill: m.Kill, Start: m.Start,
			Key:    func(r *sink.Row) string { return r.ID() },
			Stored: func(context.Context) (map[string]int, error) { return m.Rows(), nil },
		}
	})
}

func TestMemStore(t *testing.T) {
	RunStore(t, func(*testing.T) func() sink.Store {
		saved := &Saved{}
		return func() sink.Store { return saved.NewStore() }
	})
}
