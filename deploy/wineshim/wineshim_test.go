package wineshim

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"testing"
)

func TestForwarderIsADLLWithOneForward(t *testing.T) {
	dll := BCryptPrimitives()
	if len(dll) != 1024 {
		t.Errorf("%d bytes, want 1024", len(dll))
	}
	f, err := pe.NewFile(bytes.NewReader(dll))
	if err != nil {
		t.Fatal(err)
	}
	if f.Characteristics&pe.IMAGE_FILE_DLL == 0 || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		t.Errorf("header %+v, want an amd64 DLL", f.FileHeader)
	}
	section := f.Section(".edata")
	if section == nil {
		t.Fatal("no export section")
	}
	data, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	text := func(at uint32) string { // of an address in the file
		s := data[binary.LittleEndian.Uint32(data[at:])-section.VirtualAddress:]
		return string(s[:bytes.IndexByte(s, 0)])
	}
	for at, want := range map[uint32]string{
		12: "bcryptprimitives.dll", exportTable: "advapi32.SystemFunction036", exportTable + 4: "ProcessPrng",
	} {
		if got := text(at); got != want {
			t.Errorf("string of offset %d is %q, want %q", at, got, want)
		}
	}
}
