package hardware

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"nocturne/exporter/source/hardware/smbios"
	"nocturne/internal/record"
)

// readMachine asks Windows. The root is for Linux' files and is not used.
func readMachine(ctx context.Context, _ string, b *builder) error {
	var problems []error
	info, err := smbios.ReadFirmware()
	if err != nil {
		problems = append(problems, err)
	}
	if info != nil {
		b.firmware(info)
	}
	if info == nil || len(info.CPUs) == 0 {
		registryCPU(b)
	}
	problems = append(problems, disks(ctx, b), nics(b), volumes(ctx, b), pci(ctx, b))
	return errors.Join(problems...)
}

// Control codes of winioctl.h; none needs the right to read the disk.
const (
	ioctlStorageQueryProperty   = 0x2d1400
	ioctlDiskGetDriveGeometryEx = 0x700a0
	ioctlSCSIGetAddress         = 0x41018
	ioctlVolumeGetDiskExtents   = 0x560000
	maxDisks                    = 256
	maxAbsent                   = 16 // numbers have gaps where a disk was taken out
)

func disks(ctx context.Context, b *builder) error {
	absent := 0
	for i := 0; i < maxDisks && absent < maxAbsent && ctx.Err() == nil; i++ {
		name, err := windows.UTF16PtrFromString(fmt.Sprintf(`\\.\PhysicalDrive%d`, i))
		if err != nil {
			return err
		}
		h, err := windows.CreateFile(name, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0)
		if err != nil {
			if errors.Is(err, windows.ERROR_FILE_NOT_FOUND) || errors.Is(err, windows.ERROR_PATH_NOT_FOUND) {
				absent++
				continue
			}
			return fmt.Errorf("open disk %d: %w", i, err) // a disk that cannot be opened now is not gone: none was observed
		}
		absent = 0
		query := [12]byte{} // STORAGE_PROPERTY_QUERY: StorageDeviceProperty, PropertyStandardQuery
		buf := make([]byte, 4096)
		var n uint32
		err = windows.DeviceIoControl(h, ioctlStorageQueryProperty, &query[0], uint32(len(query)), &buf[0], uint32(len(buf)), &n, nil)
		var d storageDescriptor
		if err == nil {
			d, err = parseStorageDescriptor(buf[:n])
		}
		size := int64(0)
		geometry := make([]byte, 256)
		if windows.DeviceIoControl(h, ioctlDiskGetDriveGeometryEx, nil, 0, &geometry[0], uint32(len(geometry)), &n, nil) == nil {
			size = parseGeometry(geometry[:n])
		}
		address := make([]byte, 8)
		if windows.DeviceIoControl(h, ioctlSCSIGetAddress, nil, 0, &address[0], uint32(len(address)), &n, nil) == nil {
			d.address = parseSCSIAddress(address[:n])
		}
		_ = windows.CloseHandle(h)
		if err != nil {
			return fmt.Errorf("ask disk %d what it is: %w", i, err)
		}
		b.windowsDisk(i, d, size)
	}
	b.observed(record.DeviceDisk)
	return nil
}

func nics(b *builder) error {
	const flags = windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST | windows.GAA_FLAG_SKIP_DNS_SERVER | windows.GAA_FLAG_SKIP_UNICAST
	size := uint32(32 << 10)
	for range 4 { // the list may grow while we ask
		buf := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		if errors.Is(err, windows.ERROR_BUFFER_OVERFLOW) && size <= 4<<20 {
			continue
		}
		if err != nil {
			return fmt.Errorf("ask for the network adapters: %w", err)
		}
		b.observed(record.DeviceNIC)
		for a := first; a != nil; a = a.Next {
			n := min(int(a.PhysicalAddressLength), len(a.PhysicalAddress))
			b.windowsNIC(adapter{
				name: windows.UTF16PtrToString(a.FriendlyName), description: windows.UTF16PtrToString(a.Description),
				mac: append([]byte(nil), a.PhysicalAddress[:n]...), kind: a.IfType, status: a.OperStatus, speed: a.TransmitLinkSpeed,
			})
		}
		return nil
	}
	return errors.New("ask for the network adapters: the list keeps growing")
}
