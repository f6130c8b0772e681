//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"

	"nocturne/exporter/config"
)

var errNoService = fmt.Errorf("the service commands are for Windows, here systemd starts the exporter (deploy/systemd): %w", errors.ErrUnsupported)

func serviceMain(config.Config) error { return errNoService }

func runService(context.Context, []string, stdio) error { return errNoService }
