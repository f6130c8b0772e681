package source

import (
	"slices"
	"strings"

	"nocturne/internal/record"
)

// storageRow is one reason to look at disks and RAID controllers now.
type storageRow struct {
	// provider is who speaks, in lower case: Windows compares without it. A star
	// at the end stands for any rest.
	provider string
	ids      []int64 // nil = whatever it says
	// ofDisk wants an event to name a storage device: PnP speaks of all kinds.
	ofDisk bool
	why    string
}

// storageEvents are the events of Windows. Who polls what they tell about would
// see it up to a period later.
var storageEvents = []storageRow{
	{provider: "disk", ids: []int64{7, 11, 15, 51, 52, 153, 154, 157, 158}, why: "bad block, controller error, not ready, paging failed, failure predicted, I/O retried, I/O failed, surprise removal, same identity twice"},
	{provider: "microsoft-windows-disk", why: "the same, under the newer name"},
	{provider: "storahci", ids: []int64{9, 11, 15, 129}, why: "time-out, controller error, not ready, reset"},
	{provider: "stornvme", ids: []int64{9, 11, 15, 129}, why: "as of storahci"},
	{provider: "storport", ids: []int64{9, 11, 15, 129}, why: "as of storahci, by drivers without a name of their own"},
	{provider: "iastor*", why: "Intel RST and VROC: arrays degrade, members fail"},
	{provider: "megasas*", why: "MegaRAID's driver: time-outs, resets, what its firmware tells"},
	{provider: "megasr*", why: "the same, software RAID"},
	{provider: "percsas*", why: "the same, PERC"},
	{provider: "lsi*", why: "SAS HBAs: resets, drives that come and go; LSI's own services"},
	{provider: "mpi3drv*", why: "MegaRAID and HBAs of the 9600 family"},
	{provider: "mpt*", why: "older SAS HBAs"},
	{provider: "smartpqi*", why: "Adaptec and Smart Array"},
	{provider: "hpcisss*", why: "older Smart Array"},
	{provider: "arcsas*", why: "older Adaptec"},
	{provider: "mvs*", why: "Marvell, as in BOSS cards"},
	{provider: "nvme*", why: "NVMe drivers of vendors"},
	{provider: "mr_monitor", why: "MegaRAID Storage Manager tells every state of every drive"},
	{provider: "lsa", why: "LSI Storage Authority, its successor"},
	{provider: "ntfs", ids: []int64{41, 50, 55, 57, 98, 131, 137, 140, 150}, why: "a damaged file system or a flush that failed is often a disk that fails"},
	{provider: "microsoft-windows-ntfs", ids: []int64{41, 50, 55, 57, 98, 131, 137, 140, 150}, why: "the same, under the newer name"},
	{provider: "refs", ids: []int64{131, 133, 134, 135, 137, 138, 140}, why: "the same of ReFS"},
	{provider: "microsoft-windows-refs", ids: []int64{131, 133, 134, 135, 137, 138, 140}, why: "the same of ReFS"},
	{provider: "volmgr", ids: []int64{45, 46, 49, 142, 156, 161}, why: "the dump could not be written to the disk, a mirror lost one"},
	{provider: "mpio", ids: []int64{16, 17, 22, 23}, why: "a path to a disk failed"},
	{provider: "iscsiprt", ids: []int64{20, 34}, why: "an iSCSI target is lost, is back"},
	{provider: "partmgr", ids: []int64{58, 59}, why: "a disk has another's signature: disks came"},
	{provider: "microsoft-windows-partition", ids: []int64{1006}, why: "a disk arrived or was removed"},
	{provider: "microsoft-windows-kernel-pnp", ids: []int64{400, 410, 411, 420, 442}, ofDisk: true, why: "a device was configured, started, failed to start, deleted, not migrated"},
	{provider: "microsoft-windows-userpnp", ids: []int64{20001, 20003}, ofDisk: true, why: "a new device got its driver"},
	{provider: "microsoft-windows-storagespaces-driver", why: "pools and virtual disks of Storage Spaces"},
}

// diskIDs are in the instance ids of storage devices.
var diskIDs = []string{`scsi\`, `ide\`, `storage\`, `nvme`, `usbstor\`, `pciide\`, `sas`}

// storageWords are in what Linux' kernel says when a disk, an array or a
// controller is not well, or comes and goes. "Link is down" is not among them:
// network cards say it all day, and storage drivers are named.
var storageWords = []storageRow{
	{provider: "megaraid_sas", why: "the driver repeats its firmware's events"},
	{provider: "mpt2sas", why: "drives come and go, resets"},
	{provider: "mpt3sas", why: "drives come and go, resets"},
	{provider: "mpi3mr", why: "drives come and go, resets"},
	{provider: "smartpqi", why: "drives come and go, resets"},
	{provider: "hpsa ", why: "drives come and go, resets"},
	{provider: "aacraid", why: "resets"},
	{provider: "md/raid", why: "disk failure, disabling device; operation continuing"},
	{provider: "nvme nvme", why: "time-out, controller is down, removed"},
	{provider: "i/o error", why: "the block layer gave up"},
	{provider: "medium error", why: "a sector cannot be read"},
	{provider: "unrecovered read error", why: "a sector cannot be read"},
	{provider: "disk failure", why: "a RAID driver threw a disk out"},
	{provider: "failed command", why: "libata: a command failed"},
	{provider: "hard resetting link", why: "libata: the disk did not answer"},
	{provider: "sata link down", why: "libata: the disk is gone"},
	{provider: "link is slow", why: "libata: the disk hardly answers"},
	{provider: "device offlined", why: "SCSI gave a disk up"},
	{provider: "rejecting i/o", why: "I/O to a disk that was given up"},
	{provider: "attached scsi disk", why: "a disk came"},
	{provider: "synchronizing scsi cache", why: "a disk goes"},
	{provider: "detached", why: "a disk went"},
}

// StorageEvent tells whether a record of an event log or journal is a reason
// to look at disks and RAID controllers now. It errs on the side of looking:
// early rounds are few (see EarlyGap).
func StorageEvent(r *record.Record) bool {
	switch r.Name {
	case record.NameWindowsEvent:
		provider := strings.ToLower(r.Attr(record.AttrProvider).Str())
		id, _ := r.Attr(record.AttrEventID).Int()
		return slices.ContainsFunc(storageEvents, func(row storageRow) bool { return row.matches(provider, id, r.Body) })
	case record.NameJournal:
		if r.Attr(record.AttrProvider).Str() != "kernel" {
			return false // anybody can write that
		}
		text := beginning(r.Body)
		return slices.ContainsFunc(storageWords, func(w storageRow) bool { return strings.Contains(text, w.provider) })
	}
	return false
}

func (row *storageRow) matches(provider string, id int64, body string) bool {
	if start, any := strings.CutSuffix(row.provider, "*"); any && !strings.HasPrefix(provider, start) || !any && provider != row.provider {
		return false
	}
	if row.ids != nil && !slices.Contains(row.ids, id) {
		return false
	}
	text := beginning(body)
	return !row.ofDisk || slices.ContainsFunc(diskIDs, func(w string) bool { return strings.Contains(text, w) })
}

// beginning is as much of a text as is searched.
func beginning(body string) string { return strings.ToLower(body[:min(len(body), 1024)]) }
