package source

import (
	"errors"
	"os"
	"sync"
	"time"
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
			err = checkAccess(owner, identity{self.User.Sid.String(), localAdministrators.read()}, list, p)
		}
	}
	if err != nil {
		return &os.PathError{Op: "trust", Path: path, Err: err}
	}
	return nil
}

var (
	netLocalGroupGetMembers = windows.NewLazySystemDLL("netapi32.dll").NewProc("NetLocalGroupGetMembers")
	localAdministrators     groupMembers
)

// groupMembers are those of this machine's group Administrators.
type groupMembers struct {
	mu   sync.Mutex
	sids []string
	at   time.Time
}

// membersTTL is how long they are believed.
const membersTTL = 10 * time.Minute

// read returns nil where they cannot be read.
func (g *groupMembers) read() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); g.at.IsZero() || now.Sub(g.at) > membersTTL {
		g.at = now
		sids, err := membersOf(windows.WinBuiltinAdministratorsSid)
		if err != nil {
			sids = nil
		}
		g.sids = sids
	}
	return g.sids
}

// membersOf asks for the members of a well-known local group, whose name is in
// the machine's language.
func membersOf(kind windows.WELL_KNOWN_SID_TYPE) ([]string, error) {
	sid, err := windows.CreateWellKnownSid(kind)
	if err != nil {
		return nil, err
	}
	name, _, _, err := sid.LookupAccount("")
	if err != nil {
		return nil, err
	}
	group, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	if err := netLocalGroupGetMembers.Find(); err != nil {
		return nil, err
	}
	// Level 0 is an array of pointers to SIDs (lmaccess.h, LOCALGROUP_MEMBERS_INFO_0).
	var members **windows.SID
	var read, total uint32
	const all = ^uint32(0) // MAX_PREFERRED_LENGTH
	status, _, _ := netLocalGroupGetMembers.Call(0, uintptr(unsafe.Pointer(group)), 0, uintptr(unsafe.Pointer(&members)), uintptr(all),
		uintptr(unsafe.Pointer(&read)), uintptr(unsafe.Pointer(&total)), 0)
	if members != nil {
		defer func() { _ = windows.NetApiBufferFree((*byte)(unsafe.Pointer(members))) }()
	}
	if status != 0 {
		return nil, windows.Errno(status)
	}
	out := []string{}
	for _, m := range unsafe.Slice(members, read) {
		out = append(out, m.String())
	}
	return out, nil
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
