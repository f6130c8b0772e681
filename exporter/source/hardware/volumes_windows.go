package hardware

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// volumes adds the drive letters, and the volumes that are only mounted in a
// folder. What has neither, as the firmware's partition, is not stated.
func volumes(ctx context.Context, b *builder) error {
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return fmt.Errorf("ask for the drive letters: %w", err)
	}
	for i := range 26 {
		if mask&(1<<i) != 0 && ctx.Err() == nil {
			addVolume(b, string(rune('A'+i))+":")
		}
	}
	folders, err := mountedInFolders(ctx)
	for _, f := range folders {
		addVolume(b, f)
	}
	if err != nil {
		return fmt.Errorf("ask for the volumes: %w", err)
	}
	b.observed(record.DeviceVolume)
	return nil
}

// addVolume adds the volume that is mounted at a place: C: or C:\data.
func addVolume(b *builder, place string) {
	root, err := windows.UTF16PtrFromString(place + `\`)
	if err != nil || windows.GetDriveType(root) != windows.DRIVE_FIXED {
		return // asking a network drive or an empty reader may hang
	}
	var free, total, totalFree uint64
	if windows.GetDiskFreeSpaceEx(root, &free, &total, &totalFree) != nil {
		total = 0
	}
	var label, kind [261]uint16
	var serial, length, flags uint32
	if windows.GetVolumeInformation(root, &label[0], uint32(len(label)), &serial, &length, &flags, &kind[0], uint32(len(kind))) != nil {
		flags = 0
	}
	var name [64]uint16
	guid := ""
	if windows.GetVolumeNameForVolumeMountPoint(root, &name[0], uint32(len(name))) == nil {
		guid = windows.UTF16ToString(name[:])
	}
	b.add(record.DeviceVolume, place, "", source.Text("filesystem", windows.UTF16ToString(kind[:])), source.Text("label", windows.UTF16ToString(label[:])),
		source.Count(record.FieldSize, int64(total)), source.Yes("read_only", flags&windows.FILE_READ_ONLY_VOLUME != 0),
		source.Text("volume_guid", volumeGUID(guid)), source.Text("disks", disksOf(guid)))
}

// disksOf names the disks that a volume lies on.
func disksOf(guid string) string {
	if len(guid) < 2 {
		return ""
	}
	name, err := windows.UTF16PtrFromString(guid[:len(guid)-1]) // without the slash it is the volume, not its root
	if err != nil {
		return ""
	}
	h, err := windows.CreateFile(name, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = windows.CloseHandle(h) }() // only asked
	buf := make([]byte, 4096)
	var n uint32
	if windows.DeviceIoControl(h, ioctlVolumeGetDiskExtents, nil, 0, &buf[0], uint32(len(buf)), &n, nil) != nil {
		return ""
	}
	return parseExtents(buf[:n])
}

const maxFolderVolumes = 256

// mountedInFolders returns where volumes without a drive letter are mounted.
func mountedInFolders(ctx context.Context) ([]string, error) {
	var name [64]uint16
	h, err := windows.FindFirstVolume(&name[0], uint32(len(name)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = windows.FindVolumeClose(h) }() // only read
	var out []string
	for range maxFolderVolumes {
		paths := make([]uint16, 4096)
		var n uint32
		if windows.GetVolumePathNamesForVolumeName(&name[0], &paths[0], uint32(len(paths)), &n) == nil {
			if folder := folderOf(paths[:min(int(n), len(paths))]); folder != "" {
				out = append(out, folder)
			}
		}
		if ctx.Err() != nil || windows.FindNextVolume(h, &name[0], uint32(len(name))) != nil {
			break // ERROR_NO_MORE_FILES
		}
	}
	return out, nil
}
