package smbios

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getSystemFirmwareTable = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemFirmwareTable")

const rsmb = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'

// ReadFirmware reads this machine's table; any user may.
func ReadFirmware() (*Info, error) {
	size, _, err := getSystemFirmwareTable.Call(rsmb, 0, 0, 0)
	if size == 0 {
		return nil, fmt.Errorf("ask for the size of the SMBIOS table: %w", err)
	}
	if size > MaxTable+8 {
		return nil, fmt.Errorf("SMBIOS table of %d bytes: the limit is %d", size, MaxTable)
	}
	buf := make([]byte, size)
	got, _, err := getSystemFirmwareTable.Call(rsmb, 0, uintptr(unsafe.Pointer(&buf[0])), size)
	if got == 0 || got > size {
		return nil, fmt.Errorf("read the SMBIOS table: %w", err)
	}
	return Raw(buf[:got])
}
