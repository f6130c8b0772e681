//go:build !linux

package rabbittest

import "os/exec"

const supported = false

func ownGroup(*exec.Cmd) {}

func kill(*exec.Cmd) {}

func terminate(*exec.Cmd) {}

func killStrays(string) {}
