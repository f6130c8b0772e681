package source

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

var wineVersion = windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version")

// checkOwner refuses a file that others than administrators could replace. Wine
// makes access lists of Unix modes, which say nothing here: it is let through.
func checkOwner(path string, _ os.FileInfo, p place) error {
	if wineVersion.Find() == nil {
		return nil
	}
	owner, list, err := accessOf(path)
	if err == nil {
		var self *windows.Tokenuser
		if self, err = windows.GetCurrentProcessToken().GetTokenUser(); err == nil {
			err = checkAccess(owner, self.User.Sid.String(), list, p)
		}
	}
	if err != nil {
		return &os.PathError{Op: "trust", Path: path, Err: err}
	}
	return nil
}

func accessOf(path string) (owner string, list []accessEntry, err error) {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", nil, err
	}
	sid, _, err := sd.Owner()
	if err != nil {
		return "", nil, err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return "", nil, err
	}
	if dacl == nil {
		return "", nil, errors.New("no access list: anybody may do anything")
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return "", nil, err
		}
		e := accessEntry{mask: uint32(ace.Mask), inherit: ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0}
		switch ace.Header.AceType {
		case windows.ACCESS_ALLOWED_ACE_TYPE, callbackAllowed:
			e.allow = true
			e.sid = (*windows.SID)(unsafe.Pointer(&ace.SidStart)).String()
		}
		list = append(list, e)
	}
	return sid.String(), list, nil
}

// callbackAllowed is an allowing entry with a condition behind the SID.
const callbackAllowed = 9
