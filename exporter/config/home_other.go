//go:build !windows

package config

func home() string { return "/var/lib/nocturne" }

// DefaultPath is the file that is read when none is named, if it is there.
func DefaultPath() string { return "/etc/nocturne/exporter.yml" }
