// Package smbios decodes the SMBIOS table (DMTF DSP0134) as far as Nocturne
// shows it: system, firmware, boards, chassis, processors, memory, slots,
// devices on the board, power supplies and trusted platform modules.
//
// The bytes come from firmware and are often wrong: a structure that is too
// short lacks its later fields, a string index that points nowhere is an empty
// string, and a table that ends early is reported with what came before. The
// strings are as the firmware has them, without the spaces around them;
// placeholders such as "To be filled by O.E.M." are for the caller to judge.
//
// Everything is pure and safe for concurrent use. To test:
// go test ./exporter/source/hardware/smbios.
package smbios

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// MaxTable is the largest table that is decoded. The length field of SMBIOS
// 2.x ends at 64 KiB; a virtual machine with many sockets has 30 KiB.
const MaxTable = 1 << 20

const maxStructures = 16384

// ErrTruncated says that the table ended in the middle of a structure; what
// came before it was decoded.
var ErrTruncated = errors.New("table ends in the middle of a structure")

// Version is the SMBIOS version of the table.
type Version struct{ Major, Minor int }

func (v Version) atLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Structure is one entry of the table.
type Structure struct {
	Type    byte
	Handle  uint16
	Data    []byte // the formatted area, header included, so that offsets are those of the standard
	Strings []string
}

// Walk splits a table into its structures.
func Walk(table []byte) ([]Structure, error) {
	if len(table) > MaxTable {
		return nil, fmt.Errorf("SMBIOS table of %d bytes: the limit is %d", len(table), MaxTable)
	}
	var out []Structure
	for len(table) >= 4 && len(out) < maxStructures {
		n := int(table[1])
		if n < 4 || n > len(table) {
			return out, fmt.Errorf("structure %d of type %d, length %d: %w", len(out), table[0], n, ErrTruncated)
		}
		s := Structure{Type: table[0], Handle: binary.LittleEndian.Uint16(table[2:]), Data: table[:n]}
		rest := table[n:]
		end := bytes.Index(rest, []byte{0, 0})
		if end < 0 {
			out = append(out, s)
			if s.Type == typeEnd {
				return out, nil // some firmware forgets the zeros after the last one
			}
			return out, fmt.Errorf("strings of structure %d of type %d: %w", len(out)-1, s.Type, ErrTruncated)
		}
		if end > 0 {
			for _, b := range bytes.Split(rest[:end], []byte{0}) {
				s.Strings = append(s.Strings, clean(b))
			}
		}
		out = append(out, s)
		if s.Type == typeEnd {
			return out, nil
		}
		table = rest[end+2:]
	}
	return out, nil
}

const typeEnd = 127

// clean trims a string and makes it printable; the standard says ASCII, some
// vendors write Latin-1 signs.
func clean(b []byte) string {
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(string(b), "."))
	return strings.TrimSpace(printable)
}

func (s Structure) byteAt(off int) byte {
	if off >= len(s.Data) {
		return 0
	}
	return s.Data[off]
}

func (s Structure) word(off int) uint16 {
	if off+2 > len(s.Data) {
		return 0
	}
	return binary.LittleEndian.Uint16(s.Data[off:])
}

func (s Structure) dword(off int) uint32 {
	if off+4 > len(s.Data) {
		return 0
	}
	return binary.LittleEndian.Uint32(s.Data[off:])
}

func (s Structure) text(off int) string {
	i := int(s.byteAt(off))
	if i == 0 || i > len(s.Strings) {
		return ""
	}
	return s.Strings[i-1]
}

// Dump decodes what `dmidecode --dump-bin` writes and what the two files below
// /sys/firmware/dmi/tables hold together: an entry point and the table.
func Dump(b []byte) (*Info, error) {
	v, off, size, err := entryPoint(b)
	if err != nil {
		return nil, err
	}
	if off > len(b) {
		return nil, fmt.Errorf("SMBIOS dump of %d bytes: its table begins at %d", len(b), off)
	}
	table := b[off:]
	if size > 0 && size < len(table) {
		table = table[:size]
	}
	return Decode(table, v)
}

// EntryPoint reads the version from an entry point, such as the file
// /sys/firmware/dmi/tables/smbios_entry_point.
func EntryPoint(b []byte) (Version, error) {
	v, _, _, err := entryPoint(b)
	return v, err
}

func entryPoint(b []byte) (v Version, off, size int, err error) {
	switch {
	case len(b) >= 24 && string(b[:5]) == "_SM3_":
		return Version{int(b[7]), int(b[8])}, int(min(binary.LittleEndian.Uint64(b[16:]), 1<<40)), int(binary.LittleEndian.Uint32(b[12:])), nil
	case len(b) >= 31 && string(b[:4]) == "_SM_":
		return fixVersion(Version{int(b[6]), int(b[7])}), int(binary.LittleEndian.Uint32(b[24:])), int(binary.LittleEndian.Uint16(b[22:])), nil
	case len(b) >= 15 && string(b[:5]) == "_DMI_":
		return Version{int(b[14] >> 4), int(b[14] & 15)}, int(binary.LittleEndian.Uint32(b[8:])), int(binary.LittleEndian.Uint16(b[6:])), nil
	}
	return Version{}, 0, 0, errors.New("no SMBIOS entry point: want _SM3_, _SM_ or _DMI_ at the start")
}

// fixVersion mends the versions that dmidecode knows to be written in error.
func fixVersion(v Version) Version {
	switch v {
	case Version{2, 0x1f}, Version{2, 0x21}:
		return Version{2, 3}
	case Version{2, 0x33}:
		return Version{2, 6}
	}
	return v
}

// Raw decodes the RawSMBIOSData that Windows' GetSystemFirmwareTable('RSMB')
// returns: four bytes of versions, the length, the table.
func Raw(b []byte) (*Info, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("raw SMBIOS data of %d bytes: want at least 8", len(b))
	}
	table := b[8:]
	if n := binary.LittleEndian.Uint32(b[4:]); int64(n) < int64(len(table)) {
		table = table[:n]
	}
	return Decode(table, fixVersion(Version{int(b[1]), int(b[2])}))
}
