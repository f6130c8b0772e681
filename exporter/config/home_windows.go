package config

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// home asks Windows and not the environment, which is not the same for a
// service everywhere.
func home() string {
	dir, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, windows.KF_FLAG_DEFAULT)
	if err != nil {
		dir = `C:\ProgramData`
	}
	return filepath.Join(dir, "Nocturne")
}

// DefaultPath is the file that is read when none is named, if it is there.
func DefaultPath() string { return filepath.Join(home(), "exporter.yml") }
