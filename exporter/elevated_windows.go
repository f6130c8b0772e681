package main

import "golang.org/x/sys/windows"

// elevated tells whether this program has an administrator's rights.
func elevated() bool { return windows.GetCurrentProcessToken().IsElevated() }
