package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"nocturne/ruler/store"
)

// committer merges the partitions that are ready into one transaction: one
// fsync for all that gathered while the one before was on its way.
type committer struct {
	store    store.Store
	metrics  *metrics
	requests chan request
}

type request struct {
	commit *store.PartitionCommit
	answer chan error // one slot
}

const mostMerged = 32

func newCommitter(s store.Store, m *metrics) *committer {
	return &committer{store: s, metrics: m, requests: make(chan request, mostMerged)}
}

// submit returns where the answer will come. A partition has one commit on its
// way, so the queue never fills.
func (c *committer) submit(ctx context.Context, commit *store.PartitionCommit) chan error {
	answer := make(chan error, 1)
	select {
	case c.requests <- request{commit, answer}:
	case <-ctx.Done():
		answer <- ctx.Err()
	}
	return answer
}

func (c *committer) run(ctx context.Context) {
	for {
		var batch []request
		select {
		case <-ctx.Done():
			return
		case r := <-c.requests:
			batch = append(batch, r)
		}
	gather:
		for len(batch) < mostMerged {
			select {
			case r := <-c.requests:
				batch = append(batch, r)
			default:
				break gather
			}
		}
		c.commit(ctx, batch)
	}
}

// commit writes a batch. A partition that is fenced is left out and told so;
// the others do not suffer.
func (c *committer) commit(ctx context.Context, batch []request) {
	for len(batch) > 0 {
		commits := make([]store.PartitionCommit, len(batch))
		for i := range batch {
			commits[i] = *batch[i].commit
		}
		start := time.Now()
		err := c.store.Commit(ctx, commits)
		c.metrics.committed(len(batch), time.Since(start), err)
		var fenced *store.FencedError
		if errors.As(err, &fenced) {
			if at := oldest(batch, fenced.Partition); at >= 0 {
				batch[at].answer <- err
				batch = slices.Delete(batch, at, at+1)
				continue
			}
		}
		for _, r := range batch {
			r.answer <- err
		}
		return
	}
}

// oldest returns where the commit of a partition under its lowest epoch is, -1
// where there is none. After a claim that did not wait for an answer there are
// two: the one before it is fenced, and the one after must not hear of that.
func oldest(batch []request, partition int) int {
	found := -1
	for i, r := range batch {
		if r.commit.Partition == partition && (found < 0 || r.commit.Epoch < batch[found].commit.Epoch) {
			found = i
		}
	}
	return found
}
