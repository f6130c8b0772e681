// Package captures shows the default rules what real machines said: it holds
// tests alone, which read the folder of real captures in place. Where there is
// none they say so and are skipped.
package captures
