package alertmanager

// syncDir does nothing: a folder cannot be flushed on Windows, and NTFS logs the rename itself.
func syncDir(string) error { return nil }
