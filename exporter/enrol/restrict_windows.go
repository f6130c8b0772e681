package enrol

import (
	"golang.org/x/sys/windows"

	"nocturne/exporter/source"
)

// protected is an access list that inherits nothing and allows everything to
// SYSTEM, Administrators and the owner, for the directory and all below it.
const protected = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// restrict lets only SYSTEM, Administrators and the owner into the directory,
// and refuses one that somebody else has made before us: he would stay its
// owner. Where access lists are not implemented (Wine) there is nothing to
// protect.
func restrict(dir string) error {
	sd, err := windows.SecurityDescriptorFromString(protected)
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	err = windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
	if err == windows.ERROR_CALL_NOT_IMPLEMENTED {
		return nil
	}
	if err != nil {
		return err
	}
	return source.CheckFolder(dir)
}
