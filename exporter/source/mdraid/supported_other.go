//go:build !linux

package mdraid

const supported = false
