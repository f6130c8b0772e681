package source

import (
	"context"
	"errors"
	"time"

	"nocturne/internal/record"
)

// Recent is a Source that streams and can begin with what was there already.
type Recent interface {
	Source
	// Recent returns the source, beginning with about n past records.
	Recent(n int) Source
}

// recentRecords are shown of a source that streams.
const recentRecords = 5

// Once looks once: one round of a scheduled source, or what another one emits
// within the limit. It is for trying a source out, beside one that runs.
func Once(ctx context.Context, s Source, limit time.Duration, emit Emit) error {
	if r, ok := s.(*scheduled); ok {
		var failure error
		r.observe(func(r round) { failure = errors.Join(failure, r.err) })
		err := r.round(ctx, func(ctx context.Context, recs []record.Record, position []byte) error {
			if len(recs) == 1 && recs[0].Name == record.NameSourceFailed {
				return nil // it is the error
			}
			return emit(ctx, recs, position)
		})
		return errors.Join(err, failure)
	}
	if r, ok := s.(Recent); ok {
		s = r.Recent(recentRecords)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.Run(ctx, emit); ctx.Err() == nil {
		return err
	}
	return nil
}

// ScheduleOf returns when a source looks; false when it streams.
func ScheduleOf(s Source) (Schedule, bool) {
	r, ok := s.(*scheduled)
	if !ok {
		return Schedule{}, false
	}
	return r.schedule, true
}
