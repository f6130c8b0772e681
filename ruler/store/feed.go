package store

import "context"

// The kinds of rows of which the feed tells.
const (
	FeedNotification = "notification" // or what people did with it
	FeedServer       = "server"       // its state, its open notifications, its name
)

// FeedEvent says that a row is another one since.
type FeedEvent struct {
	Seq  int64
	Kind string
	ID   string
}

// Feed is what changed since a number.
type Feed struct {
	Events []FeedEvent // oldest first, each row once, by its last change
	Newest int64       // of all that there is
	// Gone: some of it is not kept any more, or the number is of another store.
	// Whoever asked has to read everything anew.
	Gone bool
}

// FeedStore tells what commits changed.
type FeedStore interface {
	// Feed returns changes after a number, at most limit rows.
	Feed(ctx context.Context, after int64, limit int) (Feed, error)
	// Committed is closed by the next commit of this process.
	Committed() <-chan struct{}
}

// FeedKept is how many changes are kept at least.
const FeedKept = 20_000
