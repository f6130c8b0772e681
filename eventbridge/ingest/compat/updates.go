package compat

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// updates is what Windows Update offers. The old agent searched what the
// machine had cached, superseded updates among it, and said nothing of what is
// installed.
type updates struct {
	HostName            string
	AutomaticUpdates    *bool
	LastTimeUpdated     stamp
	NumUpdatesAvailable *int64
	UpdatesAvailable    []update
}

type update struct {
	ID            *string
	DatePublished *string // in the machine's own date format: kept as it is
	Title         *string
	Categories    *string // joined by commas
}

// Device types and fields of updates.
const (
	deviceUpdateAgent   = "update_agent"
	deviceUpdatePending = "update_pending"
	placeWindows        = "windows"
)

var kb = regexp.MustCompile(`\bKB[0-9]{5,8}\b`)

func (u *updates) message(received time.Time) (Message, error) {
	var p parts
	var f fields
	f.flag("automatic", u.AutomaticUpdates)
	f.number("pending_count", u.NumUpdatesAvailable)
	if !u.LastTimeUpdated.IsZero() {
		at := u.LastTimeUpdated.Format(time.RFC3339)
		f.text("last_success", &at)
	}
	if err := p.add(deviceUpdateAgent, placeWindows, nil, f); err != nil {
		return Message{}, err
	}
	p.observed(deviceUpdateAgent, "")
	for i := range u.UpdatesAvailable {
		if err := u.UpdatesAvailable[i].add(&p, i); err != nil {
			return Message{}, err
		}
	}
	if u.UpdatesAvailable != nil {
		p.observed(deviceUpdatePending, "")
	}
	r := snapshot(received, received, fmt.Sprintf("updates: %d pending", len(u.UpdatesAvailable)), &p.s)
	return Message{Host: u.HostName, Category: record.Updates, Record: r}, nil
}

// add puts an update at its own id: the same KB comes several times.
func (u *update) add(p *parts, i int) error {
	place := strings.ToLower(clip(strings.Trim(value(u.ID), "{} "), 64))
	if place == "" {
		place = "#" + strconv.Itoa(i+1)
	}
	var f fields
	f.text("title", u.Title)
	if found := kb.FindString(value(u.Title)); found != "" {
		f.text("kb", &found)
	}
	f.text("category", u.Categories)
	f.text("published", u.DatePublished)
	return p.add(deviceUpdatePending, place, nil, f)
}
