package source

import (
	"slices"
	"strings"
	"testing"

	"nocturne/internal/record"
)

func TestStorageEvent(t *testing.T) {
	f := func(want bool, name, provider string, id int64, body string) {
		t.Helper()
		r := &record.Record{Name: name, Body: body, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(provider)}, {Key: record.AttrEventID, Value: record.Int(id)}}}
		if StorageEvent(r) != want {
			t.Errorf("%s %s %d %q: want %v", name, provider, id, body, want)
		}
	}
	f(true, record.NameWindowsEvent, "Disk", 7, "")
	f(true, record.NameWindowsEvent, "disk", 157, "")
	f(false, record.NameWindowsEvent, "cdrom", 7, "")         // an id means nothing without its provider
	f(false, record.NameWindowsEvent, "Kernel-Boot", 153, "") // the same
	f(false, record.NameWindowsEvent, "disk", 1, "")          //
	f(true, record.NameWindowsEvent, "MR_MONITOR", 9999, "")  // whatever MegaRAID says
	f(true, record.NameWindowsEvent, "megasas35i", 11, "")    //
	f(true, record.NameWindowsEvent, "iaStorAVC", 129, "")    //
	f(false, record.NameWindowsEvent, "Microsoft-Windows-Ntfs", 4, "")
	f(true, record.NameWindowsEvent, "Microsoft-Windows-Partition", 1006, "") // a disk came or went
	f(true, record.NameWindowsEvent, "Microsoft-Windows-Kernel-PnP", 420, `Device SCSI\Disk&Ven_SEAGATE\5&2d was deleted.`)
	f(false, record.NameWindowsEvent, "Microsoft-Windows-Kernel-PnP", 420, `Device HID\VID_046D was deleted.`)
	f(false, record.NameWindowsEvent, "lsass", 1, "") // not LSI's
	f(false, record.NameJournal, "kernel", 0, "igb 0000:01:00.0 eno1: igb: eno1 NIC Link is Down")
	f(true, record.NameJournal, "kernel", 0, "ata3: SATA link down (SStatus 0 SControl 300)")
	f(true, record.NameJournal, "kernel", 0, "megaraid_sas 0000:18:00.0: 2012 (scsi0:1) - state change on PD 04")
	f(true, record.NameJournal, "kernel", 0, "blk_update_request: I/O error, dev sdb, sector 8")
	f(true, record.NameJournal, "kernel", 0, "md/raid1:md0: Disk failure on sdb1, disabling device.")
	f(false, record.NameJournal, "kernel", 0, "usb 1-1: new high-speed USB device")
	f(false, record.NameJournal, "cron", 0, "I/O error") // anybody can write that
	f(false, record.NameSnapshot, "disk", 7, "")
}

// Each row says why, and can match at all.
func TestStorageRows(t *testing.T) {
	for _, row := range slices.Concat(storageEvents, storageWords) {
		if row.why == "" || row.provider == "" || row.provider != strings.ToLower(row.provider) {
			t.Errorf("%+v", row)
		}
	}
}
