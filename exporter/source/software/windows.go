package software

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf16"
)

// uninstall is an entry of the registry's list of what can be uninstalled.
type uninstall struct {
	name, version, publisher, date string
	parent, release                string
	system, bits32                 bool
}

// program returns the program of an entry; false for parts of Windows, for
// updates of a program, and for what has no name: none of them is in the list
// that Windows shows.
func (u uninstall) program() (Program, bool) {
	switch u.release {
	case "Security Update", "Update", "Update Rollup", "Hotfix", "ServicePack":
		return Program{}, false
	}
	if u.system || u.parent != "" || strings.TrimSpace(u.name) == "" {
		return Program{}, false
	}
	p := Program{Name: u.name, Version: u.version, Publisher: u.publisher, Installed: installDate(u.date)}
	if u.bits32 {
		p.Bits = "32"
	}
	return p, true
}

// installDate reads the date of an entry. The standard form is 20260131; some
// installers write the machine's own, of which only those are taken that can
// mean one day only.
func installDate(s string) string {
	for _, layout := range []string{"20060102", "2006-01-02", "2006/01/02", "2006.01.02"} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	for _, sep := range []string{".", "/", "-"} {
		f := strings.Split(strings.TrimSpace(s), sep)
		if len(f) != 3 || len(f[2]) != 4 {
			continue
		}
		dmy, errD := time.Parse("2-1-2006", strings.Join(f, "-"))
		mdy, errM := time.Parse("1-2-2006", strings.Join(f, "-"))
		switch {
		case errD == nil && errM != nil, errD == nil && dmy.Equal(mdy), errD == nil && sep == ".":
			return dmy.Format(time.DateOnly)
		case errM == nil && errD != nil:
			return mdy.Format(time.DateOnly)
		}
	}
	return ""
}

// driverDate reads the date of a driver: the FILETIME DriverDateData, or its
// text, which is month-day-year in every language.
func driverDate(data []byte, text string) string {
	if len(data) == 8 {
		if n := binary.LittleEndian.Uint64(data); n > 0 && n < 1<<62 {
			const epoch = 116444736000000000 // 1970, in units of 100 ns since 1601
			return time.Unix(int64(n/1e7)-epoch/1e7, 0).UTC().Format(time.DateOnly)
		}
	}
	if t, err := time.Parse("1-2-2006", text); err == nil {
		return t.Format(time.DateOnly)
	}
	return ""
}

// maxSigners bounds what is remembered of descriptions that are gone.
const maxSigners = 4096

// signer returns who signed a driver's description. It is asked once for each
// version of one: a catalogue takes its time.
func (r *Reader) signer(d Driver, ask func(inf string) string) string {
	if d.File == "" {
		return ""
	}
	key := strings.ToLower(d.File) + "|" + d.Version + "|" + d.Date
	s, ok := r.signers[key]
	if !ok {
		if len(r.signers) >= maxSigners {
			clear(r.signers)
		}
		s = ask(d.File)
		r.signers[key] = s
	}
	return s
}

// signerInfo is SP_INF_SIGNER_INFO_W (setupapi.h): its size, then three texts
// of MAX_PATH.
const (
	maxPath        = 260
	signerInfoSize = 4 + 3*2*maxPath
)

// parseSigner returns the signer of a SP_INF_SIGNER_INFO_W.
func parseSigner(b []byte) string {
	const at = 4 + 2*maxPath
	if len(b) < at+2*maxPath {
		return ""
	}
	var u []uint16
	for i := range maxPath {
		c := binary.LittleEndian.Uint16(b[at+2*i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}
