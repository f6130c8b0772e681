package disk

import "golang.org/x/sys/windows"

// Of says how full the disk of a folder is.
func Of(dir string) (Space, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Space{}, err
	}
	var s Space
	return s, windows.GetDiskFreeSpaceEx(path, &s.Free, &s.Total, nil)
}
