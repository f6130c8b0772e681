// Package captures shows the default rules what real machines said: it holds
// tests alone, which read the folder of real captures in place. Where there is
// none they say so and are skipped.
//
// All sequences of the folder's MANIFEST are played but one: what facter says of
// Windows releases, which no part of Nocturne reads.
package captures
