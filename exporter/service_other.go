//go:build !windows

package main

import (
	"errors"

	"nocturne/exporter/app"
	"nocturne/exporter/config"
)

func serviceFailed(error) {}

func serviceMain(config.Config, *app.Reloader) error {
	return errors.New("--service is for Windows' service manager: leave it out, systemd starts `exporter run`")
}
