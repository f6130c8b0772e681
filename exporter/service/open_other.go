//go:build !windows

package service

import "nocturne/exporter/source"

// Open connects to the service manager.
func Open() (Manager, error) { return &Systemd{Run: source.Command{}.Run}, nil }
