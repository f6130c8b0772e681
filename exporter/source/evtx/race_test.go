//go:build race

package evtx

// raced: a child that looks for races takes a second to start.
const raced = true
