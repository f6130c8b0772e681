// Package raid reads Broadcom (LSI, Avago, Dell PERC, Lenovo, Fujitsu, Intel)
// RAID controllers through storcli, storcli2 or perccli and states them as
// snapshots.
//
// What the tool prints differs by version, card and luck, so nothing is
// required: every key may be missing, be a number or a string, or say "N/A".
// One controller that fails never hides another, and what a reply does not
// state is left out of the snapshot's sections, which makes it "not observed"
// rather than removed. Parse takes several replies and merges them.
//
// Parse is pure and safe for concurrent use. To test:
// go test ./exporter/source/raid.
package raid
