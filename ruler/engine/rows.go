package engine

import (
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// Row is a notification as it is stored, for whoever owns a partition row
// besides the engine.
func Row(n *notify.Notification, partition int) store.Notification { return row(n, partition) }

// Saved reads back a row.
func Saved(n *store.Notification) (notify.Notification, error) { return saved(n) }
