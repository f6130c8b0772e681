package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nocturne/ruler/store"
)

// failingDesk keeps some deeds and then none.
type failingDesk struct {
	store.DeskStore
	left int
}

func (d *failingDesk) Do(ctx context.Context, v store.Deed) (store.Work, error) {
	if d.left--; d.left < 0 {
		return store.Work{}, errors.New("disk is full")
	}
	return d.DeskStore.Do(ctx, v)
}

// A store that fails halfway does not hide what was done before.
func TestBulkThatBreaksOff(t *testing.T) {
	b, _ := stored(t, func(c *Config) { c.Desk = &failingDesk{c.Desk, 1} })
	var targets []string
	for _, n := range get[NotificationList](b, "/notifications?state=firing&limit=3").Items {
		targets = append(targets, fmt.Sprintf(`{"id":%q,"revision":0}`, n.ID))
	}
	got := post[BulkAnswer](b, "/deeds", `{"deed":"acknowledge","text":"storm","notifications":[`+strings.Join(targets, ",")+`]}`, 200)
	if got.Done != 1 || got.Failed != 2 || !got.Items[0].OK || got.Items[1].Error == "" || strings.Contains(got.Items[1].Error, "disk") {
		t.Errorf("%+v", got)
	}
}
