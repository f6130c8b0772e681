package source

import (
	"fmt"
	"slices"
	"strings"
)

// Access lists of Windows, as data. access_windows.go reads them.

// accessEntry is one line of an access list.
type accessEntry struct {
	sid     string // of whom
	mask    uint32 // what
	allow   bool
	inherit bool // only for what is made below, not for the object itself
}

// identity is who we are on this machine.
type identity struct {
	self    string
	members []string // of the group Administrators; nil = could not be read
}

// place is what a path is to the program that it leads to.
type place int

const (
	isProgram place = iota
	holdsProgram
	aboveProgram
)

// Rights of files and folders (winnt.h).
const (
	rightWriteData   = 0x2 // of a folder: add a file
	rightAppendData  = 0x4 // of a folder: add a folder
	rightWriteEA     = 0x10
	rightDeleteChild = 0x40
	rightDelete      = 0x10000
	rightWriteDAC    = 0x40000
	rightWriteOwner  = 0x80000
	genericAll       = 0x10000000
	genericWrite     = 0x40000000

	rightsReplace = rightDelete | rightWriteDAC | rightWriteOwner | genericAll | genericWrite
)

// rightsThatMatter are those by which somebody can change what we run. In the
// folder of a program a new file is enough: Windows looks there for DLLs first.
// Further up only taking away and putting back is; users may add to
// C:\ and C:\ProgramData everywhere.
func rightsThatMatter(p place) uint32 {
	switch p {
	case isProgram:
		return rightsReplace | rightWriteData | rightAppendData | rightWriteEA
	case holdsProgram:
		return rightsReplace | rightDeleteChild | rightWriteData
	default:
		return rightsReplace | rightDeleteChild
	}
}

// administrators are those who can do everything anyway.
var administrators = []string{
	"S-1-5-18",     // SYSTEM
	"S-1-5-32-544", // Administrators
	"S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", // TrustedInstaller
	"S-1-3-4", // whoever owns it, and the owner is looked at
}

// administrator tells whether an account or group is one of administrators: the
// well-known ones, and the members of this machine's group Administrators. Where
// those cannot be read (nil) it is, of any domain or machine, the account
// Administrator (500), Domain Admins (512) and Enterprise Admins (519).
func administrator(sid string, members []string) bool {
	if slices.Contains(administrators, sid) || slices.Contains(members, sid) {
		return true
	}
	if members != nil {
		return false
	}
	if !strings.HasPrefix(sid, "S-1-5-21-") || strings.Count(sid, "-") != 7 {
		return false
	}
	switch sid[strings.LastIndexByte(sid, '-')+1:] {
	case "500", "512", "519":
		return true
	}
	return false
}

// checkAccess tells what is wrong with an access list. Entries that deny are not
// weighed.
func checkAccess(owner string, us identity, list []accessEntry, p place) error {
	trusted := func(sid string) bool { return sid == us.self || administrator(sid, us.members) }
	if !trusted(owner) {
		return fmt.Errorf("%w (%s); as administrator: takeown /a /f, then icacls /reset", errForeign, owner)
	}
	for _, e := range list {
		if e.allow && !e.inherit && !trusted(e.sid) && e.mask&rightsThatMatter(p) != 0 {
			return fmt.Errorf("%w: %s has the rights %#x", errWritable, e.sid, e.mask&rightsThatMatter(p))
		}
	}
	return nil
}
