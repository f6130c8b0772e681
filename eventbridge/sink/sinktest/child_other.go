//go:build !linux

package sinktest

import "syscall"

func child() *syscall.SysProcAttr { return nil }
