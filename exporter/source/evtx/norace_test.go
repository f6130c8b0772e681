//go:build !race

package evtx

const raced = false
