package ownlog

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// InJournal tells whether a file is the journal's stream (systemd.exec(5),
// $JOURNAL_STREAM): the variable alone is inherited by whoever is started.
func InJournal(f *os.File, getenv func(string) string) bool {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false
	}
	return getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
