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

var kbNumber = regexp.MustCompile(`(?i)\bKB[ -]?(\d{5,8})\b`)

func (u *updates) message(received time.Time) (Message, error) {
	var p parts
	if err := p.add(record.DeviceUpdateStatus, "", nil, u.status()); err != nil {
		return Message{}, err
	}
	p.observed(record.DeviceUpdateStatus, "")
	shared := map[string]int{}
	for i := range u.UpdatesAvailable {
		shared[u.UpdatesAvailable[i].kb()]++
	}
	for i := range u.UpdatesAvailable {
		w := &u.UpdatesAvailable[i]
		if err := p.add(record.DeviceUpdatePending, p.free(record.DeviceUpdatePending, w.place(i, shared[w.kb()] > 1)), nil, w.fields()); err != nil {
			return Message{}, err
		}
	}
	if u.UpdatesAvailable != nil {
		p.observed(record.DeviceUpdatePending, "")
	}
	r := snapshot(received, received, fmt.Sprintf("updates: %d wait", len(u.UpdatesAvailable)), &p.s)
	return Message{Host: u.HostName, Category: record.Updates, Record: r}, nil
}

// status says how updating stands. AutomaticUpdates told whether the service
// was enabled, not what it was set to do.
func (u *updates) status() fields {
	state := "unknown"
	switch {
	case u.AutomaticUpdates != nil && !*u.AutomaticUpdates:
		state = "service_disabled"
	case value(u.NumUpdatesAvailable) > 0 || len(u.UpdatesAvailable) > 0:
		state = "pending"
	case u.NumUpdatesAvailable != nil || u.UpdatesAvailable != nil:
		state = "up_to_date"
	}
	var f fields
	source, disabled := "Windows Update", "disabled"
	f.text(record.FieldState, &state)
	f.text("source", &source)
	if state == "service_disabled" {
		f.text("service", &disabled)
	}
	f.number("pending_count", u.NumUpdatesAvailable)
	if !u.LastTimeUpdated.IsZero() {
		at, seconds := u.LastTimeUpdated.Format(time.RFC3339), u.LastTimeUpdated.Unix()
		f.text("last_success", &at)
		f.number("last_success_seconds", &seconds)
	}
	return f
}

// kb is the number that the title names last, "" when it names none.
func (u *update) kb() string {
	all := kbNumber.FindAllStringSubmatch(clip(value(u.Title), maxField), -1)
	if len(all) == 0 {
		return ""
	}
	return "KB" + all[len(all)-1][1]
}

// place is where the exporter has such an update: at its KB, and its id where
// several have that KB.
func (u *update) place(i int, shared bool) string {
	kb, id := u.kb(), strings.ToLower(clip(strings.Trim(value(u.ID), "{} "), 64))
	if id == "" {
		id = "#" + strconv.Itoa(i+1)
	}
	switch {
	case kb == "":
		return id
	case shared:
		return kb + "/" + id
	}
	return kb
}

func (u *update) fields() fields {
	var f fields
	f.text("title", u.Title)
	if kb := u.kb(); kb != "" {
		f.text("kb", &kb)
	}
	f.text("categories", u.Categories) // in the server's language, unlike the exporter's category
	f.text("published", u.DatePublished)
	return f
}
