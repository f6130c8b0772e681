//go:build !linux

package supervise

// portHolder cannot tell on this system.
func portHolder(string) (pid, who string) { return "", "" }

func parentOf(string) string { return "" }

func lockedBy(string) string { return "" }
