//go:build !windows

package main

import "os"

// elevated tells whether this program may do everything here.
func elevated() bool { return os.Geteuid() == 0 }
