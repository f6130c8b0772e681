// Package wineshim writes small Windows DLLs that only forward their exports to other DLLs. Wine 8 has no
// bcryptprimitives.dll, without which no Go program of today starts; a forwarder to advapi32 stands in for it in the
// tests that run our Windows binaries under Wine. It is never shipped.
package wineshim

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

const (
	sectionRVA  = 0x1000
	fileAlign   = 0x200
	imageBase   = 0x180000000
	headerSize  = 0x200
	optHeader   = 240
	exportTable = 40
)

// BCryptPrimitives returns the DLL that lets Go programs start under Wine 8.
func BCryptPrimitives() []byte {
	return Forwarder("bcryptprimitives.dll", map[string]string{"ProcessPrng": "advapi32.SystemFunction036"})
}

// Forwarder returns a PE32+ DLL without code. forwards maps each export to "dll.function".
func Forwarder(name string, forwards map[string]string) []byte {
	exports := exportSection(name, forwards)
	raw := (uint32(len(exports)) + fileAlign - 1) &^ (fileAlign - 1)
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v) // into memory, fixed-size values: cannot fail
		}
	}
	dos := make([]byte, 64)
	copy(dos, "MZ")
	dos[60] = 64 // where the PE header is
	put(dos, []byte("PE\x00\x00"))
	// COFF header: amd64, one section, executable DLL with large addresses.
	put(uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(optHeader), uint16(0x2022))
	// Optional header: no code, no entry point.
	put(uint16(0x20b), uint16(1), uint32(0), raw, uint32(0), uint32(0), uint32(sectionRVA), uint64(imageBase),
		uint32(0x1000), uint32(fileAlign), uint16(6), uint16(0), uint16(0), uint16(0), uint16(6), uint16(0), uint32(0),
		uint32(sectionRVA+((raw+0xfff)&^0xfff)), uint32(headerSize), uint32(0), uint16(2), uint16(0x140),
		uint64(0x100000), uint64(0x1000), uint64(0x100000), uint64(0x1000), uint32(0), uint32(16))
	put(uint32(sectionRVA), uint32(len(exports)), make([]byte, 15*8)) // data directories: exports only
	put([]byte(".edata\x00\x00"), uint32(len(exports)), uint32(sectionRVA), raw, uint32(headerSize),
		uint32(0), uint32(0), uint32(0), uint32(0x40000040))
	b.Write(make([]byte, headerSize-b.Len()))
	b.Write(exports)
	b.Write(make([]byte, int(raw)-len(exports)))
	return b.Bytes()
}

// exportSection is the export directory, its three tables and the strings that they point to.
func exportSection(name string, forwards map[string]string) []byte {
	names := slices.Sorted(maps.Keys(forwards)) // Windows searches them by bisection
	n := uint32(len(names))
	var strs bytes.Buffer
	place := func(s string) uint32 {
		at := sectionRVA + exportTable + 10*n + uint32(strs.Len())
		strs.WriteString(s)
		strs.WriteByte(0)
		return at
	}
	nameAt := place(name)
	functions, namesAt, ordinals := make([]uint32, n), make([]uint32, n), make([]uint16, n)
	for i, s := range names {
		namesAt[i] = place(s)
		functions[i] = place(forwards[s]) // an address inside the section is a forwarder
		ordinals[i] = uint16(i)
	}
	var b bytes.Buffer
	for _, v := range []any{
		uint32(0), uint32(0), uint32(0), nameAt, uint32(1), n, n,
		uint32(sectionRVA + exportTable), sectionRVA + exportTable + 4*n, sectionRVA + exportTable + 8*n,
		functions, namesAt, ordinals,
	} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	b.Write(strs.Bytes())
	return b.Bytes()
}
