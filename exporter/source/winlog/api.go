package winlog

import (
	"context"
	"errors"
)

// EventAPI is what is used of Windows' event log interface. Its subscriptions
// may be used side by side.
type EventAPI interface {
	// Subscribe opens a channel. Its error wraps one of those below where the
	// caller can do something about it.
	Subscribe(ch Channel, from Start) (Subscription, error)
	// Kept returns the number of the oldest record in a channel's log, 0 for an
	// empty one, and how many there are.
	Kept(channel string) (oldest, count uint64, err error)
}

// Subscription is an open channel. It belongs to one goroutine.
type Subscription interface {
	// Next returns at most n events. It waits for the first one for some seconds
	// and then returns an empty batch, so that the caller is seen to be alive,
	// and sooner when ctx ends.
	Next(ctx context.Context, n int) (Batch, error)
	Close() error
}

// Start says where a subscription begins: behind a bookmark, at the oldest
// event, or with events that are still to come.
type Start struct {
	Bookmark string
	Oldest   bool
	// Near: the bookmark was made by nextBookmark and its event need not be
	// there; otherwise one that is gone is ErrBookmarkLost.
	Near bool
}

// Batch is some events of one channel and the bookmark of the last.
type Batch struct {
	Events   []Event
	Bookmark string
}

// Event is an event as Windows renders it.
type Event struct {
	XML string
	// Message is the text for people, from the provider's library or from the
	// event itself where it was forwarded; "" where there is none.
	Message string
	// Err says why this one event could not be rendered.
	Err error
}

// Errors of EventAPI.
var (
	// ErrBookmarkLost: the bookmark's event is no longer in the log.
	ErrBookmarkLost = errors.New("the bookmark's event is gone")
	// ErrNoChannel: there is no such log, now.
	ErrNoChannel = errors.New("there is no such channel")
	// ErrStale: the subscription is dead, as after a restart of the service.
	ErrStale = errors.New("the subscription is dead")
	// ErrTooMany: ask for fewer events at once (RPC_S_INVALID_BOUND).
	ErrTooMany = errors.New("too many events at once")
	// ErrQuery: Windows does not take the query; asking again does not help soon.
	ErrQuery = errors.New("the query is wrong")
)
