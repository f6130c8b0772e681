package source

import (
	"errors"
	"testing"
)

func TestCheckAccess(t *testing.T) {
	const (
		system, admins, users, everybody = "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545", "S-1-5-11"
		creator, me, bob                 = "S-1-3-0", "S-1-5-21-1-2-3-500", "S-1-5-21-1-2-3-1001"
		installer                        = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
		full, modify, read               = 0x1f01ff, 0x1301bf, 0x1200a9
	)
	allow := func(sid string, mask uint32) accessEntry { return accessEntry{sid: sid, mask: mask, allow: true} }
	below := func(sid string, mask uint32) accessEntry {
		return accessEntry{sid: sid, mask: mask, allow: true, inherit: true}
	}
	var members []string
	f := func(why, owner string, p place, want error, list ...accessEntry) {
		t.Helper()
		if err := checkAccess(owner, identity{me, members}, list, p); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", why, err, want)
		}
	}
	// What a fresh Windows Server has.
	f("C:\\", installer, aboveProgram, nil, allow(admins, full), allow(system, full), allow(users, read), allow(users, 0x4), below(users, 0x2),
		allow(everybody, 0x4), below(everybody, modify))
	f("C:\\Program Files", installer, aboveProgram, nil, allow(installer, full), allow(system, modify), below(system, genericAll), allow(users, read), below(creator, genericAll))
	f("C:\\ProgramData", system, aboveProgram, nil, allow(system, full), allow(admins, full), below(creator, genericAll), allow(users, read), allow(users, 0x116))
	f("a program in Program Files", admins, isProgram, nil, allow(system, full), allow(admins, full), allow(users, read))
	f("our folder, as the installer leaves it", admins, holdsProgram, nil, allow(system, full), allow(admins, full), allow("S-1-3-4", full))
	f("a program of our own user", me, isProgram, nil, allow(me, full))

	f("a folder that the domain's administrators keep", "S-1-5-21-4-5-6-512", holdsProgram, nil, allow("S-1-5-21-4-5-6-512", full), allow("S-1-5-21-4-5-6-519", full), allow("S-1-5-21-4-5-6-500", full))
	f("domain users", admins, holdsProgram, errWritable, allow("S-1-5-21-4-5-6-513", modify))
	f("a number that only ends alike", admins, holdsProgram, errWritable, allow("S-1-5-21-4-5-6-1512", modify))
	f("a folder below C:\\ that somebody made", admins, holdsProgram, errWritable, allow(admins, full), allow(everybody, modify))
	f("a program in it", admins, isProgram, errWritable, allow(admins, full), allow(everybody, modify))
	f("a folder below ProgramData as it is by default: DLLs can be put beside", admins, holdsProgram, errWritable, allow(system, full), allow(users, 0x116))
	f("a file that somebody made there", bob, isProgram, errForeign, allow(system, full), allow(admins, full))
	f("a folder above that can be swapped", admins, aboveProgram, errWritable, allow(users, rightDeleteChild))
	f("new owner", admins, isProgram, errWritable, allow(bob, rightWriteOwner))
	f("generic rights", admins, isProgram, errWritable, allow(bob, genericWrite))
	members = []string{"S-1-5-21-1-2-3-500", "S-1-5-21-4-5-6-512", "S-1-5-21-4-5-6-7777"}
	f("our domain's administrators", "S-1-5-21-4-5-6-512", holdsProgram, nil, allow("S-1-5-21-4-5-6-512", full), allow("S-1-5-21-4-5-6-7777", full))
	f("another domain's administrators", admins, holdsProgram, errWritable, allow("S-1-5-21-7-8-9-512", full))
	f("another domain's owner", "S-1-5-21-7-8-9-500", isProgram, errForeign, allow(admins, full))
	members = []string{}
	f("nobody but the well-known", admins, holdsProgram, errWritable, allow("S-1-5-21-4-5-6-512", full))
	f("a denying entry", admins, isProgram, nil, accessEntry{sid: bob, mask: full})
}
